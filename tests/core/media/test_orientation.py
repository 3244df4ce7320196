"""Display matrices and EXIF tags turn pictures upright."""

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from quantvsr.media import open_clip
from quantvsr.media.orientation import Orientation, from_display_matrix, from_exif

from .cases import OURS

PICTURE = np.arange(6).reshape(2, 3)
ONE = 65536


@pytest.mark.parametrize(
    ("matrix", "expected", "degrees"),
    [
        ((ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), PICTURE, 0),
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), np.rot90(PICTURE, -1), 90),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), np.rot90(PICTURE, 2), 180),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), np.rot90(PICTURE), 270),
        ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), PICTURE[:, ::-1], 0),
        ((0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), PICTURE.T, 270),
    ],
)
def test_display_matrix(matrix: tuple[int, ...], expected: np.ndarray, degrees: int) -> None:
    orientation = from_display_matrix(matrix)
    np.testing.assert_array_equal(orientation.apply(PICTURE), expected)
    assert orientation.degrees == degrees


@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_orientation_is_pillows(tag: int) -> None:
    image = Image.fromarray(PICTURE.astype(np.uint8) * 40)
    image.getexif()[274] = tag
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(from_exif(tag).apply(np.asarray(image)), expected)


@pytest.mark.parametrize("tag", [None, 0, 9, "6"])
def test_unknown_exif_orientation_changes_nothing(tag: object) -> None:
    assert from_exif(tag) == Orientation()


def test_turned_clip_is_shown_upright() -> None:
    # The red corner, stored top left, goes to the top right of a clip that is turned clockwise.
    with av.open(str(OURS / "turned.mov")) as container:
        assert next(container.decode(video=0)).rotation == -90
    reader = open_clip(OURS / "turned.mov")
    rgb = next(iter(reader)).rgb
    assert reader.info.rotation == 90
    red = rgb[..., 0] - rgb[..., 1]
    assert red[:12, 40:].mean() > 0.5
    assert abs(red[:12, :30].mean()) < 0.2


def test_images_are_turned_by_their_exif_tag() -> None:
    rgb = next(iter(open_clip(OURS / "images_exif"))).rgb
    red = rgb[..., 0] - rgb[..., 1]
    assert rgb.shape == (48, 32, 3)
    assert red[:10, 26:].mean() > 0.5
    assert abs(red[:10, :16].mean()) < 0.2
