"""Settings about single layers and clips: exclusions, ranks, bits, ranges, amounts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from quantvsr.errors import BadInput
from quantvsr.jobs import AnalyzeJob, QuantizeJob, job_from_json, run
from quantvsr.jobs.options import Bits, FrameRange, LayerBits, LayerRank
from quantvsr.jobs.presets import budget_of, preset
from quantvsr.jobs.work.clips import learn_clips
from quantvsr.quant.checkpoint import read_checkpoint_info

names = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=12)


@given(names, st.integers(0, 999), st.integers(2, 8), st.integers(2, 8))
def test_layers_with_their_values_round_trip(name, rank, weights, activations):
    for item in (LayerRank(name, rank), LayerBits(name, Bits(weights, activations))):
        assert type(item).parse(str(item)) == item


@given(st.integers(0, 99), st.none() | st.integers(100, 200))
def test_ranges_round_trip(start, stop):
    assert FrameRange.parse(str(FrameRange(start, stop))) == FrameRange(start, stop)


@pytest.mark.parametrize("text", ["", "5", "a:b", "-1:3", "5:5", "5:3", "²:"])
def test_what_is_no_range(text):
    with pytest.raises(BadInput):
        FrameRange.parse(text)


@pytest.mark.parametrize("text", ["mid", "=4", "mid=", "mid=x", "mid=9.5"])
def test_what_gives_no_layer_a_value(text):
    for kind in (LayerRank, LayerBits):
        with pytest.raises(BadInput):
            kind.parse(text)


def test_the_presets_numbers_hold_until_the_job_gives_its_own():
    job = AnalyzeJob(preset="standard", samples=7)
    standard = preset("standard")
    assert (budget_of(job).samples, budget_of(job).crop) == (7, standard.crop)
    assert budget_of(job).refine == standard.refine


def test_a_run_does_what_was_set_by_hand(model, clip, tmp_path):
    job = QuantizeJob(
        clips=(str(clip),),
        ranges=(FrameRange(0, 5),),
        out=str(tmp_path / "q"),
        model=str(model),
        exclude=("mlp",),
        layer_ranks=(LayerRank("middle", 3),),
        layer_bits=(LayerBits("temporal", Bits(8, 8)),),
        samples=4,
    )
    assert job_from_json(json.loads(json.dumps(job.to_json()))) == job
    result = run(job)
    info = read_checkpoint_info(result.checkpoint)
    assert sorted(info.layers) == ["middle", "temporal"]
    assert info.layers["middle"]["rank"] == 3
    found = {name: layer["config"]["weight_bits"] for name, layer in info.layers.items()}
    assert found == {"middle": 4, "temporal": 8}


def test_samples_of_an_analysis_are_used_again(model, clip, tmp_path):
    shared = tmp_path / "p"
    run(AnalyzeJob(clips=(str(clip),), out=str(shared), model=str(model)))
    samples = shared / "work" / "samples"
    before = {file.name: file.stat().st_mtime_ns for file in samples.iterdir()}
    job = QuantizeJob(clips=(str(clip),), out=str(tmp_path / "q"), model=str(model), analysis=str(shared))
    with_them = run(job)
    assert {file.name: file.stat().st_mtime_ns for file in samples.iterdir()} == before
    assert not (tmp_path / "q" / "work" / "samples").exists()
    alone = run(QuantizeJob(clips=(str(clip),), out=str(tmp_path / "r"), model=str(model)))
    found, expected = load_file(with_them.checkpoint), load_file(alone.checkpoint)
    assert set(found) == set(expected)
    assert all(found[name].equal(expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"exclude": ("midle",)}, "midle"),
        ({"layer_bits": (LayerBits("midle", Bits(8, 8)),)}, "midle"),
        ({"layer_ranks": (LayerRank("midle", 4),)}, "midle"),
        ({"ranges": (FrameRange(), FrameRange())}, "2 ranges for 1 clips"),
        ({"ranges": (FrameRange(50),)}, "start before frame 6"),
        ({"exclude": ("*",)}, "exclude fewer"),
    ],
)
def test_mistakes_are_named(model, clip, tmp_path, changes, match):
    job = AnalyzeJob(clips=(str(clip),), out=str(tmp_path / "q"), model=str(model), **changes)
    with pytest.raises(BadInput, match=match):
        run(job)


def test_a_range_is_read_from_its_start_and_counts_as_other_content(clip):
    (whole,), (part,) = learn_clips([str(clip)]), learn_clips([str(clip)], ranges=[FrameRange(2, 5)])
    assert (whole.frames, part.frames) == (6, 3)
    assert (part.read(0, 2) == whole.read(2, 2)).all()
    assert (part.read(1, 4) == whole.read(3, 4)[[0, 1, 1, 1]]).all()
    assert whole.digest != part.digest


def test_an_analysis_that_is_not_there_is_not_begun(model, clip, tmp_path):
    job = QuantizeJob(
        clips=(str(clip),), out=str(tmp_path / "q"), model=str(model), analysis=str(tmp_path / "a")
    )
    with pytest.raises(BadInput, match="leave --analysis out"):
        run(job)
    assert not (tmp_path / "q").exists() and not (tmp_path / "a").exists()


def test_what_is_no_clip_is_found_before_anything_is_written(model, tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    for job in (AnalyzeJob, QuantizeJob):
        with pytest.raises(BadInput, match=r"notes\.mp4 cannot be opened"):
            run(job(clips=(str(tmp_path / "notes.mp4"),), out=str(tmp_path / "out"), model=str(model)))
    assert not (tmp_path / "out").exists()
