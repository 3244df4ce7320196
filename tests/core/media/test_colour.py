"""Colours are those of the file, at full precision, in both directions."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.media import ColourInfo, open_clip
from quantvsr.media.colour import (
    PIXEL_LAYOUTS,
    FrameConverter,
    colour_of,
    hdr_to_sdr,
    output_colour,
    rgb_to_frame,
    yuv_to_rgb_matrix,
)
from quantvsr.media.siting import mark_chroma

from .cases import OURS
from .make_clips import picture

MATRICES = ["bt709", "smpte170m", "bt470bg", "smpte240m", "fcc", "bt2020nc"]
H264 = av.CodecContext.create("h264", "r")


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], axis=2) * 0.8 + 0.1


def read_back(frame: av.VideoFrame) -> np.ndarray:
    (frame,) = mark_chroma([frame], "ffv1")
    return FrameConverter().to_rgb(frame, colour_of(frame, H264))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", PIXEL_LAYOUTS)
def test_encoding_and_decoding_colour_is_faithful(name: str, full: bool, matrix: str) -> None:
    rgb = smooth()
    frame = rgb_to_frame(rgb, name, ColourInfo(matrix=matrix, full_range=full))
    layout = PIXEL_LAYOUTS[name]
    # Rounding of luma and chroma as RGB; chroma at the wrong place would cost 0.012 on this gradient.
    # FFmpeg's scaler brings chroma to full size with some 15 bits.
    allowed = 0.01 / 2 ** (layout.bits - 8) + (0.0015 if layout.subsample_x else 1e-5)
    assert np.abs(read_back(frame) - rgb)[4:-4, 4:-4].max() < allowed


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("full", [False, True])
def test_black_grey_and_white_are_exact_and_neutral(bits: int, full: bool) -> None:
    name = "yuv420p" if bits == 8 else f"yuv420p{bits}le"
    for level in (0.0, 1.0):
        rgb = np.full((8, 8, 3), level, np.float32)
        result = read_back(rgb_to_frame(rgb, name, ColourInfo(full_range=full)))
        np.testing.assert_allclose(result, level, atol=1e-6)
    grey = read_back(rgb_to_frame(np.full((8, 8, 3), 0.4, np.float32), name, ColourInfo(full_range=full)))
    assert np.ptp(grey, axis=2).max() < 1e-6
    assert np.abs(grey - 0.4).max() < 0.6 / (219 * 2 ** (bits - 8))


@pytest.mark.parametrize(("matrix", "scaler"), [("bt709", 1), ("smpte170m", 5), ("bt2020nc", 9)])
@pytest.mark.parametrize("full", [False, True])
def test_agrees_with_ffmpegs_scaler(matrix: str, scaler: int, full: bool) -> None:
    """An implementation of the matrices that is not ours."""
    frame = rgb_to_frame(smooth(), "yuv444p", ColourInfo(matrix=matrix, full_range=full))
    theirs = VideoReformatter().reformat(
        frame, format="rgb24", src_colorspace=scaler, src_color_range=2 if full else 1, dst_color_range=2
    )
    assert np.abs(read_back(frame) * 255 - theirs.to_ndarray()).max() < 1.6


@pytest.mark.parametrize("matrix", MATRICES)
def test_matrix_keeps_grey_and_luma(matrix: str) -> None:
    to_rgb = yuv_to_rgb_matrix(matrix)
    np.testing.assert_allclose(to_rgb @ [0.3, 0, 0], [0.3] * 3)
    # H.273: blue has Cb = 0.5, red has Cr = 0.5.
    to_yuv = np.linalg.inv(to_rgb)
    np.testing.assert_allclose((to_yuv @ [0, 0, 1])[1], 0.5)
    np.testing.assert_allclose((to_yuv @ [1, 0, 0])[2], 0.5)


@pytest.mark.parametrize(
    "name", ["sound_and_tags.mp4", "bt601.mp4", "full_range.mp4", "ten_bit.mp4", "cuts.mp4"]
)
def test_our_clips_show_what_was_drawn(name: str) -> None:
    frame = next(iter(open_clip(OURS / name)))
    drawn = picture(0) / 255
    error = np.abs(frame.rgb - drawn)
    assert np.median(error) < 0.008
    assert np.abs(frame.rgb[3:9, 3:12].mean((0, 1)) - drawn[5, 5]).max() < 0.015


@pytest.mark.parametrize("name", ["bars_bt709_limited.mp4", "bars_bt601_limited.mp4", "bars_bt709_full.mp4"])
def test_bars_look_like_the_reference(media_folder, name: str) -> None:
    folder = media_folder / "awkward"
    reference = next(iter(open_clip(folder / "bars_reference.png"))).rgb * 255
    shown = next(iter(open_clip(folder / name))).rgb * 255
    # Centres of patches: places where the reference is flat for some pixels around.
    height, width = reference.shape[:2]
    errors: list[float] = []
    for y in range(8, height - 8, 2):
        for x in range(8, width - 8, 2):
            around = reference[y - 8 : y + 9, x - 8 : x + 9]
            if np.ptp(around, axis=(0, 1)).max() == 0:
                errors.append(float(np.abs(shown[y, x] - reference[y, x]).max()))
    assert len(errors) > 150
    assert max(errors) < 3.5 and np.median(errors) < 1


@pytest.mark.parametrize(("name", "level"), [("black.mp4", 0.0), ("white.mp4", 1.0)])
def test_flat_colours_stay_exact(media_folder, name: str, level: float) -> None:
    for frame in open_clip(media_folder / "awkward" / name):
        np.testing.assert_allclose(frame.rgb, level, atol=1e-6)


@pytest.mark.parametrize("name", ["gray_h264.mp4", "gray16_ffv1.mkv"])
def test_grey_stays_neutral(media_folder, name: str) -> None:
    frame = next(iter(open_clip(media_folder / "awkward" / name)))
    assert np.ptp(frame.rgb, axis=2).max() < 1e-6
    assert frame.rgb.std() > 0.1
    assert (frame.rgb > 0.999).mean() < 0.1 and (frame.rgb < 0.001).mean() < 0.1


@pytest.mark.parametrize(
    "name", ["alpha_prores4444.mov", "alpha_vp9.webm", "animated_transparent_uneven.gif"]
)
def test_transparent_parts_are_black(media_folder, name: str) -> None:
    frame = next(iter(open_clip(media_folder / "awkward" / name)))
    assert frame.rgb[:4, :4].max() == 0
    assert frame.rgb.max() > 0.5


def test_transparent_columns_of_our_clip_are_black() -> None:
    frame = next(iter(open_clip(OURS / "alpha_odd.mkv")))
    assert frame.rgb[:, 20:].max() == 0
    assert np.abs(frame.rgb[:4, :6] - picture(0, 33, 27)[:4, :6] / 255).max() < 0.03


def test_pq_is_mapped_to_sdr() -> None:
    # ST 2084 table: 0.5081 is 100 cd/m2, 0.5807 about 203 cd/m2, 0.7518 about 1000 cd/m2.
    signal = np.zeros((1, 4, 3), np.float32)
    signal[0, :, :] = np.array([0.0, 0.5081, 0.5807, 0.7518])[:, None]
    shown = hdr_to_sdr(signal, "smpte2084")[0]
    light = shown[:, 0].astype(float) ** 2.4
    white = 1000 / 203
    for value, nits in zip(light, (0, 100, 203, 1000), strict=True):
        relative = nits / 203
        assert value == pytest.approx(relative * (1 + relative / white**2) / (1 + relative), abs=0.01)
    assert np.ptp(shown, axis=1).max() < 1e-3
    assert shown[3, 0] == pytest.approx(1.0, abs=5e-3)


@given(st.sampled_from(["smpte2084", "arib-std-b67"]), st.integers(0, 1000))
def test_tone_mapping_rises_and_stays_in_range(transfer: str, seed: int) -> None:
    ramp = np.linspace(0, 1, 200, dtype=np.float32)
    grey = hdr_to_sdr(np.repeat(ramp[None, :, None], 3, axis=2), transfer)[0, :, 0]
    assert (np.diff(grey) >= -1e-6).all()
    noise = np.random.default_rng(seed).random((4, 4, 3), dtype=np.float32)
    shown = hdr_to_sdr(noise, transfer)
    assert shown.dtype == np.float32
    assert shown.min() >= 0 and shown.max() <= 1


def test_hlg_reference_points() -> None:
    # BT.2100 table 5: the signal 0.5 is 1/12 of scene light; 1 is all of it.
    shown = hdr_to_sdr(np.array([[[0.5] * 3, [1.0] * 3]], np.float32), "arib-std-b67")
    relative = (1 / 12) ** 1.2 * 1000 / 203
    white = 1000 / 203
    expected = relative * (1 + relative / white**2) / (1 + relative)
    assert float(shown[0, 0, 0]) ** 2.4 == pytest.approx(expected, rel=0.01)
    assert shown[0, 1, 0] == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(
    ("source", "size", "matrix", "primaries", "transfer"),
    [
        (None, (1920, 1080), "bt709", "bt709", "bt709"),
        (ColourInfo("bt709", "bt709", "bt709", tagged=True), (64, 48), "bt709", "bt709", "bt709"),
        (
            ColourInfo("smpte170m", "smpte170m", "smpte170m", tagged=True),
            (2560, 1920),
            "smpte170m",
            "smpte170m",
            "smpte170m",
        ),
        (
            ColourInfo("unknown", "unknown", "bt470bg", tagged=True),
            (2560, 1920),
            "bt470bg",
            "bt470bg",
            "bt709",
        ),
        (ColourInfo("unknown", "unknown", "smpte170m"), (2560, 1920), "bt709", "bt709", "bt709"),
        (ColourInfo("unknown", "unknown", "smpte170m"), (256, 192), "smpte170m", "bt709", "bt709"),
        (ColourInfo("bt2020", "smpte2084", "bt2020nc", tagged=True), (256, 192), "bt709", "bt709", "bt709"),
        (
            ColourInfo("bt2020", "bt2020-10", "bt2020nc", tagged=True),
            (256, 192),
            "bt2020nc",
            "bt2020",
            "bt2020-10",
        ),
        (
            ColourInfo("bt709", "iec61966-2-1", "rgb", True, tagged=True),
            (256, 192),
            "bt709",
            "bt709",
            "bt709",
        ),
    ],
)
def test_output_colour(
    source: ColourInfo | None, size: tuple[int, int], matrix: str, primaries: str, transfer: str
) -> None:
    assert output_colour(source, *size) == ColourInfo(primaries, transfer, matrix, False, tagged=True)


def test_untagged_size_decides_the_matrix() -> None:
    small, large = (av.VideoFrame(*size, "yuv420p") for size in ((640, 480), (1280, 720)))
    assert colour_of(small, H264).matrix == "smpte170m"
    assert colour_of(large, H264).matrix == "bt709"
    assert not colour_of(large, H264).tagged
    assert colour_of(av.VideoFrame(8, 8, "yuvj420p"), H264).full_range
    assert colour_of(av.VideoFrame(8, 8, "gray"), H264).full_range
    assert colour_of(av.VideoFrame(8, 8, "rgb24"), H264).matrix == "rgb"


@pytest.mark.parametrize(
    "name",
    [
        "gray",
        "gray10le",
        "gray16le",
        "ya8",
        "ya16be",
        "rgb24",
        "bgr48le",
        "gbrp12le",
        "gbrap10le",
        "rgb565le",
        "rgba64le",
        "nv12",
        "p010le",
        "uyvy422",
        "yuv410p",
        "gbrpf32le",
        "yuva444p16le",
        "monob",
        "x2rgb10le",
    ],
)
def test_unusual_pixel_formats_read_right(name: str) -> None:
    rgb = smooth(16, 32)
    rgb[...] = rgb.mean(axis=2, keepdims=True)  # grey, so that formats without colour can hold it
    source = av.VideoFrame.from_ndarray(np.rint(rgb * 255).astype(np.uint8), format="rgb24")
    frame = VideoReformatter().reformat(source, format=name)
    result = read_back(frame)
    coarse = {"rgb565le": 0.05, "monob": 1.0}
    assert np.abs(result - rgb).max() < coarse.get(name, 0.012)
