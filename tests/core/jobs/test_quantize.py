import json
import pickle
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from quantvsr import cli
from quantvsr.calibration.snapshot_list import list_snapshots
from quantvsr.errors import BadInput, BadModel, Cancelled, DiskFull
from quantvsr.jobs import AnalyzeJob, QuantizeJob, UpscaleJob, run
from quantvsr.jobs.options import Bits
from quantvsr.jobs.work import analysis as analysis_module
from quantvsr.jobs.work import clips as clips_module
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import read_checkpoint_info


def job(model, out, *clips, **changes):
    return QuantizeJob(clips=tuple(str(c) for c in clips), out=str(out), model=str(model), **changes)


def test_a_checkpoint_with_honest_figures(finished):
    quantized = finished.result
    assert quantized.checkpoint == finished.folder / "checkpoint.safetensors"
    info = read_checkpoint_info(quantized.checkpoint)
    assert set(info.layers) == {"middle", "temporal", "mlp"}
    assert quantized.layers == 3
    assert quantized.bytes_lowbit == quantized.checkpoint.stat().st_size
    assert quantized.bytes_fp32 == 4 * (8 * 8 * 9 + 8 * 8 * 3 + 8 * 8 + 3 * 8)
    assert quantized.execution == "simulated"
    assert quantized.loss_first is not None
    assert quantized.loss_last is not None
    assert quantized.loss_last <= quantized.loss_first
    assert info.meta["bits"] == "W4A4"
    assert len(info.meta["clips"]) == 1
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "checkpoint.safetensors", "complexity.npz", "complexity.png", "ranks.json", "ranks.png", "loss.png",
        "refinement.json", "work",
    }  # fmt: skip
    assert not (finished.folder / "work" / "snapshots").exists()


