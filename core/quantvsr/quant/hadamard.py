"""Orthogonal rotations that spread outliers over channels, applied by small dense factors.

Specification, section 3. A rotation is `R = diag(signs) * M / sqrt(n)` with a fixed, flat matrix M; only the
signs (one bit per channel) are state. M is never built at full size: it is a Kronecker product or a block
diagonal of small matrices, and one or two small matrix products do the work.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from quantvsr.errors import BadModel

MAX_FACTOR = 128
"""Up to this size one dense product is faster than two smaller ones."""


_FEW_POSITIONS = 32
"""Below this many positions per channel (weights) one product over transposed rows beats many small ones."""


@functools.cache
def _sylvester(size: int) -> np.ndarray:
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


@functools.cache
def _paley(order: int) -> np.ndarray:
    """Paley construction I of order q + 1, q prime and 3 modulo 4 (section 3.1)."""
    q = order - 1
    squares = {i * i % q for i in range(1, q)}
    chi = np.array([0] + [1 if i in squares else -1 for i in range(1, q)])
    a, b = np.indices((q, q))
    matrix = np.ones((order, order))
    matrix[0, 1:] = -1
    matrix[1:, 1:] = np.where(a == b, 1, chi[(a - b) % q])
    return matrix


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _split_power_of_two(n: int) -> tuple[int, int]:
    """The odd factor and the power of two of n."""
    power = n & -n
    return n // power, power


def _reference_core(size: int) -> int | None:
    """Size of the Paley factor (60, 20), 1 for powers of two, None where the reference rotates nothing."""
    for core in (60, 20, 1):
        rest, remainder = divmod(size, core)
        if remainder == 0 and rest & (rest - 1) == 0:
            return core
    return None


@functools.cache
def _flat_orthogonal(size: int) -> np.ndarray:
    """A matrix with orthogonal rows of length sqrt(size) and entries near 1 in magnitude, for every size.

    Hadamard (Sylvester, Paley) where one is known here, else the discrete Hartley matrix, whose largest entry
    is sqrt(2).
    """
    odd, power = _split_power_of_two(size)
    if odd == 1:
        return _sylvester(size)
    for extra in (4, 8, 16, 32, 64):
        order = odd * extra
        if extra <= power and order % 4 == 0 and _is_prime(order - 1):
            return np.kron(_paley(order).T, _sylvester(power // extra))
    turns = 2 * np.pi * (np.outer(np.arange(size), np.arange(size)) % size) / size
    return np.cos(turns) + np.sin(turns)


def _is_hadamard(size: int) -> bool:
    return bool(np.all(np.abs(np.abs(_flat_orthogonal(size)) - 1) < 1e-9))


@dataclass(frozen=True)
class _Segment:
    """Channels start..start+outer*count*inner: `(outer matrix or `count` copies) (x) inner matrix`.

    With `outer` the matrix is `kron(outer, inner)` (count 1, outer of size len(outer)); without it the block
    diagonal of `count` copies of `inner`.
    """

    start: int
    outer: np.ndarray | None
    count: int
    inner: np.ndarray

    @property
    def blocks(self) -> int:
        return self.count if self.outer is None else len(self.outer)

    @property
    def size(self) -> int:
        return self.blocks * len(self.inner)


@functools.lru_cache(maxsize=256)
def _segments(kind: str, size: int, block: int) -> tuple[_Segment, ...]:
    """The normalised matrix M / sqrt(n) as segments; empty for the identity."""
    return _PLANS[kind](size, block)


def _plan_none(size: int, block: int) -> tuple[_Segment, ...]:
    return ()


def _plan_reference(size: int, block: int) -> tuple[_Segment, ...]:
    core = _reference_core(size)
    if core is None:
        return ()
    power = size // core
    matrix = _paley(core).T if core > 1 else np.ones((1, 1))
    if size <= MAX_FACTOR:
        return (_Segment(0, None, 1, np.kron(matrix, _sylvester(power)) / math.sqrt(size)),)
    # S(a b) = S(a) (x) S(b): shift powers of two to the outer factor until both factors are small.
    inner = min(power, 64)
    outer = np.kron(matrix, _sylvester(power // inner))
    return (_Segment(0, outer / math.sqrt(len(outer)), 1, _sylvester(inner) / math.sqrt(inner)),)


def _plan_block(size: int, block: int) -> tuple[_Segment, ...]:
    if size < 2:
        return ()
    fewest = -(-size // block)
    for count in range(fewest, 2 * fewest + 1):
        if size % count == 0 and size // count > 1 and _is_hadamard(size // count):
            return (_blocks(0, count, size // count),)
    # No equal Hadamard blocks: blocks of nearly equal size, so that no channel is left out.
    small, larger = divmod(size, fewest)
    first = [_blocks(0, larger, small + 1)] if larger else []
    start = larger * (small + 1)
    return (*first, *([_blocks(start, fewest - larger, small)] if fewest > larger else []))


def _blocks(start: int, count: int, size: int) -> _Segment:
    return _Segment(start, None, count, _flat_orthogonal(size) / math.sqrt(size))


_PLANS = {"none": _plan_none, "reference": _plan_reference, "block": _plan_block}


def has_rotation(kind: str, size: int, block: int = 64) -> bool:
    """Whether this kind rotates `size` channels at all (the reference leaves many sizes alone)."""
    return bool(_segments(kind, size, block))


def draw_signs(size: int, generator: torch.Generator | None = None) -> Tensor:
    """Random signs, int8 -1 or 1; from the global generator when none is given (as the reference does)."""
    return torch.randint(0, 2, (size,), generator=generator).mul_(2).sub_(1).to(torch.int8)


class Rotation:
    """`R = diag(signs) * M / sqrt(n)` of one kind, applied without building R.

    Args:
        kind: "none"; "reference" (60*2^m, 20*2^m, 2^m, identity otherwise, section 3.1); "block" (block
            diagonal, every size from 2 on: equal Hadamard blocks of at most `block` where they exist, else
            nearly equal blocks of Hadamard or Hartley matrices).
        size: Number of channels.
        signs: (size,) of -1 and 1; ignored where nothing is rotated.
        block: Largest block of the kind "block".
    """

    def __init__(self, kind: str, size: int, signs: Tensor | None, block: int = 64) -> None:
        self.kind, self.size, self.block = kind, size, block
        self._plan = _segments(kind, size, block)
        if self._plan and (signs is None or signs.shape != (size,)):
            raise ValueError(f"a rotation of {size} channels needs {size} signs")
        self.signs = signs if self._plan else None
        self._cache: dict[tuple[object, ...], list[tuple[Tensor, Tensor | None]]] = {}

    @property
    def is_identity(self) -> bool:
        """Whether nothing is rotated."""
        return not self._plan

    def block_matrix(self) -> np.ndarray | None:
        """The block of M / sqrt(n), (b, b), where M is the block diagonal of equal ones; None otherwise."""
        if len(self._plan) != 1 or self._plan[0].outer is not None:
            return None
        return self._plan[0].inner

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """R as a matrix (size, size); for files and tests."""
        matrix = np.zeros((self.size, self.size))
        if self.is_identity:
            return torch.eye(self.size, dtype=dtype)
        for seg in self._plan:
            outer = np.eye(seg.count) if seg.outer is None else seg.outer
            end = seg.start + seg.size
            matrix[seg.start : end, seg.start : end] = np.kron(outer, seg.inner)
        assert self.signs is not None
        return torch.from_numpy(matrix * self.signs.cpu().double().numpy()[:, None]).to(dtype)

    def apply_last(self, x: Tensor) -> Tensor:
        """`x R` along the last dimension: inputs (..., n), weights (O, n) of linear layers (3.3)."""
        if self.is_identity:
            return x
        return self._last(x, transposed=False)

    def apply_channels(self, x: Tensor) -> Tensor:
        """`R x` along dimension 1: inputs (N, n, ...) and weights (O, n, ...) of convolutions (section 3.3).

        Channels-last memory stays channels-last.
        """
        if self.is_identity:
            return x
        if x.ndim > 2 and not x.is_contiguous() and x.stride(1) == 1:
            return self._last(x.movedim(1, -1), transposed=True).movedim(-1, 1)
        if x[0, 0].numel() < _FEW_POSITIONS:
            return self._last(x.movedim(1, -1), transposed=True).movedim(-1, 1).contiguous()
        x = x.contiguous()
        pieces = []
        for seg, (inner, outer) in zip(self._plan, self._factors(x, "channels"), strict=True):
            piece = x if seg.size == self.size else x.narrow(1, seg.start, seg.size)
            n, rest = piece.shape[0], piece.shape[2:]
            if outer is not None:
                piece = torch.matmul(outer, piece.reshape(n, seg.blocks, -1))
            # (n, blocks, b, positions): the signs are in `inner`, which differs from block to block.
            piece = torch.matmul(inner, piece.reshape(n, seg.blocks, len(seg.inner), -1))
            pieces.append(piece.reshape(n, seg.size, *rest))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)

    def _last(self, x: Tensor, transposed: bool) -> Tensor:
        """Multiply by R, or by its transpose, along the last dimension."""
        shape = x.shape
        x = x.reshape(-1, self.size)
        factors = self._factors(x, "transposed" if transposed else "last")
        single = len(self._plan) == 1 and self._plan[0].blocks == 1
        if not single and not transposed:
            x = x * self._sign_vector(x)
        pieces = []
        for seg, (inner, outer) in zip(self._plan, factors, strict=True):
            piece = x if seg.size == self.size else x.narrow(1, seg.start, seg.size)
            piece = (piece.reshape(-1, len(seg.inner)) @ inner).reshape(-1, seg.size)
            if outer is not None:
                piece = torch.matmul(outer, piece.reshape(-1, seg.blocks, len(seg.inner)))
            pieces.append(piece.reshape(-1, seg.size))
        x = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
        if not single and transposed:
            x = x * self._sign_vector(x) if x.requires_grad else x.mul_(self._sign_vector(x))
        return x.reshape(shape)

    def _sign_vector(self, x: Tensor) -> Tensor:
        assert self.signs is not None
        return self.signs.to(x.device, x.dtype)

    def _factors(self, x: Tensor, use: str) -> list[tuple[Tensor, Tensor | None]]:
        """(inner, outer) matrices of each segment for one use, cached per device and type."""
        key = (use, x.device, x.dtype)
        if key not in self._cache:
            assert self.signs is not None
            signs = self.signs.cpu().double()
            found = []
            for seg in self._plan:
                inner = torch.from_numpy(seg.inner)
                outer = None if seg.outer is None else torch.from_numpy(seg.outer)
                part = signs[seg.start : seg.start + seg.size].reshape(seg.blocks, -1)
                if use == "channels":
                    inner = part[:, :, None] * inner
                else:
                    if seg.blocks == 1 and len(self._plan) == 1:
                        inner = part[0][:, None] * inner
                    inner = inner.T if use == "transposed" else inner
                    outer = outer.T if outer is not None and use == "last" else outer
                found.append(
                    (
                        inner.to(x.device, x.dtype).contiguous(),
                        None if outer is None else outer.to(x.device, x.dtype).contiguous(),
                    )
                )
            self._cache[key] = found
        return self._cache[key]

    def __deepcopy__(self, memo: dict[int, object]) -> "Rotation":
        signs = None if self.signs is None else self.signs.clone()
        return Rotation(self.kind, self.size, signs, self.block)

    def __repr__(self) -> str:
        return f"Rotation({self.kind!r}, {self.size})"


def from_dense(matrix: Tensor, tolerance: float = 1e-4) -> Rotation:
    """Recognise a stored reference matrix (section 3.2).

    Args:
        matrix: (n, n), any floating type; (0, 0) stands for "no rotation".
        tolerance: Largest allowed difference of an entry times sqrt(n) from 1 in magnitude.

    Raises:
        BadModel: Neither the identity nor a rotation the specification describes.
    """
    size = len(matrix)
    if matrix.ndim != 2 or matrix.shape[1] != size:
        raise BadModel(f"A rotation matrix has the shape {tuple(matrix.shape)}; it must be square.")
    matrix = matrix.detach().cpu().double()
    if size == 0:
        return Rotation("none", 0, None)
    core = _reference_core(size)
    if core is None:
        signs = None
    else:
        first = torch.ones(size, dtype=torch.double)
        if core > 1:
            # Row 0 of H is (1, -1, ..., -1), so only the first 2^m rows of column 0 of M are positive.
            first[size // core :] = -1
        signs = torch.where(matrix[:, 0] * first < 0, -1, 1).to(torch.int8)
    rotation = Rotation("reference", size, signs)
    difference = (rotation.dense(torch.double) - matrix).abs().amax() * math.sqrt(size)
    if not bool(difference <= tolerance):
        raise BadModel(f"A rotation matrix of size {size} is not of the known form; the file may be damaged.")
    return rotation
