"""Spatially adaptive normalisation by a structural map (section 1.3; Park et al., CVPR 2019)."""

from collections.abc import Mapping

from torch import Tensor, nn

HIDDEN = 128


class Spade(nn.Module):
    """Normalise, then scale and shift every pixel by what two convolutions read from the map.

    Args:
        channels: Width of the features.
        map_channels: Channels of the structural maps.
        hidden: Width between the convolutions.
    """

    def __init__(self, channels: int, map_channels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        # It does have weight and bias, whatever the official name says.
        self.param_free_norm = nn.GroupNorm(32, channels, eps=1e-5)
        self.mlp_shared = nn.Sequential(nn.Conv2d(map_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, maps: Mapping[str, Tensor]) -> Tensor:
        """Normalise (N, C, h, w) by the map of the same width; height is not looked at.

        Raises:
            KeyError: No map has that width.
        """
        hidden = self.mlp_shared(maps[str(x.shape[-1])])
        return self.param_free_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
