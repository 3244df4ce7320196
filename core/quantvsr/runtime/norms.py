"""What models do between quantized layers, as modules that a backend can put faster ones in the place of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to the variance."""


class NormSilu(nn.Module):
    """SiLU of a layer normalisation over the last dimension; the weights are whoever's who calls it."""

    def forward(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, frames: int | None = None
    ) -> Tensor:
        """Normalise and activate.

        Args:
            x: (N, positions..., C).
            weight: (C,); None: ones.
            bias: (C,); None: zeros.
            frames: N holds clips of so many frames, of which the first and the last are to be repeated.

        Returns:
            Like x; with `frames` (clips, frames + 2, positions..., C).
        """
        h = F.silu(F.layer_norm(x, x.shape[-1:], weight, bias, EPSILON))
        if frames is None:
            return h
        h = h.unflatten(0, (-1, frames))
        return torch.cat([h[:, :1], h, h[:, -1:]], dim=1)
