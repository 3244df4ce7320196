"""Picture and video metrics in NumPy and OpenCV; no torch. Importing the package registers all of them."""

from quantvsr.metrics import flicker, psnr, ssim, warp  # noqa: F401 (each registers itself)
from quantvsr.metrics.frames import Picture, luma
from quantvsr.metrics.measure import Comparison, Meter, measure
from quantvsr.metrics.motion import DisMotion, Motion
from quantvsr.metrics.psnr import PSNR_CAP
from quantvsr.metrics.registry import Accumulator, Metric, get_metric, metric, metrics
from quantvsr.metrics.warp import WARP_SCALE

__all__ = [
    "PSNR_CAP",
    "WARP_SCALE",
    "Accumulator",
    "Comparison",
    "DisMotion",
    "Meter",
    "Metric",
    "Motion",
    "Picture",
    "get_metric",
    "luma",
    "measure",
    "metric",
    "metrics",
]
