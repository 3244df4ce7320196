"""The tables of docs/results.md: `python benchmarks/results.py` (or `make results`).

Takes the bundled clips and, with the folder that QUANTVSR_MEDIA names, six clips of high quality and four of
low quality from there. Everything is kept in --out: stopped at any moment, the same command goes on. With
--workers several models are made at once (for a GPU, whose cores one small model does not fill).

    python benchmarks/results.py --device cuda:0,cuda:1 --workers 28
"""

import argparse
import contextlib
import itertools
import json
import os
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

from quantvsr import console
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.jobs import SweepJob, run
from quantvsr.jobs.options import Bits
from quantvsr.jobs.work.clips import bundled_clips
from quantvsr.media import open_clip, open_writer
from quantvsr.methods import get_method, methods
from quantvsr.methods.quantvsr import improvements

ROOT = Path(__file__).resolve().parent.parent
FRAMES, LONGEST, TILE = 12, 128, 128
BITS = (Bits(6, 6), Bits(4, 4))
ABLATION_CLIPS = (
    "vid4_calendar", "vid4_walk", "juggle_720p", "crosswalk_480p", "building", "stream",
)  # fmt: skip


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


@dataclass(frozen=True)
class Plan:
    """A table: methods, bits and budget, and the clips.

    Attributes:
        name: Of its file.
        methods: Names of methods.
        bits: All that each method is run with.
        preset: Calibration budget.
        low: Clips of low quality.
        high: Clips that are a ground truth.
        learn: Clips that calibration learns from.
    """

    name: str
    methods: tuple[str, ...]
    bits: tuple[Bits, ...]
    preset: str
    low: tuple[str, ...]
    high: tuple[str, ...]
    learn: tuple[str, ...]

    def job(self, out: Path, device: str, **changes: Any) -> SweepJob:
        """The sweep, or with `changes` a part of it."""
        settings = {"clips": self.low, "gt_clips": self.high, "methods": self.methods, "bits": self.bits}
        return SweepJob(
            learn=self.learn,
            preset=self.preset,
            frames=FRAMES,
            tile=TILE,
            device=device,
            out=str(out),
            **{**settings, **changes},
        )

    def shares(self) -> list[dict[str, Any]]:
        """What each process does: methods that train one by one, the others a few at a time."""
        training = [name for name in self.methods if _trains(name)]
        others = [name for name in self.methods if name not in training]
        groups = [(name,) for name in training]
        groups += [tuple(others[i : i + 3]) for i in range(0, len(others), 3)]
        return [{"methods": group, "bits": (each,)} for group in groups for each in reversed(self.bits)]


def _trains(name: str) -> bool:
    recipe = get_method(name).recipe
    training = recipe.training(RefineConfig())
    return recipe.rounding is not None or training.updates + training.bias_updates > 0


class Workers:
    """Processes that each run a part of a sweep; all of them share one folder.

    Args:
        out: The sweep's folder.
        devices: Used in turn.
        count: How many processes at once.
        end: When no process may run any more, on the clock of `time.monotonic`; None for never.
    """

    def __init__(self, out: Path, devices: Sequence[str], count: int, end: float | None) -> None:
        self.out, self.count, self.end = out, count, end
        self._devices = itertools.cycle(devices)
        self.finished: set[tuple[str, str, Bits]] = set()

    def run(self, parts: Sequence[tuple[Plan, dict[str, Any]]]) -> None:
        """Run parts of plans, the first ones first, and note which methods of which plan are finished."""
        with ThreadPoolExecutor(self.count) as pool:
            list(pool.map(lambda part: self._run(*part), parts))

    def _run(self, plan: Plan, changes: dict[str, Any]) -> None:
        job = plan.job(self.out, next(self._devices), **changes)
        left = None if self.end is None else self.end - time.monotonic()
        if left is not None and left <= 0:
            return
        began = time.monotonic()
        command = [sys.executable, "-m", "quantvsr", job.name, *job.arguments(), "--quiet"]
        try:
            done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=left)
            code: int | str = done.returncode
        except subprocess.TimeoutExpired:
            code = "out of time"
        if code == 0:
            self.finished |= {(plan.name, name, bits) for name in job.methods for bits in job.bits}
        words = (plan.name, *job.methods, *map(str, job.bits), f"{len(job.clips + job.gt_clips)} clips")
        print(f"{' '.join(words)}: {code}, {time.monotonic() - began:.0f} s", flush=True)


