import json

import pytest

from quantvsr.errors import BadInput
from quantvsr.jobs import LayerJob, run
from quantvsr.jobs.options import Bits


def look(finished, layer, **changes):
    return run(LayerJob(layer=layer, analysis=str(finished.folder), model=str(finished.model), **changes))


@pytest.mark.parametrize("layer", ["middle", "temporal", "mlp"])
def test_the_card_of_every_kind_of_layer(finished, layer):
    found = look(finished, layer, rank=2)
    assert (found.rank, found.samples) == (2, 4)
    for histogram, bits in ((found.weights, 4), (found.activations, 4)):
        assert (histogram.first, histogram.last) == (0, 2**bits - 1)
        assert len(histogram.counts) % (2**bits + 2) == 0
        assert sum(histogram.counts) > 0
        assert histogram.step > 0
        assert 0 <= histogram.outside < 0.2
    assert list(found.spectrum) == sorted(found.spectrum, reverse=True)
    assert 0 < found.energy < 1
    # More bits, less error.
    assert found.errors["W8A8"] > found.errors["W6A6"] > found.errors["W4A4"]
    assert list(found.errors.values()) == sorted(found.errors.values())
    assert found.rows()
    assert found.to_json()["bits"] == "W4A4"


def test_rank_and_bits_are_what_was_asked_for(finished):
    wide = look(finished, "middle", rank=6, bits=Bits(3, 8))
    assert (wide.weights.last, wide.activations.last) == (7, 255)
    assert str(wide.bits) in wide.errors
    narrow = look(finished, "middle", rank=1)
    assert narrow.energy < look(finished, "middle", rank=6).energy
    assert narrow.errors["W4A4"] < look(finished, "middle", rank=6).errors["W4A4"]


def test_the_rank_is_the_analysis_own_unless_given(finished):
    ranks = json.loads((finished.folder / "ranks.json").read_text())["layers"]
    assert look(finished, "mlp").rank == ranks["mlp"]["rank"]


@pytest.mark.parametrize("method", ["maxmin", "quantvsr-reference"])
def test_other_methods(finished, method):
    assert look(finished, "middle", method=method, rank=2).errors["W8A8"] > 10


def test_what_cannot_be_looked_at(finished, tmp_path):
    with pytest.raises(BadInput, match="muddle"):
        look(finished, "muddle", rank=1)
    with pytest.raises(BadInput, match=r"muddle.*--rank"):
        look(finished, "muddle")
    with pytest.raises(BadInput, match="analyze"):
        run(LayerJob(layer="middle", analysis=str(tmp_path), model=str(finished.model), rank=1))
