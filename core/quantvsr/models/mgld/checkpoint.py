"""Which key of the official files belongs to which parameter, and loading by that list.

Every parameter must be given and every key must be known: what is missing or left over is named.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from quantvsr.errors import BadModel

UNET = "model.diffusion_model."
STRUCTURAL = "structcond_stage_model."
FIRST_STAGE = "first_stage_model."
TEXT = "cond_stage_model.model."
FLOW = "flownet_model."
_NAMED = 3

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Part:
    """One network inside a checkpoint.

    Attributes:
        prefix: What stands before its keys.
        module: The network; may lie on the meta device.
    """

    prefix: str
    module: nn.Module


def expected_keys(parts: Iterable[Part]) -> dict[str, tuple[int, ...]]:
    """Every key that the parts need, with its shape."""
    return {
        part.prefix + name: tuple(value.shape)
        for part in parts
        for name, value in part.module.state_dict().items()
    }


def check_keys(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Compare the keys of a file with those that are needed.

    Args:
        found: Shapes by key, without what is known to be useless.
        expected: Shapes by key that must be there.
        where: The file, for the message.

    Raises:
        BadModel: Keys are missing or left over, or have another shape; some are named.
    """
    missing = [key for key in expected if key not in found]
    left = [key for key in found if key not in expected]
    wrong = [key for key, shape in expected.items() if key in found and tuple(found[key]) != tuple(shape)]
    problems = []
    if missing:
        problems.append(f"lacks {_some(missing)}")
    if left:
        problems.append(f"has {_some(left)}, which this model does not know")
    if wrong:
        shapes = [f"{key} {list(found[key])} instead of {list(expected[key])}" for key in wrong[:_NAMED]]
        problems.append(f"has {len(wrong)} of another shape ({', '.join(shapes)})")
    if problems:
        raise BadModel(f"{where} does not fit MGLD-VSR: it {' and '.join(problems)}; choose the right file.")


def load_parts(tensors: Mapping[str, Tensor], parts: Iterable[Part], where: str) -> None:
    """Put the tensors of a file into the networks, in single precision, in evaluation mode.

    Args:
        tensors: By official key, without what is known to be useless.
        parts: The networks of this file; each may lie on the meta device.
        where: The file, for messages.

    Raises:
        BadModel: Keys are missing or left over, or have another shape; nothing is changed then.
    """
    parts = list(parts)
    check_keys({key: tuple(value.shape) for key, value in tensors.items()}, expected_keys(parts), where)
    for part in parts:
        state = {
            name: value.float() if (value := tensors[part.prefix + name]).is_floating_point() else value
            for name in part.module.state_dict()
        }
        part.module.load_state_dict(state, assign=True)
        part.module.eval().requires_grad_(False)


def on_meta(build: Callable[..., Network], *arguments: object) -> Network:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build(*arguments)


def _some(keys: list[str]) -> str:
    named = ", ".join(keys[:_NAMED])
    return f"{named} and {len(keys) - _NAMED} more" if len(keys) > _NAMED else named
