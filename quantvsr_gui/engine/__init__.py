"""The engine's processes as the app sees them."""

from quantvsr_gui.engine.handle import JobHandle, JobState
from quantvsr_gui.engine.service import Engine, Engines

__all__ = ["Engine", "Engines", "JobHandle", "JobState"]
