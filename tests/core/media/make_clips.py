"""Makes the small awkward clips in tests/data/media: `python tests/core/media/make_clips.py`.

All of it is drawn here, so it may be shipped. Encoders differ between FFmpeg versions, so the files are kept.
"""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "data" / "media"
WIDTH, HEIGHT = 64, 48
RATE = Fraction(24)
BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A gradient with a red top left corner and a white square that moves right, uint8."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([60 + 0 * x, 60 + x * 90 // width, 60 + y * 90 // height], axis=2).astype(np.uint8)
    rgb[: height // 4, : width // 4] = (220, 30, 30)
    left = 16 + 2 * number
    rgb[height // 2 : height // 2 + 12, left : left + 12] = 235
    return rgb


def encode(
    stream: av.VideoStream, pictures: list[np.ndarray], stamps: list[int], time_base: Fraction, **tags: int
) -> list[av.Packet]:
    """Encode pictures with the given time stamps and colour tags (PyAV's frame attributes)."""
    packets = []
    for rgb, stamp in zip(pictures, stamps, strict=True):
        source = av.VideoFrame.from_ndarray(rgb, format="rgb24" if rgb.dtype == np.uint8 else "rgb48le")
        # Swscale's names of the matrices: 1 BT.709, 5 BT.601, 9 BT.2020.
        frame = source.reformat(
            format=stream.pix_fmt,
            dst_colorspace={1: 1, 6: 5, 9: 9}[tags.get("colorspace", 1)],
            src_color_range=2,
            dst_color_range=tags.get("color_range", 1),
        )
        for name, value in tags.items():
            setattr(frame, name, value)
        frame.pts, frame.time_base = stamp, time_base
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def add_video(
    output: av.container.OutputContainer, codec: str = "libx264", **settings: object
) -> av.VideoStream:
    options = settings.pop("options", {"crf": "20", "preset": "veryfast"})
    stream = output.add_stream(codec, rate=settings.pop("rate", RATE), options=options)
    stream.width, stream.height = settings.pop("size", (WIDTH, HEIGHT))
    stream.pix_fmt = settings.pop("pix_fmt", "yuv420p")
    stream.time_base = stream.codec_context.time_base = settings.pop("time_base", Fraction(1, 12288))
    for name, value in {**BT709, **settings.pop("tags", {}), **settings}.items():
        setattr(stream.codec_context, name, value)
    return stream


def tone(seconds: float, rate: int = 8000) -> av.AudioFrame:
    """A soft 440 Hz tone, one channel."""
    t = np.arange(int(seconds * rate)) / rate
    samples = (3000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def add_tone(output: av.container.OutputContainer, codec: str, language: str = "eng") -> av.AudioStream:
    stream = output.add_stream(codec, rate=8000, layout="mono")
    stream.metadata["language"] = language
    return stream


def encode_tone(stream: av.AudioStream, seconds: float) -> list[av.Packet]:
    frame = tone(seconds)
    resampler = av.AudioResampler(
        stream.codec_context.format, "mono", 8000, frame_size=stream.codec_context.frame_size or None
    )
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return [p for piece in pieces for p in stream.encode(piece)] + stream.encode(None)


def even(count: int, step: int = 512) -> list[int]:
    return [i * step for i in range(count)]


def simple(name: str, count: int = 6, stamps: list[int] | None = None, **settings: object) -> None:
    """One video stream; frame attributes (colour tags) come in `tags`."""
    tags = settings.get("tags", BT709)
    pictures = settings.pop("pictures", None) or [picture(i) for i in range(count)]
    rotation = settings.pop("rotation", None)
    sar = settings.pop("sar", None)
    with av.open(str(FOLDER / name), "w") as output:
        stream = add_video(output, **settings)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        base = stream.codec_context.time_base
        output.mux(encode(stream, pictures, stamps or even(len(pictures)), base, **tags))


def sound_and_tags(name: str, frames: int = 12) -> None:
    with av.open(str(FOLDER / name), "w") as output:
        output.metadata.update({"title": "A title", "comment": "A comment"})
        video = add_video(output)
        audio = add_tone(output, "aac")
        audio.codec_context.open()
        output.mux(encode(video, [picture(i) for i in range(frames)], even(frames), video.time_base, **BT709))
        output.mux(encode_tone(audio, frames / 24))


def tracks(name: str) -> None:
    """Two sound streams, subtitles, chapters; the pictures start 0.25 s after the sound."""
    with av.open(str(FOLDER / name), "w") as output:
        video = add_video(output, time_base=Fraction(1, 1000))
        first, second = add_tone(output, "aac", "eng"), add_tone(output, "pcm_s16le", "deu")
        first.codec_context.open()
        text = output.add_stream("subrip")
        text.metadata["language"] = "eng"
        text.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
        chapters = [
            {"id": i, "start": s, "end": e, "time_base": Fraction(1, 1000), "metadata": {"title": t}}
            for i, (s, e, t) in enumerate([(0, 500, "One"), (500, 750, "Two")], 1)
        ]
        output.set_chapters(chapters)
        stamps = [250 + round(1000 * i / 24) for i in range(12)]
        output.mux(encode(video, [picture(i) for i in range(12)], stamps, Fraction(1, 1000), **BT709))
        output.mux(encode_tone(first, 0.75))
        output.mux(encode_tone(second, 0.75))
        packet = av.Packet(b"Hello")
        packet.stream, packet.time_base = text, Fraction(1, 1000)
        packet.pts = packet.dts = 300
        packet.duration = 400
        output.mux(packet)


def edit_list(name: str) -> None:
    """Twelve frames coded, the first four hidden by an edit list."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as output:
        video = add_video(output, options={"crf": "20", "preset": "veryfast", "bf": "0", "g": "100"})
        output.mux(encode(video, [picture(i) for i in range(12)], even(12), video.time_base, **BT709))
    data.seek(0)
    with av.open(data) as source, av.open(str(FOLDER / name), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts -= 4 * 512
                packet.dts -= 4 * 512
                packet.stream = stream
                output.mux(packet)


def interlaced(name: str) -> None:
    """Six frames of two moments each, top field first."""
    graph = Graph()
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format="yuv420p", time_base=Fraction(1, 25))
    mark = graph.add("setfield", "tff")
    source.link_to(mark)
    mark.link_to(graph.add("buffersink"))
    graph.configure()
    with av.open(str(FOLDER / name), "w", format="mpeg") as output:
        options = {"flags": "+ilme+ildct", "qscale": "3"}
        stream = add_video(
            output, "mpeg2video", rate=Fraction(25), time_base=Fraction(1, 25), options=options
        )
        for number in range(6):
            woven = picture(4 * number)
            woven[1::2] = picture(4 * number + 2)[1::2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.push(frame)
            output.mux(stream.encode(graph.pull()))
        output.mux(stream.encode(None))


def with_alpha(name: str) -> None:
    """Transparent from column 20 on."""
    with av.open(str(FOLDER / name), "w") as output:
        grid = Fraction(1, 1000)
        stream = add_video(output, "ffv1", size=(33, 27), pix_fmt="yuva420p", time_base=grid, options={})
        for number in range(4):
            rgba = np.dstack([picture(number, 33, 27), np.full((27, 33), 255, np.uint8)])
            rgba[:, 20:, 3] = 0
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(
                format="yuva420p", dst_colorspace=1, src_color_range=2, dst_color_range=1
            )
            frame.pts, frame.time_base = round(number * 1000 / 24), grid
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def audio_only(name: str) -> None:
    with av.open(str(FOLDER / name), "w") as output:
        stream = add_tone(output, "aac")
        stream.codec_context.open()
        output.mux(encode_tone(stream, 0.25))


def images() -> None:
    def folder(name: str) -> Path:
        path = FOLDER / name
        path.mkdir(exist_ok=True)
        return path

    for number in (1, 2, 4, 10):
        Image.fromarray(picture(number, 24, 18)).save(folder("images_gap") / f"{number}.png")
    (folder("images_gap") / "notes.txt").write_text("Not an image.\n")
    for number, size in ((1, (24, 18)), (2, (20, 18))):
        Image.fromarray(picture(number, *size)).save(folder("images_mixed_sizes") / f"{number}.png")
    for number in (1, 2):
        deep = picture(number, 24, 18).astype(np.uint16) * 257 - 7
        data = _png16(deep)
        (folder("images_16bit") / f"{number}.png").write_bytes(data)
    exif = Image.Exif()
    exif[274] = 6
    for number in (1, 2):
        Image.fromarray(picture(number, 48, 32)).save(
            folder("images_exif") / f"{number}.jpg", exif=exif, quality=95
        )


def _png16(rgb: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def damage() -> None:
    whole = (FOLDER / "sound_and_tags.mp4").read_bytes()
    (FOLDER / "no_index.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    noise = np.random.default_rng(0)
    pictures = [picture(i) // 2 + noise.integers(0, 60, (HEIGHT, WIDTH, 1), np.uint8) for i in range(24)]
    stamps = [round(i * 1000 / 24) for i in range(24)]
    simple("cut_off.mkv", time_base=Fraction(1, 1000), stamps=stamps, pictures=pictures)
    whole = (FOLDER / "cut_off.mkv").read_bytes()
    (FOLDER / "cut_off.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    (FOLDER / "empty.mp4").write_bytes(b"")
    (FOLDER / "text.mp4").write_text("This is no video.\n")
    data = bytearray((FOLDER / "cuts.mp4").read_bytes())
    middle = data.index(b"mdat") + 1100
    data[middle : middle + 300] = bytes(300)
    (FOLDER / "hole.mp4").write_bytes(bytes(data))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    sound_and_tags("sound_and_tags.mp4")
    tracks("tracks.mkv")
    simple("uneven.mp4", 9, stamps=[0, 512, 700, 2300, 2400, 4000, 7000, 7100, 9000])
    simple("one_frame.mp4", 1)
    simple("turned.mov", 3, rotation=-90)
    simple("wide_pixels.mp4", 3, sar=Fraction(16, 11))
    simple("ten_bit.mp4", 4, codec="libx265", pix_fmt="yuv420p10le", options=_X265)
    bt601 = {"colorspace": 6, "color_primaries": 6, "color_trc": 6, "color_range": 1}
    simple("bt601.mp4", 2, tags=bt601)
    full = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}
    simple("full_range.mp4", 2, tags=full)
    pq = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    simple("hdr_pq.mp4", 4, tags=pq, codec="libx265", pix_fmt="yuv420p10le", options=_X265)
    scenes = [picture(i) for i in range(7)] + [255 - picture(i)[::-1] for i in range(7)]
    simple("cuts.mp4", pictures=scenes)
    simple("bare.264", 6)
    edit_list("edit_list.mp4")
    interlaced("interlaced.mpg")
    with_alpha("alpha_odd.mkv")
    audio_only("audio_only.mp4")
    images()
    damage()


_X265 = {"crf": "20", "preset": "veryfast", "x265-params": "log-level=none"}

if __name__ == "__main__":
    main()