def content(path):
    """All a checkpoint holds; the order of entries in a safetensors header is not fixed."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
        return file.metadata(), tensors


def test_the_same_job_gives_the_same_checkpoint(finished, tmp_path):
    again = run(job(finished.model, tmp_path / "again", finished.clip))
    assert content(again.checkpoint) == content(finished.checkpoint)
    other = run(job(finished.model, tmp_path / "other", finished.clip, seed=1))
    assert content(other.checkpoint) != content(finished.checkpoint)


class StopAt(Progress):
    """Cancels at some update of the refinement."""

    def __init__(self, stage, step):
        super().__init__()
        self.at = (stage, step)
        self.seen = []

    def report(self, fraction, message="", **payload):
        if "step" in payload:
            self.seen.append((payload["stage"], payload["step"]))
            if self.seen[-1] == self.at:
                self.cancel()


@pytest.mark.parametrize(("stage", "step"), [("low-rank", 2), ("bias", 1)])
def test_a_stopped_refinement_goes_on_and_ends_the_same(finished, tmp_path, stage, step):
    out, model, clip = tmp_path / "stopped", finished.model, finished.clip
    with pytest.raises(Cancelled):
        run(job(model, out, clip), StopAt(stage, step))
    assert not (out / "checkpoint.safetensors").exists()
    listener = StopAt("none", 0)
    result = run(job(model, out, clip), listener)
    assert ("low-rank", 1) not in listener.seen
    assert content(result.checkpoint) == content(finished.checkpoint)


def test_a_snapshot_can_be_kept_and_the_training_go_on_later(finished, tmp_path):
    out, model, clip = tmp_path / "kept", finished.model, finished.clip
    with pytest.raises(Cancelled):
        run(job(model, out, clip), StopAt("low-rank", 3))
    snapshots = list_snapshots(out / "work" / "snapshots")
    assert [snapshot.number for snapshot in snapshots] == [1, 2, 3]
    listener = StopAt("none", 0)
    kept = run(job(model, out, clip, stop_at=2), listener)
    assert listener.seen == []  # nothing is trained again
    assert content(kept.checkpoint) != content(finished.checkpoint)
    straight = run(job(model, tmp_path / "straight", clip, stop_at=2))
    assert content(straight.checkpoint) == content(kept.checkpoint)
    assert straight.loss_last == kept.loss_last
    # The same job without the stop goes on from the newest snapshot.
    whole = run(job(model, out, clip), listener)
    assert ("low-rank", 3) not in listener.seen
    assert content(whole.checkpoint) == content(finished.checkpoint)


def test_a_finished_job_is_not_done_again_unless_fresh(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "q")
    listener = StopAt("none", 0)
    again = run(job(finished.model, tmp_path / "q", finished.clip), listener)
    assert again.loss_last == finished.result.loss_last
    assert listener.seen == []
    run(job(finished.model, tmp_path / "q", finished.clip, fresh=True), listener)
    assert listener.seen


def test_a_checkpoint_of_other_settings_is_not_replaced_unasked(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "q")
    kept = (tmp_path / "q" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(BadInput, match=r"other settings \(bits W4A4, seed 42\); .* --fresh"):
        run(job(finished.model, tmp_path / "q", finished.clip, bits=Bits(8, 8), seed=1))
    assert (tmp_path / "q" / "checkpoint.safetensors").read_bytes() == kept


@pytest.mark.parametrize(
    "method", ["maxmin", "q-diffusion", "quarot", "vidit-q", "svdquant", "quantvsr-reference"]
)
@pytest.mark.parametrize("bits", [Bits(2, 8), Bits(6, 6)])
def test_every_method_makes_a_checkpoint_that_runs(model, clip, tmp_path, method, bits):
    result = run(job(model, tmp_path / "q", clip, method=method, bits=bits))
    upscaled = run(
        UpscaleJob(
            clip=str(clip), out=str(tmp_path / "out.mp4"), model=str(model), checkpoint=str(tmp_path / "q")
        )
    )
    assert (upscaled.precision, upscaled.execution) == (str(bits), execution_backends()[0])
    assert (result.loss_first is not None) == (method in ("q-diffusion", "quantvsr-reference"))


def test_plain_minmax_needs_no_clips(model, tmp_path):
    assert run(job(model, tmp_path / "q", method="maxmin")).layers == 3


def test_what_an_analysis_measured_is_not_measured_again(finished, tmp_path, monkeypatch):
    model, clip = finished.model, finished.clip
    run(AnalyzeJob(clips=(str(clip),), out=str(tmp_path / "a"), model=str(model)))
    calls = []
    observe = analysis_module.observe
    monkeypatch.setattr(
        analysis_module, "observe", lambda *args, **more: calls.append(1) or observe(*args, **more)
    )
    again = run(job(model, tmp_path / "q", clip, analysis=str(tmp_path / "a")))
    assert not calls
    assert content(again.checkpoint) == content(finished.checkpoint)
    # Of other layers it is measured anew.
    other = run(job(model, tmp_path / "p", clip, analysis=str(tmp_path / "a"), exclude=("mlp",)))
    assert calls
    assert other.layers == 2


def test_ranks_can_be_given(model, clip, tmp_path):
    run(AnalyzeJob(clips=(str(clip),), out=str(tmp_path / "a"), model=str(model)))
    value = json.loads((tmp_path / "a" / "ranks.json").read_text())
    for number, layer in enumerate(value["layers"].values()):
        layer["rank"] = number + 1
    (tmp_path / "mine.json").write_text(json.dumps(value))
    result = run(job(model, tmp_path / "q", clip, ranks=str(tmp_path / "mine.json")))
    ranks = {name: layer["rank"] for name, layer in read_checkpoint_info(result.checkpoint).layers.items()}
    assert ranks == {"middle": 1, "temporal": 2, "mlp": 3}


def test_bits_alone_make_a_checkpoint_once(model, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("QUANTVSR_CACHE", str(tmp_path / "cache"))
    bundled = clips_module.BundledClip("clip", clip, clip)
    monkeypatch.setattr(clips_module, "bundled_clips", lambda: (bundled,))

    def upscale(name, **changes):
        given = {"clip": str(clip), "out": str(tmp_path / name), "model": str(model), "bits": Bits(4, 4)}
        listener = StopAt("none", 0)
        return run(UpscaleJob(**{**given, **changes}), listener), listener.seen

    first, worked = upscale("a.mp4")
    assert first.precision == "W4A4"
    assert worked
    assert upscale("b.mp4", seed=7)[1] == []
    assert upscale("c.mp4", bits=Bits(6, 6))[1]
    assert len(list((tmp_path / "cache" / "checkpoints").iterdir())) == 2


def _upscale(model, clip, checkpoint, tmp_path, capsys):
    arguments = ["upscale", str(clip), "--out", str(tmp_path / "out.mp4"), "--model", str(model), "--quiet"]
    code = cli.main([*arguments, "--checkpoint", str(checkpoint)])
    return code, capsys.readouterr().err


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def _damage(kind, good, folder):
    """A damaged copy of a good checkpoint."""
    path = folder / f"{kind}.safetensors"
    data = good.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "changed":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other-kind":
        save_file({"a": torch.zeros(2)}, path)
    elif kind == "hostile-pickle":
        path.write_bytes(pickle.dumps(Hostile()))
    elif kind == "text":
        path.write_text("hello")
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "truncated", "changed", "empty", "other-kind", "hostile-pickle", "text"]
)
def test_a_checkpoint_that_is_none(finished, tmp_path, capsys, kind):
    path = _damage(kind, finished.checkpoint, tmp_path)
    code, err = _upscale(finished.model, finished.clip, path, tmp_path, capsys)
    assert code == BadModel.exit_code
    assert path.name in err
    assert len(err.splitlines()) == 1
    assert "executed" not in err
    assert not (tmp_path / "out.mp4").exists()


def test_a_checkpoint_of_another_model(make_model, finished, tmp_path, capsys):
    other = make_model("other", seed=9)
    code, err = _upscale(other, finished.clip, finished.checkpoint, tmp_path, capsys)
    assert code == 2
    assert "another model" in err
    assert len(err.splitlines()) == 1


def test_a_folder_without_checkpoint(tmp_path):
    with pytest.raises(BadModel, match="holds no checkpoint"):
        checkpoint_file(str(tmp_path))


def test_nan_in_the_activations_names_the_layer(make_model, clip, tmp_path, capsys):
    folder = make_model("hot")
    weights = load_file(folder / "weights.safetensors")
    weights["conv_in.bias"] = torch.full_like(weights["conv_in.bias"], float("nan"))
    save_file(weights, folder / "weights.safetensors")
    run(job(folder, tmp_path / "q", method="maxmin"))
    code, err = _upscale(folder, clip, tmp_path / "q", tmp_path, capsys)
    assert code == 2
    assert "middle" in err
    assert "NaN" in err
    assert not (tmp_path / "out.mp4").exists()


def test_a_full_disk_leaves_what_was_done(model, clip, tmp_path, monkeypatch):
    import quantvsr.quant.checkpoint as checkpoint_module

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module.safetensors.torch, "save_file", full)
        with pytest.raises(DiskFull, match="q"):
            run(job(model, tmp_path / "q", clip))
    assert not list((tmp_path / "q").glob("*checkpoint*"))
    listener = StopAt("none", 0)
    run(job(model, tmp_path / "q", clip), listener)
    assert ("low-rank", 1) not in listener.seen


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ranks": "none.json"}, r"none\.json"),
        ({"out": "model.safetensors"}, "is a folder"),
        ({"device": "cuda:99"}, "cuda:99"),
    ],
)
def test_what_cannot_be_quantized(model, clip, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    given = {"clips": (str(clip),), "out": "q", "model": str(model), **changes}
    with pytest.raises(BadInput, match=words):
        run(QuantizeJob(**given))


def test_ranks_that_are_no_ranks(model, clip, tmp_path):
    (tmp_path / "r.json").write_text('{"layers": 3}')
    with pytest.raises(BadInput, match=r"r\.json"):
        run(job(model, tmp_path / "q", clip, ranks=str(tmp_path / "r.json")))


def test_ranks_of_another_model(model, clip, tmp_path):
    run(AnalyzeJob(clips=(str(clip),), out=str(tmp_path / "a"), model=str(model)))
    text = (tmp_path / "a" / "ranks.json").read_text().replace('"middle"', '"muddle"')
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(BadInput, match="muddle"):
        run(job(model, tmp_path / "q", clip, ranks=str(tmp_path / "r.json")))
