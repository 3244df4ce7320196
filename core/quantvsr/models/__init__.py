"""VSR models: one folder per family, one registry, safe loading."""
