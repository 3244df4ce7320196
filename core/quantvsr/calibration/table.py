"""The table of complexity statistics: one spatial and one temporal value per layer and sample. NumPy only."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path

_VERSION = 1
_FLAT = ("spatial", "temporal", "sample", "scale", "low", "high")


@dataclass(frozen=True)
class ComplexityTable:
    """Complexity of every observed layer, samples of one layer after those of another.

    Layers may have different numbers of samples (a layer that is called twice in one pass has two values
    there).

    Attributes:
        names: Observed layers, in network order.
        offsets: (L + 1,) int64; the values of layer i are `spatial[offsets[i]:offsets[i + 1]]`.
        spatial: Spatial complexity, float32, flat.
        temporal: Temporal complexity, float32, flat.
        sample: Number of the calibration sample each value comes from, int32, flat.
        scale: Root mean square of the layer's input for each value, float32, flat; NaN where not measured.
        low: Minimum of the layer's input for each value, float32, flat; NaN where not measured.
        high: Maximum of the layer's input for each value, float32, flat; NaN where not measured.
        times: Timestep of each calibration sample (the model's own unit), float64; NaN where unknown.
        errors: (L, R + 1), float32: expected error of the denoiser's output by rank 0..R, up to a common
            factor (see `sensitivity`); NaN where a layer was not measured, (L, 0) where none was.
    """

    names: tuple[str, ...]
    offsets: NDArray[np.int64]
    spatial: NDArray[np.float32]
    temporal: NDArray[np.float32]
    sample: NDArray[np.int32]
    scale: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    times: NDArray[np.float64]
    errors: NDArray[np.float32]

    def __post_init__(self) -> None:
        flat = {len(getattr(self, part)) for part in _FLAT}
        if len(self.offsets) != len(self.names) + 1 or flat != {int(self.offsets[-1])}:
            raise ValueError("the parts of a complexity table do not have matching lengths")
        if self.errors.ndim != 2 or len(self.errors) != len(self.names):
            raise ValueError("the errors of a complexity table do not belong to its layers")
        if len(set(self.names)) != len(self.names):
            raise ValueError("a layer appears twice in a complexity table")

    @classmethod
    def from_layers(
        cls,
        layers: Mapping[str, tuple[ArrayLike, ArrayLike]],
        *,
        samples: Mapping[str, ArrayLike] | None = None,
        scales: Mapping[str, ArrayLike] | None = None,
        bounds: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        times: ArrayLike | None = None,
        errors: Mapping[str, ArrayLike] | None = None,
    ) -> "ComplexityTable":
        """Build a table from `layer -> (spatial values, temporal values)`.

        Args:
            layers: One value per sample for each of the two statistics, in network order of the layers.
            samples: Sample number of each value; counted from 0 within a layer if left out.
            scales: Activation scale of each value.
            bounds: Minima and maxima of each value's input.
            times: Timestep of each sample.
            errors: Expected error by rank of each layer that was measured, all of one length.
        """
        spatial = [np.asarray(a, np.float32).reshape(-1) for a, _ in layers.values()]
        temporal = [np.asarray(b, np.float32).reshape(-1) for _, b in layers.values()]
        if any(len(a) != len(b) for a, b in zip(spatial, temporal, strict=True)):
            raise ValueError("spatial and temporal values of a layer differ in number")
        counts = np.array([len(a) for a in spatial], np.int64)
        numbers = [
            np.asarray(samples[name], np.int32) if samples is not None else np.arange(count, dtype=np.int32)
            for name, count in zip(layers, counts, strict=True)
        ]
        blank = {name: np.full(count, np.nan) for name, count in zip(layers, counts, strict=True)}
        sizes = [np.asarray((scales or blank)[name]) for name in layers]
        edges = bounds or {name: (values, values) for name, values in blank.items()}
        total = max((int(part.max()) + 1 for part in numbers if len(part)), default=0)
        return cls(
            names=tuple(layers),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            spatial=_join(spatial, np.float32),
            temporal=_join(temporal, np.float32),
            sample=_join(numbers, np.int32),
            scale=_join(sizes, np.float32),
            low=_join([np.asarray(edges[name][0]) for name in layers], np.float32),
            high=_join([np.asarray(edges[name][1]) for name in layers], np.float32),
            times=np.full(total, np.nan) if times is None else np.asarray(times, np.float64),
            errors=_rows(tuple(layers), errors or {}),
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of values of each layer."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> NDArray[np.int64]:
        """Layer number of each flat value."""
        return np.repeat(np.arange(len(self.names)), self.counts)

    def layer(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Spatial and temporal values of one layer (KeyError where it was not observed)."""
        if name not in self.names:
            raise KeyError(name)
        i = self.names.index(name)
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return self.spatial[part], self.temporal[part]

    def means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean spatial and temporal complexity per layer, (L,) each; NaN values are left out."""
        return self._mean(self.spatial), self._mean(self.temporal)

    def _mean(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        good = np.isfinite(values)
        owner, size = self.owner[good], len(self.names)
        count = np.bincount(owner, minlength=size)
        total = np.bincount(owner, weights=values[good].astype(np.float64), minlength=size)
        return np.divide(total, count, out=np.full(size, np.nan), where=count > 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `complexity.npz`, whole or not at all."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                version=np.int64(_VERSION),
                names=np.array(self.names, dtype=np.str_),
                offsets=self.offsets,
                **{part: getattr(self, part) for part in _FLAT},
                times=self.times,
                errors=self.errors,
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ComplexityTable":
        """Read a table written by `save`.

        Raises:
            BadInput: The file is missing, damaged or from a newer version of the program.
        """
        file = Path(path)
        try:
            # From memory: NumPy leaves a damaged file open.
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as data:
                version = int(data["version"])
                parts = {key: data[key] for key in data.files}
            if version == _VERSION:
                names = tuple(str(name) for name in parts.pop("names"))
                parts.pop("version")
                return cls(names=names, **parts)
        except FileNotFoundError as error:
            raise BadInput(f"{file} does not exist; run the analysis first.") from error
        except Exception as error:
            text = f"{file} is not a readable complexity table ({error}); run the analysis again."
            raise BadInput(text) from error
        raise BadInput(f"{file} has version {version}, not {_VERSION}; run the analysis again.")


def _rows(names: tuple[str, ...], errors: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
    width = max((np.size(row) for row in errors.values()), default=0)
    rows = np.full((len(names), width), np.nan, np.float32)
    for i, name in enumerate(names):
        if name in errors:
            rows[i] = np.asarray(errors[name], np.float32)
    return rows


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)
