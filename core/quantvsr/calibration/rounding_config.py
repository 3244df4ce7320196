"""Settings of learned rounding. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rounding:
    """Learned rounding of weights, block by block.

    AdaRound (Nagel et al., ICML 2020) on the outputs of blocks, as BRECQ (Li et al., ICLR 2021) does.

    Attributes:
        learning_rate: Of the rounding variables (Adam).
        regularisation: Weight of the term that drives variables to 0 or 1, beside the block's error
            relative to its output power.
        warm_up: Share of the updates without that term.
        beta: Exponent of the term, from the first to the last update (linear).
        samples: Most calibration samples held in memory for a block, spread over windows and timesteps.
    """

    learning_rate: float = 1e-2
    regularisation: float = 1e-2
    warm_up: float = 0.2
    beta: tuple[float, float] = (20.0, 2.0)
    samples: int = 32
