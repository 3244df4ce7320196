"""The respaced DDPM schedule (section 5.1), with the reference's own rounding.

Computed in the precision of every single step of the reference: single, except where the table of previous
products enters, which is double. Every entry is then the same to the last bit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRAINING_STEPS = 1000
_FIRST_BETA, _LAST_BETA = 0.00085, 0.0120


@dataclass(frozen=True)
class Schedule:
    """Tables of a diffusion process, one entry per step; all (K,) float32 but `timesteps`.

    Attributes:
        timesteps: The step number that the networks are told, int64.
        betas: Noise added by the step.
        alphas_cumprod: Signal power left after the step.
        alphas_cumprod_prev: The same before it; 1 at first.
        posterior_variance: Variance of the way back.
        posterior_log_variance_clipped: Its logarithm; that of 1e-20 at first.
        posterior_mean_coef1: Weight of the clean estimate in the mean of the way back.
        posterior_mean_coef2: Weight of the noisy value.
    """

    timesteps: Tensor
    betas: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    sqrt_recip_alphas_cumprod: Tensor
    sqrt_recipm1_alphas_cumprod: Tensor
    posterior_variance: Tensor
    posterior_log_variance_clipped: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor

    def __len__(self) -> int:
        return len(self.timesteps)

    def clean(self, x: Tensor, noise: Tensor, step: int) -> Tensor:
        """The clean latents that `x` and the noise in it mean; not clipped."""
        return self.sqrt_recip_alphas_cumprod[step] * x - self.sqrt_recipm1_alphas_cumprod[step] * noise

    def mean(self, clean: Tensor, x: Tensor, step: int) -> Tensor:
        """Mean of the latents one step earlier."""
        return self.posterior_mean_coef1[step] * clean + self.posterior_mean_coef2[step] * x

    def log_variance(self, step: int) -> float:
        """Logarithm of the variance around that mean."""
        return float(self.posterior_log_variance_clipped[step])

    def to(self, device: torch.device) -> "Schedule":
        """The same tables on another device."""
        return Schedule(**{name: value.to(device) for name, value in vars(self).items()})


def full_schedule() -> Schedule:
    """The process of the training: linear in the square root, 1000 steps."""
    roots = np.linspace(_FIRST_BETA**0.5, _LAST_BETA**0.5, TRAINING_STEPS, dtype=np.float64)
    return _tables(roots**2, np.arange(TRAINING_STEPS))


def respaced_steps(steps: int) -> list[int]:
    """Which training steps are taken: evenly spaced from 0 to 999, rounded.

    Raises:
        ValueError: Not 1 to 1000 steps.
    """
    if not 1 <= steps <= TRAINING_STEPS:
        raise ValueError(f"{steps} sampling steps; choose 1 to {TRAINING_STEPS}")
    last = TRAINING_STEPS - 1
    return [last] if steps == 1 else [round(k * last / (steps - 1)) for k in range(steps)]


def respaced_schedule(steps: int = 50) -> Schedule:
    """The process with fewer, larger steps that ends at the same noise.

    Raises:
        ValueError: Not 1 to 1000 steps.
    """
    taken = np.asarray(respaced_steps(steps))
    products = full_schedule().alphas_cumprod.numpy()[taken]
    before = np.concatenate([np.ones(1, np.float32), products[:-1]])
    return _tables(np.float32(1) - products / before, taken)


def _tables(betas: NDArray[np.floating], timesteps: NDArray[np.integer]) -> Schedule:
    alphas = 1 - betas
    products = np.cumprod(alphas)
    # In double precision, and with it everything it enters.
    before = np.append(1.0, products[:-1].astype(np.float64))
    variance = betas * (1 - before) / (1 - products)
    tables = {
        "betas": betas,
        "alphas_cumprod": products,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(products),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - products),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / products),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / products - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - products),
        "posterior_mean_coef2": (1 - before) * np.sqrt(alphas) / (1 - products),
    }
    single = {name: torch.from_numpy(np.asarray(table, np.float32)) for name, table in tables.items()}
    return Schedule(torch.from_numpy(np.asarray(timesteps, np.int64)), **single)
