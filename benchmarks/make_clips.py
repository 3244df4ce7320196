"""Render the bundled clips: `python benchmarks/make_clips.py`.

Each is drawn by the generator that trains the bundled model, with showcase seeds, which training never uses.
The ground truth is H.264 4:4:4 at high quality; the low-quality clip is made from it as written, and stored
lossless.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from quantvsr.media import open_clip, open_writer
from quantvsr.models.compact.degrade import DegradationConfig, degrade
from quantvsr.models.compact.scenes import render_clip

FRAMES, HEIGHT, WIDTH = 24, 256, 384
FRAME_RATE = Fraction(24)
SCALE = 4
CLEAN = DegradationConfig(clean_share=1.0)
# As old phone footage: soft, a little noise, visible blocks.
PHONE = DegradationConfig(
    clean_share=0.0,
    blur_sigma=(1.5, 2.0),
    noise_share=1.0,
    noise_sigma=(0.004, 0.008),
    compression_share=1.0,
    compression_quality=(70.0, 80.0),
)


@dataclass(frozen=True)
class Recipe:
    """One bundled clip."""

    name: str
    seed: int
    degradation: DegradationConfig


RECIPES = (
    Recipe("garden", 7, CLEAN),
    Recipe("market", 10, CLEAN),
    Recipe("phone", 4, PHONE),
    Recipe("signs", 11, CLEAN),
)


def write(path: Path, frames: np.ndarray, codec: str, pixel_format: str | None = None) -> None:
    """Write (T, H, W, 3) frames in 0..1."""
    height, width = frames.shape[1:3]
    with open_writer(
        path,
        width,
        height,
        codec=codec,
        quality=12,
        frame_rate=FRAME_RATE,
        pixel_format=pixel_format,
        overwrite=True,
    ) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, Fraction(index) / FRAME_RATE)


def read(path: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) in 0..1."""
    with open_clip(path) as reader:
        for frame in reader:
            yield frame.rgb


def make(recipe: Recipe, folder: Path) -> None:
    """Render one clip and its low-quality version."""
    truth = folder / f"{recipe.name}_gt.mp4"
    clip = render_clip(recipe.seed, FRAMES, HEIGHT, WIDTH)
    write(truth, clip.permute(0, 2, 3, 1).numpy(), "h264", "yuv444p")
    shown = torch.from_numpy(np.stack(list(read(truth)))).permute(0, 3, 1, 2)[None]
    low = degrade(shown, SCALE, torch.Generator().manual_seed(recipe.seed), recipe.degradation)[0]
    write(folder / f"{recipe.name}_lq.mkv", low.permute(0, 2, 3, 1).numpy(), "ffv1")


def main() -> None:
    """Render all, or those named."""
    parser = argparse.ArgumentParser(description="Render the bundled clips.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "resources" / "clips")
    options = parser.parse_args()
    for recipe in RECIPES:
        if not options.names or recipe.name in options.names:
            make(recipe, options.out)
            print(recipe.name, "done")


if __name__ == "__main__":
    main()
