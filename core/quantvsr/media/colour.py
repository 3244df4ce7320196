"""Between stored samples and gamma-encoded RGB in 0..1, at full precision.

FFmpeg's scaler only brings chroma to full size here; the matrix is applied in float32, because the scaler's
own 16-bit RGB output maps white to 254.0 of 255. Codes of ITU-T H.273.
"""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter

from quantvsr.media.types import ColourInfo

PRIMARIES = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "ebu3213": 22,
}
TRANSFERS = {
    "bt709": 1,
    "gamma22": 4,
    "gamma28": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log100": 9,
    "log316": 10,
    "iec61966-2-4": 11,
    "bt1361e": 12,
    "iec61966-2-1": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "smpte2084": 16,
    "smpte428": 17,
    "arib-std-b67": 18,
}
MATRICES = {
    "rgb": 0,
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "ycgco": 8,
    "bt2020nc": 9,
    "bt2020c": 10,
}
# Red and blue weights of luma (H.273 table 4). Constant-luminance BT.2020 is read as the usual one.
_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
}
_FROM_PRIMARIES = {
    "bt709": "bt709",
    "bt470m": "fcc",
    "bt470bg": "bt470bg",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "bt2020": "bt2020nc",
}
HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
_UNSPECIFIED = 2
_FULL = 2
_LIMITED = 1
_SCALING = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
# Any one value: source and target get the same, so that the scaler leaves the matrix alone.
_ANY_MATRIX = 1


def _name(table: dict[str, int], code: int) -> str:
    return next((name for name, number in table.items() if number == code), "unknown")


def _known(code: int, fallback: int) -> int:
    return fallback if code == _UNSPECIFIED else code


def is_hd(width: int, height: int) -> bool:
    """Whether untagged video of this size is taken for BT.709 (else BT.601), as players do."""
    return max(width, height) >= 1280 or min(width, height) >= 720


def colour_of(frame: av.VideoFrame, context: VideoCodecContext) -> ColourInfo:
    """The colour description of a decoded frame, gaps filled in as players do.

    Untagged matrices follow the primaries, else the size; untagged YUV is limited range, grey and RGB full.

    Args:
        frame: As decoded.
        context: The stream's own decoder, which knows the container's tags.
    """
    name = frame.format.name
    primaries = _name(PRIMARIES, _known(frame.color_primaries, context.color_primaries))
    transfer = _name(TRANSFERS, _known(frame.color_trc, context.color_trc))
    if frame.format.is_rgb or frame.format.has_palette or frame.format.is_bayer:
        return ColourInfo(primaries, transfer, "rgb", True, tagged=True)
    grey = name.startswith(("gray", "ya", "mono"))
    full = frame.color_range == _FULL or name.startswith("yuvj") or (grey and frame.color_range != _LIMITED)
    matrix = _name(MATRICES, _known(frame.colorspace, context.colorspace))
    if matrix == "ycgco" or matrix in _WEIGHTS:
        return ColourInfo(primaries, transfer, matrix, full, tagged=True)
    if primaries in _FROM_PRIMARIES:
        return ColourInfo(primaries, transfer, _FROM_PRIMARIES[primaries], full, tagged=True)
    matrix = "bt709" if is_hd(frame.width, frame.height) else "smpte170m"
    return ColourInfo(primaries, transfer, matrix, full, tagged=False)


def yuv_to_rgb_matrix(matrix: str) -> np.ndarray:
    """3 x 3 matrix from (Y in 0..1, Cb and Cr in -0.5..0.5) to RGB in 0..1 (H.273 section 8.3)."""
    if matrix == "ycgco":
        return np.array([[1, -1, 1], [1, 1, 0], [1, -1, -1]], dtype=np.float64)
    red, blue = _WEIGHTS[matrix]
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )


@dataclass(frozen=True)
class _Scale:
    """How codes of `bits` bits stand for Y in 0..1 and C in -0.5..0.5: code = offset + gain * value."""

    luma_gain: float
    luma_offset: float
    chroma_gain: float
    chroma_offset: float


def _scale(bits: int, full_range: bool) -> _Scale:
    if full_range:
        top = float(2**bits - 1)
        return _Scale(top, 0.0, top, float(2 ** (bits - 1)))
    unit = float(2 ** (bits - 8))
    return _Scale(219 * unit, 16 * unit, 224 * unit, 128 * unit)


