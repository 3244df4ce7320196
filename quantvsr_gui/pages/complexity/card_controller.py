"""What happens on the layer card: showing a layer, measuring it in the preview engine, editing it."""

from typing import Any

from PySide6.QtCore import QObject, QTimer

from quantvsr.errors import QuantVSRError
from quantvsr.jobs import LayerJob
from quantvsr.jobs.options import Bits
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.complexity.card import LayerCard
from quantvsr_gui.pages.complexity.data import KINDS
from quantvsr_gui.pages.complexity.edits import Edits
from quantvsr_gui.pages.complexity.plan import Plan

_KEPT = 64


class CardController(QObject):
    """Connects the card with the project, the plan and the preview engine."""

    def __init__(self, card: LayerCard, context: Context, edits: Edits, parent: QObject) -> None:
        super().__init__(parent)
        self._card, self._context, self._edits = card, context, edits
        self._plan: Plan | None = None
        self._handle: JobHandle | None = None
        self._asked: LayerJob | None = None
        self._results: dict[LayerJob, dict[str, Any]] = {}
        # A slider that moves asks once, when it rests.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(350)
        self._later.timeout.connect(self._measure)
        context.project.selection.opened.connect(self.open)
        card.close_button.clicked.connect(self.close)
        card.rank_edited.connect(lambda rank: edits.set_rank(card.layer, rank))
        card.weight_bits_edited.connect(lambda bits: self._set_bits(weights=bits))
        card.activation_bits_edited.connect(lambda bits: self._set_bits(activations=bits))
        card.edit_ended.connect(edits.end)
        card.reset_button.clicked.connect(lambda: edits.reset(card.layer))

    def open(self, layer: str) -> None:
        """Show a layer's card."""
        if self._plan is None or layer not in self._plan.measured.index:
            return
        measured = self._plan.measured
        i = measured.index[layer]
        shape = measured.shapes[i]
        kernel = " × ".join(map(str, shape.kernel))
        size = f"{shape.in_features} → {shape.out_features}" + (f", kernel {kernel}" if kernel else "")
        facts = f"{KINDS[measured.kinds[i]]} · {size} · {shape.weights:,} weights"
        if layer != self._card.layer:
            self._stop()
            self._card.show_measured(None)
        self._card.show_layer(layer, facts.replace("  ", ", "))
        table = measured.table
        if layer in table.names:
            number = table.names.index(layer)
            part = slice(int(table.offsets[number]), int(table.offsets[number + 1]))
            samples = table.sample[part]
            self._card.samples.show_samples(
                samples, table.times[samples], table.spatial[part], table.temporal[part]
            )
        self._card.show_samples(layer in table.names)
        self._card.show()
        self._show()

    def close(self) -> None:
        """Close the card."""
        self._card.hide()
        self._card.layer = ""
        self._later.stop()
        self._stop()

    def show_plan(self, plan: Plan) -> None:
        """Ranks or bits are others."""
        self._plan = plan
        if self._card.layer and self._card.layer not in plan.measured.index:
            self.close()
        elif self._card.layer:
            self._show()

    def _show(self) -> None:
        plan, layer = self._plan, self._card.layer
        assert plan is not None
        i = plan.measured.index[layer]
        bits = int(plan.weight_bits[i]), int(plan.activation_bits[i])
        rank = int(plan.ranks[i])
        self._card.show_choice(rank, int(plan.model.sizes[i]), bits, bool(plan.by_hand[i]))
        self._card.show_errors(plan.measured.errors(layer), rank)
        job = self._job()
        known = self._results.get(job) if job is not None else None
        if known is not None:
            self._later.stop()
            self._card.show_measured(known)
        elif job is None:
            self._card.show_measured(None, "")
        elif job != self._asked:
            self._card.state.setText("Measuring")
            self._card.state.show()
            self._later.start()

    def _job(self) -> LayerJob | None:
        plan, project = self._plan, self._context.project
        if plan is None or project.project is None or not self._card.layer:
            return None
        i = plan.measured.index[self._card.layer]
        settings = project.settings
        return LayerJob(
            layer=self._card.layer,
            analysis=str(project.project.folder),
            model=settings.model,
            device=settings.device,
            seed=settings.seed,
            method=settings.method,
            bits=Bits(int(plan.weight_bits[i]), int(plan.activation_bits[i])),
            rank=int(plan.ranks[i]),
        )

    def _measure(self) -> None:
        try:
            job = self._job()
        except QuantVSRError as error:
            self._card.show_measured(None, str(error))
            return
        if job is None:
            return
        self._stop()
        self._asked = job
        handle = self._handle = self._context.engines.preview.submit(job)
        handle.succeeded.connect(lambda result: self._measured(job, result))
        handle.failed.connect(lambda sentence: self._failed(job, sentence))

    def _measured(self, job: LayerJob, result: dict[str, Any]) -> None:
        self._results[job] = result
        while len(self._results) > _KEPT:
            del self._results[next(iter(self._results))]
        if job == self._asked:
            self._handle = None
            self._asked = None
            if job == self._job():
                self._card.show_measured(result)

    def _failed(self, job: LayerJob, sentence: str) -> None:
        if job == self._asked:
            self._handle = self._asked = None
            self._card.show_measured(None, sentence)

    def _stop(self) -> None:
        handle, self._handle, self._asked = self._handle, None, None
        if handle is not None:
            handle.cancel()

    def _set_bits(self, weights: int | None = None, activations: int | None = None) -> None:
        card = self._card
        bits = Bits(weights or card.weight_bits.value(), activations or card.activation_bits.value())
        self._edits.set_layer_bits(card.layer, bits)
