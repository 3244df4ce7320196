"""Behaviour of the Model page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, Qt

from quantvsr.jobs import InspectJob
from quantvsr.jobs.base import Job
from quantvsr.jobs.settings import BUNDLED
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.model.checkpoints import adopt_checkpoint
from quantvsr_gui.pages.model.layers import LayerRow, LayersModel, count
from quantvsr_gui.pages.model.page import ModelPage
from quantvsr_gui.pages.model.running import RunningControl
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.drop import DropTarget

_WEIGHTS = [".safetensors", ".ckpt", ".pth", ".pt", ".bin"]
_FILTER = f"Model files ({' '.join('*' + ending for ending in _WEIGHTS)});;All files (*)"


class ModelController(PageController):
    """Asks the engine what a model is and shows it; exclusions go into the project's settings."""

    def __init__(self, page: ModelPage, layers: LayersModel, context: Context) -> None:
        super().__init__(page, context)
        self.view, self.layers = page, layers
        self._asked: JobHandle | None = None
        self._shown_model = ""
        self.running = RunningControl(page.running, context.project, context.engines, page.messages, self)
        self.offer_command()
        page.bundled_button.clicked.connect(lambda: self.choose(BUNDLED))
        page.folder_button.clicked.connect(self.ask_folder)
        page.file_button.clicked.connect(self.ask_file)
        page.exclude_button.clicked.connect(lambda: self.exclude(self._selected(), True))
        page.include_button.clicked.connect(lambda: self.exclude(self._selected(), False))
        page.reset_button.clicked.connect(self.reset)
        layers.toggled.connect(lambda name, on: self.exclude([name], not on))
        page.table.view.selectionModel().selectionChanged.connect(self._select)
        page.table.view.activated.connect(self._toggle)
        context.project.selection.changed.connect(self._show_selection)
        context.project.opened.connect(self._opened)
        context.project.settings_changed.connect(self._settings_changed)
        DropTarget(page.card, self._dropped, page.card)
        context.actions.add(
            Action(
                "model.bundled",
                "Use the bundled model",
                lambda: self.choose(BUNDLED),
                "Run",
                enabled=self._able,
            ),
            Action("model.folder", "Open a model folder…", self.ask_folder, "Run", enabled=self._able),
            Action("model.file", "Open a model file…", self.ask_file, "Run", enabled=self._able),
            Action(
                "model.reset",
                "Quantize all layers again",
                self.reset,
                "Run",
                enabled=lambda: bool(context.project.settings.exclude),
            ),
        )
        self._opened()

    def _able(self) -> bool:
        return self.context.project.is_open

    # Choosing

    def job(self) -> Job:
        """The look at the model."""
        settings = self.context.project.settings
        return InspectJob(model=settings.model, device=settings.device, exclude=settings.exclude)

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """A dropped model is opened; others are left to other pages."""
        for path in paths:
            if path.suffix.lower() in _WEIGHTS or (path / "model_index.json").is_file():
                self.choose(str(path))
                return [other for other in paths if other != path]
        return list(paths)

    def choose(self, model: str) -> None:
        """Look at a model; it becomes the project's once it is recognised."""
        self._look(model)

    def ask_folder(self) -> None:
        """Ask for a folder."""
        for path in self.context.ask_files("folder", "Open a model's folder"):
            self.choose(path)

    def ask_file(self) -> None:
        """Ask for a file."""
        for path in self.context.ask_files("file", "Open a model file", "", _FILTER):
            self.choose(path)

    def _dropped(self, paths: Sequence[Path]) -> None:
        rest = self.take(paths)
        if rest and len(rest) == len(paths):
            # Whatever it is: the engine says why it is no model.
            self.choose(str(rest[0]))

    def _opened(self) -> None:
        self.layers.set_rows([])
        self._shown_model = ""
        self.view.facts.show_rows([("Model", "none yet")])
        if self.context.project.is_open:
            self._look(self.context.project.settings.model)

    def _look(self, model: str) -> None:
        if self._asked is not None:
            self._asked.cancel()
        settings = self.context.project.settings
        handle = self.context.engines.preview.submit(InspectJob(model=model, device=settings.device))
        self._asked = handle
        self.view.messages.show_message("Looking at the model…", "info", {"Cancel": handle.cancel}, "look")
        handle.succeeded.connect(lambda result: self._recognised(handle, model, result))
        handle.failed.connect(lambda reason: self._failed(handle, model, reason))
        handle.cancelled.connect(lambda: self._forget(handle))

    def _forget(self, handle: JobHandle) -> bool:
        if handle is not self._asked:
            return False
        self._asked = None
        self.view.messages.clear("look")
        return True

    def _failed(self, handle: JobHandle, model: str, reason: str) -> None:
        if self._forget(handle):
            actions = {
                "Try again": lambda: self._look(model),
                "Use the bundled model": lambda: self.choose(BUNDLED),
            }
            self.view.messages.show_message(reason, "alert", actions, "look")
            # Perhaps for want of the project's GPU: then another device takes its place.
            self.running.ask()

    def _recognised(self, handle: JobHandle, model: str, result: dict[str, Any]) -> None:
        if not self._forget(handle) or not self.context.project.is_open:
            return
        project = self.context.project
        if result["checkpoint"] is not None:
            adopt_checkpoint(project, result, self.view.messages, self.context.go_to)
            model = str(result["checkpoint"]["meta"].get("model", BUNDLED))
        self._shown_model = model
        if project.settings.model != model:
            # What was set by hand belongs to layers of the model before.
            project.change("choose a model", model=model, exclude=(), rank_overrides={}, bit_overrides={})
        self.layers.set_rows([LayerRow.from_json(layer) for layer in result["layers"]])
        self.layers.set_excluded(project.settings.exclude)
        self.view.facts.show_rows(_facts(result))
        self.running.set_own_steps(int(result["steps"]))
        self._show_sums()
        # Later than the model, which is what a person waits for.
        self.running.ask()

    # Layers

    def exclude(self, names: Sequence[str], out: bool) -> None:
        """Leave layers out by hand, or quantize them again."""
        able = {row.name for row in self.layers.rows if not row.reason}
        chosen = [name for name in names if name in able]
        before = self.context.project.settings.exclude
        if out:
            after = (*before, *(name for name in chosen if name not in before))
        else:
            after = tuple(name for name in before if name not in chosen)
        if len(after) >= len(able) > 0:
            text = "At least one layer has to be quantized."
            self.view.messages.show_message(text, "warning", key="layers")
            return
        what = "leave out a layer" if out else "quantize a layer again"
        self.context.project.change(what, exclude=after)

    def reset(self) -> None:
        """Leave out nothing by hand."""
        self.context.project.change("reset the layers", exclude=())

    def _settings_changed(self, names: frozenset[str]) -> None:
        if "exclude" in names:
            self.layers.set_excluded(self.context.project.settings.exclude)
            self._show_sums()
        other = "model" in names and self.context.project.settings.model != self._shown_model
        if other or ("device" in names and not self._shown_model):
            # Undo and redo bring another model back; on another device a look may succeed.
            self._look(self.context.project.settings.model)

    def _show_sums(self) -> None:
        rows, taken = self.layers.rows, self.layers.quantized()
        whole, part = (sum(row.parameters for row in some) for some in (rows, taken))
        text = f"{len(taken)} of {len(rows)} layers are quantized"
        if whole:
            text += f", {part / whole:.1%} of {count(whole)} parameters"
        if taken and all(row.macs is not None for row in rows):
            macs = sum(row.macs or 0 for row in taken) / max(sum(row.macs or 0 for row in rows), 1)
            text += f", {macs:.1%} of the multiply-accumulates"
        self.view.summary.setText(text + ".")
        self._enable()

    def _selected(self) -> list[str]:
        return [self._row(line).name for line in self._lines()]

    def _lines(self) -> list[QModelIndex]:
        return self.view.table.view.selectionModel().selectedRows()

    def _row(self, line: QModelIndex) -> LayerRow:
        return self.layers.rows[self.view.table.source_row(line)]

    def _select(self) -> None:
        self.context.project.selection.select(self._selected())
        self._enable()

    def _enable(self) -> None:
        """Only what would change something can be pressed."""
        out = set(self.context.project.settings.exclude)
        able = [row.name for row in map(self._row, self._lines()) if not row.reason]
        self.view.exclude_button.setEnabled(any(name not in out for name in able))
        self.view.include_button.setEnabled(any(name in out for name in able))
        self.view.reset_button.setEnabled(bool(out))

    def _show_selection(self) -> None:
        wanted = set(self.context.project.selection.names)
        if wanted == set(self._selected()):
            return
        view = self.view.table.view
        selection = view.selectionModel()
        selection.blockSignals(True)
        selection.clearSelection()
        flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
        for number, row in enumerate(self.layers.rows):
            if row.name in wanted:
                index = self.view.table.proxy.mapFromSource(self.layers.index(number, 0))
                selection.select(index, flags)
                view.scrollTo(index)
        selection.blockSignals(False)
        view.viewport().update()
        self._enable()

    def _toggle(self, index: Any) -> None:
        """Enter or a double click changes the box of a line."""
        row = self.layers.rows[self.view.table.source_row(index)]
        if index.column() != 0 or Qt.ItemFlag.ItemIsUserCheckable not in self.layers.flags(
            self.layers.index(self.view.table.source_row(index), 0)
        ):
            return
        self.exclude([row.name], row.name not in self.context.project.settings.exclude)


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Model", str(result["title"])),
        ("Recognised by", str(result["reason"])),
        ("Path", str(result["path"])),
    ]
    window = f"{result['scale']} times, {result['window']} frames at once, {result['steps']} sampling steps"
    rows += [("Enlarges", window), ("Denoiser", f"{count(result['parameters'])} parameters")]
    rows += [("Note", note) for note in result["notes"]]
    return rows


def build(context: Context) -> ModelController:
    """Make the page and its controller."""
    layers = LayersModel()
    page = ModelPage(layers)
    layers.setParent(page)
    return ModelController(page, layers, context)
