"""The passes around an integer product in few sweeps, compiled by numba (see `kernels`)."""

import ctypes
import functools
import hashlib
import importlib
import importlib.util
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantvsr.files import cache_folder
from quantvsr.runtime import kernels, teams
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.norms import EPSILON, NormSilu
from quantvsr.runtime.passes import Coded

_SHARE = 2**14
"""Values that a thread should have at least."""

_KINDS = {torch.bfloat16: "bfloat16", torch.float32: "float32"}
_ARGUMENTS = 24
_OPENMP = {
    "quantvsr_thread_num": "omp_get_thread_num",
    "quantvsr_num_threads": "omp_get_num_threads",
}
"""Our names for two functions of OpenMP, which the compiler is told."""


_faults: list[str] = []
"""What went wrong when a kernel was compiled; then none is any more in this process."""


def missing() -> str | None:
    """Why kernels cannot be compiled here; None when numba is installed, and compiled all it was given."""
    if _faults:
        return _faults[0]
    return None if importlib.util.find_spec("numba") else "numba is not installed"


@functools.cache
def _address(name: str) -> int:
    """Address of a kernel, compiled at the first call of all; it stays in a cache on the disk."""
    try:
        return _compiled(name)
    except (ImportError, OSError, RuntimeError) as error:
        _faults.append(f"numba does not compile here: {error}")
        raise RuntimeError(_faults[0]) from error


def _compiled(name: str) -> int:
    with warnings.catch_warnings():
        # numba's remarks about its own internals.
        warnings.simplefilter("ignore")
        import llvmlite.binding as llvm
        from numba.core.errors import NumbaError

        from quantvsr.runtime.kernels import basis

        digest = _sources()
        if digest is not None:
            # A folder for each state of the sources: numba looks at a kernel's own file only.
            basis.keep_in(str(cache_folder() / "kernels" / digest))
        try:
            library = teams.openmp()
            if name == "shared" and library is not None:
                for ours, theirs in _OPENMP.items():
                    found = ctypes.cast(getattr(library, theirs), ctypes.c_void_p).value
                    llvm.add_symbol(ours, found)
            function = getattr(importlib.import_module(f"{kernels.__name__}.{_module(name)}"), name)
            return basis.compiled(function)
        except NumbaError as error:
            raise RuntimeError(str(error)) from error


def _module(kernel: str) -> str:
    return "basis" if kernel == "shared" else "norm" if kernel.startswith("norm") else "codes"


def _sources() -> str | None:
    """A short name for the state of the kernels' sources; None where there are no files (a packed app)."""
    try:
        found = sorted(Path(kernels.__file__).parent.glob("*.py"))
        return (
            hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()[:12] if found else None
        )
    except OSError:
        return None


def _run(kernel: str, first: Sequence[int], rest: Sequence[int | Tensor], pieces: int) -> None:
    """Run a kernel with whole numbers and addresses of tensors."""
    given = np.zeros(_ARGUMENTS, np.int64)
    given[2 : 2 + len(first)] = first
    tail = [each.data_ptr() if isinstance(each, Tensor) else each for each in rest]
    given[2 + len(first) : 2 + len(first) + len(tail)] = tail
    shared = None if teams.openmp() is None else _address("shared")
    teams.run(_address(kernel), shared, given, pieces)


