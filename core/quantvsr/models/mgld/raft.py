"""RAFT, the large model (Teed and Deng, ECCV 2020), as MGLD-VSR uses it (section 6).

Images go in as 0..1, without the usual mapping to -1..1. Module names follow the official weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = CONTEXT = 128
LEVELS, RADIUS = 4, 4
SMALLEST_SIDE = 128


class _Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm1, self.norm2 = norm(outputs), norm(outputs)
        self.downsample = None
        if stride != 1:
            # One layer under two names, as in the official files.
            self.norm3 = norm(outputs)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride), self.norm3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu((x if self.downsample is None else self.downsample(x)) + y)


class _Encoder(nn.Module):
    """Image (N, 3, H, W) to features (N, outputs, H/8, W/8)."""

    def __init__(self, outputs: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.norm1 = norm(64)
        self.layer1 = nn.Sequential(_Block(64, 64, 1, norm), _Block(64, 64, 1, norm))
        self.layer2 = nn.Sequential(_Block(64, 96, 2, norm), _Block(96, 96, 1, norm))
        self.layer3 = nn.Sequential(_Block(96, 128, 2, norm), _Block(128, 128, 1, norm))
        self.conv2 = nn.Conv2d(128, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class _MotionEncoder(nn.Module):
    """Correlations and the flow so far, to motion features; the flow itself comes last."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(LEVELS * (2 * RADIUS + 1) ** 2, 256, 1)
        self.convc2 = nn.Conv2d(256, 192, 3, padding=1)
        self.convf1 = nn.Conv2d(2, 128, 7, padding=3)
        self.convf2 = nn.Conv2d(128, 64, 3, padding=1)
        self.conv = nn.Conv2d(64 + 192, 128 - 2, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        c = F.relu(self.convc2(F.relu(self.convc1(correlation))))
        f = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([c, f], dim=1))), flow], dim=1)


class _Gru(nn.Module):
    """A gated recurrent unit of convolutions: first along rows, then along columns."""

    def __init__(self) -> None:
        super().__init__()
        inputs = HIDDEN + CONTEXT + 128
        for index, (kernel, padding) in enumerate((((1, 5), (0, 2)), ((5, 1), (2, 0))), start=1):
            for gate in "zrq":
                self.add_module(f"conv{gate}{index}", nn.Conv2d(inputs, HIDDEN, kernel, padding=padding))

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        for index in (1, 2):
            z, r, q = (self.get_submodule(f"conv{gate}{index}") for gate in "zrq")
            both = torch.cat([hidden, x], dim=1)
            update = torch.sigmoid(z(both))
            candidate = torch.tanh(q(torch.cat([torch.sigmoid(r(both)) * hidden, x], dim=1)))
            hidden = (1 - update) * hidden + update * candidate
        return hidden


class _FlowHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x)))


class _Update(nn.Module):
    """One refinement of the flow."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _MotionEncoder()
        self.gru = _Gru()
        self.flow_head = _FlowHead()
        self.mask = nn.Sequential(nn.Conv2d(HIDDEN, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 64 * 9, 1))


class _Padding(NamedTuple):
    """Pixels added left, right, above and below."""

    left: int
    right: int
    top: int
    bottom: int

    @classmethod
    def to_eight(cls, height: int, width: int) -> "_Padding":
        rows, columns = -height % 8, -width % 8
        return cls(columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)


class Raft(nn.Module):
    """Dense optical flow between two images."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = _Encoder(256, nn.InstanceNorm2d)
        self.cnet = _Encoder(HIDDEN + CONTEXT, nn.BatchNorm2d)
        self.update_block = _Update()
        self.eval()

    def forward(self, first: Tensor, second: Tensor, iterations: int = 10) -> Tensor:
        """Flow from the first image to the second.

        Args:
            first: (N, 3, H, W), 0..1; after padding to multiples of 8 at least 128 on each side.
            second: The same shape.
            iterations: Refinements.

        Returns:
            (N, 2, H, W), pixels, horizontal first: what is at p in `first` is at p + flow in `second`.

        Raises:
            ValueError: The images are too small for the coarsest correlation level.
        """
        height, width = first.shape[2:]
        edges = _Padding.to_eight(height, width)
        first, second = (F.pad(image, edges, mode="replicate") for image in (first, second))
        if min(first.shape[2:]) < SMALLEST_SIDE:
            raise ValueError(f"{width}x{height} is too small for RAFT; {SMALLEST_SIDE} pixels at least")

        features, other = self.fnet(torch.cat([first, second])).chunk(2)
        pyramid = _correlations(features, other)
        hidden, context = self.cnet(first).split([HIDDEN, CONTEXT], dim=1)
        hidden, context = torch.tanh(hidden), torch.relu(context)

        update = self.update_block
        here = _positions(features)
        target = here
        for _ in range(iterations):
            motion = update.encoder(target - here, _look_up(pyramid, target))
            hidden = update.gru(hidden, torch.cat([context, motion], dim=1))
            target = target + update.flow_head(hidden)
        flow = _enlarge(target - here, 0.25 * update.mask(hidden))
        return flow[:, :, edges.top : edges.top + height, edges.left : edges.left + width]


def _positions(like: Tensor) -> Tensor:
    """Pixel coordinates (N, 2, h, w), horizontal first."""
    rows, _, height, width = like.shape
    y, x = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([x, y]).expand(rows, -1, -1, -1)


def _correlations(first: Tensor, second: Tensor) -> list[Tensor]:
    """All pairs of pixels: levels of (N * h * w, 1, h / 2^l, w / 2^l)."""
    rows, channels, height, width = first.shape
    volume = first.flatten(2).transpose(1, 2) @ second.flatten(2) / channels**0.5
    level = volume.reshape(rows * height * width, 1, height, width)
    pyramid = [level]
    for _ in range(LEVELS - 1):
        level = F.avg_pool2d(level, 2, stride=2)
        pyramid.append(level)
    return pyramid


def _look_up(pyramid: list[Tensor], target: Tensor) -> Tensor:
    """Correlations in a window around each target, (N, levels * 81, h, w).

    Within a window the horizontal offset is the slow index, as the official weights expect.
    """
    rows, _, height, width = target.shape
    centre = target.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    offset = torch.arange(-RADIUS, RADIUS + 1, dtype=target.dtype, device=target.device)
    window = torch.stack(torch.meshgrid(offset, offset, indexing="ij"), dim=-1)
    found = []
    for index, level in enumerate(pyramid):
        size = level.new_tensor([level.shape[3], level.shape[2]])
        grid = 2 * (centre / 2**index + window) / (size - 1) - 1
        values = F.grid_sample(level, grid, align_corners=True)
        found.append(values.reshape(rows, height, width, -1))
    return torch.cat(found, dim=3).permute(0, 3, 1, 2)


def _enlarge(flow: Tensor, mask: Tensor) -> Tensor:
    """Eight times the size: every fine pixel is a convex combination of its nine coarse neighbours."""
    rows, _, height, width = flow.shape
    weights = mask.reshape(rows, 1, 9, 8, 8, height, width).softmax(dim=2)
    neighbours = F.unfold(8 * flow, 3, padding=1).reshape(rows, 2, 9, 1, 1, height, width)
    fine = (weights * neighbours).sum(dim=2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(rows, 2, 8 * height, 8 * width)
