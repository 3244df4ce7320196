"""NIQE: against another program's numbers, each step against other libraries, and what must not change it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import convolve

from quantvsr.errors import BadInput
from quantvsr.media.reader import open_clip
from quantvsr.metrics import Comparison, Meter, get_metric, measure
from quantvsr.metrics.niqe import features, fitted, niqe, normalised, pristine, shrunk
from quantvsr.resources import resource

FEATURES = {"right": 2, "down": 6, "diagonal": 10, "other": 14}


def texture(height, width, seed=0, channels=1):
    """Detail of all sizes, in whole steps of 8 bits, made without any filter: the same on every machine."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, channels), np.int64)
    for level in range(6):
        coarse = rng.integers(
            -(2**level) - 2, 2**level + 3, (height // 2**level + 1, width // 2**level + 1, channels)
        )
        total += coarse.repeat(2**level, 0).repeat(2**level, 1)[:height, :width]
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def grey(height, width, seed=0):
    return texture(height, width, seed)[..., 0].astype(np.float64)


def exchanged(found, one, other):
    """The features with those of two directions in each other's place."""
    order = np.arange(36)
    for scale in (0, 18):
        a, b = (np.arange(4) + scale + FEATURES[name] for name in (one, other))
        order[a], order[b] = b, a
    return found[:, order]


# Computed once with basicsr 1.4.2 (Apache-2.0), `basicsr.metrics.niqe.niqe` in double precision, on the same
# pictures; the coloured one's luma by (299 R + 587 G + 114 B + 500) // 1000. It halves in single precision,
# hence the tolerance: now and then a shape falls on the next entry of the table.
@pytest.mark.parametrize(
    ("size", "seed", "channels", "expected"),
    [
        ((192, 288), 0, 1, 9.532385131492267),
        ((211, 301), 1, 1, 10.231466964137532),
        ((96, 192), 2, 1, 16.170087266420072),
        ((200, 400), 3, 3, 10.340818810448777),
    ],
)
def test_the_numbers_of_another_program(size, seed, channels, expected):
    picture = texture(size[0], size[1], seed, channels)
    got = measure([np.broadcast_to(picture, (size[0], size[1], 3))], None, ["niqe"])["niqe"]
    assert got == pytest.approx(expected, abs=1e-4)


def test_the_model_is_a_gaussian_of_36_features():
    mean, covariance = pristine()
    assert mean.shape == (36,) and covariance.shape == (36, 36)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance)[0] > 0
    assert 2 < mean[0] < 3 and 0.7 < mean[2] < 0.9


def test_normalised_values_are_those_of_the_formula():
    plane = grey(50, 70)
    steps = np.arange(-3, 4)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = convolve(plane, window, mode="nearest")
    deviation = np.sqrt(convolve(plane**2, window, mode="nearest") - mean**2)
    np.testing.assert_allclose(normalised(plane), (plane - mean) / (deviation + 1), atol=1e-9)


