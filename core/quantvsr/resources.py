"""Where the files that come with the program are: models, clips, icons."""

from pathlib import Path

from quantvsr.errors import QuantVSRError

# In an installed package the folder lies inside it; in a checkout, at the repository's root.
_CANDIDATES = (Path(__file__).parent / "resources", Path(__file__).parents[2] / "resources")


def resource(name: str) -> Path:
    """Path of a bundled file or folder, such as `models/compact-x4`.

    Raises:
        QuantVSRError: The installation lacks it.
    """
    for folder in _CANDIDATES:
        if (folder / name).exists():
            return folder / name
    raise QuantVSRError(f"The bundled {name} is missing: install the program again.")
