"""The constant text context on disk, beside the model it was computed for."""

import logging
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from quantvsr.errors import BadInput, DiskFull
from quantvsr.files import atomic_path
from quantvsr.models.mgld.files import COMPUTED_CONTEXT, CONTEXT_KEY

_log = logging.getLogger(__name__)


def store_context(context: Tensor, folder: Path) -> None:
    """Keep a computed context for the next time; a folder that cannot be written to is no failure."""
    path = folder / COMPUTED_CONTEXT
    try:
        with atomic_path(path) as temporary:
            save_file({CONTEXT_KEY: context.cpu().contiguous()}, temporary)
    except (OSError, BadInput, DiskFull) as error:
        _log.info("the text context could not be stored at %s: %s", path, error)