def pieces_for(size: int) -> int:
    """Into how many pieces the work on `size` values is divided."""
    return max(1, min(torch.get_num_threads(), size // _SHARE))


class CompiledNormSilu(NormSilu):
    """The same in one sweep, rounded once; without derivatives."""

    @torch.no_grad()
    def forward(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, frames: int | None = None
    ) -> Tensor:
        """See `NormSilu`; float32 or bfloat16."""
        x, channels = x.contiguous(), x.shape[-1]
        weight = torch.ones(channels) if weight is None else weight.float().contiguous()
        bias = torch.zeros(channels) if bias is None else bias.float().contiguous()
        # Without entries no frames either: one stands for none.
        each = frames or len(x) or 1
        shape = x.shape if frames is None else (len(x) // frames, frames + 2, *x.shape[1:])
        found, pieces = torch.empty(shape, dtype=x.dtype), pieces_for(x.numel())
        _run(
            f"norm_silu_{_KINDS[x.dtype]}",
            (len(x) // each, each, math.prod(x.shape[1:-1]), channels, frames is not None),
            (x, weight, bias, torch.tensor([EPSILON]), found, torch.empty(pieces, channels)),
            pieces,
        )
        return found


class CompiledPasses:
    """Passes in compiled kernels; `values` are of the carrier, before factors and offsets of the channels."""

    def __init__(self, encoder: Encoder, carrier: torch.dtype) -> None:
        self.encoder, self.carrier = encoder, carrier
        channels = sum(encoder.parts)
        after = torch.ones(channels) if encoder.after is None else encoder.after
        offset = torch.zeros(channels) if encoder.offset is None else encoder.offset
        # One row for each; a part is a run of channels.
        self._sides = torch.stack([after, offset, encoder.border])
        low, floor = encoder.low, encoder.floor != "absolute"
        valid = encoder.symmetric or encoder.holds_zero
        # Only a product that is rounded gains by it.
        self.middle = encoder.top if valid and 2 * encoder.top <= 255 and carrier != torch.float32 else 0
        flags = [low, low + encoder.top, encoder.symmetric, encoder.holds_zero, floor, self.middle > 0, 0]
        self._flags = {padded: torch.tensor([padded, *flags]) for padded in (False, True)}
        self._starts = [sum(encoder.parts[:p]) for p in range(len(encoder.parts))]
        limits = []
        for p in range(len(encoder.parts)):
            clip = [1.0, 1.0] if encoder.clip is None else encoder.clip[p].tolist()
            border = encoder.border_of(p)
            limits.append([*clip, float(border.amin()), float(border.amax())])
        self._limits = torch.tensor(limits)

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """See `Passes`; of the carrier."""
        return self.encoder.raw(rows, features).view(rows.shape)

    def frames(
        self, values: Tensor, part: int, borders: Sequence[int], *, padded: bool, together: bool = False
    ) -> Coded:
        """See `Passes`."""
        images, kind, size = len(values), _KINDS[values.dtype], values.numel()
        groups, channels, width = 1 if together else images, self.encoder.parts[part], values.shape[-1]
        begin, after, offset, border, limits = self._addresses(values, part)
        pieces = pieces_for(size)
        if self.encoder.static is None:
            ranges, scratch = torch.empty(pieces, groups, 2), torch.empty(pieces, 3, channels)
            _run(
                f"ranges_{kind}",
                (groups, size // width // groups, channels, width, begin, after, offset),
                (ranges, scratch),
                pieces,
            )
        else:
            ranges = self.encoder.static[part].expand(1, groups, 2).contiguous()
        inside = (1,) * (5 - values.ndim) + tuple(values.shape[1:-1])
        around = (0,) * (5 - values.ndim) + tuple(borders)
        shape = [n + 2 * b for n, b in zip(values.shape[1:-1], borders, strict=True)]
        codes, steps = torch.empty((images, *shape, channels), dtype=torch.uint8), torch.empty(2, groups, 1)
        line = torch.empty(pieces, channels, dtype=torch.uint8)
        _run(
            f"frames_{kind}",
            (images, groups, *inside, *around, channels, width, begin, after, offset, border, limits),
            (self._flags[padded], ranges, len(ranges), codes, steps, line),
            pieces,
        )
        return self._checked(codes, steps)

    def columns(self, values: Tensor, part: int, border: int, *, padded: bool) -> Coded:
        """See `Passes`."""
        batch, long, wide, width = values.shape
        channels = self.encoder.parts[part]
        begin, after, offset, zeros, limits = self._addresses(values, part)
        pieces = pieces_for(values.numel())
        codes = torch.empty(batch, long + 2 * border, wide, channels, dtype=torch.uint8)
        steps, scratch = torch.empty(2, batch, wide), torch.empty(pieces, long, channels)
        _run(
            f"columns_{_KINDS[values.dtype]}",
            (batch, long, wide, border, channels, width, begin, after, offset, zeros, limits),
            (self._flags[padded], codes, steps, scratch),
            pieces,
        )
        return self._checked(codes, steps)

    def combine(
        self,
        product: Tensor,
        steps: Tensor,
        sums: Tensor,
        bias: Tensor,
        more: Tensor | None,
        kind: torch.dtype,
    ) -> Tensor:
        """See `Passes`."""
        product = product.contiguous()
        found = torch.empty(product.shape, dtype=kind) if more is None else more.contiguous()
        _run(
            f"combine_{_KINDS[product.dtype]}_{_KINDS[kind]}",
            (*product.shape, more is not None),
            (product, steps, sums, bias, found),
            pieces_for(product.numel()),
        )
        return found

    def _addresses(self, values: Tensor, part: int) -> tuple[int, int, int, int, int]:
        """Of a part's values, factors, offsets, border and limits."""
        start, row = self._starts[part], 4 * self._sides.shape[1]
        sides = self._sides.data_ptr() + 4 * start
        begin = values.data_ptr() + start * values.element_size()
        return begin, sides, sides + row, sides + 2 * row, self._limits[part].data_ptr()

    def _checked(self, codes: Tensor, steps: Tensor) -> Coded:
        if self.encoder.check_finite and not np.isfinite(steps.numpy()).all():
            raise self.encoder.not_finite()
        return Coded(codes, steps)
