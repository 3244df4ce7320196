"""From a clip to a video four times as large."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import BITS, INTEGER, METHOD, PATH, SWITCH, TEXT, Bits, option
from quantvsr.jobs.presets import preset_names
from quantvsr.jobs.settings import (
    CODECS,
    METHOD_DEFAULT,
    METHOD_HELP,
    ExecutionSettings,
    ModelSettings,
    PictureSettings,
)
from quantvsr.progress import Progress
from quantvsr.words import counted


@dataclass(frozen=True, kw_only=True)
class UpscaleResult(Result):
    """An enlarged video.

    Attributes:
        out: The video or the folder of pictures.
        frames: Number of frames that the written output holds, counted in it.
        duration: Seconds that the written output lasts, measured in it; None for pictures.
        resumed: Frames that an interrupted run had left.
        width, height: Size of a frame.
        precision: "fp" or bits, such as "W4A4".
        execution: How integer values are computed; None in full precision.
        compute: Type in which the model computed apart from quantized layers, such as "bfloat16".
        seconds: Seconds per stage.
        peak_memory: Largest memory of the process in bytes.
        peak_device_memory: Largest memory on the GPU in bytes; None without one.
    """

    out: Path
    frames: int
    duration: float | None
    resumed: int
    width: int
    height: int
    precision: str
    execution: str | None
    compute: str
    seconds: dict[str, float]
    peak_memory: int
    peak_device_memory: int | None

    def rows(self) -> list[tuple[str, str]]:
        """Size, time and memory."""
        took = self.seconds.get("upscale", 0.0)
        length = "" if self.duration is None else f", {self.duration:.2f} s"
        how = "full precision" if self.execution is None else f"{self.precision}, {self.execution}"
        frames = counted(self.frames, "frame")
        return [
            ("Video", f"{frames} of {self.width}x{self.height}{length} ({how}, {self.compute})"),
            ("Time", f"{took:.1f} s ({took / max(self.frames - self.resumed, 1):.2f} s a frame)"),
            ("Peak memory", f"{self.peak_memory / 1e9:.2f} GB"),
            ("Written to", str(self.out)),
        ]


@register("upscale")
@dataclass(frozen=True, kw_only=True)
class UpscaleJob(ExecutionSettings, PictureSettings, ModelSettings):
    """Enlarge a clip with the full-precision or a quantized model."""

    summary = "Enlarge a clip 4 times, in full precision or with a quantized model."
    details = (
        "CLIP is a video or a folder of pictures of any length and size. Sound and subtitles are copied. "
        "With --checkpoint the quantized model runs; with --bits alone a checkpoint is made from the bundled "
        "clips once and kept for the next time. Stopped at any moment, the same command goes on from the "
        "parts that wait beside the output in NAME.parts."
    )
    example = "quantvsr upscale walk.mp4 --bits 4 --out walk_x4.mp4"

    clip: str = option(PATH, "The video or folder of pictures to enlarge.", positional=True)
    out: str | None = option(
        PATH, "Output video; NAME_x4.mp4 beside the clip if left out.", default=None, reproducible=False
    )
    checkpoint: str | None = option(PATH, "Quantized checkpoint (of 'quantize').", default=None)
    bits: Bits | None = option(  # noqa: RUF009  (makes a field)
        BITS, "Quantize to so many bits: 4, or W4A8.", default=None
    )
    preset: str = option(TEXT, "Calibration budget with --bits.", default="quick", choices=preset_names())
    method: str = option(METHOD, METHOD_HELP.replace("Method", "Method with --bits"), default=METHOD_DEFAULT)
    compute: str | None = option(
        TEXT,
        "Type in which the model computes apart from quantized layers, half types with less memory; the "
        "model's own if left out.",
        default=None,
        choices=("float32", "bfloat16", "float16"),
    )
    codec: str = option(TEXT, "Video codec; png writes a folder of pictures.", default="h264", choices=CODECS)
    quality: int = option(
        INTEGER, "Quality: 0 is best, 18 looks clean, 51 is worst.", default=18, least=0, most=51
    )
    streams: bool = option(SWITCH, "Copy sound, subtitles, chapters and tags of the clip.", default=True)
    overwrite: bool = option(SWITCH, "Replace an existing output.", default=False, reproducible=False)

    def run(self, progress: Progress) -> UpscaleResult:
        """Run it."""
        from quantvsr.jobs.work.upscaling import upscale

        return upscale(self, progress)
