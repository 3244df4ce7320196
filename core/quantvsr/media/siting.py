"""Where chroma samples lie, for decoders that do not say it.

FFmpeg's scaler takes unmarked chroma as lying between two columns, as in JPEG and MPEG-1. That is half a
pixel off for the codecs below, where chroma lies on even columns, as in MPEG-2 and H.264 (H.273, chroma
sample location type 0). Their decoders leave the mark out; those of H.264, H.265 and MPEG-2 set it.
"""

from collections.abc import Iterable, Iterator

import av

from quantvsr.media.filters import OneFilter

_ON_COLUMNS = frozenset(
    {"av1", "vp9", "ffv1", "prores", "dnxhd", "cfhd", "huffyuv", "ffvhuff", "utvideo", "v210"}
)
_BT2020 = 9  # there chroma lies on even rows too, and AV1 files mark it


def mark_chroma(frames: Iterable[av.VideoFrame], codec: str) -> Iterator[av.VideoFrame]:
    """The same frames; where it is so and unsaid, marked as having chroma on even columns.

    Args:
        frames: As decoded.
        codec: FFmpeg's name of the codec.
    """
    marker: OneFilter | None = None
    for frame in frames:
        if not _is_unsaid(codec, frame):
            yield frame
            continue
        if marker is None or not marker.fits(frame):
            marker = OneFilter(frame, "setparams", "chroma_location=left")
        yield from marker.push(frame)


def _is_unsaid(codec: str, frame: av.VideoFrame) -> bool:
    parts = frame.format.components
    subsampled = len(parts) >= 3 and not frame.format.is_rgb and parts[1].width < parts[0].width
    return subsampled and codec in _ON_COLUMNS and frame.color_primaries != _BT2020