def _affine(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a 3 x 4 matrix to every pixel of float32 (height, width, 3)."""
    return cv2.transform(array, matrix.astype(np.float32))


def _bits(frame: av.VideoFrame) -> int:
    return max(component.bits for component in frame.format.components)


class FrameConverter:
    """Turns decoded frames into RGB; keeps the scaler between frames.

    Attributes:
        had_alpha: Whether a frame so far had transparency that was really used.
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self.had_alpha = False

    def to_rgb(self, frame: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
        """Decode the colour of one frame.

        Transparency is laid over black; HDR (PQ, HLG) is tone-mapped to SDR BT.709.

        Args:
            frame: As decoded.
            colour: Its description, from `colour_of` (a filter in between may lose tags).

        Returns:
            float32 (height, width, 3), gamma-encoded, 0..1, not yet turned upright.
        """
        has_alpha = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
        if colour.matrix == "rgb":
            rgb, alpha = self._from_rgb(frame, has_alpha)
        elif frame.format.name.startswith("gray"):
            rgb, alpha = self._from_grey(frame, colour), None
        else:
            rgb, alpha = self._from_yuv(frame, colour, has_alpha)
        np.clip(rgb, 0.0, 1.0, out=rgb)
        if colour.transfer in HDR_TRANSFERS:
            rgb = hdr_to_sdr(rgb, colour.transfer)
        if alpha is not None and alpha.min() < 1.0:
            self.had_alpha = True
            rgb *= alpha[..., None]
        return rgb

    def _reformat(self, frame: av.VideoFrame, name: str, full: bool) -> np.ndarray:
        scale_range = _FULL if full else _LIMITED
        result = self._scaler.reformat(
            frame,
            format=name,
            src_colorspace=_ANY_MATRIX,
            dst_colorspace=_ANY_MATRIX,
            src_color_range=scale_range,
            dst_color_range=scale_range,
            interpolation=_SCALING,
            threads=1,
        )
        return result.to_ndarray(channel_last=True)

    def _from_yuv(
        self, frame: av.VideoFrame, colour: ColourInfo, has_alpha: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        # The scaler brings b-bit codes to 16 bits by shifting, in both ranges.
        bits = _bits(frame)
        codes = self._reformat(frame, "yuva444p16le" if has_alpha else "yuv444p16le", colour.full_range)
        scale = _scale(bits, colour.full_range)
        shift = float(2 ** (16 - bits))
        gain = np.array([scale.luma_gain, scale.chroma_gain, scale.chroma_gain]) * shift
        offset = np.array([scale.luma_offset, scale.chroma_offset, scale.chroma_offset]) * shift
        matrix = yuv_to_rgb_matrix(colour.matrix) / gain
        affine = np.column_stack([matrix, -(matrix @ offset)])
        rgb = _affine(np.ascontiguousarray(codes[..., :3], dtype=np.float32), affine)
        if not has_alpha:
            return rgb, None
        top = float((2**bits - 1) * shift)
        return rgb, np.minimum(codes[..., 3].astype(np.float32) / top, 1.0)

    def _from_grey(self, frame: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
        if frame.format.name.startswith("grayf"):
            grey = frame.to_ndarray().astype(np.float32)
        else:
            scale = _scale(_bits(frame), colour.full_range)
            grey = (frame.to_ndarray().astype(np.float32) - scale.luma_offset) / scale.luma_gain
        return np.repeat(grey[..., None], 3, axis=2)

    def _from_rgb(self, frame: av.VideoFrame, has_alpha: bool) -> tuple[np.ndarray, np.ndarray | None]:
        name, bits = frame.format.name, _bits(frame)
        if name.startswith("gbr") and not name.endswith("be") and "f" not in name and "msb" not in name:
            codes, top = frame.to_ndarray(), float(2**bits - 1)
        elif bits > 8:
            codes, top = self._reformat(frame, "rgba64le" if has_alpha else "rgb48le", True), 65535.0
        else:
            codes, top = self._reformat(frame, "rgba" if has_alpha else "rgb24", True), 255.0
        values = codes.astype(np.float32) / np.float32(top)
        if values.shape[2] == 4:
            return np.ascontiguousarray(values[..., :3]), values[..., 3]
        return values, None


# BT.2020 to BT.709 in linear light (ITU-R BT.2087-0, equation for M2 inverted).
_2020_TO_709 = np.array(
    [
        [1.660491, -0.587641, -0.072850, 0.0],
        [-0.124550, 1.132900, -0.008349, 0.0],
        [-0.018151, -0.100579, 1.118730, 0.0],
    ]
)
_SDR_WHITE = 203.0  # cd/m2 of diffuse white in HDR (ITU-R BT.2408)
_HDR_PEAK = 1000.0  # cd/m2 shown as SDR white


def hdr_to_sdr(rgb: np.ndarray, transfer: str) -> np.ndarray:
    """Tone-map BT.2020 PQ or HLG to SDR BT.709 as a display of gamma 2.4 shows it.

    A fixed curve (extended Reinhard on the brightest channel, 1000 cd/m2 to white): frames do not pump.

    Args:
        rgb: float32 (height, width, 3), PQ- or HLG-encoded, 0..1.
        transfer: "smpte2084" or "arib-std-b67".

    Returns:
        float32 of the same shape, 0..1.
    """
    light = _pq_light(rgb) if transfer == "smpte2084" else _hlg_light(rgb)
    light /= np.float32(_SDR_WHITE)
    light = np.maximum(_affine(light, _2020_TO_709), 0.0)
    peak = light.max(axis=2, keepdims=True)
    white = _HDR_PEAK / _SDR_WHITE
    light *= (1 + peak / white**2) / (1 + peak)
    return np.clip(light, 0.0, 1.0) ** np.float32(1 / 2.4)


def _pq_light(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084 to cd/m2."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** np.float32(1 / m2)
    return (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** np.float32(1 / m1) * np.float32(10000.0)


def _hlg_light(signal: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100 HLG to cd/m2 on a display of 1000 cd/m2 (system gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
    gain = np.maximum(luma, np.float32(1e-6)) ** np.float32(0.2)
    return scene * gain[..., None] * np.float32(1000.0)


@dataclass(frozen=True)
class PixelLayout:
    """How frames of a pixel format are filled from RGB.

    Attributes:
        kind: "yuv" (planes Y, Cb, Cr), "rgb" (one plane, or G, B, R planes).
        bits: Bits per sample.
        subsample_x: Log2 of the chroma step across.
        subsample_y: Log2 of the chroma step down.
    """

    kind: str
    bits: int
    subsample_x: int = 0
    subsample_y: int = 0


# What the writers use. A further format needs a line here only.
PIXEL_LAYOUTS = {
    "yuv420p": PixelLayout("yuv", 8, 1, 1),
    "yuv422p": PixelLayout("yuv", 8, 1, 0),
    "yuv444p": PixelLayout("yuv", 8),
    "yuv420p10le": PixelLayout("yuv", 10, 1, 1),
    "yuv422p10le": PixelLayout("yuv", 10, 1, 0),
    "yuv444p10le": PixelLayout("yuv", 10),
    "yuv420p12le": PixelLayout("yuv", 12, 1, 1),
    "yuv422p12le": PixelLayout("yuv", 12, 1, 0),
    "yuv444p12le": PixelLayout("yuv", 12),
    "bgr0": PixelLayout("rgb", 8),
    "gbrp": PixelLayout("rgb", 8),
    "gbrp10le": PixelLayout("rgb", 10),
    "gbrp12le": PixelLayout("rgb", 12),
    "gbrp16le": PixelLayout("rgb", 16),
}


def _plane(frame: av.VideoFrame, index: int, dtype: type) -> np.ndarray:
    """A writable view of a plane without the padding at the end of its rows."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), dtype=dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]


def _codes(values: np.ndarray, gain: float, offset: float, bits: int) -> np.ndarray:
    codes = np.rint(values * np.float32(gain) + np.float32(offset))
    return np.clip(codes, 0, 2**bits - 1)


def _subsample(chroma: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Chroma at the positions of H.264 and H.265: level with even columns, between two rows."""
    if layout.subsample_x:
        padded = np.pad(chroma, ((0, 0), (1, 1)), mode="edge")
        chroma = (padded[:, :-2:2] + 2 * padded[:, 1:-1:2] + padded[:, 2::2]) / 4
    if layout.subsample_y:
        if chroma.shape[0] % 2:
            chroma = np.pad(chroma, ((0, 1), (0, 0)), mode="edge")
        chroma = (chroma[::2] + chroma[1::2]) / 2
    return chroma


def rgb_to_frame(rgb: np.ndarray, pixel_format: str, colour: ColourInfo) -> av.VideoFrame:
    """Encode the colour of one picture.

    Args:
        rgb: (height, width, 3), float 0..1 or uint8, gamma-encoded.
        pixel_format: One of `PIXEL_LAYOUTS`.
        colour: Matrix and range to use; they are set on the frame too.
    """
    layout = PIXEL_LAYOUTS[pixel_format]
    height, width = rgb.shape[:2]
    dtype = np.uint8 if layout.bits <= 8 else np.uint16
    frame = av.VideoFrame(width, height, pixel_format)
    if rgb.dtype == np.uint8:
        values = rgb.astype(np.float32) / np.float32(255)
    else:
        values = np.ascontiguousarray(rgb, dtype=np.float32)
    if layout.kind == "rgb":
        _fill_rgb(frame, values, layout, dtype)
    else:
        scale = _scale(layout.bits, colour.full_range)
        matrix = np.linalg.inv(yuv_to_rgb_matrix(colour.matrix))
        yuv = _affine(np.clip(values, 0, 1), np.column_stack([matrix, np.zeros(3)]))
        _plane(frame, 0, dtype)[:] = _codes(yuv[..., 0], scale.luma_gain, scale.luma_offset, layout.bits)
        for index in (1, 2):
            chroma = _subsample(yuv[..., index], layout)
            codes = _codes(chroma, scale.chroma_gain, scale.chroma_offset, layout.bits)
            _plane(frame, index, dtype)[:] = codes
    tag_frame(frame, colour, layout)
    return frame


def _fill_rgb(frame: av.VideoFrame, values: np.ndarray, layout: PixelLayout, dtype: type) -> None:
    codes = _codes(values, 2**layout.bits - 1, 0.0, layout.bits)
    if len(frame.planes) == 3:
        for index, channel in enumerate((1, 2, 0)):
            _plane(frame, index, dtype)[:] = codes[..., channel]
        return
    rows = np.frombuffer(memoryview(frame.planes[0]), dtype=np.uint8).reshape(frame.height, -1)
    pixels = rows[:, : frame.width * 4].reshape(frame.height, frame.width, 4)
    pixels[..., :3] = codes[..., ::-1]
    pixels[..., 3] = 255


def tag_frame(frame: av.VideoFrame, colour: ColourInfo, layout: PixelLayout) -> None:
    """Set the colour tags of a frame that is to be encoded."""
    is_rgb = layout.kind == "rgb"
    frame.colorspace = 0 if is_rgb else MATRICES[colour.matrix]
    frame.color_range = _FULL if is_rgb or colour.full_range else _LIMITED
    frame.color_primaries = PRIMARIES.get(colour.primaries, _UNSPECIFIED)
    frame.color_trc = TRANSFERS.get(colour.transfer, _UNSPECIFIED)


def output_colour(source: ColourInfo | None, width: int, height: int) -> ColourInfo:
    """How pictures read from `source` are to be encoded: with its own tags, or the usual ones if it has none.

    HDR arrives tone-mapped, so it leaves as BT.709. The range written is always limited.
    """
    usual = "bt709" if is_hd(width, height) else "smpte170m"
    default = ColourInfo("bt709", "bt709", usual, full_range=False, tagged=True)
    if source is None or source.transfer in HDR_TRANSFERS:
        return ColourInfo(tagged=True)
    if source.matrix not in _WEIGHTS or source.matrix == "bt2020c" or not source.tagged:
        return default if source.matrix != "rgb" else ColourInfo(tagged=True)
    primaries = source.primaries if source.primaries != "unknown" else _usual_primaries(source.matrix)
    transfer = source.transfer if source.transfer != "unknown" else "bt709"
    return ColourInfo(primaries, transfer, source.matrix, full_range=False, tagged=True)


def _usual_primaries(matrix: str) -> str:
    return next((name for name, value in _FROM_PRIMARIES.items() if value == matrix), "bt709")
