import json

import pytest

from quantvsr import cli
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.errors import BadInput
from quantvsr.methods import get_method, methods
from quantvsr.methods.quantvsr import improvements
from quantvsr.quant.config import default, reference

NAMES = ["maxmin", "q-diffusion", "quarot", "vidit-q", "svdquant", "quantvsr-reference", "quantvsr"]
BUDGET = RefineConfig(updates=30, bias_updates=10, accumulation=3, seed=5)


def test_all_methods_of_the_comparison_are_there_with_their_sources():
    assert list(methods()) == NAMES
    for method in methods().values():
        assert method.summary and method.source
        json.dumps([method.to_json(), method.recipe.to_json()])
        assert method.recipe.layer(3, 5).weight_bits == 3
        assert method.recipe.layer(3, 5).activation_bits == 5


@pytest.mark.parametrize("name", NAMES)
def test_no_method_trains_more_than_the_budget(name):
    training = get_method(name).recipe.training(BUDGET)
    assert training.updates + training.bias_updates <= 40
    assert training.accumulation == 3
    assert training.seed == 5


def test_the_profiles_are_those_of_the_layer():
    assert get_method("quantvsr").recipe.layer(4, 4) == default(4, 4)
    assert get_method("quantvsr-reference").recipe.layer(4, 6) == reference(4, 6)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("quantvsr+no-branch", {"low_rank": False}),
        ("quantvsr+no-bias", {"bias_alignment": False}),
        ("quantvsr+no-rotation+no-branch", {"rotation": "none", "low_rank": False}),
        ("quantvsr+published-activation-granularity", {"activation_granularity": "tensor"}),
        ("quantvsr-reference+no-rotation", {"rotation": "none"}),
    ],
)
def test_switches_change_just_that(name, changed):
    method = get_method(name)
    plain = get_method(name.partition("+")[0])
    assert (method.name, method.family, plain.family) == (name, "ablation", "method")
    assert method.title.startswith(plain.title + ", ")
    assert method.recipe.layer(4, 4) == plain.recipe.layer(4, 4).replace(**changed)


def test_every_improvement_over_the_published_profile_has_a_switch():
    switches = get_method("quantvsr").recipe.switches()
    assert {"activation_granularity", "rotation", "activation_clip", "activation_shift"} <= set(
        improvements()
    )
    theirs = reference(4, 4)
    for name in improvements():
        recipe = switches[f"published-{name.replace('_', '-')}"].change(get_method("quantvsr").recipe)
        assert getattr(recipe.layer(4, 4), name) == getattr(theirs, name)
        assert recipe.to_json() != get_method("quantvsr").recipe.to_json()


def test_updates_that_a_switch_frees_go_to_the_other_stage():
    def trained(name):
        training = get_method(name).recipe.training(BUDGET)
        return training.updates, training.bias_updates

    assert trained("quantvsr") == (30, 10)
    assert trained("quantvsr+no-bias") == (40, 0)
    assert trained("quantvsr+no-refine") == (0, 10)
    assert trained("quantvsr+no-refine+no-bias") == (0, 0)
    assert trained("quantvsr-reference") == (20, 20)
    assert trained("quantvsr+published-training") == (20, 20)
    assert get_method("quantvsr+published-training").recipe.training(BUDGET).weight_decay == 0.01


def test_ranks_of_the_switches():
    assert get_method("quantvsr+no-branch").recipe.uniform_rank == 0
    assert get_method("quantvsr+rank-32").recipe.uniform_rank == 32
    assert get_method("svdquant").recipe.uniform_rank == 32
    assert get_method("quantvsr").recipe.uniform_rank is None
    assert get_method("quantvsr").recipe.ranks({"max_rank": 12}).max_rank == 12
    assert get_method("quantvsr+published-ranks").recipe.ranks({}).rule == "reference"
    assert get_method("quantvsr").recipe.ranks({"extra_bits": 1.5}).extra_bits == 1.5
    assert get_method("quantvsr+published-ranks").recipe.ranks({"extra_bits": 1.5}).extra_bits is None
    assert get_method("quantvsr+published-ranks").recipe.statistics == "reference by layout"
    assert get_method("quantvsr+even-rank").recipe.ranks({}).rule == "even"
    fixed = get_method("svdquant").recipe.ranks({"max_rank": 12})
    assert (fixed.min_rank, fixed.max_rank) == (32, 32)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("magic", "There is no method 'magic'; choose one of maxmin, q-diffusion"),
        ("quantvsr+more", "has no switch 'more'; choose from no-branch"),
        ("maxmin+no-bias", "it has none"),
        ("quantvsr+no-bias+no-bias", "given twice"),
        ("quantvsr+", "has no switch ''"),
    ],
)
def test_unknown_names_are_told_with_what_there_is(name, words):
    with pytest.raises(BadInput, match=words.replace("'", ".").replace("+", ".")):
        get_method(name)


def test_the_list_for_the_command_line(capsys):
    assert cli.main(["methods"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "svdquant",
        "Li et al., ICLR 2025",
        "+no-bias",
        "Simplified: Weights are rounded to nearest",
    ):
        assert words in shown
    assert cli.main(["methods", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["methods"]) == NAMES
