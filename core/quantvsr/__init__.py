"""QuantVSR Studio's engine: post-training quantization of diffusion video super-resolution models.

Importing this package is cheap on purpose (no torch, no diffusers): the desktop app takes the version from
it.
"""

__version__ = "0.1.0"
