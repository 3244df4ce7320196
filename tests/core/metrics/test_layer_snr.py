import numpy as np
import pytest

from quantvsr.errors import BadInput
from quantvsr.metrics.layer_snr import SNR_CAP, LayerSnr


def test_it_is_the_ratio_of_energies_over_all_parts():
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(0, 1, (3, 100)), rng.normal(0, 0.1, (3, 100))
    snr = LayerSnr()
    for y, e in zip(signal, noise, strict=True):
        snr.add(float((y**2).sum()), float((e**2).sum()))
    assert snr.result() == pytest.approx(10 * np.log10((signal**2).sum() / (noise**2).sum()))


def test_the_edges():
    assert LayerSnr().result() is None
    silent, exact = LayerSnr(), LayerSnr()
    silent.add(0.0, 0.0)
    exact.add(1.0, 0.0)
    assert silent.result() is None
    assert exact.result() == SNR_CAP
    with pytest.raises(BadInput, match="not finite"):
        LayerSnr().add(float("inf"), 1.0)
