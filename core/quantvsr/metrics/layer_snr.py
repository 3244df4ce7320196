"""Signal-to-noise ratio of one layer's output: full precision against quantized, on the same input."""

import numpy as np

from quantvsr.errors import BadInput
from quantvsr.metrics.registry import metric

SNR_CAP = 120.0


@metric(
    "layer_snr",
    title="Layer output SNR",
    unit="dB",
    direction="higher",
    range=(None, SNR_CAP),
    needs=("layers",),
    conventions=(
        "10 log10(sum of y^2 / sum of (y - q)^2) over all values that a layer gives in the measured windows "
        "and steps; y in full precision, q quantized, both from the same full-precision input, so that only "
        f"this layer's own error counts. At most {SNR_CAP:.0f} dB (no error). From `quantvsr sensitivity`."
    ),
)
class LayerSnr:
    """Collects signal and noise of one layer; memory does not grow."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0

    def add(self, signal: float, noise: float) -> None:
        """Take sums of squares of the output and of its error.

        Raises:
            BadInput: One is not finite.
        """
        if not (np.isfinite(signal) and np.isfinite(noise)):
            raise BadInput("A layer's output holds values that are not finite; quantize with more bits.")
        self._signal += signal
        self._noise += noise

    def result(self) -> float | None:
        """Decibels; None where the layer gave nothing but zeros, or nothing at all."""
        if self._signal <= 0.0:
            return None
        if self._noise <= 0.0:
            return SNR_CAP
        return min(SNR_CAP, float(10.0 * np.log10(self._signal / self._noise)))
