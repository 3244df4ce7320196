"""How well the bundled model restores.

    python benchmarks/quality.py CLIP... [--steps 1 2 4 8] [--sheet FILE.jpg]

Every clip is taken as ground truth: shrunk by 4 (Pillow's bicubic, 8 bits), enlarged by bicubic and by the
model, and compared with itself. PSNR and SSIM on BT.601 luma, 4 pixels of border left out. Prints a line per
clip, then JSON.
"""

import argparse
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from quantvsr.media import Frame, open_clip
from quantvsr.metrics import measure
from quantvsr.models.registry import open_model
from quantvsr.upscale.bicubic import make_lq, pillow_resize
from quantvsr.upscale.engine import upscale_clip

METRICS = ("psnr_y", "ssim")
BORDER = 4


@dataclass(frozen=True)
class Trial:
    """One clip, shrunk: low quality, bicubic, ground truth; lists of (H, W, 3) uint8."""

    name: str
    lq: list[NDArray[np.uint8]]
    bicubic: list[NDArray[np.uint8]]
    truth: list[NDArray[np.uint8]]


def load(path: Path, frames: int, width: int, height: int, halve_above: int) -> Trial:
    """The middle width x height of the first frames.

    Clips wider than `halve_above` are halved first: the area filter drops the coder's finest noise.
    """
    truth, lq, bicubic = [], [], []
    with open_clip(path, stop=frames) as reader:
        for frame in reader:
            picture = frame.rgb
            if picture.shape[1] > halve_above:
                picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            top, left = (
                max(0, (have - want) // 2) for have, want in zip(picture.shape, (height, width), strict=False)
            )
            small, sharp = make_lq(picture[top : top + height, left : left + width])
            lq.append(small)
            truth.append(sharp)
            bicubic.append(pillow_resize(small, *sharp.shape[:2]))
    return Trial(path.stem, lq, bicubic, truth)


def restore(trial: Trial, steps: int) -> list[NDArray[np.uint8]]:
    """The model's result, 8 bits."""
    adapter = open_model("bundled")
    frames = (Frame(i, lq.astype(np.float32) / 255, Fraction(i, 25)) for i, lq in enumerate(trial.lq))
    return [np.rint(frame.rgb * 255).astype(np.uint8) for frame in upscale_clip(adapter, frames, steps=steps)]


def crop_row(pictures: list[NDArray[np.uint8]], size: int = 192) -> NDArray[np.uint8]:
    """The same busy square of several pictures, side by side."""
    last = pictures[-1].astype(np.float32).mean(2)
    busy = cv2.boxFilter(np.abs(cv2.Laplacian(last, cv2.CV_32F)), -1, (size, size))
    half = size // 2
    inside = busy[half : last.shape[0] - half, half : last.shape[1] - half]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return np.concatenate([p[y : y + size, x : x + size] for p in pictures], 1)


def main() -> None:
    """Measure, print, and draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--steps", nargs="+", type=int, default=[4])
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument(
        "--halve-above", type=int, default=1000, help="width above which a clip is halved first"
    )
    parser.add_argument(
        "--sheet", type=Path, help="picture of crops: LQ, bicubic, ours (last --steps), ground truth"
    )
    options = parser.parse_args()

    table: dict[str, dict[str, dict[str, float | None]]] = {}
    rows = []
    for path in options.clips:
        trial = load(path, options.frames, options.width, options.height, options.halve_above)
        figures = {"bicubic": measure(trial.bicubic, trial.truth, METRICS, border=BORDER)}
        ours = trial.bicubic
        for steps in options.steps:
            ours = restore(trial, steps)
            figures[f"{steps} steps"] = measure(ours, trial.truth, METRICS, border=BORDER)
        table[trial.name] = figures
        print(
            trial.name,
            {k: tuple(round(v or 0, 4) for v in row.values()) for k, row in figures.items()},
            flush=True,
        )
        middle = len(trial.truth) // 2
        nearest = np.kron(trial.lq[middle], np.ones((4, 4, 1), np.uint8))
        rows.append(crop_row([nearest, trial.bicubic[middle], ours[middle], trial.truth[middle]]))
    versions = next(iter(table.values()))
    table["mean"] = {
        version: {m: float(np.mean([clip[version][m] for clip in table.values()])) for m in METRICS}
        for version in versions
    }
    print(json.dumps({"torch": torch.__version__, "frames": options.frames, "clips": table}, indent=1))
    if options.sheet:
        height = min(len(row) for row in rows)
        Image.fromarray(np.concatenate([row[:height] for row in rows])).save(options.sheet, quality=90)


if __name__ == "__main__":
    main()
