"""What each output codec can do: encoder, containers, pixel formats, limits. A new one is one more entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av

from quantvsr.errors import BadInput

# Largest picture of the highest level, luma samples: H.264 6.2 (139264 macroblocks), H.265 6.2, AV1 6.3.
_LEVEL_AREA = 35_651_584


@dataclass(frozen=True)
class OutputCodec:
    """One way to store pictures.

    Attributes:
        name: As the user writes it.
        title: As shown.
        encoder: FFmpeg's name, or "" for a folder of images.
        containers: File ending to FFmpeg's container name; the first is the usual one.
        formats: Bit depth to pixel format, in rising order.
        odd_formats: The same for pictures with an odd width or height, where it differs.
        options: Encoder options for a quality number (x264's CRF scale, 0 best to 51).
        min_side: Smallest width and height.
        max_side: Largest width and height.
        max_area: Most pixels.
        tags: Container to codec tag, where the usual one is not widely understood.
        lossless: Whether decoding gives back the very codes.
    """

    name: str
    title: str
    encoder: str
    containers: Mapping[str, str]
    formats: Mapping[int, str]
    odd_formats: Mapping[int, str] = field(default_factory=dict)
    options: Callable[[float], dict[str, str]] = lambda quality: {}
    min_side: int = 1
    max_side: int = 32768
    max_area: int = 2**31 // 8 - 1
    tags: Mapping[str, str] = field(default_factory=dict)
    lossless: bool = False

    def pixel_format(self, bits: int, width: int, height: int) -> str:
        """The format for a source of `bits` bits: the least that holds them, else the deepest."""
        odd = bool(self.odd_formats) and (width % 2 == 1 or height % 2 == 1)
        formats = self.odd_formats if odd else self.formats
        return next((name for depth, name in formats.items() if depth >= bits), list(formats.values())[-1])


def _x265_options(quality: float) -> dict[str, str]:
    # x265 looks alike at a number about 3 higher.
    return {"crf": f"{min(quality + 3, 51):g}", "preset": "fast", "x265-params": "log-level=none"}


def _av1_options(quality: float) -> dict[str, str]:
    params = "chroma-sample-position=left"
    return {"crf": str(min(round(quality * 1.4), 63)), "preset": "8", "svtav1-params": params}


CODECS: dict[str, OutputCodec] = {
    codec.name: codec
    for codec in (
        OutputCodec(
            "h264",
            "H.264",
            "libx264",
            {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".m4v": "mp4"},
            {8: "yuv420p", 10: "yuv420p10le"},
            {8: "yuv444p", 10: "yuv444p10le"},
            options=lambda quality: {"crf": f"{quality:g}", "preset": "medium"},
            min_side=4,
            max_side=16384,
            max_area=_LEVEL_AREA,
        ),
        OutputCodec(
            "h265",
            "H.265",
            "libx265",
            {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".m4v": "mp4"},
            {8: "yuv420p", 10: "yuv420p10le"},
            {8: "yuv444p", 10: "yuv444p10le"},
            options=_x265_options,
            min_side=16,
            max_side=16384,
            max_area=_LEVEL_AREA,
            tags={"mp4": "hvc1", "mov": "hvc1"},
        ),
        OutputCodec(
            "av1",
            "AV1",
            "libsvtav1",
            {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"},
            {8: "yuv420p", 10: "yuv420p10le"},
            options=_av1_options,
            # SVT-AV1 never ends on pictures such as 24x66.
            min_side=32,
            max_side=16384,
            max_area=_LEVEL_AREA,
        ),
        OutputCodec(
            "ffv1",
            "FFV1",
            "ffv1",
            {".mkv": "matroska"},
            {8: "bgr0", 10: "gbrp10le", 12: "gbrp12le", 16: "gbrp16le"},
            options=lambda quality: {"level": "3", "slicecrc": "1"},
            lossless=True,
        ),
        OutputCodec(
            "prores",
            "ProRes 422 HQ",
            "prores_ks",
            {".mov": "mov", ".mkv": "matroska"},
            {10: "yuv422p10le"},
            {10: "yuv444p10le"},
            options=lambda quality: {"profile": "3", "vendor": "apl0"},
        ),
        OutputCodec("png", "PNG images", "", {}, {8: "rgb24", 16: "rgb48"}, lossless=True),
    )
}


def find_codec(name: str) -> OutputCodec:
    """The codec of that name.

    Raises:
        BadInput: There is none, or this build of FFmpeg lacks its encoder.
    """
    codec = CODECS.get(name)
    if codec is None:
        raise BadInput(f"{name} is not a codec this program writes; choose {', '.join(CODECS)}.")
    if codec.encoder and codec.encoder not in av.codecs_available:
        raise BadInput(f"{codec.title} cannot be written by the installed FFmpeg; choose another codec.")
    return codec


def container_for(codec: OutputCodec, path: Path) -> str:
    """FFmpeg's container name for an output file.

    Raises:
        BadInput: It is a folder, or the file's ending does not suit the codec.
    """
    if path.is_dir():
        example = path / f"video{next(iter(codec.containers))}"
        raise BadInput(f"{path} is a folder; give the name of a file in it, such as {example}.")
    container = codec.containers.get(path.suffix.lower())
    if container is None:
        endings = ", ".join(codec.containers)
        raise BadInput(f"{path} cannot hold {codec.title}; end the name with one of {endings}.")
    return container


def check_output_size(codec_name: str, width: int, height: int) -> None:
    """Find out before any work whether pictures of a size can be written.

    Raises:
        BadInput: The size is beyond what the codec allows; the text names codecs that can.
    """
    codec = find_codec(codec_name)
    if min(width, height) < codec.min_side:
        raise BadInput(
            f"{codec.title} cannot hold pictures of {width}x{height} (at least {codec.min_side} pixels a "
            "side); choose ffv1 or png."
        )
    if max(width, height) > codec.max_side or width * height > codec.max_area:
        limit = f"at most {codec.max_side} pixels a side and {codec.max_area / 1e6:.1f} million in all"
        others = [
            other.name
            for other in CODECS.values()
            if other.max_side >= max(width, height) and other.max_area >= width * height
        ]
        remedy = f"choose {' or '.join(others)}" if others else "choose a smaller clip"
        raise BadInput(f"{codec.title} cannot hold pictures of {width}x{height} ({limit}); {remedy}.")
