"""Codes of 2 to 7 bits as planes of 4, 2 and 1 bits, which a GPU takes apart without crossing bytes.

A code is cut into its upper 4, middle 2 and lowest 1 bits, as far as it has them (6 bits: 4 and 2). Codes
come in runs of 128. In a plane of p bits a run takes 16 p bytes; byte i holds codes i, i + 16 p, i + 32 p,
... of the run, the first one lowest. All runs of one plane lie together, planes follow each other from wide
to narrow.
"""

import torch
from torch import Tensor

RUN = 128
"""Codes that share bytes."""


def planes_of(bits: int) -> tuple[int, int, int]:
    """Which planes (of 4, 2 and 1 bits) codes of 1 to 7 bits have, each 0 or 1."""
    return bits >> 2 & 1, bits >> 1 & 1, bits & 1


def pack_planes(codes: Tensor, bits: int) -> Tensor:
    """Pack codes.

    Args:
        codes: uint8, (rows, length), 0..2^bits - 1; length a multiple of 128.
        bits: 1..7.

    Returns:
        uint8, (rows * length * bits / 8,).
    """
    rows = codes.reshape(-1, RUN)
    packed, above = [], bits
    for width, there in zip((4, 2, 1), planes_of(bits), strict=True):
        if not there:
            continue
        above -= width
        plane = (rows >> above) & ((1 << width) - 1)
        pieces = plane.reshape(len(rows), 8 // width, 16 * width)
        shifts = torch.arange(0, 8, width, dtype=torch.uint8, device=codes.device)[:, None]
        # Bits of the pieces do not overlap: their sum is their union.
        packed.append((pieces << shifts).sum(1, dtype=torch.uint8).flatten())
    return torch.cat(packed)


def unpack_planes(packed: Tensor, bits: int, rows: int) -> Tensor:
    """Inverse of `pack_planes`: uint8, (rows, length)."""
    runs = packed.numel() * 8 // (bits * RUN)
    codes = torch.zeros(runs, RUN, dtype=torch.uint8, device=packed.device)
    start = 0
    for width, there in zip((4, 2, 1), planes_of(bits), strict=True):
        if not there:
            continue
        size = 16 * width
        plane = packed[start : start + runs * size].view(runs, 1, size)
        shifts = torch.arange(0, 8, width, dtype=torch.uint8, device=packed.device)[:, None]
        codes = (codes << width) | ((plane >> shifts) & ((1 << width) - 1)).view(runs, RUN)
        start += runs * size
    return codes.view(rows, -1)
