"""PSNR and SSIM: against scikit-image, against formulas, against the yardstick table of the test clips."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from quantvsr.errors import BadInput
from quantvsr.metrics import PSNR_CAP, Meter, luma, measure


def noisy_pair(height=40, width=53, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.random((height, width, 3), dtype=np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    return a, b


def test_luma_is_the_studio_swing_luma_of_bt601():
    a, _ = noisy_pair()
    np.testing.assert_allclose(luma(a), rgb2ycbcr(a.astype(np.float64))[..., 0], atol=2e-5)
    corners = np.array([[[0, 0, 0], [1, 1, 1]]], dtype=np.float64)
    np.testing.assert_allclose(luma(corners), [[16.0, 235.0]], atol=1e-9)


@pytest.mark.parametrize("border", [0, 4])
def test_psnr_and_ssim_equal_scikit_image(border):
    a, b = noisy_pair()
    inner = (slice(border, 40 - border), slice(border, 53 - border))
    ya, yb = (rgb2ycbcr(x[inner].astype(np.float64))[..., 0] for x in (a, b))
    got = measure([a], [b], ["psnr", "psnr_y", "ssim"], border=border)
    assert got["psnr"] == pytest.approx(peak_signal_noise_ratio(a[inner], b[inner], data_range=1.0), abs=1e-5)
    assert got["psnr_y"] == pytest.approx(peak_signal_noise_ratio(ya, yb, data_range=255.0), abs=1e-5)
    expected = structural_similarity(
        ya, yb, data_range=255.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert got["ssim"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (11, 64), (12, 30)])
def test_ssim_of_the_smallest_frames(size):
    a, b = noisy_pair(*size)
    ya, yb = (rgb2ycbcr(x.astype(np.float64))[..., 0] for x in (a, b))
    expected = structural_similarity(
        ya, yb, data_range=255.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert measure([a], [b], ["ssim"])["ssim"] == pytest.approx(expected, abs=1e-6)


def test_a_known_offset_gives_a_known_psnr():
    a = np.full((16, 16, 3), 0.5, np.float32)
    assert measure([a], [a + np.float32(0.1)], ["psnr"])["psnr"] == pytest.approx(20.0, abs=1e-4)
    # 0.1 on every channel is 21.9 steps of luma.
    expected = 20 * np.log10(255 / 21.9)
    assert measure([a], [a + np.float32(0.1)], ["psnr_y"])["psnr_y"] == pytest.approx(expected, abs=1e-4)


def test_the_mean_is_of_decibels_not_of_errors():
    a = np.zeros((8, 8, 3), np.float32)
    frames = [a + np.float32(0.1), a + np.float32(0.01)]
    assert measure(frames, [a, a], ["psnr"])["psnr"] == pytest.approx(30.0, abs=1e-4)


def test_equal_frames_stop_at_the_cap_and_constant_frames_are_fine():
    a, _ = noisy_pair()
    flat = np.full((20, 20, 3), 0.25, np.float32)
    for clip in (a, flat):
        got = measure([clip], [clip], ["psnr", "psnr_y", "ssim"])
        assert got["psnr"] == got["psnr_y"] == PSNR_CAP
        assert got["ssim"] == pytest.approx(1.0, abs=1e-12)
    got = measure([flat], [flat + np.float32(0.5)], ["ssim"])["ssim"]
    assert got is not None and 0 < got < 1


def test_what_is_too_small_has_no_value():
    a = np.zeros((10, 40, 3), np.float32)
    assert measure([a], [a], ["psnr", "ssim"]) == {"psnr": PSNR_CAP, "ssim": None}
    assert measure([a], [a], ["psnr", "psnr_y", "ssim"], border=5) == {
        "psnr": None,
        "psnr_y": None,
        "ssim": None,
    }


def test_integers_and_floats_mean_the_same_picture():
    eight = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert measure([eight], [eight / 255.0], ["psnr"])["psnr"] == PSNR_CAP
    assert measure([eight.astype(np.uint16) * 257], [eight], ["psnr"])["psnr"] == PSNR_CAP
    # Out of range is cut off, as in a written file.
    assert measure([np.full((8, 8, 3), 1.5)], [np.ones((8, 8, 3))], ["psnr"])["psnr"] == PSNR_CAP


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((8, 8)), "RGB"),
        (np.zeros((8, 8, 4)), "RGB"),
        (np.zeros((0, 8, 3)), "RGB"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.full((8, 8, 3), np.nan), "not finite"),
        (np.full((8, 8, 3), np.inf), "not finite"),
        (np.zeros((8, 9, 3)), "9x8 and 8x8"),
    ],
)
def test_bad_frames_are_named(frame, words):
    with pytest.raises(BadInput, match=words):
        measure([frame], [np.zeros((frame.shape[0] or 8, 8, 3))], ["psnr"])


@given(seed=st.integers(0, 99), noise=st.floats(0.01, 0.3))
def test_symmetry_and_order(seed, noise):
    rng = np.random.default_rng(seed)
    a = rng.random((16, 16, 3))
    direction = rng.normal(0, 1, a.shape)
    near, far = a * 0.5 + 0.25 + noise * 0.1 * direction, a * 0.5 + 0.25 + noise * direction
    names = ["psnr", "psnr_y", "ssim"]
    one, other = measure([near], [far], names), measure([far], [near], names)
    for name in names:
        assert one[name] == pytest.approx(other[name], abs=1e-9)
    better, worse = (measure([x], [a * 0.5 + 0.25], names) for x in (near, far))
    assert all(better[name] > worse[name] for name in names)


def bicubic_and_back(frame):
    """Pillow BICUBIC down and up by 4 in 8-bit RGB, as the table of the clips was made."""
    height, width = (side - side % 4 for side in frame.shape[:2])
    picture = Image.fromarray(frame[:height, :width])
    small = picture.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)), np.asarray(picture)


def frames_of(path):
    if path.suffix == ".png":
        yield np.asarray(Image.open(path).convert("RGB"))
        return
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize(
    ("name", "psnr_y", "ssim"),
    [
        ("vid4_calendar.mkv", 20.39, 0.561),
        ("vid4_walk.mkv", 26.06, 0.793),
        ("photos/kodim05.png", 23.08, 0.602),
        ("photos/kodim15.png", 29.64, 0.824),
    ],
)
def test_the_bicubic_yardstick_is_reproduced(media_folder, name, psnr_y, ssim):
    meter = Meter(["psnr_y", "ssim"], border=4)
    for frame in frames_of(media_folder / name):
        meter.add(*bicubic_and_back(frame))
    got = meter.result()
    assert got["psnr_y"] == pytest.approx(psnr_y, abs=0.02)
    assert got["ssim"] == pytest.approx(ssim, abs=0.002)
