"""Upscalers of the diffusers library, opened from their folders without the library's own loading code."""
