"""When each frame of a clip is shown, without decoding it."""

from quantvsr.media.reader import ClipReader, ImageReader
from quantvsr.media.source import clip_start, open_input, picture_stream


def frame_times(reader: ClipReader) -> tuple[float, ...]:
    """Seconds from the clip's start at which each frame is shown.

    Taken from the packets, so that a long clip takes no longer than reading its file; a damaged clip may
    decode to fewer frames. Where packets have no time stamps, the clip's rate counts.

    Args:
        reader: Of the clip.
    """
    step = float(1 / reader.info.frame_rate)
    if isinstance(reader, ImageReader):
        return tuple(i * step for i in range(len(reader.files)))
    with open_input(reader.info.path) as container:
        stream = picture_stream(container, reader.info.path)
        start = clip_start(container)
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        stamps = [p.pts for p in packets if p.pts is not None]
        base = stream.time_base
    if base is None or len(stamps) != len(packets):
        return tuple(i * step for i in range(len(packets)))
    return tuple(float(stamp * base - start) for stamp in sorted(stamps))
