import copy
import json
import math

import pytest
import torch
from torch import nn

from quantvsr.calibration.order import order_of, sample_weights
from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import PRESETS, RefineConfig
from quantvsr.calibration.results import RefineResult, StageResult
from quantvsr.calibration.samples import Sample
from quantvsr.calibration.snapshot_list import list_snapshots
from quantvsr.calibration.snapshots import SnapshotFolder
from quantvsr.calibration.stages import Stage, make_optimizer, named, sample_loss
from quantvsr.errors import BadInput, Cancelled
from quantvsr.progress import Progress
from quantvsr.quant.config import default, reference
from quantvsr.quant.surgery import quantize_model

SMALL = RefineConfig(
    updates=12,
    bias_updates=6,
    accumulation=2,
    evaluate_every=4,
    snapshot_every=3,
    holdout=1,
    direction_learning_rate=None,
    learning_rate=1e-2,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Linear(16, 4)

    def forward(self, x, scale):
        x = torch.nn.functional.silu(self.first(x)) * scale
        x = torch.nn.functional.silu(self.second(x))
        return self.last(x.movedim(1, -1)).movedim(-1, 1)


def make(seed=0, config=None, rank=2):
    """A network, its samples, and the quantized network."""
    torch.manual_seed(seed)
    net = Net().eval().requires_grad_(False)
    samples = []
    with torch.no_grad():
        for window in range(5):
            for step in range(2):
                inputs = {"x": torch.randn(3, 4, 6, 6), "scale": torch.tensor(1.0 + step)}
                info = {"window": window, "step": step, "steps": 2}
                samples.append(Sample(inputs, net(**inputs), info))
    model = copy.deepcopy(net)
    layers = quantize_model(model, config or default(4, 4), rank, seed=1)
    return model, layers, samples


def parameters(layers):
    return {
        f"{n}.{k}": p.detach().clone() for n, layer in layers.items() for k, p in layer.named_parameters()
    }


def mean_loss(model, samples):
    with torch.no_grad():
        return sum(sample_loss(model, s).item() for s in samples) / len(samples)


class CancelAt(Progress):
    """Cancels at the n-th check, which may be in the middle of a sample."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def check(self):
        self.number -= 1
        if self.number == 0:
            self.cancel()
        super().check()


class Listening(Progress):
    def __init__(self):
        super().__init__()
        self.heard = []

    def report(self, fraction, message="", **payload):
        self.heard.append((fraction, payload))


def test_training_brings_the_output_nearer():
    model, layers, samples = make(config=default(2, 8))
    for layer in layers.values():
        layer.initialise()
    layers.set_mode("train")
    before = mean_loss(model, samples)
    result = refine(model, layers, samples, RefineConfig(**{**SMALL.__dict__, "updates": 30}))
    layers.set_mode("frozen")
    assert mean_loss(model, samples) < 0.9 * before
    assert [stage.name for stage in result.stages] == ["low-rank", "bias"]
    assert [len(stage.losses) for stage in result.stages] == [30, 6]
    assert all(len(part) == 2 for stage in result.stages for part in stage.sample_losses)


def test_the_best_state_is_kept():
    model, layers, samples = make()
    wild = RefineConfig(**{**SMALL.__dict__, "learning_rate": 0.3, "evaluate_every": 1})
    result = refine(model, layers, samples, wild)
    for stage in result.stages:
        losses = dict(stage.held_out)
        assert losses[stage.best_step] == min(losses.values())
    assert result.stage("low-rank").best_step < 12, "so wild a rate makes the last state a bad one"
    held = [s for s in samples if s.info["window"] == 2]
    assert mean_loss(model, held) == pytest.approx(min(v for _, v in result.stage("bias").held_out), rel=1e-5)


def test_one_seed_gives_one_trajectory():
    runs = []
    for seed in (0, 0, 1):
        model, layers, samples = make()
        refine(model, layers, samples, RefineConfig(**{**SMALL.__dict__, "seed": seed}))
        runs.append(parameters(layers))
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert not all(torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


STARTED = dict(layer_updates=3)


@pytest.mark.parametrize("stop", [5, 60, 190, 290])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path, stop):
    config = RefineConfig(**{**SMALL.__dict__, **STARTED})
    learned = default(4, 4).replace(weight_range="learned")
    model, layers, samples = make(config=learned)
    wanted = refine(model, layers, samples, config)
    whole = parameters(layers)

    model, layers, samples = make(config=learned)
    with pytest.raises(Cancelled):
        refine(model, layers, samples, config, progress=CancelAt(stop), snapshot_dir=tmp_path)
    # A new process would make the model anew.
    model, layers, samples = make(config=learned)
    found = refine(model, layers, samples, config, snapshot_dir=tmp_path)
    assert [s.losses for s in found.stages] == [s.losses for s in wanted.stages]
    assert [s.held_out for s in found.stages] == [s.held_out for s in wanted.stages]
    assert [s.best_step for s in found.stages] == [s.best_step for s in wanted.stages]
    again = parameters(layers)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert found.resumed > 0 or stop == 5


def test_going_on_in_the_same_process(tmp_path):
    model, layers, samples = make()
    refine(model, layers, samples, SMALL)
    whole = parameters(layers)
    model, layers, samples = make()
    for stop in (50, 60, 70):
        with pytest.raises(Cancelled):
            refine(model, layers, samples, SMALL, progress=CancelAt(stop), snapshot_dir=tmp_path)
    refine(model, layers, samples, SMALL, snapshot_dir=tmp_path)
    again = parameters(layers)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_a_finished_training_is_not_done_again(tmp_path):
    model, layers, samples = make()
    first = refine(model, layers, samples, SMALL, snapshot_dir=tmp_path)
    whole = parameters(layers)
    model, layers, samples = make()
    watch = Listening()
    second = refine(model, layers, samples, SMALL, progress=watch, snapshot_dir=tmp_path)
    assert not watch.heard
    assert [s.losses for s in second.stages] == [s.losses for s in first.stages]
    again = parameters(layers)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_cancelling_leaves_the_best_state_so_far(tmp_path):
    model, layers, samples = make()
    wild = RefineConfig(**{**SMALL.__dict__, "learning_rate": 0.3, "evaluate_every": 1})
    for layer in layers.values():
        layer.initialise()
    held = [s for s in samples if s.info["window"] == 2]
    layers.set_mode("train")
    start = mean_loss(model, held)
    with pytest.raises(Cancelled):
        refine(model, layers, samples, wild, progress=CancelAt(120), snapshot_dir=tmp_path)
    assert mean_loss(model, held) <= start * (1 + 1e-6)
    assert all(not layer.L1.requires_grad or layer.L1.grad is None for layer in layers.values())


def test_damaged_snapshots_are_passed_over(tmp_path):
    model, layers, samples = make()
    refine(model, layers, samples, SMALL)
    whole = parameters(layers)
    model, layers, samples = make()
    with pytest.raises(Cancelled):
        refine(model, layers, samples, SMALL, progress=CancelAt(110), snapshot_dir=tmp_path)
    folders = sorted(tmp_path.glob("snapshot-*"))
    assert len(folders) == 2
    state = folders[-1] / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-7])
    model, layers, samples = make()
    found = refine(model, layers, samples, SMALL, snapshot_dir=tmp_path)
    assert found.resumed == int(folders[0].name.split("-")[1])
    again = parameters(layers)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_snapshots_of_another_refinement_are_not_taken(tmp_path):
    model, layers, samples = make()
    with pytest.raises(Cancelled):
        refine(model, layers, samples, SMALL, progress=CancelAt(110), snapshot_dir=tmp_path)
    for change, rank in (({"learning_rate": 1e-4}, 2), ({}, 3)):
        model, layers, samples = make(rank=rank)
        found = refine(
            model, layers, samples, RefineConfig(**{**SMALL.__dict__, **change}), snapshot_dir=tmp_path
        )
        assert found.resumed == 0


def test_snapshot_folder_keeps_the_newest_two_whole(tmp_path):
    folder = SnapshotFolder(tmp_path, "me")
    for number in range(4):
        folder.save(number, {"n": number, "number": number}, {"t": torch.full((2,), float(number))})
    assert len(list(tmp_path.iterdir())) == 2
    newest = folder.newest()
    assert newest.state == {"n": 3, "number": 3}
    assert newest.tensors["t"].tolist() == [3, 3]
    assert SnapshotFolder(tmp_path, "other").newest() is None
    (tmp_path / "snapshot-00000003" / "state.json").write_text("{")
    assert folder.newest().state["n"] == 2
    folder.clear()
    assert folder.newest() is None
    assert SnapshotFolder(None, "me").newest() is None


def test_of_older_snapshots_the_best_stay_with_their_values(tmp_path):
    folder = SnapshotFolder(tmp_path, "me")
    losses = [5.0, 1.0, 9.0, 2.0, 3.0, 4.0, 8.0, 7.0, 6.0, 0.5]
    for number, loss in enumerate(losses):
        stage = StageResult("low-rank", losses=[9.9] * number, held_out=[(number, loss)]).to_json()
        state = {"number": number, "stage": "low-rank", "done": [], "current": stage}
        tensors = {"state/L1": torch.full((2,), float(number)), "exp_avg/L1": torch.zeros(9)}
        folder.save(number, state, tensors)
    found = list_snapshots(tmp_path)
    assert [(info.number, info.whole) for info in found] == [
        (0, False), (1, False), (3, False), (4, False), (5, False), (7, False), (8, True), (9, True)
    ]  # fmt: skip
    assert [info.loss for info in found] == [losses[info.number] for info in found]
    assert list(folder.exactly(3).tensors) == ["state/L1"]
    assert folder.exactly(2) is None
    assert folder.newest(8).state["number"] == 8
    assert folder.newest(7) is None
    (tmp_path / "light-00000004" / "state.json").write_text("{")
    assert 4 not in [info.number for info in list_snapshots(tmp_path)]
    folder.clear()
    assert list_snapshots(tmp_path) == list_snapshots(tmp_path / "none") == []


@pytest.mark.parametrize("at", [8, 12, 15])
def test_any_moment_can_be_kept(tmp_path, at):
    config = RefineConfig(**{**SMALL.__dict__, "snapshot_every": 4, "evaluate_every": 4})
    model, layers, samples = make()
    straight = refine(model, layers, samples, config, stop_at=at)
    wanted = parameters(layers)
    assert sum(len(stage.losses) for stage in straight.stages) == at
    # From its snapshot, while a longer training was stopped later.
    model, layers, samples = make()
    with pytest.raises(Cancelled):
        refine(model, layers, samples, config, progress=StopAfter(16), snapshot_dir=tmp_path)
    assert 8 in [info.number for info in list_snapshots(tmp_path)]
    model, layers, samples = make()
    kept = refine(model, layers, samples, config, snapshot_dir=tmp_path, stop_at=at)
    again = parameters(layers)
    assert all(torch.equal(wanted[key], again[key]) for key in wanted)
    assert [s.losses for s in kept.stages] == [s.losses for s in straight.stages]


class StopAfter(Progress):
    """Cancels after so many updates of all stages."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def report(self, fraction, message="", **payload):
        if payload.get("number") == self.number:
            self.cancel()


def test_layers_learn_their_own_outputs_first():
    model, layers, samples = make()
    config = RefineConfig(updates=0, bias_updates=0, layer_updates=12, accumulation=2, learning_rate=3e-3)
    stage = refine(model, layers, samples, config).stage("layers")
    assert sum(stage.losses[-3:]) < sum(stage.losses[:3])
    assert not stage.held_out


def test_ranges_and_clips_are_trained_when_they_are_learned():
    learned = default(4, 4).replace(weight_range="learned", activation_clip="learned")
    model, layers, samples = make(config=learned)
    for layer in layers.values():
        layer.initialise()
    before = parameters(layers)
    refine(model, layers, samples, RefineConfig(**{**SMALL.__dict__, "holdout": 0}))
    after = parameters(layers)
    moved = {key.split(".", 1)[1] for key in before if not torch.equal(before[key], after[key])}
    assert {"L1", "L2", "lba", "activation_clip", "range_min.0", "range_max.0"} <= moved
    assert not moved & {"weight", "bias"}


def test_the_reference_trains_factors_and_bias_only():
    model, layers, samples = make(config=reference(4, 4))
    for layer in layers.values():
        layer.initialise()
    before = parameters(layers)
    refine(model, layers, samples, RefineConfig.reference(4, 2))
    after = parameters(layers)
    moved = {key.split(".", 1)[1] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"L1", "L2", "lba"}


def test_weight_decay_is_off_but_in_the_reference():
    layers = make()[1]
    for layer in layers.values():
        layer.initialise()
    stage = Stage(
        "low-rank", 4, {"main": named(layers, lambda x: x.branch_parameters())}, 1e-3, lambda s, f: 0.0
    )
    for config, shrink in ((RefineConfig(), 1.0), (RefineConfig.reference(), 1 - 1e-5)):
        optimizer = make_optimizer(stage, config)
        before = layers["first"].L1.detach().clone()
        for p in stage.parameters.values():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        torch.testing.assert_close(layers["first"].L1.detach(), before * shrink, rtol=1e-6, atol=0)


def test_reports_for_live_charts():
    model, layers, samples = make()
    watch = Listening()
    refine(model, layers, samples, SMALL, progress=watch.stage("refine", 0.5, 1.0))
    assert len(watch.heard) == 18
    fractions = [fraction for fraction, _ in watch.heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for _, payload in watch.heard:
        assert {"stage", "step", "steps", "loss", "learning_rate", "seconds_left"} <= set(payload)
        assert payload["stage"] in ("low-rank", "bias")
    assert watch.heard[-1][1]["seconds_left"] == 0
    rates = [payload["learning_rate"] for _, payload in watch.heard[:12]]
    assert rates == sorted(rates, reverse=True)


def test_pause_holds_and_resume_goes_on():
    import threading

    model, layers, samples = make()
    watch = Progress()
    watch.pause()
    thread = threading.Thread(target=refine, args=(model, layers, samples, SMALL), kwargs={"progress": watch})
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    watch.resume()
    thread.join(60)
    assert not thread.is_alive()


def test_a_loss_that_is_no_number_is_named():
    model, layers, samples = make()
    samples = [Sample(s.inputs, s.output * math.nan, s.info) for s in samples]
    with pytest.raises(BadInput, match="no number"):
        refine(model, layers, samples, RefineConfig(**{**SMALL.__dict__, "holdout": 0}))
    with pytest.raises(BadInput, match="no calibration samples"):
        refine(model, layers, [], SMALL)


def test_bfloat16_autocast():
    model, layers, samples = make()
    result = refine(model, layers, samples, RefineConfig(**{**SMALL.__dict__, "autocast": True}))
    assert all(math.isfinite(loss) for stage in result.stages for loss in stage.losses)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_cuda(tmp_path, autocast):
    model, layers, samples = make()
    model.cuda()
    config = RefineConfig(**{**SMALL.__dict__, "autocast": autocast})
    with pytest.raises(Cancelled):
        refine(model, layers, samples, config, progress=CancelAt(150), snapshot_dir=tmp_path)
    result = refine(model, layers, samples, config, snapshot_dir=tmp_path)
    assert result.resumed > 0
    assert min(result.stage("low-rank").losses) < result.stage("low-rank").losses[0]


def test_every_pass_uses_every_sample_once():
    indices = [3, 5, 8, 9]
    passes = [[order_of(indices, 7, "bias", 4 * turn + i) for i in range(4)] for turn in range(20)]
    assert all(sorted(part) == indices for part in passes)
    assert len({tuple(part) for part in passes}) > 5


def test_late_steps_can_count_more():
    infos = [{"step": step, "steps": 4} for step in range(4)]
    assert sample_weights(infos, 0.0) == [1.0] * 4
    weights = sample_weights(infos, 1.0)
    assert sum(weights) == pytest.approx(4)
    assert weights == sorted(weights)
    assert weights[3] == pytest.approx(4 * weights[0])
    assert sample_weights([{}], 2.0) == [1.0]
    assert sample_weights([], 1.0) == []


def test_schedules():
    cosine = RefineConfig(schedule="cosine")
    assert cosine.rate_factor(0, 10) == 1
    assert cosine.rate_factor(5, 10) == pytest.approx(0.5)
    step = RefineConfig.reference(9)
    assert [step.rate_factor(i, 9) for i in (0, 3, 4, 7, 8)] == pytest.approx([1, 1, 0.2, 0.2, 0.04])


def test_settings_survive_json_and_impossible_ones_are_refused():
    for config in (*PRESETS.values(), RefineConfig.reference()):
        assert RefineConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    for wrong in ({"accumulation": 0}, {"schedule": "nosuch"}, {"updates": -1}, {"gradient_clip": 0.0}):
        with pytest.raises(BadInput, match="cannot be used"):
            RefineConfig(**wrong)


def test_stages_without_anything_to_train_are_left_out():
    model, layers, samples = make(
        config=default(4, 4).replace(low_rank=False, bias_alignment=False, activation_clip="none")
    )
    assert refine(model, layers, samples, SMALL) == RefineResult(())
