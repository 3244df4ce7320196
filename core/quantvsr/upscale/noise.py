"""The noise a clip is made from: one Gaussian field over the low-quality plane, the same for every frame.

Diffusion models turn noise into detail. Were every frame, window or tile given its own noise, the detail
would flicker and seams would show, and a full-precision and a low-bit run could not be compared. So the value
at a place is a function of the seed and the place alone: whatever tile or window asks, it gets the same
number.
"""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput

BLOCK = 64
"""Side of the squares in which the field is generated, in LQ pixels; part of the definition of the field."""

_CACHED_BLOCKS = 32
# Marks this use of the generator, so that the same seed elsewhere in the program gives unrelated numbers.
_STREAM = 0x51564E4F495345


def _block(seed: int, block_y: int, block_x: int, channels: int) -> NDArray[np.float32]:
    """One square of the field, (channels, BLOCK, BLOCK).

    Philox4x64-10 (Salmon et al., SC 2011) with key (seed, stream) and the block's place in the high words of
    the counter, turned into normal values by Box and Muller. NumPy promises the raw bits for all versions,
    but not its own normal values, hence the few lines here. Channel c does not depend on how many channels
    there are.
    """
    key = np.array([seed, _STREAM], dtype=np.uint64)
    counter = np.array([0, 0, block_x, block_y], dtype=np.uint64)
    generator = np.random.Philox(key=key, counter=counter)
    bits = np.asarray(generator.random_raw(channels * BLOCK * BLOCK), dtype=np.uint64)
    bits = bits.reshape(channels, BLOCK * BLOCK // 2, 2)
    # 53 bits each; (0, 1] for the logarithm, [0, 1) for the angle.
    radius = np.sqrt(-2.0 * np.log(((bits[..., 0] >> np.uint64(11)) + 1.0) * 2.0**-53))
    angle = (bits[..., 1] >> np.uint64(11)) * (2.0 * np.pi * 2.0**-53)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(channels, BLOCK, BLOCK).astype(np.float32)


class NoiseField:
    """Standard normal values at every place of a plane without end (to the right and down).

    Memory is bounded: some blocks are kept, the others are made again when asked for.

    Args:
        seed: 0 to 2**64 - 1; another seed is another field.
        channels: Values per place.

    Raises:
        BadInput: The seed is out of range.
    """

    def __init__(self, seed: int, channels: int) -> None:
        if not 0 <= seed < 2**64:
            raise BadInput(f"The seed {seed} cannot be used; give a whole number from 0 to 2**64 - 1.")
        self.seed, self.channels = seed, channels
        self._blocks: OrderedDict[tuple[int, int], NDArray[np.float32]] = OrderedDict()

    def crop(self, y: int, x: int, height: int, width: int) -> NDArray[np.float32]:
        """The field in a rectangle of LQ pixels, as a fresh (channels, height, width) float32 array."""
        out = np.empty((self.channels, height, width), np.float32)
        for block_y in range(y // BLOCK, -(-(y + height) // BLOCK)):
            for block_x in range(x // BLOCK, -(-(x + width) // BLOCK)):
                top, left = max(y, block_y * BLOCK), max(x, block_x * BLOCK)
                bottom = min(y + height, (block_y + 1) * BLOCK)
                right = min(x + width, (block_x + 1) * BLOCK)
                block = self._get(block_y, block_x)
                out[:, top - y : bottom - y, left - x : right - x] = block[
                    :,
                    top - block_y * BLOCK : bottom - block_y * BLOCK,
                    left - block_x * BLOCK : right - block_x * BLOCK,
                ]
        return out

    def _get(self, block_y: int, block_x: int) -> NDArray[np.float32]:
        block = self._blocks.pop((block_y, block_x), None)
        if block is None:
            block = _block(self.seed, block_y, block_x, self.channels)
            while len(self._blocks) >= _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks[block_y, block_x] = block
        return block
