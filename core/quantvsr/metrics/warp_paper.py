"""Warping error as video super-resolution papers print it: a learned flow, each clip's own motion."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantvsr.metrics.frames import FloatImage, Picture
from quantvsr.metrics.motion import Motion, visible
from quantvsr.metrics.registry import metric
from quantvsr.metrics.resources import Resources
from quantvsr.metrics.warp import WARP_SCALE, WarpError

if TYPE_CHECKING:
    from quantvsr.models.mgld.flow import RaftFlow

RAFT_FILE = "raft-things.pth"
_SOURCE = "RAFT's published weights, BSD-3-Clause"
_TITLE = "E*warp (paper)"


@lru_cache(maxsize=2)
def _raft(path: Path, device: str) -> "RaftFlow":
    from quantvsr.models.mgld.checkpoint import Part, load_parts
    from quantvsr.models.mgld.flow import RaftFlow
    from quantvsr.models.mgld.raft import Raft
    from quantvsr.models.weights import read_tensors

    tensors = read_tensors(path)
    prefix = "module." if any(key.startswith("module.") for key in tensors) else ""
    network = Raft()
    load_parts(tensors, [Part(prefix, network)], str(path))
    network.to(device)
    return RaftFlow(network)


@metric(
    "warp_error_paper",
    title=_TITLE,
    unit="1e-3",
    direction="lower",
    range=(0.0, WARP_SCALE),
    needs=("weights",),
    frames=2,
    licence="Apache-2.0; RAFT's weights BSD-3-Clause",
    conventions=(
        "Warping error, mode `paper`. As mode `dis` (Lai et al., ECCV 2018: later frame drawn back along "
        "the flow, squared difference, mean over RGB in 0..1 and visible pixels, mean over pairs, times "
        "1000), but with a learned flow, RAFT (10 iterations), found on each measured clip itself, as "
        "tables that also hold clips without ground truth must. Lai et al. use FlowNet2, whose licence is "
        "not permissive; other tables seldom name their flow: compare only figures of one program."
    ),
)
class WarpErrorPaper(WarpError):
    """E*_warp of a clip along its own motion, found by RAFT with weights that the user provides.

    Raises:
        MissingMetric: The weights are not there.
        BadModel: The file holds other weights.
    """

    def __init__(self, border: int = 0, resources: Resources | None = None) -> None:
        super().__init__(border)
        given = resources or Resources()
        self._flow = _raft(given.weight_file(RAFT_FILE, _TITLE, _SOURCE), given.device)
        self._before: FloatImage | None = None

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        before, self._before = self._before, frame.unit
        own = None
        # A change of size is the base class's to tell.
        if before is not None and before.shape == frame.unit.shape:
            forward, backward = self._flows(before, frame.unit)
            own = Motion(forward, visible(forward, backward))
        return super()._value(frame, None, own)

    def _flows(
        self, earlier: FloatImage, later: FloatImage
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        device = next(self._flow.network.parameters()).device
        pair = torch.from_numpy(np.stack([earlier, later]).astype(np.float32)).permute(0, 3, 1, 2).to(device)
        flows = self._flow(pair, pair.flip(0)).permute(0, 2, 3, 1).float().cpu().numpy()
        forward, backward = (np.ascontiguousarray(flow) for flow in flows)
        return forward, backward
