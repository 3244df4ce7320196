"""Cost of layers that do not all have the same bits. NumPy only."""

from collections.abc import Mapping, Sequence

import numpy as np

from quantvsr.calibration.cost import CostModel, LayerShape
from quantvsr.quant.config import LayerQuantConfig


class MixedCostModel(CostModel):
    """A cost model in which some layers are quantized in another way.

    Args:
        shapes: The layers.
        config: How most layers are quantized and stored.
        apart: Layers with other settings; names that are none of the layers are ignored.
    """

    def __init__(
        self,
        shapes: Sequence[LayerShape],
        config: LayerQuantConfig | None = None,
        apart: Mapping[str, LayerQuantConfig] | None = None,
    ) -> None:
        super().__init__(shapes, config)
        found = {name: other for name, other in (apart or {}).items() if name in self.names}
        for other in set(found.values()):
            where = np.array([found.get(name) == other for name in self.names])
            self._take(CostModel(shapes, other), where)

    def _take(self, other: CostModel, where: np.ndarray) -> None:
        """Take the values of some layers from another model: every array with one value per layer."""
        mine, theirs = vars(self), vars(other)
        for name, value in mine.items():
            if isinstance(value, np.ndarray):
                mine[name] = np.where(where, theirs[name], value)
            elif isinstance(value, dict):
                mine[name] = {part: np.where(where, theirs[name][part], value[part]) for part in value}
