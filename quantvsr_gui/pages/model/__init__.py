"""The Model page: which model, what was recognised, its layers."""

from quantvsr_gui.pages.model.controller import build

__all__ = ["build"]
