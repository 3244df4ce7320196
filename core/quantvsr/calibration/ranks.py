"""How many low-rank columns each layer gets. NumPy only: the app recomputes this while a slider moves.

Three rules, each a registered function:

`reference` is the published one (specification section 9): a layer starts at `min_rank`; each calibration
sample adds one if both complexities are above their upper thresholds and takes one if both are below the
lower ones; then clip, then round.

`even` gives every layer the same rank, as large as the budget allows: what allocation has to beat.

`default` is ours, in plain sentences:

1. A layer's *score* is the share of its samples above both upper thresholds minus the share below both lower
   ones, from -1 to 1; thresholds are quantiles over all layers, every layer counting the same.
2. Steps of `multiple` ranks are handed out one by one, each to the layer where it saves most expected error
   of the denoiser's output (see `sensitivity`) per byte, until the next step would exceed the budget. A
   layer's score makes its error count up to twice or down to half.
3. Where errors were not measured, or without a budget, a layer's *wish* decides: it lies between its lowest
   and highest allowed rank, in proportion to the score, where the allowed ranks are fractions of the largest
   rank that makes sense. Steps then go to the layer that is furthest behind its wish (as seats are
   apportioned by Webster's method).
"""

from collections.abc import Sequence

from quantvsr.calibration import rank_default, rank_even, rank_reference  # noqa: F401  (register rules)
from quantvsr.calibration.allocation import (
    RULES,
    Allocation,
    RankSettings,
    Thresholds,
    rule,
    rule_names,
)
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput

__all__ = ["Allocation", "RankSettings", "Thresholds", "allocate", "rule", "rule_names"]


def allocate(
    table: ComplexityTable,
    settings: RankSettings | None = None,
    *,
    layers: Sequence[str] | None = None,
    cost: CostModel | None = None,
) -> Allocation:
    """Give every layer its rank.

    Args:
        table: Complexity per layer and sample.
        settings: Rule and numbers.
        layers: All quantized layers in network order, observed or not; taken from `cost`, else from `table`.
        cost: Shapes and storage of the layers. The default rule needs it; the reference rule uses it only to
            tell effective bits (its ranks may exceed min(O, n), as published).

    Returns:
        The allocation, one entry for each of `layers`.

    Raises:
        BadInput: A rank was set by hand for a layer that does not exist.
    """
    chosen = settings or RankSettings()
    order = tuple(layers) if layers is not None else cost.names if cost is not None else table.names
    unknown = sorted(set(chosen.overrides) - set(order))
    if unknown:
        raise BadInput(f"A rank is set for {unknown[0]}, which is no quantized layer; remove that entry.")
    return RULES[chosen.rule](table, chosen, order, cost)
