"""Running a model over whole clips, and showing what came out."""
