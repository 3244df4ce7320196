"""The system's dialogs for choosing files, in one function that tests can replace."""

from typing import Literal

from PySide6.QtWidgets import QFileDialog, QWidget

Kind = Literal["files", "file", "folder", "save"]


def ask_files(parent: QWidget, kind: Kind, title: str, start: str = "", filters: str = "") -> list[str]:
    """Ask for paths.

    Args:
        parent: The window.
        kind: Several files, one file, a folder, or a name to write to.
        title: Of the dialog.
        start: Folder or name to begin with.
        filters: As Qt writes them: "Videos (*.mp4 *.mkv)".

    Returns:
        The chosen paths; empty where the person thought better of it.
    """
    if kind == "files":
        return QFileDialog.getOpenFileNames(parent, title, start, filters)[0]
    if kind == "folder":
        found = QFileDialog.getExistingDirectory(parent, title, start)
    elif kind == "file":
        found = QFileDialog.getOpenFileName(parent, title, start, filters)[0]
    else:
        found = QFileDialog.getSaveFileName(parent, title, start, filters)[0]
    return [found] if found else []
