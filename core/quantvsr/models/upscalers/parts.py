"""Parts of a pipeline's folder: networks and schedulers, from their `config.json` and weight files.

Weights go through our own loaders, so that nothing is unpickled by the library and nothing is downloaded.
"""

from pathlib import Path
from typing import Any, TypeVar, cast

import diffusers
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.weights import read_json_object, read_shapes, read_tensors, weight_files

Network = TypeVar("Network", bound=nn.Module)


def enlargement(autoencoder: Any) -> int:
    """How many times larger than its latents an autoencoder's pictures are: twice for each level but one."""
    return 2 ** (len(autoencoder.config.block_out_channels) - 1)


_NAMED = 3
# Names of attention layers in folders that older versions of the library wrote.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
# Whose steps draw no random numbers: the same noise gives the same picture in every precision.
DETERMINISTIC = frozenset(
    {
        "DDIMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)


def config_of(folder: Path, part: str, name: str = "config.json") -> dict[str, Any]:
    """The description of a part.

    Raises:
        BadModel: It is missing or not JSON.
    """
    found = read_json_object(folder / part / name)
    if found is None:
        raise BadModel(f"{folder / part} lacks a readable {name}; get the whole folder again.")
    return found


def weights_of(folder: Path, part: str) -> Path:
    """The weight file of a part; in full precision where there are several.

    Raises:
        BadModel: There is none, or no complete one.
    """
    place = folder / part
    found = weight_files(place) if place.is_dir() else []
    if not found:
        raise BadModel(f"{place} holds no weight file; get the whole folder again.")
    # Safetensors first, then the plain name before variants such as `.fp16` and `.non_ema`.
    return min(found, key=lambda file: (".safetensors" not in file.name, file.name.count("."), file.name))


def load_network(kind: type[Network], folder: Path, part: str) -> Network:
    """A network with its weights, in single precision on the processor, in evaluation mode.

    Args:
        kind: A network of diffusers.
        folder: The pipeline's folder.
        part: Its folder in there.

    Raises:
        BadModel: Description or weights are missing, of another class, or do not fit together.
    """
    config = config_of(folder, part)
    written = config.get("_class_name")
    if written != kind.__name__:
        raise BadModel(f"{folder / part} is a {written}, not a {kind.__name__}; get the right folder.")
    file = weights_of(folder, part)
    try:
        with torch.device("meta"):
            network = cast(Any, kind).from_config(config)
    except (TypeError, ValueError) as error:
        raise BadModel(f"{folder / part} describes no usable {kind.__name__} ({error}).") from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    # Before the weights are read, which may take long.
    _check(file, {_new_name(n, wanted): _flat(s, wanted, n) for n, s in read_shapes(file).items()}, wanted)
    state = {_new_name(n, wanted): value for n, value in read_tensors(file).items()}
    network.load_state_dict({n: _single(v, wanted[n]) for n, v in state.items() if n in wanted}, assign=True)
    return network.eval().requires_grad_(False)


def load_scheduler(
    folder: Path, part: str = "scheduler", known: frozenset[str] = DETERMINISTIC
) -> tuple[Any, str | None]:
    """The scheduler of a pipeline, and a note where a deterministic one had to take its place.

    Args:
        folder: The pipeline's folder.
        part: Its folder in there.
        known: Schedulers that can be used; in the place of others comes DDIM. All can for other parts.

    Raises:
        BadModel: The description is missing or names no scheduler.
    """
    config = config_of(folder, part, "scheduler_config.json")
    name = str(config.get("_class_name"))
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if not (isinstance(kind, type) and issubclass(kind, SchedulerMixin)):
        raise BadModel(f"{folder / part} names no scheduler of diffusers ({name}); get the folder again.")
    if part != "scheduler" or name in known:
        return cast(Any, kind).from_config(config), None
    note = f"DDIMScheduler with the same settings takes the place of {name}, which cannot be used here."
    return DDIMScheduler.from_config(config), note


def _new_name(name: str, wanted: dict[str, tuple[int, ...]]) -> str:
    """A key as the present library has it."""
    if name in wanted or ".attentions." not in name:
        return name
    head, _, last = name.rpartition(".")
    parent, _, layer = head.rpartition(".")
    return f"{parent}.{_OLD_ATTENTION.get(layer, layer)}.{last}"


def _flat(shape: tuple[int, ...], wanted: dict[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """1x1 convolutions of older folders are linear layers now."""
    target = wanted.get(_new_name(name, wanted))
    return target if target is not None and (*target, 1, 1) == shape else shape


def _single(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    value = value.reshape(shape)
    return value.float() if value.is_floating_point() else value


def _check(file: Path, found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> None:
    missing = sorted(set(wanted) - set(found))
    # Buffers of older versions and averaged weights do no harm.
    left = sorted(n for n in set(found) - set(wanted) if not n.endswith("position_ids"))
    wrong = sorted(n for n in set(found) & set(wanted) if found[n] != wanted[n])
    for names, what in ((missing, "lacks"), (left, "has the unknown"), (wrong, "has another shape of")):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise BadModel(
                f"{file} does not fit its config.json: it {what} {', '.join(names[:_NAMED])}{more}; get the "
                "whole folder again."
            )
