"""One of FFmpeg's video filters between two Python loops."""

from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
from av.filter import Graph


class OneFilter:
    """A graph with a single filter, for frames of one size and format.

    Args:
        frame: Tells size, format and time base.
        name: FFmpeg's name of the filter.
        options: Its options as on a command line.
    """

    def __init__(self, frame: av.VideoFrame, name: str, options: str) -> None:
        self._shape = _shape(frame)
        self._graph = Graph()
        # Where there is no time base, there are no time stamps either, and any one does.
        base = frame.time_base or Fraction(1, 1000)
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=base
        )
        node = self._graph.add(name, options)
        source.link_to(node)
        node.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        """Whether this graph takes frames like this one."""
        return _shape(frame) == self._shape

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Give a frame, or None at the end; yields what the filter has ready."""
        self._graph.push(frame)
        while True:
            try:
                result = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(result, av.VideoFrame)
            yield result


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
