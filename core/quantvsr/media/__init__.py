"""Reading and writing clips, temporal windows and tiles."""

from quantvsr.media.clip_writer import ClipWriter
from quantvsr.media.codecs import CODECS, check_output_size
from quantvsr.media.cuts import CutDetector
from quantvsr.media.reader import ClipReader, open_clip, probe
from quantvsr.media.tiles import Tile, blend_weight, plan_tiles
from quantvsr.media.types import ClipInfo, ColourInfo, Frame
from quantvsr.media.windows import TemporalWindow, blend_windows, iter_windows
from quantvsr.media.writer import open_writer

__all__ = [
    "CODECS",
    "ClipInfo",
    "ClipReader",
    "ClipWriter",
    "ColourInfo",
    "CutDetector",
    "Frame",
    "TemporalWindow",
    "Tile",
    "blend_weight",
    "blend_windows",
    "check_output_size",
    "iter_windows",
    "open_clip",
    "open_writer",
    "plan_tiles",
    "probe",
]
