"""What reading each awkward clip should give: ours in tests/data/media, the larger folder if it exists."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest

from folders import DATA, media_folder

OURS = DATA / "media"


@dataclass(frozen=True)
class Case:
    """Expectations of one clip.

    Attributes:
        frames: Shown frames.
        size: Width and height as shown.
        rate: Frames per second, the mean.
        end: Second at which the last frame ends; None is not checked.
        start: Time stamp of the first frame.
        notes: Words that must be in the warnings, one warning each; no further warning may come.
        audio: Number of sound streams.
        subtitles: Number of subtitle streams.
        error: If set, words of the error instead.
        sar: Width over height of a pixel.
        bits: Bits per sample.
        exact: Whether probing tells the true number of frames.
        slow: Left out of round trips.
    """

    frames: int = 0
    size: tuple[int, int] = (192, 144)
    rate: Fraction | float = 24
    end: float | None = None
    start: float = 0.0
    notes: tuple[str, ...] = ()
    audio: int = 0
    subtitles: int = 0
    error: str = ""
    sar: Fraction = Fraction(1)
    bits: int = 8
    exact: bool = True
    slow: bool = field(default=False)


def even(frames: int, **values: object) -> Case:
    """Evenly spaced frames from 0 on: the end follows."""
    rate = values.get("rate", 24)
    return Case(frames, end=float(frames / Fraction(rate)), **values)


DAMAGED = ("cut off or damaged",)
INTERLACED = ("interlaced",)
BLACK = ("laid over black",)
NO_RATE = ("carry no frame rate",)
UNTIMED = ("no time stamps",)
PATTERN = (192, 108)
NTSC = Fraction(30000, 1001)

AWKWARD: dict[str, Case] = {
    # Length
    "frames_1.mp4": even(1),
    "frames_2.mp4": even(2),
    "frames_3.mp4": even(3),
    "frames_5.mp4": even(5),
    "frames_6.mp4": even(6),
    "long_1000_frames_64x48.mp4": even(1000, size=(64, 48), rate=25, audio=1, slow=True),
    "zero_bytes.mp4": Case(error="is empty"),
    "text_named.mp4": Case(error="cannot be opened as a video"),
    "audio_only.mp4": Case(error="has no video"),
    # Size and shape
    "odd_159x119_vp9.webm": Case(12, (159, 119), exact=False, end=0.499),
    "odd_161x121_ffv1.mkv": Case(6, (161, 121), exact=False, end=0.249),
    "tiny_16x16.mp4": even(8, size=(16, 16), rate=25),
    "tiny_2x2.mkv": even(6, size=(2, 2), rate=25, exact=False),
    "tall_48x640.mp4": even(8, size=(48, 640)),
    "large_3840x2160_2frames.mp4": even(2, size=(3840, 2160), rate=25, slow=True),
    "resolution_change.ts": Case(
        24, (160, 120), end=0.875 + 1 / 24, notes=("changes to 192x144", "did not rise"), exact=False
    ),
    # Orientation, shape of pixels, names, metadata
    "rotated_90_phone.mov": even(3, size=(320, 568), rate=30),
    "rotated_270_phone.mov": even(3, size=(320, 568), rate=30),
    "rotated_180_phone.mov": even(3, size=(568, 320), rate=30),
    "rotated_90_audio.mp4": even(24, size=(144, 192), audio=1),
    "sar_16_11.mp4": even(12, size=(176, 144), sar=Fraction(16, 11)),
    "name with späces & 'quotes' 日本.mp4": even(24),
    "-leading-dash.mp4": even(5),
    "UPPERCASE.MP4": even(6),
    "wrong_extension_webm_inside.mp4": Case(12, (159, 119), exact=False, end=0.499),
    "multi_audio_subs_chapters.mkv": Case(24, start=0.023, end=1.022, audio=2, subtitles=1, exact=False),
    "cover_art.mp4": even(24, audio=1),
    # Time
    "vfr_dropped.mp4": Case(44, rate=Fraction(352, 23), end=2.875 + 1 / 24, audio=1),
    "vfr_jitter.mp4": Case(36, rate=Fraction(540000, 22561), end=132554 / 90000),
    "no_duration_vp9_opus.webm": Case(
        74, (1280, 720), Fraction(15000, 1001), end=4.938, audio=1, exact=False, slow=True
    ),
    "fps_1.mp4": even(6, size=PATTERN, rate=1),
    "fps_120.mp4": even(24, size=PATTERN, rate=120),
    "fps_29_97.mp4": even(15, size=PATTERN, rate=NTSC),
    "edit_list_start.mp4": Case(30, end=15852 / 12288, audio=1),
    "start_offset.ts": Case(36, start=0.023222, end=1.523222, audio=1, exact=False),
    "unordered_pts.mov": even(4, size=(50, 50), rate=32),
    # Sound
    "av_sync_flash_beep.mp4": even(75, size=PATTERN, rate=25, audio=1),
    "audio_longer_than_video.mp4": even(24, audio=1),
    "audio_delayed_pcm.mov": even(6, audio=1),
    # Pixel formats and colour
    "hevc_10bit.mp4": even(12, bits=10),
    "h264_10bit.mp4": even(30, size=(200, 200), rate=30, bits=10),
    "av1_10bit.mp4": even(12, bits=10),
    "h264_422_10bit.mov": even(12, bits=10),
    "h264_444.mp4": even(12),
    "hdr10_pq.mp4": even(12, size=PATTERN, rate=25, bits=10, notes=("tone-mapped",)),
    "gray_h264.mp4": even(12),
    "gray16_ffv1.mkv": Case(6, (96, 72), end=0.249, bits=16, exact=False),
    "alpha_prores4444.mov": even(8, bits=12, notes=BLACK),
    "alpha_vp9.webm": Case(12, end=0.499, notes=BLACK, exact=False),
    "animated_transparent_uneven.gif": Case(8, (96, 72), Fraction(25, 3), end=1.0, notes=BLACK),
    "bars_bt709_limited.mp4": even(8, size=PATTERN, rate=25),
    "bars_bt601_limited.mp4": even(8, size=PATTERN, rate=25),
    "bars_bt709_full.mp4": even(8, size=PATTERN, rate=25),
    "bars_reference.png": even(1, size=PATTERN, rate=25),
    "interlaced_tff.mpg": Case(
        15, (352, 288), 25, start=0.010911, end=0.610911, audio=1, notes=INTERLACED, exact=False
    ),
    "interlaced_bff_h264.mp4": even(15, size=PATTERN, rate=25, notes=INTERLACED),
    # Codecs and containers
    "hevc.mkv": Case(12, end=0.499, exact=False),
    "av1_opus.webm": Case(15, start=0.007, end=0.631, audio=1, exact=False),
    "vp8_vorbis.webm": Case(15, start=0.006, end=0.630, audio=1, exact=False),
    "theora.ogv": even(12, exact=False),
    "prores_422hq.mov": even(6, size=(128, 96), bits=10),
    "mjpeg.avi": even(8),
    "mpeg4_bframes_mp3.avi": Case(15, start=1 / 24, end=16 / 24, audio=1),
    "sorenson.flv": Case(15, start=0.05, end=0.633 + 1 / 24, audio=1, exact=False),
    "wmv2.wmv": Case(15, start=0.046, end=0.629 + 1 / 24, audio=1, exact=False),
    "animated.gif": Case(10, (128, 96), Fraction(25, 2), end=0.83),
    "animated.png": Case(5, (96, 72), end=0.20835, exact=False),
    "raw_annexb.264": even(6, notes=UNTIMED, exact=False),
    "raw.y4m": even(6, size=(64, 48), exact=False),
    # Content
    "hard_cuts_every_7.mp4": even(21, size=(160, 120)),
    "static_20.mp4": even(20),
    "black.mp4": even(12, size=PATTERN, rate=25),
    "white.mp4": even(12, size=PATTERN, rate=25),
    "heavy_noise.mp4": even(8),
    "heavy_compression.mp4": even(24),
    # Damage
    "truncated_no_moov.mp4": Case(error="cannot be opened as a video"),
    "truncated_faststart.mp4": Case(20, end=20 / 24, notes=DAMAGED, audio=1, exact=False),
    "truncated.mkv": Case(22, start=0.023, end=0.939, notes=DAMAGED, audio=1, exact=False),
    "bit_errors.mp4": Case(47, end=2.0, notes=DAMAGED, audio=1, exact=False),
    "zeroed_hole.mp4": Case(41, end=2.0, notes=DAMAGED, audio=1, exact=False),
    "corrupted_real.mp4": Case(49, (1280, 720), 10, end=5.0, notes=DAMAGED, exact=False, slow=True),
    "lost_idr.264": even(70, size=(176, 144), rate=25, notes=UNTIMED, exact=False),
    # Image sequences
    "seq_gap": even(7, size=(64, 48), rate=25, notes=("the first is 4", *NO_RATE)),
    "seq_unpadded": even(12, size=(48, 36), rate=25, notes=NO_RATE),
    "seq_mixed_sizes": Case(error="005.png is 80x60"),
    "seq_16bit": even(5, size=(48, 36), rate=25, bits=16, notes=NO_RATE),
    "seq_jpeg_exif": even(5, size=(64, 96), rate=25, notes=NO_RATE),
}

OWN: dict[str, Case] = {
    "sound_and_tags.mp4": even(12, size=(64, 48), audio=1),
    "tracks.mkv": Case(12, (64, 48), start=0.25, end=0.749, audio=2, subtitles=1, exact=False),
    "uneven.mp4": Case(9, (64, 48), Fraction(27648, 2053)),
    "one_frame.mp4": even(1, size=(64, 48)),
    "turned.mov": even(3, size=(48, 64)),
    "wide_pixels.mp4": even(3, size=(64, 48), sar=Fraction(16, 11)),
    "ten_bit.mp4": even(4, size=(64, 48), bits=10),
    "bt601.mp4": even(2, size=(64, 48)),
    "full_range.mp4": even(2, size=(64, 48)),
    "hdr_pq.mp4": even(4, size=(64, 48), bits=10, notes=("tone-mapped",)),
    "cuts.mp4": even(14, size=(64, 48)),
    "bare.264": even(6, size=(64, 48), rate=25, notes=UNTIMED, exact=False),
    "edit_list.mp4": even(8, size=(64, 48)),
    "interlaced.mpg": even(6, size=(64, 48), rate=25, notes=INTERLACED, exact=False),
    "alpha_odd.mkv": Case(4, (33, 27), end=0.166, notes=BLACK, exact=False),
    "audio_only.mp4": Case(error="has no video"),
    "no_index.mp4": Case(error="cannot be opened as a video"),
    "cut_off.mkv": Case(14, (64, 48), end=0.583, notes=DAMAGED, exact=False),
    "hole.mp4": Case(8, (64, 48), notes=DAMAGED, exact=False),
    "empty.mp4": Case(error="is empty"),
    "text.mp4": Case(error="cannot be opened as a video"),
    "images_gap": even(4, size=(24, 18), rate=25, notes=("the first is 3", *NO_RATE)),
    "images_mixed_sizes": Case(error="2.png is 20x18"),
    "images_16bit": even(2, size=(24, 18), rate=25, bits=16, notes=NO_RATE),
    "images_exif": even(2, size=(32, 48), rate=25, notes=NO_RATE),
}


def awkward_folder() -> Path | None:
    """The larger folder, where there is one."""
    folder = media_folder()
    awkward = None if folder is None else folder / "awkward"
    return awkward if awkward is not None and awkward.is_dir() else None


def clips(readable: bool | None = None, fast: bool = False) -> list:
    """Test parameters (path, case) of all clips; those of the larger folder are skipped where it is missing.

    Args:
        readable: Only those that can (True) or cannot (False) be read.
        fast: Leave the slow ones out.
    """
    folder = awkward_folder()
    skip = pytest.mark.skip(reason="no folder of awkward clips on this machine (set QUANTVSR_MEDIA)")
    found = [pytest.param(OURS / name, case, id=f"ours-{name}") for name, case in OWN.items()]
    for name, case in AWKWARD.items():
        path = Path(name) if folder is None else folder / name
        marks = () if folder is not None else (skip,)
        found.append(pytest.param(path, case, id=f"awkward-{name}", marks=marks))

    def wanted(case: Case) -> bool:
        return (readable is None or readable == (not case.error)) and not (fast and case.slow)

    return [parameter for parameter in found if wanted(parameter.values[1])]
