"""Harmless stand-ins for what training frameworks leave in their checkpoints beside the weights.

A checkpoint of PyTorch Lightning names classes of callbacks, loops and settings. Nothing of them is needed,
so they are not imported: objects of these names become empty ones that do nothing.
"""

from typing import Any, NoReturn

# Whose names are met in checkpoints of diffusion models; only the names' beginnings are compared.
_FRAMEWORKS = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.")
_TYPES = ("bool", "dict", "float", "int", "list", "str", "tuple", "unicode")
_PLAIN = frozenset(
    {
        ("argparse", "Namespace"),
        ("collections", "defaultdict"),
        ("typing", "Any"),
        *((module, name) for module in ("builtins", "__builtin__") for name in _TYPES),
    }
)


class StandIn:
    """Takes whatever an unpickler gives it and forgets it."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, item: object) -> None:
        """Forget the item."""

    def extend(self, items: object) -> None:
        """Forget the items."""

    def add(self, item: object) -> None:
        """Forget the item."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stand-in cannot be saved")


def stand_in(module: str, name: str) -> Any:
    """A class for a name that is known to be needless, or None."""
    if module.startswith(_FRAMEWORKS) or f"{module}." in _FRAMEWORKS or (module, name) in _PLAIN:
        return StandIn
    return None
