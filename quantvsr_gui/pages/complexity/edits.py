"""Edits of the project's settings from the Complexity page, each of which can be undone."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject

from quantvsr.jobs.options import Bits
from quantvsr_gui.project import ProjectModel


class Edits(QObject):
    """Edits of the project's settings from this page; those of one drag are undone together."""

    def __init__(
        self,
        project: ProjectModel,
        limits: Callable[[], tuple[int, int] | None],
        parent: QObject | None = None,
    ) -> None:
        """Nothing is edited yet.

        Args:
            project: Whose settings are edited.
            limits: Lowest and highest rank that hold now; None while there is no plan.
            parent: Qt's owner.
        """
        super().__init__(parent)
        self._project, self._limits, self._turn = project, limits, 0

    def end(self) -> None:
        """What follows is another edit."""
        self._turn += 1

    def _change(self, text: str, **changes: Any) -> None:
        if self._project.is_open:
            self._project.change(text, merge=f"complexity {text} {self._turn}", **changes)

    def set_percentile(self, value: float) -> None:
        """Set the percentile, 0..0.5."""
        self._change("change the percentile", percentile=value)

    def set_limit(self, name: str, value: int) -> None:
        """Set the lowest or the highest rank; the other one gives way."""
        limits = self._limits()
        if limits is None:
            return
        low, high = limits
        changes = {name: value}
        if name == "min_rank" and value > high:
            changes["max_rank"] = value
        elif name == "max_rank" and value < low:
            changes["min_rank"] = value
        word = "lowest" if name == "min_rank" else "highest"
        self._change(f"change the {word} rank", **changes)

    def set_extra_bits(self, value: float) -> None:
        """Set what is spent besides the codes, in bits a weight."""
        self._change("change the extra bits", extra_bits=value)

    def set_bits(self, weights: int | None = None, activations: int | None = None) -> None:
        """Set the bits of all layers."""
        now = self._project.settings.bits
        self._change("change the bits", bits=Bits(weights or now.weights, activations or now.activations))

    def set_rank(self, layer: str, rank: int | None) -> None:
        """Set a layer's rank by hand; None takes that back."""
        ranks = {
            name: value for name, value in self._project.settings.rank_overrides.items() if name != layer
        }
        if rank is not None:
            ranks[layer] = rank
        self._change(f"change the rank of {layer}", rank_overrides=ranks)

    def set_layer_bits(self, layer: str, bits: Bits | None) -> None:
        """Set a layer's bits by hand; None, or the bits of all layers, takes that back."""
        settings = self._project.settings
        own = {name: value for name, value in settings.bit_overrides.items() if name != layer}
        if bits is not None and bits != settings.bits:
            own[layer] = bits
        self._change(f"change the bits of {layer}", bit_overrides=own)

    def reset(self, layer: str) -> None:
        """Take back what was set by hand for a layer."""
        settings = self._project.settings
        ranks = {name: value for name, value in settings.rank_overrides.items() if name != layer}
        bits = {name: value for name, value in settings.bit_overrides.items() if name != layer}
        self.end()
        self._change(f"reset {layer}", rank_overrides=ranks, bit_overrides=bits)

    def reset_all(self) -> None:
        """Take back everything that was set by hand."""
        self.end()
        self._change("reset what was set by hand", rank_overrides={}, bit_overrides={})
