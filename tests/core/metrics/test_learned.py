"""Metrics that need packages or weights: clear lines without them, right calls with them, no network."""

import os
import sys
import types

import numpy as np
import pytest
import torch

from quantvsr.errors import BadInput, BadModel
from quantvsr.metrics import Meter, MissingMetric, Resources, get_metric, learned, metrics, warp_paper
from quantvsr.metrics.warp_paper import RAFT_FILE
from quantvsr.models.mgld.raft import Raft


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("QUANTVSR_WEIGHTS", raising=False)
    learned._score.cache_clear()
    yield
    learned._score.cache_clear()


def clip(frames=2, side=40, seed=0):
    return list(np.random.default_rng(seed).random((frames, side, side + 8, 3), dtype=np.float32))


def package(monkeypatch, name, **content):
    """Put a stand-in for a package where imports find it."""
    module = types.ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)
    return module


class MeanDifference(torch.nn.Module):
    """A stand-in for a network that compares two pictures."""

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def forward(self, a, b):
        assert a.shape == b.shape and a.shape[:2] == (1, 3) and a.dtype == torch.float32
        assert a.min() >= 0 and a.max() <= 1
        return (a - b).abs().mean()


@pytest.fixture
def torchmetrics(monkeypatch):
    package(monkeypatch, "torchvision")
    package(monkeypatch, "torchmetrics")
    package(monkeypatch, "torchmetrics.image")
    package(monkeypatch, "torchmetrics.image.lpip", LearnedPerceptualImagePatchSimilarity=MeanDifference)
    package(monkeypatch, "torchmetrics.image.dists", DeepImageStructureAndTextureSimilarity=MeanDifference)


def test_all_say_what_they_need_and_their_licence():
    for entry in learned.LEARNED:
        about = get_metric(entry.name)
        assert {"package", "weights"} <= about.needs
        assert ("reference" in about.needs) == entry.reference
        assert "Apache" in about.licence or "not for commercial use" in about.licence
        assert len(about.conventions) > 40
    assert "warp_error_paper" in metrics() and "dists" in metrics()


@pytest.mark.parametrize("name", [entry.name for entry in learned.LEARNED])
def test_a_missing_package_is_one_line_and_the_rest_goes_on(name, monkeypatch):
    for entry in learned.LEARNED:
        for each in entry.packages:
            monkeypatch.setitem(sys.modules, each, None)
    with pytest.raises(MissingMetric, match=r"pip install .*\)\.$"):
        get_metric(name).make()
    told: list[str] = []
    meter = Meter(["psnr", name], missing=told.append)
    assert meter.names == ("psnr",)
    assert len(told) == 1 and "\n" not in told[0] and get_metric(name).title in told[0]


def test_scores_come_from_the_package(torchmetrics):
    a, b = clip(seed=1), clip(seed=2)
    meter = Meter(["lpips", "dists"], border=3)
    for x, y in zip(a, b, strict=True):
        meter.add(x, y)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    expected = np.abs(np.stack(a)[inner] - np.stack(b)[inner]).mean()
    assert meter.result() == {
        "lpips": pytest.approx(expected, abs=1e-6),
        "dists": pytest.approx(expected, abs=1e-6),
    }


def test_lpips_is_asked_for_alexnet_on_pictures_from_0_to_1(torchmetrics):
    assert learned._score(learned.LEARNED[0], Resources()).settings == {"net_type": "alex", "normalize": True}


def test_a_frame_too_small_for_the_network_has_no_value(torchmetrics):
    meter = Meter(["lpips"])
    assert meter.add(np.zeros((31, 64, 3)), np.zeros((31, 64, 3))) == {"lpips": None}


def test_a_metric_without_reference_gets_one_picture(monkeypatch):
    package(
        monkeypatch,
        "pyiqa",
        create_metric=lambda name, device: lambda x: x.mean() if name == "musiq" else None,
    )
    meter = Meter(["musiq"])
    frames = clip(1)
    meter.add(frames[0])
    assert meter.result()["musiq"] == pytest.approx(float(frames[0].mean()), abs=1e-6)


