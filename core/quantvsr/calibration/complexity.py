"""Spatial and temporal complexity of a layer's input.

Two sets of statistics, registered by name:

`reference`: the published statistics exactly (specification section 8). The layer's *name* decides the
treatment, tokens are taken for images, one frame is an error.

`default`: the same idea, with the layout told by the model's adapter. Spatial complexity is the spread over
positions inside a frame, temporal complexity the root mean square of the difference between neighbouring
frames of one clip; both are divided by the root mean square of the layer's own input, so that the unit in
which a layer computes does not rank it. Where there is one position or one frame, the value is 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Complexity:
    """The two statistics of one input, and its scale.

    Attributes:
        spatial: Spatial complexity.
        temporal: Temporal complexity.
        scale: Root mean square of the input.
    """

    spatial: float
    temporal: float
    scale: float


Statistics = Callable[[Tensor, str, str, int], Complexity | None]
_STATISTICS: dict[str, Statistics] = {}


def statistics(name: str) -> Statistics:
    """The statistics registered under a name: `f(input, layer name, layout, frames)`."""
    return _STATISTICS[name]


def register(name: str) -> Callable[[Statistics], Statistics]:
    """Register statistics under a name."""

    def decorate(function: Statistics) -> Statistics:
        _STATISTICS[name] = function
        return function

    return decorate


# ------------------------------------------------------------------------------------------------- reference


def reference_spatial(x: Tensor) -> Tensor:
    """Mean over the first two dimensions of the standard deviation over the rest (divisor P - 1).

    Args:
        x: (A, B, ...); with nothing after B the spread is over one value.

    Returns:
        A 0-dimensional tensor; NaN where the spread is over one value.
    """
    flat = x.reshape(x.shape[0], x.shape[1], -1)
    if flat.shape[-1] == 1:
        return torch.full((), math.nan, dtype=x.dtype, device=x.device)
    return flat.std(dim=-1).mean()


def reference_temporal(x: Tensor) -> Tensor:
    """Mean of all squared differences between neighbours along the first dimension.

    Args:
        x: (A, ...), A >= 2.

    Returns:
        A 0-dimensional tensor.

    Raises:
        ValueError: A is 1 (the published code fails there too).
    """
    if x.shape[0] < 2:
        raise ValueError("the published temporal complexity needs at least two frames")
    return (x[1:] - x[:-1]).square().flatten(1).mean(dim=1).mean()


@register("reference")
def reference_statistics(x: Tensor, name: str, layout: str = "", frames: int = 0) -> Complexity | None:
    """The published statistics of one layer input; the name of the layer decides how it is read.

    Args:
        x: The input as the layer got it.
        name: Full dotted name of the layer.
        layout: Ignored.
        frames: Ignored.

    Returns:
        The statistics, or None for layers of the time path, which are never observed.

    Raises:
        ValueError: A single frame.
    """
    if "emb_layers" in name or "time_embed" in name:
        return None
    if "temporal_conv" in name:
        x = x.movedim(2, 1).flatten(0, 1)
    scale = x.float().square().mean().sqrt()
    return Complexity(float(reference_spatial(x)), float(reference_temporal(x)), float(scale))


# --------------------------------------------------------------------------------------------------- default

Reader = Callable[[Tensor, int], Tensor]


def _frames_first(x: Tensor, frames: int) -> Tensor:
    """(B*T, C, P) -> (B, T, P, C); a batch that is no multiple of T counts as single frames."""
    if frames < 1 or x.shape[0] % frames:
        frames = 1
    return x.unflatten(0, (-1, frames)).movedim(2, 3)


def _image(x: Tensor, frames: int) -> Tensor:
    return _frames_first(x.reshape(x.shape[0], x.shape[1], -1), frames)


def _tokens(x: Tensor, frames: int) -> Tensor:
    return _frames_first(x.reshape(x.shape[0], -1, x.shape[-1]).movedim(1, 2), frames)


def _temporal(x: Tensor, frames: int) -> Tensor:
    return x.reshape(*x.shape[:3], -1).permute(0, 2, 3, 1)


def _temporal_tokens(x: Tensor, frames: int) -> Tensor:
    # Positions of several clips cannot be told apart here; the spread then runs over all of them.
    return x.movedim(0, 1)[None]


# Each reader brings an input into the shape (clips B, frames T, positions P, channels C).
LAYOUTS: dict[str, Reader] = {
    "image": _image,  # (B*T, C, *positions)
    "tokens": _tokens,  # (B*T, P, C)
    "temporal": _temporal,  # (B, C, T, H, W)
    "temporal_tokens": _temporal_tokens,  # (B*P, T, C)
}
NOT_OBSERVED = "vector"  # (B, C): no positions and no frames


@register("default")
def default_statistics(x: Tensor, name: str, layout: str, frames: int) -> Complexity | None:
    """Our statistics of one layer input.

    Args:
        x: The input as the layer got it, in any floating type.
        name: Ignored.
        layout: One of `LAYOUTS`, or "vector", which is not observed.
        frames: T, frames of one clip in the batch dimension; used by "image" and "tokens".

    Returns:
        The statistics, both without unit; 0 where there is one position or one frame, or nothing but zeros.
        None for vectors. Values that are not finite are left out by the rank rules.

    Raises:
        ValueError: The layout is unknown.
    """
    if layout == NOT_OBSERVED:
        return None
    if layout not in LAYOUTS:
        raise ValueError(f"the layout {layout!r} of layer {name} is none of {sorted(LAYOUTS)}")
    values = LAYOUTS[layout](x.detach().float(), frames)
    scale = float(values.square().mean().sqrt())
    if scale == 0:
        return Complexity(0.0, 0.0, 0.0)
    spatial = temporal = 0.0
    if values.shape[2] > 1:
        # Divisor P: a spread over two positions is then no larger than over many.
        spatial = float(values.var(dim=2, correction=0).mean().sqrt()) / scale
    if values.shape[1] > 1:
        temporal = float((values[:, 1:] - values[:, :-1]).square().mean().sqrt()) / scale
    return Complexity(spatial, temporal, scale)
