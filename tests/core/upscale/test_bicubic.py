"""Bicubic resizing: equal to torch's and Pillow's, and the stated differences between the two."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantvsr.errors import BadInput
from quantvsr.upscale.bicubic import enlarge, make_lq, pillow_resize


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    scale=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 9),
)
def test_enlarge_equals_torch(height, width, scale, seed):
    frame = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    tensor = torch.from_numpy(frame).movedim(-1, 0)[None]
    expected = torch.nn.functional.interpolate(
        tensor, scale_factor=scale, mode="bicubic", align_corners=False, antialias=False
    )
    np.testing.assert_allclose(enlarge(frame, scale), expected[0].movedim(0, -1).numpy(), atol=2e-6)


def test_make_lq_is_pillows_bicubic_of_the_cropped_frame():
    frame = np.random.default_rng(0).integers(0, 256, (18, 23, 3), dtype=np.uint8)
    low, truth = make_lq(frame)
    np.testing.assert_array_equal(truth, frame[:16, :20])
    expected = Image.fromarray(frame[:16, :20]).resize((5, 4), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(low, np.asarray(expected))
    np.testing.assert_array_equal(make_lq(frame / 255.0)[0], low)


def test_neither_shifts_a_ramp_and_the_kernels_differ_as_stated():
    ramp = np.tile(np.linspace(0.1, 0.9, 16, dtype=np.float32)[None, :, None], (8, 1, 3))
    step = 0.8 / 15 / 4
    expected = 0.1 + step * (np.arange(64) - 1.5)
    inner = slice(12, -12)
    # Pillow's a = -0.5 reproduces straight lines; a = -0.75 waves by a little around them.
    assert np.abs(pillow_resize(ramp, 32, 64)[16, inner, 0] / 255 - expected[inner]).max() < 1 / 255
    wave = enlarge(ramp)[16, inner, 0] - expected[inner]
    assert 1e-4 < np.abs(wave).max() < 0.1 * 0.8 / 15 * 4 and abs(wave.mean()) < 1e-6
    # The edge of a picture and overshoot.
    step_edge = np.zeros((4, 8, 3), np.float32)
    step_edge[:, 4:] = 1
    assert enlarge(step_edge).min() < -0.05 and enlarge(step_edge).max() > 1.05
    assert pillow_resize(step_edge, 16, 32).dtype == np.uint8


def test_too_small_a_frame_is_named():
    with pytest.raises(BadInput, match="3x9"):
        make_lq(np.zeros((9, 3, 3), np.uint8))
