"""Integer execution on x86 processors with torch alone: slower, for machines without numba."""

from quantvsr.runtime.onednn import OneDnnBackend
from quantvsr.runtime.passes import TorchPasses


class PlainOneDnnBackend(OneDnnBackend):
    """The same products, with many more passes over memory around them."""

    title = "integer, oneDNN int8 without numba"
    passes = TorchPasses

    def _missing(self) -> str | None:
        return None


BACKEND = PlainOneDnnBackend()
