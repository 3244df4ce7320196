"""Deinterlacing, one frame out for one in, from the first interlaced frame on."""

from collections.abc import Iterable, Iterator

import av
from av.video.codeccontext import VideoCodecContext

from quantvsr.media.colour import colour_of
from quantvsr.media.filters import OneFilter
from quantvsr.media.types import ColourInfo

_LEAST = 4  # pixels; the filter refuses smaller pictures


class Deinterlacer:
    """Passes progressive video untouched; interlaced frames go through FFmpeg's bwdif filter.

    Args:
        context: The stream's decoder, for colour tags that frames lack.

    Attributes:
        used: Whether a frame was deinterlaced.
        colour: Colour of the frame given last, where the filter would have lost it; else None.
    """

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        self.used = False
        self.colour: ColourInfo | None = None
        self._filter: OneFilter | None = None

    def run(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Frames in, the same number of frames out, with their time stamps."""
        for frame in frames:
            if self._filter is not None and not self._filter.fits(frame):
                yield from self._flush()
            wanted = frame.interlaced_frame and min(frame.width, frame.height) >= _LEAST
            if wanted and self._filter is None:
                self.used = True
                # Field order as flagged in each frame; frames not flagged as interlaced pass unchanged.
                self._filter = OneFilter(frame, "bwdif", "mode=send_frame:parity=auto:deint=interlaced")
            if self._filter is None:
                self.colour = None
                yield frame
                continue
            self.colour = colour_of(frame, self._context)
            yield from self._filter.push(frame)
        yield from self._flush()

    def _flush(self) -> Iterator[av.VideoFrame]:
        if self._filter is not None:
            yield from self._filter.push(None)
            self._filter = None
