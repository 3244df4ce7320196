"""Motion of a clip for the guidance (section 6): RAFT where its weights are at hand, else OpenCV DIS flow."""

from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.mgld.motion import Motion, resize_flow
from quantvsr.models.mgld.raft import SMALLEST_SIDE, Raft

ITERATIONS = 10


class FlowEstimator(Protocol):
    """Something that finds optical flow.

    Attributes:
        title: What to call it in a message to the user.
    """

    title: str

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow from `first` to `second`, both (N, 3, h, w) in 0..1: (N, 2, h, w), pixels."""
        ...


class RaftFlow:
    """RAFT with official weights, as in the reference."""

    title = "RAFT"

    def __init__(self, network: Raft) -> None:
        self.network = network

    @torch.no_grad()
    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator`; small pictures are extended on the right and below, and the flow cut back."""
        height, width = first.shape[2:]
        edges = (0, max(SMALLEST_SIDE - width, 0), 0, max(SMALLEST_SIDE - height, 0))
        if any(edges):
            first, second = (F.pad(image, edges, mode="replicate") for image in (first, second))
        return self.network(first, second, ITERATIONS)[:, :, :height, :width]


class DisFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016), on the processor; needs no weights."""

    title = "OpenCV DIS flow (RAFT's weights are missing: results differ slightly from the published model)"

    # DIS refuses smaller pictures.
    _smallest = 16

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator`."""
        height, width = first.shape[2:]
        edges = (0, max(self._smallest - width, 0), 0, max(self._smallest - height, 0))
        grey = [_grey(F.pad(image, edges, mode="replicate")) for image in (first, second)]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flows = [search.calc(a, b, None) for a, b in zip(*grey, strict=True)]  # type: ignore[call-overload]
        flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)[:, :, :height, :width]
        return flow.to(first.device, first.dtype)


def estimate_motion(frames: Tensor, estimator: FlowEstimator) -> Motion:
    """Flow and occlusion between the frames of one clip.

    Args:
        frames: Enlarged frames, (T, 3, H, W), -1..1; H and W multiples of 8.
        estimator: Finds the flow on a quarter of the size.

    Returns:
        On the grid of latents, H/8 x W/8, on the device of the frames.
    """
    height, width = frames.shape[2:]
    small = F.interpolate(
        ((frames + 1) / 2).clamp(0, 1), (height // 4, width // 4), mode="bicubic", align_corners=False
    )
    earlier, later = small[:-1], small[1:]
    forward, backward = (
        resize_flow(estimator(*pair), height // 8, width // 8)
        for pair in ((earlier, later), (later, earlier))
    )
    return Motion.of(forward, backward)


def _grey(images: Tensor) -> list[np.ndarray]:
    """Luma of (N, 3, h, w) in 0..1 as bytes, one picture each."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    luma = (images * weights).sum(1).clamp(0, 1) * 255
    return list(luma.round().to(torch.uint8).cpu().numpy())
