"""Deinterlacing, one frame out for one in, from the first interlaced frame on."""

from collections.abc import Iterable, Iterator

import av
import av.error
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext

from quantvsr.media.colour import colour_of
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
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def run(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Frames in, the same number of frames out, with their time stamps."""
        for frame in frames:
            shape = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and shape != self._shape:
                yield from self._flush()
            wanted = frame.interlaced_frame and min(frame.width, frame.height) >= _LEAST
            if wanted and self._graph is None:
                self._start(frame, shape)
            if self._graph is None:
                self.colour = None
                yield frame
                continue
            self.colour = colour_of(frame, self._context)
            self._graph.push(frame)
            yield from self._pull()
        yield from self._flush()

    def _start(self, frame: av.VideoFrame, shape: tuple[int, int, str]) -> None:
        self.used = True
        self._shape = shape
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        # Field order as flagged in each frame; frames not flagged as interlaced pass unchanged.
        filtered = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        source.link_to(filtered)
        filtered.link_to(graph.add("buffersink"))
        graph.configure()
        self._graph = graph

    def _pull(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            yield frame

    def _flush(self) -> Iterator[av.VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None