def test_halving_is_that_of_another_library_away_from_edges():
    plane = grey(60, 84)
    theirs = np.asarray(Image.fromarray(plane.astype(np.float32)).resize((42, 30), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(shrunk(plane)[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=1e-4)
    # Edges are mirrored: a picture with its mirror image beside it gives the same half.
    wide = shrunk(np.hstack([plane, plane[:, ::-1]]))
    np.testing.assert_allclose(wide[:, :42], shrunk(plane), atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(shape=st.floats(0.5, 4), left=st.floats(0.2, 2), right=st.floats(0.2, 2), seed=st.integers(0, 99))
def test_a_fit_finds_the_distribution_that_values_were_drawn_from(shape, left, right, seed):
    rng = np.random.default_rng(seed)
    size = rng.gamma(1 / shape, size=100_000) ** (1 / shape)
    below = rng.random(len(size)) < left / (left + right)
    values = np.where(below, -left * size, right * size)
    alpha, mean, beta_left, beta_right = (float(part[0]) for part in fitted(values[None]))
    assert alpha == pytest.approx(shape, rel=0.1)
    assert beta_left == pytest.approx(left, rel=0.15) and beta_right == pytest.approx(right, rel=0.15)
    assert mean == pytest.approx(values.mean(), abs=0.05 * (left + right))


def test_light_and_mirrors_leave_features_in_place():
    plane = np.clip(grey(192, 288, 4), 40, 200)
    found = features(plane)
    assert found.shape == (6, 36) and np.isfinite(found).all()
    np.testing.assert_allclose(features(plane + 30), found, atol=1e-6)
    across = features(plane[:, ::-1]).reshape(2, 3, 36)[:, ::-1].reshape(6, 36)
    np.testing.assert_allclose(exchanged(across, "diagonal", "other"), found, atol=1e-6)
    turned = features(plane.T.copy()).reshape(3, 2, 36).swapaxes(0, 1).reshape(6, 36)
    np.testing.assert_allclose(exchanged(turned, "right", "down"), found, atol=1e-6)


@settings(deadline=None, max_examples=10)
@given(right=st.integers(0, 95), below=st.integers(0, 95), border=st.integers(0, 8))
def test_only_whole_blocks_inside_the_border_are_looked_at(right, below, border):
    frame = texture(192, 192, 5).repeat(3, 2)
    wide = np.pad(frame, ((border, border + below), (border, border + right), (0, 0)), mode="symmetric")
    assert measure([wide], None, ["niqe"], border=border) == measure([frame], None, ["niqe"])


def test_blocks_without_texture_are_left_out():
    bars = np.zeros((384, 288))
    bars[:96] = grey(96, 288)
    found = features(bars)
    # The second row of blocks still sees the edge above it.
    assert np.isfinite(found[:3]).all() and np.isnan(found[6:]).any(axis=1).all()
    value = niqe(bars)
    assert value is not None and np.isfinite(value)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_flat_and_small_frames_have_no_value(level):
    assert measure([np.full((200, 300, 3), level, np.uint8)], None, ["niqe"]) == {"niqe": None}
    # One block has no covariance.
    assert measure([texture(191, 191).repeat(3, 2)], None, ["niqe"]) == {"niqe": None}
    assert measure([texture(200, 95).repeat(3, 2)], None, ["niqe"]) == {"niqe": None}
    assert measure([texture(96, 192).repeat(3, 2)], None, ["niqe"], border=1) == {"niqe": None}


def test_a_clip_has_the_mean_of_the_frames_that_have_a_value():
    frames = [texture(192, 192, seed).repeat(3, 2) for seed in (0, 1)]
    meter = Meter(["niqe"])
    values = [meter.add(frame)["niqe"] for frame in (frames[0], np.zeros_like(frames[0]), frames[1])]
    assert values[0] is not None and values[1] is None and values[2] is not None
    assert meter.result()["niqe"] == pytest.approx((values[0] + values[2]) / 2)
    # Floats of the same picture, and a reference that it does not look at, change nothing.
    assert measure([frames[0] / 255], [frames[1]], ["niqe"])["niqe"] == values[0]


def test_what_it_says_of_itself():
    about = get_metric("niqe")
    assert about.direction == "lower" and about.range == (0.0, None) and not about.needs and about.frames == 1
    notice = resource("metrics/niqe-notice.txt").read_text(encoding="utf-8")
    assert "The University of Texas at Austin" in notice and "NOTICE ENDS" in notice


def test_blur_and_noise_make_a_real_picture_worse():
    with open_clip(resource("clips/market_gt.mp4")) as clip:
        frame = next(iter(clip)).rgb
    noise = np.random.default_rng(0).normal(0, 25, frame.shape)
    worse = {
        "blur": cv2.GaussianBlur(frame, (0, 0), 2.0),
        "noise": np.clip(frame + noise, 0, 255).astype(np.uint8),
        "blocks": cv2.resize(frame[::8, ::8], frame.shape[1::-1], interpolation=cv2.INTER_NEAREST),
    }
    together = Comparison(tuple(worse), ("gt",), ["niqe"])
    together.add({"gt": frame, **worse})
    got = together.result()
    assert set(got) == {"niqe_gt", "niqe_blur", "niqe_noise", "niqe_blocks"}
    assert min(got, key=lambda name: got[name] or 0.0) == "niqe_gt"


def test_what_is_no_picture_is_refused():
    with pytest.raises(BadInput, match="RGB picture"):
        Meter(["niqe"]).add(np.zeros((200, 300)))
