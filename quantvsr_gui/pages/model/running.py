"""Where the project computes, and in how many sampling steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, QSignalBlocker, Qt, QTimer
from PySide6.QtWidgets import QComboBox, QFormLayout, QSpinBox, QVBoxLayout, QWidget

from quantvsr.jobs import InfoJob
from quantvsr.project import Settings
from quantvsr_gui.engine import Engine, Engines, JobHandle
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.widgets.banner import Messages
from quantvsr_gui.widgets.text import label, size

AUTO, CPU = "auto", "cpu"
_MOST_STEPS = 1000
_KEY = "device"


class RunningForm(QWidget):
    """Two settings that hold for everything the project computes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(336)
        self.device = QComboBox()
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where the model runs: calibration, training, previews and exports")
        self.device.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.device.setMinimumContentsLength(12)
        self.steps = QSpinBox()
        self.steps.setAccessibleName("Sampling steps")
        self.steps.setToolTip(
            "Denoising steps of each window: more take longer. Used by calibration, previews and exports."
        )
        self.steps.setRange(1, _MOST_STEPS)
        self.steps.setKeyboardTracking(False)
        self.note = label("", "muted", wrap=True)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        form.addRow(label("Device", "muted"), self.device)
        form.addRow(label("Sampling steps", "muted"), self.steps)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(form)
        column.addWidget(self.note)
        column.addStretch(1)


class RunningControl(QObject):
    """Connects the form with the project; a device that is not there is replaced by `auto`, and said so.

    Args:
        form: The view.
        project: Whose settings are shown and edited.
        engines: The one for quick looks is asked for the devices.
        messages: Where a device that went away is told.
        parent: Qt's owner.
    """

    def __init__(
        self,
        form: RunningForm,
        project: ProjectModel,
        engines: Engines,
        messages: Messages,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._form, self._project, self._messages = form, project, messages
        self._engines = engines
        self._asked: JobHandle | None = None
        # By name, with what a person calls them; None before the engine has answered.
        self._gpus: dict[str, str] | None = None
        self._own_steps: int | None = None
        self._restarting = False
        form.device.activated.connect(self._device_chosen)
        form.steps.valueChanged.connect(self._steps_edited)
        project.opened.connect(self._opened)
        project.settings_changed.connect(self._settings_changed)
        for engine in engines.all():
            engine.crashed.connect(lambda *_, engine=engine: self._crashed(engine))
        engines.preview.changed.connect(self._restarted)
        self.show()

    def ask(self) -> None:
        """Ask which devices there are, unless that is known or on its way."""
        if self._gpus is None and self._asked is None:
            self._asked = handle = self._engines.preview.submit(InfoJob())
            handle.succeeded.connect(self._answered)
            handle.ended.connect(self._forget)

    def set_own_steps(self, steps: int) -> None:
        """Say how many steps the model itself takes."""
        self._own_steps = steps
        self.show()

    def show(self) -> None:
        """Show the settings as they are."""
        form, settings = self._form, self._project.settings
        choices = {AUTO: "Automatic", CPU: "Processor"} | (self._gpus or {})
        # A kind of device that the engine does not list ("mps") may still be one that it can use.
        choices.setdefault(settings.device, settings.device)
        with QSignalBlocker(form.device):
            form.device.clear()
            for name, title in choices.items():
                form.device.addItem(title, name)
            form.device.setCurrentIndex(form.device.findData(settings.device))
        steps = settings.steps or self._own_steps
        with QSignalBlocker(form.steps):
            form.steps.setValue(steps or 1)
        form.device.setEnabled(self._project.is_open)
        # The model's own number comes with the look at the model.
        form.steps.setEnabled(self._project.is_open and steps is not None)
        form.note.setText(" ".join(self._words(settings)))

    def _words(self, settings: Settings) -> list[str]:
        """What the choices come to, where that is not plain."""
        words = []
        if settings.device == AUTO and self._gpus is not None:
            first = next(iter(self._gpus.values()), None)
            words.append(f"Automatic takes {first or 'the processor: no GPU was found'}.")
        if settings.steps is not None and self._own_steps is not None:
            words.append(f"The model itself takes {self._own_steps} steps.")
        return words

    # Devices

    def _answered(self, result: dict[str, Any]) -> None:
        self._gpus = gpu_titles(result["gpus"])
        self._fall_back()
        self.show()

    def _forget(self) -> None:
        self._asked = None

    def _opened(self) -> None:
        self._messages.clear(_KEY)
        self._fall_back()
        self.show()

    def _crashed(self, engine: Engine) -> None:
        """Perhaps because a GPU went away: look again, in a process that has not seen it."""
        if not self._gpus:
            return
        self._gpus = None
        preview = self._engines.preview
        if engine is not preview and preview.process_id:
            # What is asked before the process has ended would end with it.
            self._restarting = True
            preview.restart()
        else:
            QTimer.singleShot(0, self, self.ask)

    def _restarted(self) -> None:
        if self._restarting and not self._engines.preview.process_id:
            self._restarting = False
            QTimer.singleShot(0, self, self.ask)

    @property
    def _gone(self) -> bool:
        """Whether the project's device is known to be missing."""
        wanted = self._project.settings.device
        missing = wanted.startswith("cuda") and self._gpus is not None and not _has(self._gpus, wanted)
        return self._project.is_open and missing

    @property
    def _instead(self) -> str:
        return next(iter((self._gpus or {}).values()), "the processor")

    def _fall_back(self) -> None:
        if not self._gone:
            return
        wanted = self._project.settings.device
        self._project.change("use another device", device=AUTO)
        text = f"The GPU {wanted} of this project is not there; {self._instead} is used instead."
        self._messages.show_message(text, "warning", key=_KEY)

    # Editing

    def _device_chosen(self) -> None:
        self._project.change("choose a device", device=self._form.device.currentData())

    def _steps_edited(self, value: int) -> None:
        wanted = None if value == self._own_steps else value
        self._project.change("change the sampling steps", merge="steps", steps=wanted)

    def _settings_changed(self, names: frozenset[str]) -> None:
        if "device" in names and self._gone:
            # Undone: what was wished is shown, and what can be done about it.
            text = f"The GPU {self._project.settings.device} of this project is not there."
            actions = {f"Use {self._instead}": self._fall_back}
            self._messages.show_message(text, "warning", actions, _KEY)
        elif "device" in names:
            self._messages.clear(_KEY)
        if names & {"device", "steps"}:
            self.show()


def gpu_titles(gpus: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the engine says of GPUs, by their names in the settings: "NVIDIA H200 (151 GB, cuda:0)"."""
    return {str(gpu["device"]): f"{gpu['name']} ({size(gpu['memory'])}, {gpu['device']})" for gpu in gpus}


def _has(gpus: Mapping[str, str], device: str) -> bool:
    return device in gpus or (device == "cuda" and bool(gpus))
