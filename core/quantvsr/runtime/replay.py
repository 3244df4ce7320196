"""Replaying a network's work on an NVIDIA GPU, where launching it from Python takes longer than the work.

The second call of a kind (same shapes, types and plain values) is recorded as a CUDA graph; later ones copy
their inputs into the recording and repeat it. Results are the network's own, but for half types where
NVIDIA's libraries took other kernels for the recording than for the call before.
"""

import contextlib
import functools
import logging
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.backend import PreparedLayer
from quantvsr.runtime.triton_launch import compile_ahead

logger = logging.getLogger(__name__)

SWITCH = "QUANTVSR_REPLAY"
"""Environment variable; `off` has every launch made from Python."""

_PLAIN = (type(None), bool, int, float, str, torch.dtype)
_MOST = 4
"""Recordings kept of one network: each holds the memory of its intermediate results."""
_MOST_SEEN = 64
"""Kinds of calls of one network that are remembered."""

Forward = Callable[..., Any]


class Replays:
    """Networks whose calls are recorded and replayed inside of `with`; recordings last until `clear`.

    Weights and settings of the networks must stay as and where they are from the first call to `clear`, and
    one thread at a time may use them. Calls that cannot be recorded (gradients, inputs elsewhere than on the
    GPU, too little memory, work that waits for the GPU) run as they are.

    Args:
        networks: Called many times with inputs of the same shapes, which they do not change; results are
            tensors or nested lists, tuples and dicts of them.
        device: Where they are; on anything but an NVIDIA GPU nothing is done.
    """

    def __init__(self, networks: Iterable[nn.Module], device: torch.device) -> None:
        usable = device.type == "cuda" and torch.version.hip is None and os.environ.get(SWITCH) != "off"
        self._replays = [_Replay(network, device) for network in networks] if usable else []

    def __enter__(self) -> "Replays":
        for replay in self._replays:
            # An attribute of the object goes before the method of its class.
            replay.network.forward = replay
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for replay in self._replays:
            if replay.before is None:
                del replay.network.forward
            else:
                replay.network.forward = replay.before

    def clear(self) -> None:
        """Forget the recordings, and give their memory back to the system."""
        held = any(replay.records for replay in self._replays)
        for replay in self._replays:
            replay.records.clear()
            replay.seen.clear()
        if held:
            torch.cuda.empty_cache()

    def give_up(self) -> bool:
        """Where there are recordings, clear them and make no more; not inside of `with`.

        Returns:
            Whether there were any.
        """
        held = any(replay.records for replay in self._replays)
        if held:
            self.clear()
            self._replays = []
        return held


class _Replay:
    """Stands in for the forward of a network."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network, device
        self.plain: Forward = network.forward
        # Set where somebody else has put a function in its place.
        self.before: Forward | None = network.__dict__.get("forward")
        self.seen: set[Hashable] = set()
        self.records: OrderedDict[Hashable, _Record] = OrderedDict()
        self.fault: str | None = None
        # All or none: other kinds keep what they make in their first call, which must be real tensors.
        layers = [
            module for module in network.modules() if isinstance(module, (PreparedLayer, DualBranchLayer))
        ]
        self.compiled = bool(layers) and all(
            isinstance(layer, PreparedLayer) and layer.compiled_for_shapes for layer in layers
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        values, structure = pytree.tree_flatten((args, kwargs))
        key = None if self.fault or torch.is_grad_enabled() else self._key(values, structure)
        if key is None:
            return self.plain(*args, **kwargs)
        if key not in self.seen:
            # Compiles and chooses kernels, which cannot be recorded.
            if len(self.seen) >= _MOST_SEEN:
                self.seen.clear()
            self.seen.add(key)
            if self.compiled:
                compile_ahead(self.plain, args, kwargs)
            return self.plain(*args, **kwargs)
        if key not in self.records:
            self._record(key, values, structure)
        if self.fault:
            # Out of the handler, so that nothing holds on to the tensors of the failed recording.
            return self.plain(*args, **kwargs)
        return self.records[key](values)

    def _record(self, key: Hashable, values: list[Any], structure: Any) -> None:
        while len(self.records) >= _MOST:
            self.records.popitem(last=False)
        try:
            self.records[key] = _Record(self.plain, values, structure, self.device)
        except RuntimeError as error:
            self.fault = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            logger.info("%s is not replayed: %s", type(self.network).__name__, self.fault)
            # They would not be used any more.
            self.records.clear()

    @staticmethod
    def _key(values: list[Any], structure: Any) -> Hashable | None:
        """What two calls must share; None for a call that cannot be recorded."""
        kinds: list[Hashable] = []
        for value in values:
            if isinstance(value, Tensor) and _on_gpu(value):
                kinds.append((value.shape, value.stride(), value.dtype))
            elif isinstance(value, _PLAIN):
                kinds.append((type(value), value))
            else:
                return None
        automatic = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
        return repr(structure), tuple(kinds), automatic


def _on_gpu(value: Tensor) -> bool:
    return value.is_cuda


class _Record:
    """One recorded call.

    Raises:
        RuntimeError: It cannot be recorded.
    """

    def __init__(self, plain: Forward, values: list[Any], structure: Any, device: torch.device) -> None:
        self.inputs = [_copy(value) if isinstance(value, Tensor) else value for value in values]
        args, kwargs = pytree.tree_unflatten(self.inputs, structure)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), _without_cached_casts():
            with _no_waiting():
                # A recording that is broken off by the GPU leaves torch unable to free memory.
                plain(*args, **kwargs)
            stream = _stream(torch.cuda.current_device())
            with (
                # `graph` does not go back to the stream before when it fails.
                torch.cuda.stream(stream),
                # Other threads may go on using the GPU.
                torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"),
            ):
                self.output = plain(*args, **kwargs)
        if not all(isinstance(value, (Tensor, *_PLAIN)) for value in pytree.tree_leaves(self.output)):
            raise RuntimeError("its result holds something that is no tensor")

    def __call__(self, values: list[Any]) -> Any:
        for held, value in zip(self.inputs, values, strict=True):
            if isinstance(held, Tensor):
                held.copy_(value)
        self.graph.replay()
        return pytree.tree_map_only(Tensor, torch.clone, self.output)


@functools.cache
def _stream(gpu: int) -> torch.cuda.Stream:
    """For recordings on one GPU; torch's own lies on the GPU that was current at the first of all."""
    return torch.cuda.Stream(gpu)


def _copy(value: Tensor) -> Tensor:
    """With the same strides, which decide on kernels; one place in memory for every element."""
    if any(stride == 0 and size > 1 for stride, size in zip(value.stride(), value.shape, strict=True)):
        return value.contiguous()
    held = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device)
    return held.copy_(value)


@contextlib.contextmanager
def _without_cached_casts() -> Iterator[None]:
    """Have a recording hold its own casts of weights, not such as are freed when automatic types end."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Have operations of torch that wait for the GPU raise a RuntimeError."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        # Some such operations are not known to it; a recording of these fails later.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
