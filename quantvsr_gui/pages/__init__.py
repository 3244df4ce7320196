"""The pages, one folder each: `pages/<key>/__init__.py` with `build(context)` is all it takes."""
