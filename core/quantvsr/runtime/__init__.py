"""Execution of quantized layers: integer backends, and the simulated one that is always there.

`accelerate` replaces the frozen layers of a model by the best executable layers that this machine has; a
backend is one module with a constant `BACKEND`, listed in `registry`.
"""
