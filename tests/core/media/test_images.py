"""Folders of images and single images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from quantvsr.errors import BadInput
from quantvsr.media import open_clip, probe
from quantvsr.media.images import natural_key

RNG = np.random.default_rng(0)


def random_picture(height: int = 5, width: int = 7) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def only_frame(path: Path) -> np.ndarray:
    frames = list(open_clip(path))
    assert len(frames) == 1
    return frames[0].rgb


def test_natural_order() -> None:
    names = ["10.png", "2.png", "1.png", "a10.png", "a9.png", "A8.png", "a9b.png"]
    expected = ["1.png", "2.png", "10.png", "A8.png", "a9.png", "a9b.png", "a10.png"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text("ab019._", min_size=1), unique=True))
def test_natural_order_is_total(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    assert ordered == sorted(reversed(names), key=natural_key)


def test_order_other_files_and_letter_case(tmp_path: Path) -> None:
    pictures = {n: random_picture() for n in (1, 2, 10)}
    for number, name in ((1, "1.PNG"), (2, "2.Png"), (10, "10.png")):
        Image.fromarray(pictures[number]).save(tmp_path / name, format="png")
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "._1.png").write_bytes(b"no")
    (tmp_path / "sub.png").mkdir()
    frames = list(open_clip(tmp_path))
    assert len(frames) == 3
    for frame, number in zip(frames, (1, 2, 10), strict=True):
        np.testing.assert_array_equal(np.rint(frame.rgb * 255), pictures[number])


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff"])
def test_lossless_8_bit_formats(tmp_path: Path, name: str) -> None:
    picture = random_picture()
    Image.fromarray(picture).save(tmp_path / name)
    np.testing.assert_array_equal(np.rint(only_frame(tmp_path / name) * 255), picture)
    assert probe(tmp_path / name).bit_depth == 8


def test_webp_and_jpeg(tmp_path: Path) -> None:
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.webp", lossless=True)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_array_equal(np.rint(only_frame(tmp_path / "a.webp") * 255), picture)
    assert np.abs(only_frame(tmp_path / "a.jpg") * 255 - picture).max() < 4


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_values_are_scaled_not_cut(tmp_path: Path, name: str, channels: int) -> None:
    codes = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    codes[0, 0], codes[0, 1] = 0, 65535
    cv2.imwrite(str(tmp_path / name), codes[..., ::-1])
    rgb = only_frame(tmp_path / name)
    assert probe(tmp_path / name).bit_depth == 16
    np.testing.assert_allclose(rgb, np.broadcast_to(codes / 65535, rgb.shape), atol=1e-6)


def test_grey_palette_and_single_bit_become_rgb(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(np.rint(only_frame(tmp_path / "grey.png") * 255), np.dstack([grey] * 3))
    Image.fromarray(random_picture()).quantize(4).save(tmp_path / "palette.png")
    assert only_frame(tmp_path / "palette.png").shape == (5, 7, 3)
    Image.fromarray(grey > 128).save(tmp_path / "bits.png")
    assert set(np.unique(only_frame(tmp_path / "bits.png"))) == {0.0, 1.0}


@pytest.mark.parametrize("deep", [False, True])
def test_transparency_is_laid_over_black(tmp_path: Path, deep: bool) -> None:
    top = 65535 if deep else 255
    rgba = np.full((4, 4, 4), top, np.uint16 if deep else np.uint8)
    rgba[:, 2:, 3] = 0
    cv2.imwrite(str(tmp_path / "a.png"), rgba)
    reader = open_clip(tmp_path / "a.png")
    rgb = next(iter(reader)).rgb
    assert (rgb[:, :2] == 1).all() and (rgb[:, 2:] == 0).all()
    assert any("laid over black" in text for text in reader.warnings)


def test_full_opacity_gives_no_warning(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4, 4), 255, np.uint8)).save(tmp_path / "a.png")
    reader = open_clip(tmp_path / "a.png")
    assert len(list(reader)) == 1 and reader.warnings == []


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no")
    with pytest.raises(BadInput, match="holds no images"):
        open_clip(tmp_path)


def test_damaged_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(random_picture(40, 40)).save(tmp_path / "1.png")
    data = (tmp_path / "1.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=r"2\.png is a damaged image"):
        list(open_clip(tmp_path))
    (tmp_path / "2.png").write_bytes(b"not an image at all")
    with pytest.raises(BadInput, match=r"2\.png cannot be opened as an image"):
        open_clip(tmp_path)


def test_animated_webp_is_refused(tmp_path: Path) -> None:
    first, second = (Image.fromarray(random_picture(16, 16)) for _ in range(2))
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second])
    with pytest.raises(BadInput, match="animated WebP"):
        open_clip(tmp_path / "a.webp")


@pytest.mark.parametrize(
    ("numbers", "gap"), [((1, 2, 3), False), ((1, 2, 4), True), ((0, 10, 20), False), ((7,), False)]
)
def test_gap_in_numbers(tmp_path: Path, numbers: tuple[int, ...], gap: bool) -> None:
    for number in numbers:
        Image.fromarray(random_picture()).save(tmp_path / f"take2_{number:03d}.png")
    assert any("missing" in text for text in probe(tmp_path).warnings) == gap
