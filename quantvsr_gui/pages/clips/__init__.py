"""The Clips page: clips, the frames used of them, and how much the calibration takes from them."""

from quantvsr_gui.pages.clips.controller import build

__all__ = ["build"]
