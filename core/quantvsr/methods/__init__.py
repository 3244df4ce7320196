"""QuantVSR and what it is compared with; importing the package registers all methods. No torch, no NumPy.

One file per method. `apply` (which does need torch) turns a recipe into quantized layers.
"""

# In the order of tables.
from quantvsr.methods import maxmin  # noqa: F401  isort: skip
from quantvsr.methods import q_diffusion  # noqa: F401  isort: skip
from quantvsr.methods import quarot  # noqa: F401  isort: skip
from quantvsr.methods import vidit_q  # noqa: F401  isort: skip
from quantvsr.methods import svdquant  # noqa: F401  isort: skip
from quantvsr.methods import quantvsr  # noqa: F401  isort: skip
from quantvsr.methods.registry import Method, Recipe, get_method, methods  # isort: skip

__all__ = ["Method", "Recipe", "get_method", "methods"]
