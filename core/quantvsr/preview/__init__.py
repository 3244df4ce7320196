"""Rendered frames in a project's cache: their names (`keys`), and how they are written and read (`store`)."""
