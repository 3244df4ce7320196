"""Motion guidance (section 5.5): latents are pulled towards what the flow predicts from their neighbours.

The loss is the reference's code, not the paper's formula: every sweep warps with the flow of the neighbouring
pair and opens with a comparison against zero. Results only agree when it is kept so.
"""

import torch
from torch import Tensor

from quantvsr.models.mgld.motion import Motion, warp


def guidance_loss(latents: Tensor, motion: Motion) -> Tensor:
    """The loss over one clip.

    Args:
        latents: (T, C, h, w).
        motion: Of the same clip, on the same grid.

    Returns:
        A scalar: the sum over both sweeps and all pairs of mean absolute differences.
    """
    seen_forward = 1 - motion.forward_occluded
    seen_backward = 1 - motion.backward_occluded
    nothing = torch.zeros_like(latents[:1])
    # Frame i against frame i+1 warped by the flow from i+1 to i+2; the last pair against zero.
    predicted = torch.cat([warp(latents[1:-1], motion.forward[1:]), nothing])
    loss = _differences(predicted, latents[:-1], seen_forward)
    # Frame i against frame i-1 warped by the flow from i-1 to i-2; the first pair against zero.
    predicted = torch.cat([nothing, warp(latents[1:-1], motion.backward[:-1])])
    return loss + _differences(predicted, latents[1:], seen_backward)


def guidance_gradient(latents: Tensor, motion: Motion) -> Tensor:
    """Gradient of the loss by the latents, same shape; works where gradients are off, too."""
    with torch.enable_grad():
        variable = latents.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(guidance_loss(variable, motion), variable)
    return gradient


def _differences(predicted: Tensor, actual: Tensor, seen: Tensor) -> Tensor:
    """Sum over frames of the mean over everything else; masked pixels count in the divisor."""
    return (seen * predicted - seen * actual).abs().mean(dim=(1, 2, 3)).sum()
