"""MGLD-VSR, written from a specification of its mathematics; no line comes from another implementation.

Modules carry the official key names, so that a checkpoint loads without renaming.
Sections named in the docstrings are those of the specification beside the golden vectors.
"""
