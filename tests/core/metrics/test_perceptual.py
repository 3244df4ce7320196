"""GMSD and HaarPSI: against the papers' formulas in plain SciPy, and against another library's numbers."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from quantvsr.errors import BadInput
from quantvsr.metrics import measure
from quantvsr.metrics.frames import halve

NAMES = ["gmsd", "haarpsi"]


def pair(height, width, seed=0):
    rng = np.random.default_rng(seed)
    a = cv2.GaussianBlur(rng.random((height, width, 3)), (0, 0), 1.0)
    a = (a - a.min()) / np.ptp(a)
    return a, np.clip(a + rng.normal(0, 0.05, a.shape), 0, 1)


def same(picture, kernel):
    """MATLAB's conv2(..., 'same'), which differs from SciPy's for even kernels."""
    return np.rot90(convolve2d(np.rot90(picture, 2), np.rot90(kernel, 2), mode="same"), 2)


def plain_gmsd(a, b):
    grey = [np.tensordot(x * 255, [65.481 / 219, 128.553 / 219, 24.966 / 219], 1) for x in (a, b)]
    half = [same(g, np.full((2, 2), 0.25))[::2, ::2] for g in grey]
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    m1, m2 = (np.sqrt(same(h, prewitt) ** 2 + same(h, prewitt.T) ** 2) for h in half)
    return np.std((2 * m1 * m2 + 170) / (m1**2 + m2**2 + 170))


def plain_haarpsi(a, b):
    yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    planes = [
        [same(np.tensordot(x * 255, row, 1), np.full((2, 2), 0.25))[::2, ::2] for row in yiq] for x in (a, b)
    ]
    similar, weights = [], []
    for turn in (lambda k: k, np.transpose):
        sims = []
        for scale in (1, 2, 3):
            kernel = np.full((2**scale, 2**scale), 2.0**-scale)
            kernel[: 2**scale // 2] *= -1
            c, d = (np.abs(same(x[0], turn(kernel))) for x in planes)
            if scale < 3:
                sims.append((2 * c * d + 30) / (c**2 + d**2 + 30))
        similar.append(sum(sims) / 2)
        weights.append(np.maximum(c, d))
    colour = []
    for channel in (1, 2):
        c, d = (np.abs(same(x[channel], np.full((2, 2), 0.25))) for x in planes)
        colour.append((2 * c * d + 30) / (c**2 + d**2 + 30))
    similar.append(sum(colour) / 2)
    weights.append(sum(weights) / 2)
    similar, weights = np.stack(similar), np.stack(weights)
    share = (weights / (1 + np.exp(-4.2 * similar))).sum() / weights.sum()
    return (np.log(share / (1 - share)) / 4.2) ** 2


# Computed once with piq 0.8.0 (Apache-2.0), `piq.gmsd` and `piq.haarpsi`, on the same pictures in double
# precision. Its YIQ matrix has one more digit than the paper's, hence the tolerance of HaarPSI.
@pytest.mark.parametrize(
    ("size", "seed", "gmsd", "haarpsi"),
    [
        ((40, 54), 0, 0.02563464545320765, 0.9052040200068935),
        ((41, 53), 1, 0.018514729796059837, 0.9238567791924485),
        ((64, 64), 2, 0.023801400992925253, 0.9206233406637544),
    ],
)
def test_the_numbers_of_another_library(size, seed, gmsd, haarpsi):
    a, b = pair(*size, seed)
    got = measure([a], [b], NAMES)
    assert got["gmsd"] == pytest.approx(gmsd, abs=1e-9)
    assert got["haarpsi"] == pytest.approx(haarpsi, abs=5e-5)


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (33, 31)])
@pytest.mark.parametrize("border", [0, 2])
def test_the_formulas_of_the_papers(size, border):
    a, b = pair(*(side + 2 * border for side in size))
    inner = (slice(border, border + size[0]), slice(border, border + size[1]))
    got = measure([a], [b], NAMES, border=border)
    assert got["gmsd"] == pytest.approx(plain_gmsd(a[inner], b[inner]), abs=1e-12)
    assert got["haarpsi"] == pytest.approx(plain_haarpsi(a[inner], b[inner]), abs=1e-12)


@given(seed=st.integers(0, 99), noise=st.floats(0.02, 0.2))
def test_equal_is_best_more_noise_is_worse_and_order_does_not_matter(seed, noise):
    rng = np.random.default_rng(seed)
    a = cv2.GaussianBlur(rng.random((24, 24, 3)), (0, 0), 2.0) * 0.5 + 0.25
    grain = rng.normal(0, 1, a.shape)
    near, far = a + 0.1 * noise * grain, a + noise * grain
    assert measure([a], [a], NAMES) == {"gmsd": 0.0, "haarpsi": pytest.approx(1.0, abs=1e-12)}
    close, wide, turned = measure([near], [a], NAMES), measure([far], [a], NAMES), measure([a], [far], NAMES)
    assert close["gmsd"] < wide["gmsd"] and close["haarpsi"] > wide["haarpsi"]
    assert turned == pytest.approx(wide, abs=1e-12)


def test_flat_pictures_have_a_value():
    grey, red = np.full((20, 20, 3), 0.5), np.zeros((20, 20, 3))
    red[..., 0] = 1.0
    black = np.zeros((20, 20, 3))
    assert measure([black], [black], NAMES) == {"gmsd": 0.0, "haarpsi": 1.0}
    got = measure([grey], [red], NAMES)
    assert 0 <= got["gmsd"] <= 1 and 0 <= got["haarpsi"] < 1


def test_what_is_too_small_has_no_value():
    a = np.zeros((15, 40, 3))
    assert measure([a], [a], NAMES) == {"gmsd": 0.0, "haarpsi": None}
    assert measure([a], [a], NAMES, border=5) == {"gmsd": None, "haarpsi": None}


@pytest.mark.parametrize("name", NAMES)
def test_they_need_a_reference_of_the_same_size(name):
    with pytest.raises(BadInput, match="reference"):
        measure([np.zeros((16, 16, 3))], None, [name])
    with pytest.raises(BadInput, match="20x16 and 16x16"):
        measure([np.zeros((16, 20, 3))], [np.zeros((16, 16, 3))], [name])


def test_halving_keeps_the_mean_of_even_planes():
    plane = np.random.default_rng(0).random((8, 6))
    assert halve(plane).mean() == pytest.approx(plane.mean())
    assert halve(plane[:, :5]).shape == (4, 3)