def run_together(plans: Sequence[Plan], workers: Workers) -> None:
    """Run all plans in several processes: first what all models share, then the models."""
    first = plans[0]
    clips: list[dict[str, Any]] = [{"clips": (clip,), "gt_clips": ()} for clip in first.low]
    clips += [{"clips": (), "gt_clips": (clip,)} for clip in first.high]
    parts: list[tuple[Plan, dict[str, Any]]] = [
        (first, {"methods": ("maxmin",), "bits": first.bits[-1:], **clip}) for clip in clips
    ]
    # The first clips' processes also record the calibration samples, once for each budget.
    budgets = {plan.preset: plan for plan in reversed(plans)}
    for number, plan in enumerate(budgets.values()):
        parts[number] = (plan, {**parts[number][1], "methods": ("quarot",)})
    workers.run(parts)
    workers.finished.clear()
    shares = [(plan, share) for plan in plans for share in plan.shares()]
    workers.run(sorted(shares, key=lambda part: not _trains(part[1]["methods"][0])))


def gather(plan: Plan, out: Path, device: str, finished: set[tuple[str, str, Bits]] | None) -> dict[str, Any]:
    """Run what is missing of a plan and give its results; with `finished` only what is named there."""
    found: dict[str, Any] = {}
    for bits in plan.bits:
        names = tuple(n for n in plan.methods if finished is None or (plan.name, n, bits) in finished)
        if not names:
            continue
        progress = console.choose(quiet=finished is not None)
        with progress if isinstance(progress, console.Bar) else contextlib.nullcontext():
            run(plan.job(out, device, methods=names, bits=(bits,)), progress)
        content = json.loads((out / "results.json").read_text())
        if found:
            content["entries"] = found["entries"] + content["entries"][1:]
            content["methods"] = found["methods"] | content["methods"]
        found = content
    whole = plan.job(out, device)
    return {**found, "command": whole.command(), "settings_hash": whole.settings_hash()} if found else {}


def main() -> None:
    """Run everything and write the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    media = os.environ.get("QUANTVSR_MEDIA")
    parser.add_argument("--media", type=Path, default=Path(media) if media else None)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tables")
    parser.add_argument("--preset", default="medium", help="calibration budget")
    parser.add_argument("--ablation-preset", default="medium")
    parser.add_argument("--device", default="auto", help="one device, or several with commas between")
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--seconds", type=float, help="with several workers: stop and gather after so long")
    parser.add_argument("--only", nargs="+", choices=("clips", "main", "ablation", "tables"))
    options = parser.parse_args()
    began, wanted = time.monotonic(), options.only or ("clips", "main", "ablation", "tables")
    low, high, learn = (tuple(map(str, group)) for group in prepare(options.out / "clips", options.media))
    every = {
        "main": Plan("main", tuple(methods()), BITS, options.preset, low, high, learn),
        "ablation": Plan(
            "ablation",
            ablation(),
            (Bits(4, 4),),
            options.ablation_preset,
            tuple(clip for clip in low if Path(clip).name in ABLATION_CLIPS) or low,
            tuple(clip for clip in high if Path(clip).name in ABLATION_CLIPS),
            learn,
        ),
    }
    plans = [plan for name, plan in every.items() if name in wanted]
    out, devices, finished = options.out / "sweep", options.device.split(","), None
    if plans and options.workers > 1:
        end = None if options.seconds is None else began + options.seconds
        workers = Workers(out, devices, options.workers, end)
        run_together(plans, workers)
        finished = workers.finished
    for plan in plans:
        content = gather(plan, out, devices[0], finished)
        if content:
            (options.out / f"{plan.name}.json").write_text(json.dumps(content, indent=1))
    if "tables" in wanted:
        files = {name: options.out / f"{name}.json" for name in every}
        found = {name: json.loads(path.read_text()) for name, path in files.items() if path.is_file()}
        write_document(ROOT / "docs" / "results.md", found)


if __name__ == "__main__":
    main()