def test_random_crops_are_the_same_every_time_and_leave_the_generator_alone(monkeypatch):
    package(monkeypatch, "pyiqa", create_metric=lambda name, device: lambda x: torch.rand(()))
    picture = np.zeros((224, 224, 3))
    state = torch.get_rng_state()
    first, second = (Meter(["maniqa"]).add(picture)["maniqa"] for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.get_rng_state())


def test_nothing_is_fetched_unless_that_was_asked_for(monkeypatch):
    seen: list[str] = []

    def fetch(name, device):
        seen.append(os.environ["https_proxy"])
        raise OSError("connection refused")

    package(monkeypatch, "pyiqa", create_metric=fetch)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(MissingMetric, match=r"does not find its weights \(connection refused\).*--download"):
        get_metric("musiq").make()
    assert seen == ["http://127.0.0.1:9"]
    # What was changed is put back.
    assert os.environ["https_proxy"] == "http://proxy.example:3128" and "HF_HUB_OFFLINE" not in os.environ
    with pytest.raises(MissingMetric, match="check the connection"):
        get_metric("musiq").make(resources=Resources(download=True))
    assert seen[1] == "http://proxy.example:3128"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = {f"module.{name}": value for name, value in Raft().state_dict().items()}
    torch.save(state, folder / RAFT_FILE)
    return folder


class KnownFlow:
    """Flow of a camera that moves right by 2 pixels a frame, in place of a trained network."""

    network = torch.nn.Linear(1, 1)

    def __init__(self):
        self.seen = []

    def __call__(self, first, second):
        self.seen.append((first.numpy(), second.numpy()))
        flow = torch.zeros(2, 2, *first.shape[2:])
        flow[0, 0], flow[1, 0] = -2, 2
        return flow


def test_the_paper_mode_follows_the_flow_of_the_clip_itself(monkeypatch, tmp_path):
    (tmp_path / RAFT_FILE).touch()
    flow = KnownFlow()
    monkeypatch.setattr(warp_paper, "_raft", lambda path, device: flow)
    wide = np.random.default_rng(0).random((24, 40, 3), dtype=np.float32)
    moving, still = [wide[:, 2 * i : 2 * i + 32] for i in range(3)], [wide[:, :32]] * 3
    follows, fails = (Meter(["warp_error_paper"], resources=Resources(tmp_path)) for _ in range(2))
    for frame, other in zip(moving, still, strict=True):
        # A reference that moves in another way changes nothing.
        follows.add(frame, other)
        fails.add(other, frame)
    assert follows.result()["warp_error_paper"] == pytest.approx(0.0, abs=1e-6)
    # Two unrelated random values differ by 1/6 in the mean square.
    assert fails.result()["warp_error_paper"] == pytest.approx(1000 / 6, rel=0.1)
    earlier, later = flow.seen[0]
    np.testing.assert_array_equal(earlier[0].transpose(1, 2, 0), moving[0])
    np.testing.assert_array_equal(later[0].transpose(1, 2, 0), moving[1])


def test_the_paper_mode_reads_published_weights(weights):
    still = [clip(1, 64)[0]] * 2
    meter = Meter(["warp_error_paper"], resources=Resources(weights))
    values = [meter.add(frame)["warp_error_paper"] for frame in still]
    # Random weights find some flow; there is a value where any pixel is visible along it.
    assert values[0] is None and (values[1] is None or 0 <= values[1] < 1000)


def test_the_paper_mode_without_weights_names_the_file(tmp_path, monkeypatch):
    with pytest.raises(MissingMetric, match=f"put {RAFT_FILE} .* QUANTVSR_WEIGHTS"):
        get_metric("warp_error_paper").make()
    monkeypatch.setenv("QUANTVSR_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingMetric, match=str(tmp_path)):
        get_metric("warp_error_paper").make()


def test_other_weights_are_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / RAFT_FILE)
    with pytest.raises(BadModel, match=RAFT_FILE):
        get_metric("warp_error_paper").make(resources=Resources(tmp_path))


def test_a_layers_metric_is_not_computed_from_frames():
    with pytest.raises(BadInput, match="layers"):
        Meter(["layer_snr"])
