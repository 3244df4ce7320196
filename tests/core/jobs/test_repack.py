"""Other ranks and bits in some layers of a checkpoint; the rest stays as it is."""

import pytest
from safetensors.torch import load_file

from quantvsr.cli import job_from_arguments
from quantvsr.errors import BadInput
from quantvsr.jobs import RepackJob, run
from quantvsr.jobs.options import Bits, LayerBits, LayerRank
from quantvsr.jobs.repack import RepackResult
from quantvsr.quant.checkpoint import read_checkpoint_info


@pytest.fixture
def again(finished, tmp_path):
    """Pack the finished checkpoint of the tiny model again."""

    def make(**changes):
        job = RepackJob(
            checkpoint=str(finished.folder), model=str(finished.model), out=str(tmp_path / "out"), **changes
        )
        result = run(job)
        assert isinstance(result, RepackResult)
        return result

    return make


def test_a_changed_layer_has_its_new_rank_and_bits_and_the_others_are_untouched(again, finished):
    result = again(layer_ranks=(LayerRank("middle", 5),), layer_bits=(LayerBits("middle", Bits(8, 6)),))
    assert result.changed == ("middle",)
    info, before = read_checkpoint_info(result.checkpoint), read_checkpoint_info(finished.checkpoint)
    assert info.layers["middle"]["rank"] == 5
    assert info.layers["middle"]["config"]["weight_bits"] == 8
    assert info.layers["middle"]["config"]["activation_bits"] == 6
    assert info.meta["repacked"]["layer_ranks"] == ["middle=5"]
    assert info.source_hash == before.source_hash
    old, new = load_file(finished.checkpoint), load_file(result.checkpoint)
    others = [name for name in old if not name.startswith("middle.")]
    assert others
    assert all(old[name].equal(new[name]) for name in others)
    assert result.bytes_lowbit == info.bytes_file
    assert result.bytes_lowbit != before.bytes_file


def test_a_short_training_only_makes_the_held_out_loss_smaller_or_keeps_it(again):
    result = again(layer_ranks=(LayerRank("middle", 2),), updates=4)
    assert result.loss_first is not None
    assert result.loss_last is not None
    assert result.loss_last <= result.loss_first


def test_changes_are_read():
    arguments = ["repack", "x", "--layer-ranks", "a.b=3", "c=0", "--layer-bits", "a.b=W4A8"]
    job, _ = job_from_arguments(arguments)
    assert isinstance(job, RepackJob)
    assert job.changes() == {"a.b": (3, Bits(4, 8)), "c": (0, None)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Nothing"),
        ({"layer_ranks": (LayerRank("nowhere", 2),)}, "nowhere"),
        (
            {"layer_ranks": (LayerRank("middle", 2),), "updates": 3, "samples": "gone"},
            "no calibration samples",
        ),
    ],
)
def test_what_cannot_be_done_is_said(again, change, words):
    with pytest.raises(BadInput, match=words):
        again(**change)
