"""What a finished demo left in its folder: figures and frames. Plain values, no widgets."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Versions of a frame, named as their folders inside frames/: frames/fp/00000.png
KINDS: dict[str, str] = {
    "fp": "Full precision",
    "lowbit": "Low bit, refined",
    "minmax": "Low bit, plain min-max",
    "gt": "Ground truth",
    "lq": "Low-quality input",
}
_FRAME = re.compile(r"^(?P<kind>[a-z]+)/\D*(?P<index>\d+)\.png$")


class NoResults(Exception):
    """The folder holds no finished demo; the message says what is missing."""


@dataclass(frozen=True)
class Row:
    """One line of the table of figures; a text is empty where a figure does not exist."""

    label: str
    meaning: str
    fp: str
    lowbit: str
    minmax: str


@dataclass(frozen=True)
class DemoResults:
    """A finished demo.

    Attributes:
        folder: Where it lies.
        metrics: metrics.json as it is.
        frames: Kind (see KINDS) to its frames in order.
    """

    folder: Path
    metrics: dict[str, Any]
    frames: dict[str, list[Path]] = field(default_factory=dict)

    def kinds(self) -> list[str]:
        """The kinds that have frames, in the order of KINDS."""
        return [kind for kind in KINDS if self.frames.get(kind)]

    def length(self) -> int:
        """Number of frames that every kind has."""
        return min((len(self.frames[kind]) for kind in self.kinds()), default=0)

    def figure(self, key: str) -> float | None:
        """A figure of metrics.json, if it is there and a number."""
        value = self.metrics.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return float(value)

    def rows(self) -> list[Row]:
        """The figures as a table, without lines that hold nothing."""

        def texts(pattern: str, form: str, unit: str = "") -> list[str]:
            values = [self.figure(pattern.format(name)) for name in ("fp", "lowbit", "minmax")]
            return ["" if value is None else format(value, form) + unit for value in values]

        rows = [
            Row("PSNR to ground truth", "Higher is better", *texts("psnr_gt_{}", ".2f", " dB")),
            Row("SSIM to ground truth", "Higher is better; 1 is equal", *texts("ssim_gt_{}", ".4f")),
            Row("PSNR to full precision", "Higher is better", *texts("psnr_fp_{}", ".2f", " dB")),
            Row("Warping error", "Lower is steadier in time", *texts("warp_error_{}", ".3g")),
            Row("Size of quantized layers", "Everything that is stored", *self._sizes()),
        ]
        return [row for row in rows if row.fp or row.lowbit or row.minmax]

    def _sizes(self) -> tuple[str, str, str]:
        full, low = self.figure("bytes_fp32"), self.figure("bytes_lowbit")
        saved = f" ({1 - low / full:.1%} less)" if full and low is not None else ""
        return (_megabytes(full), _megabytes(low) + saved if low is not None else "", "")


def _megabytes(size: float | None) -> str:
    return "" if size is None else f"{size / 1e6:.2f} MB"


def load(folder: Path) -> DemoResults:
    """Read a finished demo.

    Raises:
        NoResults: The folder, its metrics.json or its frames are not there or not readable.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoResults("The demo has not run yet.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NoResults(f"{path} cannot be read ({error}); run the demo again.") from error
    if not isinstance(metrics, dict):
        raise NoResults(f"{path} does not hold figures; run the demo again.")
    results = DemoResults(folder, metrics, _frames(folder / "frames"))
    if not results.length():
        raise NoResults(f"{folder / 'frames'} holds no frames; run the demo again.")
    return results


def _frames(folder: Path) -> dict[str, list[Path]]:
    numbered: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*/*.png"):
        match = _FRAME.match(path.relative_to(folder).as_posix())
        if match and match["kind"] in KINDS:
            numbered.setdefault(match["kind"], []).append((int(match["index"]), path))
    return {kind: [path for _, path in sorted(found)] for kind, found in numbered.items()}
