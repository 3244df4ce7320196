import pytest

from quantvsr.calibration.refine_config import PRESETS
from quantvsr.errors import BadInput
from quantvsr.jobs.presets import Preset, preset, preset_names


def test_the_names_are_those_of_the_refinement():
    assert preset_names() == ("quick", "medium", "standard", "paper")
    assert set(preset_names()) == set(PRESETS)


def test_paper_is_the_published_budget():
    paper = preset("paper")
    assert (paper.samples, paper.refine.updates, paper.refine.accumulation) == (1800, 900, 4)
    # 10 of 50 steps are kept of each window.
    assert paper.windows(50) == 180


@pytest.mark.parametrize(("keep", "steps", "windows"), [(None, 4, 3), (None, 50, 1), (2, 4, 5), (8, 4, 3)])
def test_windows_give_at_least_the_samples(keep, steps, windows):
    budget = Preset("some", samples=10, keep_steps=keep, crop=8, refine=PRESETS["quick"])
    assert budget.windows(steps) == windows


def test_an_unknown_preset_lists_what_there_is():
    with pytest.raises(BadInput, match="quick, medium, standard, paper"):
        preset("huge")
