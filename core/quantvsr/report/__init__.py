"""One HTML file from the results of a sweep, a comparison or a quantization; readable offline, no torch."""

from quantvsr.report.build import build_report
from quantvsr.report.data import Clip, Entry, Layers, Report
from quantvsr.report.sources import read_folder

__all__ = ["Clip", "Entry", "Layers", "Report", "build_report", "read_folder"]
