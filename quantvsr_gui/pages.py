"""What the pages have in common, and the page of a step that is not built yet."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from quantvsr.jobs.base import job_types
from quantvsr_gui.steps import Step


def label(text: str, name: str = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A label; its name picks its look in the style sheet."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if name:
        made.setObjectName(name)
    if selectable:
        flags = Qt.TextInteractionFlag
        made.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
    return made


class Page(QWidget):
    """A page with its step's title and summary at the top; the rest goes into `body`."""

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"page-{step.key}")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(32, 26, 32, 24)
        self.body.setSpacing(4)
        self.body.addWidget(label(step.title, "title"))
        self.body.addWidget(label(step.summary, "summary", wrap=True))
        self.body.addSpacing(16)


class EmptyPage(Page):
    """Says honestly what this page will show and which command does the same today."""

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(step, parent)
        card = QFrame()
        card.setObjectName("card")
        card.setMaximumWidth(720)
        inside = QVBoxLayout(card)
        inside.setContentsMargins(22, 18, 22, 20)
        inside.setSpacing(8)
        inside.addWidget(label("This page is empty for now. It will show:", "heading", wrap=True))
        for shown in step.shows:
            inside.addWidget(label(f"•  {shown}", wrap=True))
        if step.job:
            inside.addSpacing(10)
            inside.addWidget(label("Until then the command line does it, for example:", "muted"))
            command = label(job_types()[step.job].example, "command", wrap=True, selectable=True)
            command.setAccessibleName("Command line")
            inside.addWidget(command)
        self.body.addWidget(card)
        self.body.addStretch(1)
