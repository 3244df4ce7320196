"""The tables of docs/results.md: `python benchmarks/results.py` (or `make results`).

Takes the bundled clips and, with the folder that QUANTVSR_MEDIA names, six clips of high quality and four of
low quality from there. Everything is kept in --out: stopped at any moment, the same command goes on. With
--workers several models are made at once (for a GPU, whose cores one small model does not fill).

    python benchmarks/results.py --device cuda --workers 10
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from results_tables import write_document

from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.jobs import SweepJob
from quantvsr.jobs.options import Bits
from quantvsr.jobs.work.clips import bundled_clips
from quantvsr.media import open_clip, open_writer
from quantvsr.methods import get_method, methods
from quantvsr.methods.quantvsr import improvements

ROOT = Path(__file__).resolve().parent.parent
FRAMES, LONGEST, TILE = 12, 128, 128
BITS = (Bits(6, 6), Bits(4, 4))


@dataclass(frozen=True)
class Media:
    """A clip of the media folder.

    Attributes:
        file: Its name.
        truth: Whether it is of high quality: a ground truth.
        halved: Halved with an area filter, which drops the coder's finest noise.
    """

    file: str
    truth: bool = False
    halved: bool = False


MEDIA = (
    Media("vid4_calendar.mkv", True),
    Media("vid4_walk.mkv", True),
    Media("juggle_720p.mp4", True, True),
    Media("crosswalk_480p.mp4", True),
    Media("bbb_720p.mp4", True, True),
    Media("tree_1080p.mp4", True, True),
    Media("hk_tram_lq"),
    Media("building_lq.mp4"),
    Media("stream_lq.mp4"),
    Media("oldfilm_friday_lq.mp4"),
)


def ablation() -> tuple[str, ...]:
    """QuantVSR with each of its parts left out, and with each improvement taken back."""
    branches = ("+no-branch", "+rank-32", "")
    parts = [f"quantvsr{b}{r}{a}" for b in branches for r in ("+no-refine", "") for a in ("+no-bias", "")]
    others = ["even-rank", "no-rotation", "published-ranks", "published-training"]
    others += [f"published-{name.replace('_', '-')}" for name in improvements()]
    return (*parts, *(f"quantvsr+{name}" for name in others))


def prepare(folder: Path, media: Path | None) -> tuple[list[Path], list[Path], list[Path]]:
    """Write the clips as pictures, those that are not there yet.

    Returns:
        Clips of low quality (those with NAME_gt beside NAME_lq have a ground truth), clips that are a ground
        truth themselves, and the clips to learn from.
    """
    low: list[Path] = []
    for clip in bundled_clips():
        low.append(_write(folder / f"{clip.name}_lq", clip.lq, frames=None))
        _write(folder / f"{clip.name}_gt", clip.gt, frames=None)
    learn, high = list(low), []
    if media is None:
        print("QUANTVSR_MEDIA names no folder: only the bundled clips are used.", flush=True)
    else:
        for each in MEDIA:
            name = Path(each.file).stem
            # Without its ending `_lq`, which would promise a ground truth.
            target = folder / name.removesuffix("_lq")
            side = LONGEST * 4 if each.truth else LONGEST
            _write(target, media / each.file, halved=each.halved, side=side)
            (high if each.truth else low).append(target)
    return low, high, learn


def _write(
    target: Path, source: Path, *, frames: int | None = FRAMES, halved: bool = False, side: int | None = None
) -> Path:
    if target.is_dir():
        return target
    with open_clip(source, stop=frames) as reader:
        pictures = [_cut(_halved(frame.rgb) if halved else frame.rgb, side) for frame in reader]
    height, width = pictures[0].shape[:2]
    with open_writer(target, width, height, codec="png", overwrite=True) as writer:
        for picture in pictures:
            writer.write(picture)
    return target


def _halved(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)


def _cut(picture: NDArray[np.float32], side: int | None) -> NDArray[np.float32]:
    """The middle, at most `side` wide and high."""
    if side is None:
        return picture
    height, width = (min(side, have) for have in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


class Sweeps:
    """Sweeps over the same clips in one folder.

    Args:
        options: The command line.
        preset: Calibration budget.
        clips: What `prepare` gave.
    """

    def __init__(
        self, options: argparse.Namespace, preset: str, clips: tuple[list[Path], list[Path], list[Path]]
    ) -> None:
        self.preset = preset
        self.options, self.out = options, options.out / "sweep"
        self.low, self.high, self.learn = (tuple(str(path) for path in group) for group in clips)
        self._devices = itertools.cycle(options.device.split(","))

    def run(self, names: Sequence[str], bits: Sequence[Bits], target: Path) -> None:
        """Run a sweep and keep its results.json under another name."""
        if self.options.workers > 1:
            # What all models share comes first: clips one by one, then the calibration samples.
            alone = [{"clips": (clip,), "gt_clips": ()} for clip in self.low]
            alone += [{"clips": (), "gt_clips": (clip,)} for clip in self.high]
            self._together([{"methods": ("maxmin",), "bits": bits[:1], **clip} for clip in alone])
            self._sweep(methods=("quarot",), bits=bits[:1], **alone[0])
            self._together(self._shares(names, bits))
        self._sweep(methods=names, bits=bits)
        shutil.copyfile(self.out / "results.json", target)

    def _shares(self, names: Sequence[str], bits: Sequence[Bits]) -> list[dict[str, Any]]:
        """What each process does: methods that train one by one and first, the others a few at a time."""
        training = [name for name in names if _trains(name)]
        others = [name for name in names if name not in training]
        groups = [(name,) for name in training]
        groups += [tuple(others[i : i + 3]) for i in range(0, len(others), 3)]
        return [{"methods": group, "bits": (each,)} for group in groups for each in reversed(bits)]

    def _together(self, changes: Sequence[dict[str, Any]]) -> None:
        with ThreadPoolExecutor(self.options.workers) as pool:
            list(pool.map(lambda each: self._sweep(**each), changes))

    def _sweep(self, **changes: Any) -> None:
        settings = {"clips": self.low, "gt_clips": self.high, **changes}
        job = SweepJob(
            learn=self.learn,
            preset=self.preset,
            frames=FRAMES,
            tile=TILE,
            device=next(self._devices),
            out=str(self.out),
            **settings,
        )
        quiet = ["--quiet"] if self.options.workers > 1 else []
        began = time.monotonic()
        command = [sys.executable, "-m", "quantvsr", job.name, *job.arguments(), *quiet]
        code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL if quiet else None).returncode
        label = " ".join([*job.methods[:3], *map(str, job.bits), f"{len(job.clips + job.gt_clips)} clips"])
        print(f"{label}: code {code} after {time.monotonic() - began:.0f} s", flush=True)


def _trains(name: str) -> bool:
    recipe = get_method(name).recipe
    training = recipe.training(RefineConfig())
    return recipe.rounding is not None or training.updates + training.bias_updates > 0


def main() -> None:
    """Run everything and write the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    media = os.environ.get("QUANTVSR_MEDIA")
    parser.add_argument("--media", type=Path, default=Path(media) if media else None)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tables")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--ablation-preset", default="quick")
    parser.add_argument("--device", default="auto", help="one device, or several with commas between")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=("clips", "main", "ablation", "tables"), default=None)
    options = parser.parse_args()
    results = {"main": options.out / "main.json", "ablation": options.out / "ablation.json"}
    if options.only != "tables":
        clips = prepare(options.out / "clips", options.media)
        if options.only in (None, "main"):
            Sweeps(options, options.preset, clips).run(tuple(methods()), BITS, results["main"])
        if options.only in (None, "ablation"):
            sweeps = Sweeps(options, options.ablation_preset, clips)
            sweeps.run(ablation(), (Bits(4, 4),), results["ablation"])
    if options.only != "clips":
        found = {name: json.loads(path.read_text()) for name, path in results.items() if path.is_file()}
        write_document(ROOT / "docs" / "results.md", found)


if __name__ == "__main__":
    main()
