"""Replaying networks: what is recorded when, and on a GPU that results stay the same."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from quantvsr.quant.config import default
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime import replay
from quantvsr.runtime.backend import PreparedLayer
from quantvsr.runtime.replay import SWITCH, Replays

CUDA = torch.device("cuda")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class Network(nn.Module):
    """Counts its own calls."""

    calls = 0

    def forward(self, x: Tensor, extra: dict[str, Tensor] | None = None, factor: float = 2.0) -> Any:
        """Nested in and out."""
        self.calls += 1
        y = x * factor if extra is None else x * factor + extra["more"]
        return {"y": y, "more": (y + 1, None)}


class Recorded:
    """Takes the place of a recording where there is no GPU."""

    made = 0

    def __init__(self, plain, values, structure, device) -> None:
        self.plain, self.structure = plain, structure
        type(self).made += 1

    def __call__(self, values):
        """As the network."""
        args, kwargs = pytree.tree_unflatten(values, self.structure)
        return self.plain(*args, **kwargs)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    monkeypatch.setattr(replay, "_Record", Recorded)
    monkeypatch.setattr(replay, "_on_gpu", lambda value: True)
    monkeypatch.setattr(Recorded, "made", 0)
    return Recorded


def test_the_second_call_of_a_kind_is_recorded(recorded) -> None:
    network, x = Network(), torch.ones(2, 3)
    replays = Replays([network], CUDA)
    with torch.no_grad(), replays:
        for number, made in ((1, 0), (2, 1), (3, 1)):
            assert torch.equal(network(x * number)["y"], x * number * 2) and recorded.made == made
        for other in (torch.ones(3, 2), torch.ones(2, 3, dtype=torch.half), torch.ones(3, 2).t()):
            network(other)
        assert recorded.made == 1
        network(x, factor=3.0)
        network(x, extra={"more": x})
        assert recorded.made == 1
        assert torch.equal(network(x, factor=3.0)["y"], x * 3) and recorded.made == 2
        assert torch.equal(network(factor=3.0, x=x)["y"], x * 3) and recorded.made == 2
    # Outside of `with` the network is itself again, inside the recordings are still there.
    network(x)
    assert "forward" not in network.__dict__
    with torch.no_grad(), replays:
        network(x)
    assert recorded.made == 2
    replays.clear()
    with torch.no_grad(), replays:
        network(x)
    assert recorded.made == 2


def test_recordings_are_given_up_when_memory_runs_out(recorded) -> None:
    network, x = Network(), torch.ones(2)
    replays = Replays([network], CUDA)
    with torch.no_grad(), replays:
        network(x)
    # Nothing to give up: memory ran out for another reason, and recording goes on.
    assert not replays.give_up()
    with torch.no_grad(), replays:
        network(x)
    assert recorded.made == 1 and replays.give_up() and not replays.give_up()
    with torch.no_grad(), replays:
        for _ in range(3):
            network(x)
    assert recorded.made == 1 and "forward" not in network.__dict__


def test_held_inputs_have_the_same_strides() -> None:
    wide = torch.randn(2, 8, 8)
    for value in (wide[:, 2:6, 1:5], wide.transpose(0, 2), wide[0], torch.tensor(3.0)):
        held = replay._copy(value)
        assert held.stride() == value.stride() and torch.equal(held, value)
        assert held.data_ptr() != value.data_ptr()
    repeated = torch.ones(1, 3).expand(4, 3)
    assert torch.equal(replay._copy(repeated), repeated) and replay._copy(repeated).is_contiguous()


def test_only_some_recordings_are_kept(recorded) -> None:
    network = Network()
    with torch.no_grad(), Replays([network], CUDA):
        for size in range(1, 8):
            for _ in range(2):
                network(torch.ones(size))
        assert recorded.made == 7
        network(torch.ones(7))
        assert recorded.made == 7
        network(torch.ones(1))
        assert recorded.made == 8


def test_what_cannot_be_recorded_runs_as_it_is(monkeypatch, recorded, caplog) -> None:
    network, x = Network(), torch.ones(2)
    with Replays([network], CUDA):
        for _ in range(3):
            network(x)  # with gradients
        with torch.no_grad():
            for _ in range(3):
                network(x, extra={"more": x, "name": object()})  # type: ignore[dict-item]
    assert recorded.made == 0 and network.calls == 6


def test_after_a_failure_nothing_is_recorded_and_nothing_held(monkeypatch, recorded, caplog) -> None:
    class Watching(Network):
        def forward(self, x: Tensor, extra: dict[str, Tensor] | None = None, factor: float = 2.0) -> Any:
            assert all(tensor() is None for tensor in left)
            return super().forward(x, extra, factor)

    left: list[weakref.ref[Tensor]] = []

    def fails(*_: object) -> None:
        result = torch.ones(3)
        left.append(weakref.ref(result))
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    network, x = Watching(), torch.ones(2)
    replays = Replays([network], CUDA)
    with torch.no_grad(), replays, caplog.at_level("INFO"):
        network(x)
        network(x)
        monkeypatch.setattr(replay, "_Record", fails)
        for _ in range(4):
            assert torch.equal(network(x, factor=3.0)["y"], 3 * x)
    assert caplog.text.count("not replayed: operation not permitted") == 1
    assert recorded.made == 1 and len(left) == 1 and not replays.give_up()


def test_can_be_switched_off_and_is_off_elsewhere(monkeypatch, recorded) -> None:
    network, x = Network(), torch.ones(2)
    with torch.no_grad(), Replays([network], torch.device("cpu")):
        network(x)
        network(x)
    monkeypatch.setenv(SWITCH, "off")
    with torch.no_grad(), Replays([network], CUDA):
        network(x)
        network(x)
    assert recorded.made == 0


def test_an_error_leaves_the_network_as_it_was(recorded) -> None:
    network = Network()
    with pytest.raises(ZeroDivisionError), Replays([network], CUDA):
        raise ZeroDivisionError
    assert "forward" not in network.__dict__


def test_a_forward_that_was_replaced_before_is_put_back(recorded) -> None:
    network, x = Network(), torch.ones(2)
    plain = network.forward

    def other(x: Tensor, extra: dict[str, Tensor] | None = None, factor: float = 5.0) -> Any:
        return plain(x, extra, factor)

    network.forward = other
    with torch.no_grad(), Replays([network], CUDA):
        for _ in range(3):
            assert torch.equal(network(x)["y"], x * 5)
    assert recorded.made == 1 and network.forward is other


class Compiled(PreparedLayer):
    """Adds one, as by kernels that are compiled for every shape."""

    compiled_for_shapes = True

    def forward(self, x: Tensor) -> Tensor:
        """One more."""
        return x + 1


@pytest.mark.parametrize("mixed", [False, True])
def test_kernels_are_compiled_before_the_first_call_of_a_kind(monkeypatch, recorded, mixed) -> None:
    ahead: list[Any] = []
    monkeypatch.setattr(replay, "compile_ahead", lambda network, args, kwargs: ahead.append(args))
    simulated = DualBranchLayer(nn.Linear(3, 3), default(), "layer")
    # A simulated layer keeps what it makes in its first call: that call must be a real one.
    network = nn.Sequential(Compiled(simulated, ""), *[simulated] * mixed)
    with torch.no_grad(), Replays([network], CUDA):
        for rows in (2, 2, 2, 4):
            network(torch.ones(rows, 3))
    assert [len(args[0]) for args in ahead] == ([] if mixed else [2, 4])


@gpu
@pytest.mark.parametrize("automatic", [False, True])
def test_results_are_those_of_the_network(automatic) -> None:
    torch.manual_seed(0)

    class Convolutions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(8, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 8, 3, padding=1)
            )

        def forward(self, x: Tensor, time: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, None]:
            return self.body(x + maps["map"]) * time, None

    network = Convolutions().cuda().requires_grad_(False)
    replays = Replays([network], CUDA)
    with torch.no_grad(), torch.autocast("cuda", torch.float16, enabled=automatic):
        kept = []
        for _ in range(5):
            x, time, more = (torch.randn(s, device="cuda") for s in ((2, 8, 16, 16), (1,), (2, 8, 16, 16)))
            wanted = network(x, time, {"map": more})[0]
            with replays:
                kept.append((network(x, time=time, maps={"map": more})[0], wanted))
        assert all(torch.equal(found, wanted) for found, wanted in kept)
    assert len(replays._replays[0].records) == 1


@gpu
def test_what_waits_for_the_gpu_runs_as_it_is() -> None:
    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if bool((x > 0).any()) else x

    network, x = Waits(), torch.ones(4, device="cuda")
    with torch.no_grad(), Replays([network], CUDA):
        for _ in range(4):
            assert torch.equal(network(x), 2 * x)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.cuda.get_sync_debug_mode() == 0
    assert float(torch.rand(4, device="cuda").sum() + (x + 1).sum()) >= 8
    more = torch.empty(2**26, device="cuda")
    held = torch.cuda.memory_reserved()
    del more
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < held


@gpu
def test_what_fails_while_it_is_recorded_runs_as_it_is() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if torch.cuda.is_current_stream_capturing():
                raise RuntimeError("no")
            return x * 2

    network, x = Fails(), torch.ones(4, device="cuda")
    replays = Replays([network], CUDA)
    with torch.no_grad(), replays:
        for _ in range(4):
            assert torch.equal(network(x), 2 * x)
    assert torch.cuda.current_stream() == torch.cuda.default_stream() and not replays.give_up()
