"""Where tests find their larger data: environment variables first, then folders next to the repository.

- QUANTVSR_GOLDEN: folders with golden vectors of the quantization specification (os.pathsep between them).
- QUANTVSR_GOLDEN_MGLD: the same for the MGLD model.
- QUANTVSR_MEDIA: one folder with real clips and, in `awkward/`, awkward ones.

Without the variables the folders `../shared/...` beside the repository are used when they exist, and in every
case the small subset under `tests/data/golden/` where it exists. Usable at collection time too:
`from folders import golden_folders`.
"""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "tests" / "data"


def _folders(variable: str, *defaults: Path) -> list[Path]:
    value = os.environ.get(variable, "")
    if value:
        folders = [Path(part).expanduser().resolve() for part in value.split(os.pathsep) if part]
        missing = [str(folder) for folder in folders if not folder.is_dir()]
        if missing:
            raise FileNotFoundError(f"{variable} names folders which do not exist: {', '.join(missing)}")
        return folders
    return [folder for folder in defaults if folder.is_dir()]


def golden_folders() -> list[Path]:
    """Folders with golden vectors of the quantization specification."""
    return _folders(
        "QUANTVSR_GOLDEN", REPOSITORY.parent / "shared" / "golden" / "quant", DATA / "golden" / "quant"
    )


def golden_mgld_folders() -> list[Path]:
    """Folders with golden vectors of the MGLD model."""
    return _folders(
        "QUANTVSR_GOLDEN_MGLD", REPOSITORY.parent / "shared" / "golden" / "mgld", DATA / "golden" / "mgld"
    )


def media_folder() -> Path | None:
    """The folder with real clips, or None where there is none."""
    folders = _folders("QUANTVSR_MEDIA", REPOSITORY.parent / "shared" / "media")
    return folders[0] if folders else None
