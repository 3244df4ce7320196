"""Failures a user can meet. Each message is one sentence that names the file and the remedy.

Commands turn these into that sentence and the class's exit code; anything else is a defect of the program.
"""


class QuantVSRError(Exception):
    """Base of every failure that is shown to the user without a traceback."""

    exit_code: int = 1


class BadInput(QuantVSRError):
    """A file or an argument that cannot be used."""

    exit_code = 2


class BadModel(BadInput):
    """Not a model, or a wrong or corrupt checkpoint."""


class DiskFull(QuantVSRError):
    """The folder that was written to has no space left."""

    exit_code = 3


class Cancelled(QuantVSRError):
    """The user stopped the work."""

    exit_code = 130

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)
