"""Compiled passes over activations for the processor; numba compiles them where they are used first.

The modules in here need numba; `compiled.py` imports them then. A kernel is a C function
`(arguments, piece)`: it does one of several shares of the work. Arguments are an array of 64-bit whole
numbers, addresses of tensors among them; the first two are the kernel's own address and the number of pieces.

bfloat16 comes as uint16. Everything is computed in float32, in the order of `quant.affine`.
"""
