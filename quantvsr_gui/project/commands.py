"""Edits of settings as commands that can be undone."""

from collections.abc import Callable

from PySide6.QtGui import QUndoCommand

from quantvsr.project import Settings

_MERGING = 1


class ChangeSettings(QUndoCommand):
    """From one value of the settings to another.

    Args:
        text: What was done, for the menu: "Undo <text>".
        before, after: The settings.
        apply: Makes a value the current one.
        merge: Commands that follow each other with the same non-empty key become one, so that dragging a
            slider is undone at once.
    """

    def __init__(
        self, text: str, before: Settings, after: Settings, apply: Callable[[Settings], None], merge: str = ""
    ) -> None:
        super().__init__(text)
        self._before, self._after, self._apply, self._merge = before, after, apply, merge

    def id(self) -> int:
        """Qt tries to merge commands of the same number; -1 never."""
        return _MERGING if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take over where `other` leads."""
        if not isinstance(other, ChangeSettings) or other._merge != self._merge:
            return False
        self._after = other._after
        self.setObsolete(self._after == self._before)
        return True

    def redo(self) -> None:
        """Do it."""
        self._apply(self._after)

    def undo(self) -> None:
        """Take it back."""
        self._apply(self._before)
