"""Dense storage of small whole numbers: a stream of bits, lowest bit first.

Two 4-bit codes share a byte (the first in the low half), four 6-bit codes take three bytes, eight signs one.
"""

import numpy as np
import torch
from torch import Tensor

from quantvsr.errors import BadModel


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Pack codes 0..2^bits - 1.

    Args:
        codes: Any shape and type, whole numbers in range; read in row-major order.
        bits: 1..8.

    Returns:
        uint8, (packed_size(codes.numel(), bits),); unused bits at the end are 0.

    Raises:
        ValueError: A code does not fit.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"{bits} bits cannot be packed")
    flat = codes.detach().cpu().reshape(-1)
    if flat.numel() and (int(flat.min()) < 0 or int(flat.max()) >= 2**bits):
        raise ValueError(f"codes {int(flat.min())}..{int(flat.max())} do not fit into {bits} bits")
    values = flat.to(torch.uint8).numpy()
    spread = np.unpackbits(values[:, None], axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(spread.reshape(-1), bitorder="little"))


def unpack_codes(packed: Tensor, bits: int, count: int) -> Tensor:
    """Inverse of `pack_codes`.

    Args:
        packed: uint8, (packed_size(count, bits),).
        bits: 1..8.
        count: Number of codes.

    Returns:
        uint8, (count,).

    Raises:
        BadModel: The size does not fit.
    """
    if packed.dtype != torch.uint8 or packed.shape != (packed_size(count, bits),):
        raise BadModel(
            f"{count} codes of {bits} bits take {packed_size(count, bits)} bytes, not {packed.numel()}; "
            "the file is damaged, make it again."
        )
    stream = np.unpackbits(packed.cpu().numpy(), count=count * bits, bitorder="little")
    return torch.from_numpy(np.packbits(stream.reshape(count, bits), axis=1, bitorder="little")[:, 0])


def pack_signs(signs: Tensor) -> Tensor:
    """Signs -1 and 1 as bits, 1 for 1."""
    return pack_codes(signs > 0, 1)


def unpack_signs(packed: Tensor, count: int) -> Tensor:
    """Inverse of `pack_signs`, int8."""
    return unpack_codes(packed, 1, count).to(torch.int8) * 2 - 1
