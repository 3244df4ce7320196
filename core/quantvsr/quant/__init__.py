"""The maths of a quantized layer: affine codes, rotation, low-rank split, packing, layers, checkpoints.

Pure torch; knows no model. Section numbers in this room's docstrings are those of the quantization
specification (golden `SPEC.md`), which describes the reference implementation of QuantVSR in words.
"""
