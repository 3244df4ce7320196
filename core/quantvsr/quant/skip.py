"""The second thin operation of the low-rank branch, added to the low-bit branch's output."""

from dataclasses import dataclass

from torch import Tensor

from quantvsr.quant.geometry import Geometry


@dataclass(frozen=True)
class Skip:
    """What the low-rank branch adds.

    Attributes:
        features: Output of the first thin operation.
        second: Weight of the second.
        geometry: Of the layer.
        padded: In the basis "activation", where the second operation is k x k: whether the features are
            padded; None where it is 1 x 1.
    """

    features: Tensor
    second: Tensor
    geometry: Geometry
    padded: bool | None = None

    def output(self) -> Tensor:
        """Apply the second operation."""
        if self.padded is None:
            return self.geometry.pointwise(self.features, self.second)
        return self.geometry.apply(self.features, self.second, None, padded=self.padded)

    def added_to(self, quant: Tensor) -> Tensor:
        """The sum with the low-bit branch's output, in place where no derivative is recorded."""
        features, second, geometry = self.features, self.second, self.geometry
        plain = not (quant.requires_grad or features.requires_grad or second.requires_grad)
        plain = plain and quant.dtype == features.dtype == second.dtype
        same_positions = not geometry.dims or quant.shape[2:] == features.shape[2:]
        pointwise = second[0, 0].numel() == 1 and same_positions and geometry.groups == 1
        if plain and pointwise:
            rows, columns = (
                (quant, features) if geometry.dims == 0 else (quant.movedim(1, -1), features.movedim(1, -1))
            )
            if rows.is_contiguous():
                matrix = second.flatten(1).T
                rows.view(-1, rows.shape[-1]).addmm_(columns.reshape(-1, columns.shape[-1]), matrix)
                return quant
            if quant.is_contiguous():
                matrix = second.flatten(1).expand(len(quant), -1, -1)
                quant.flatten(2).baddbmm_(matrix, features.flatten(2))
                return quant
        added = self.output()
        return quant.add_(added) if plain else quant + added
