"""Picture and video metrics in NumPy and OpenCV. Importing the package registers all and loads no torch.

docs/metrics.md lists them with their conventions and licences.
"""

# Each registers itself; the order is that of tables.
from quantvsr.metrics import psnr, ssim, gmsd, haarpsi, niqe, warp, flicker  # noqa: F401  # isort: skip
from quantvsr.metrics import warp_paper, learned, layer_snr  # noqa: F401  # isort: skip
from quantvsr.metrics.frames import Picture, luma
from quantvsr.metrics.measure import Comparison, Meter, measure
from quantvsr.metrics.motion import DisMotion, Motion
from quantvsr.metrics.psnr import PSNR_CAP
from quantvsr.metrics.registry import Accumulator, Metric, get_metric, metric, metrics
from quantvsr.metrics.resources import MissingMetric, Resources
from quantvsr.metrics.warp import WARP_SCALE

__all__ = [
    "PSNR_CAP",
    "WARP_SCALE",
    "Accumulator",
    "Comparison",
    "DisMotion",
    "Meter",
    "Metric",
    "MissingMetric",
    "Motion",
    "Picture",
    "Resources",
    "get_metric",
    "luma",
    "measure",
    "metric",
    "metrics",
]
