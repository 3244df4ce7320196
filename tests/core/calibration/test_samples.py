import json

import numpy as np
import pytest
import torch

from quantvsr.calibration.clips import ArrayClip
from quantvsr.calibration.samples import (
    RecordSettings,
    Sample,
    SampleStore,
    kept_steps,
    record_samples,
    split_windows,
)
from quantvsr.calibration.store import flatten, unflatten
from quantvsr.errors import BadInput, Cancelled
from quantvsr.progress import Progress


class FakeAdapter:
    """Answers with numbers that follow from its inputs, and counts its runs."""

    name = "fake"
    window = 5
    size_multiple = 4
    noise_channels = 2
    default_steps = 3
    device = torch.device("cpu")

    def __init__(self):
        self.runs = 0

    def record_window(self, lq, noise, steps):
        self.runs += 1
        condition = lq.mean(1, keepdim=True)
        return [
            (
                {"x": noise[None] * (step + 1), "extra": {"c": condition, "l": [condition, condition]}},
                lq + step,
            )
            for step in range(steps)
        ]


CLIPS = [
    ArrayClip(name, np.random.default_rng(i).random((7, 20, 24, 3)).astype(np.float32))
    for i, name in enumerate(("a", "b"))
]
SETTINGS = RecordSettings(windows=4, crop=8, seed=5)


def record(folder, adapter=None, **changes):
    settings = RecordSettings(**{**SETTINGS.__dict__, **changes})
    return record_samples(adapter or FakeAdapter(), CLIPS, folder, settings)


def contents(store):
    return [(s.inputs["x"], s.output) for s in store]


def same(first, second):
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True))


def test_samples_come_back_as_recorded(tmp_path):
    store = record(tmp_path)
    assert len(store) == 12
    sample = store[4]
    assert sample.info["window"] == 1
    assert sample.info["step"] == 1
    assert sample.info["clip"] in {clip.digest for clip in CLIPS}
    assert sample.inputs["x"].shape == (1, 2, 8, 8)
    info = sample.info
    crop = CLIPS[info["clip_number"]].read(info["start"], 5)
    crop = crop[:, info["y"] : info["y"] + 8, info["x"] : info["x"] + 8].transpose(0, 3, 1, 2)
    torch.testing.assert_close(sample.output, torch.from_numpy(crop.copy()) + 1, rtol=0, atol=0)
    noise = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(info["seed"]))
    assert torch.equal(sample.inputs["x"], noise[None] * 2)
    assert torch.equal(sample.inputs["extra"]["l"][1], sample.inputs["extra"]["c"])


def test_recording_again_records_nothing(tmp_path):
    first = contents(record(tmp_path))
    adapter = FakeAdapter()
    assert same(first, contents(record(tmp_path, adapter)))
    assert adapter.runs == 0


def test_an_interrupted_recording_is_completed(tmp_path):
    wanted = contents(record(tmp_path / "whole"))

    class Stopping(Progress):
        def report(self, fraction, message="", **payload):
            if fraction >= 0.5:
                self.cancel()

    with pytest.raises(Cancelled):
        record_samples(FakeAdapter(), CLIPS, tmp_path / "part", SETTINGS, progress=Stopping())
    assert len(SampleStore(tmp_path / "part")) == 6
    adapter = FakeAdapter()
    assert same(wanted, contents(record(tmp_path / "part", adapter)))
    assert adapter.runs == 2


def test_damaged_and_missing_files_are_recorded_again(tmp_path):
    store = record(tmp_path)
    wanted = contents(store)
    (tmp_path / store.entries[0]["file"]).write_bytes(b"damaged")
    (tmp_path / store.entries[7]["file"]).unlink()
    with pytest.raises(BadInput, match="sample-00000"):
        store[0]
    adapter = FakeAdapter()
    assert same(wanted, contents(record(tmp_path, adapter)))
    assert adapter.runs == 2


@pytest.mark.parametrize("change", [{"seed": 6}, {"windows": 3}, {"keep_steps": 1}])
def test_other_settings_make_other_samples(tmp_path, change):
    record(tmp_path)
    adapter = FakeAdapter()
    store = record(tmp_path, adapter, **change)
    assert adapter.runs == (change.get("windows") or 4)
    assert len(list(tmp_path.glob("*.safetensors"))) == len(store)


def test_another_model_is_another_recording(tmp_path):
    record(tmp_path)
    adapter = FakeAdapter()
    record_samples(adapter, CLIPS, tmp_path, SETTINGS, model_digest="other")
    assert adapter.runs == 4


def test_half_precision_halves_the_files(tmp_path):
    full, half = record(tmp_path / "full"), record(tmp_path / "half", half=True)
    assert half[3].output.dtype == torch.float32
    torch.testing.assert_close(half[3].output, full[3].output, rtol=1e-3, atol=1e-3)
    sizes = [sum(p.stat().st_size for p in s.folder.glob("*.safetensors")) for s in (full, half)]
    assert sizes[1] < 0.7 * sizes[0]


def test_unusable_folders_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"index\.json"):
        SampleStore(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(BadInput, match="no index of samples"):
        SampleStore(tmp_path)


def test_slices_and_negative_numbers(tmp_path):
    store = record(tmp_path)
    assert [s.info["step"] for s in store[1:3]] == [1, 2]
    assert store[-1].info["step"] == 2


def test_nested_inputs_survive_flattening():
    tensors = [torch.full((), float(i)) for i in range(12)]
    value = {"a": tensors[0], "b": {"64": tensors[1], "l": tensors[2:]}}
    back = unflatten({k[2:]: t for k, t in flatten(value, "i").items()})
    assert back["a"] == 0
    assert back["b"]["64"] == 1
    assert [int(t) for t in back["b"]["l"]] == list(range(2, 12))
    with pytest.raises(TypeError, match="i/a is a str"):
        flatten({"a": "text"}, "i")


def test_sample_moves_with_all_its_tensors():
    sample = Sample({"a": torch.zeros(2), "n": [torch.zeros(1, dtype=torch.int64)]}, torch.zeros(1), {})
    moved = sample.to("cpu", torch.float16)
    assert moved.inputs["a"].dtype == moved.output.dtype == torch.float16
    assert moved.inputs["n"][0].dtype == torch.int64


def test_steps_are_spread_evenly():
    assert kept_steps(50, 10, 0) == list(range(0, 50, 5))
    assert kept_steps(50, 10, 6) == list(range(1, 50, 5))
    assert kept_steps(4, None, 3) == kept_steps(4, 9, 3) == [0, 1, 2, 3]
    assert {s for window in range(4) for s in kept_steps(4, 1, window)} == {0, 1, 2, 3}


def test_whole_windows_are_held_out():
    infos = [{"window": w} for w in range(6) for _ in range(3)]
    train, held = split_windows(infos, 2)
    assert sorted(train + held) == list(range(18))
    assert {infos[i]["window"] for i in held}.isdisjoint({infos[i]["window"] for i in train})
    assert len({infos[i]["window"] for i in held}) == 2
    assert split_windows(infos, 0) == (list(range(18)), [])
    assert len(split_windows([{}, {}], 5)[1]) == 1
    assert split_windows([{}], 5) == ([0], [])
