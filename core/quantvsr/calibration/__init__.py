"""Calibration: samples, complexity, rank allocation, cost and refinement.

This file imports nothing on purpose: the desktop app imports `quantvsr.calibration.ranks`, `.cost`, `.table`
and `.refine_config`, which must never pull torch in.
"""
