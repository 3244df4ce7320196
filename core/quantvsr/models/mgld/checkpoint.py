"""Which key of the official files belongs to which parameter, and loading by that list.

Every parameter that is used must be given and every key must be known: what is missing or left over is named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.mgld.schedule import TRAINING_STEPS, full_schedule

UNET = "model.diffusion_model."
STRUCTURAL = "structcond_stage_model."
FIRST_STAGE = "first_stage_model."
TEXT = "cond_stage_model.model."
FLOW = "flownet_model."
# Tables of the noise schedule that a saved model carries; we compute our own.
SCHEDULE = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)
# Moving averages and parts of the training's loss: known, and never used.
USELESS = ("model_ema.", "loss.")
_NAMED = 3

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Part:
    """One network inside a checkpoint.

    Attributes:
        prefix: What stands before its keys.
        module: The network; may lie on the meta device.
        needed: Starts of the keys, after the prefix, that are used; others may be missing and are not loaded.
        optional: The whole part may be missing.
    """

    prefix: str
    module: nn.Module
    needed: tuple[str, ...] = ("",)
    optional: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every key, used or not."""
        return {self.prefix + n: tuple(v.shape) for n, v in self.module.state_dict().items()}

    def uses(self, key: str) -> bool:
        """Whether a key of this part is loaded."""
        return key.startswith(tuple(self.prefix + start for start in self.needed))


def check_keys(found: Mapping[str, Sequence[int]], parts: Iterable[Part], where: str) -> list[Part]:
    """Compare the keys of a file with those of its parts.

    Args:
        found: Shapes by key.
        parts: What the file should hold.
        where: The file, for the message.

    Returns:
        The parts that the file holds.

    Raises:
        BadModel: Keys are missing or left over, or have another shape; some are named.
    """
    known: dict[str, tuple[int, ...]] = {name: (TRAINING_STEPS,) for name in SCHEDULE}
    missing: list[str] = []
    held = []
    for part in parts:
        shapes = part.shapes()
        known |= shapes
        lacking = [key for key in shapes if part.uses(key) and key not in found]
        if part.optional and not any(key.startswith(part.prefix) for key in found):
            continue
        missing += lacking
        held.append(part)
    left = [key for key in found if key not in known and not key.startswith(USELESS)]
    wrong = [key for key in found if key in known and tuple(found[key]) != known[key]]
    problems = []
    if missing:
        problems.append(f"lacks {_some(missing)}")
    if left:
        problems.append(f"has {_some(left)}, which this model does not know")
    if wrong:
        shapes = [f"{key} {list(found[key])} instead of {list(known[key])}" for key in wrong[:_NAMED]]
        problems.append(f"has {len(wrong)} of another shape ({', '.join(shapes)})")
    if problems:
        raise BadModel(f"{where} does not fit MGLD-VSR: it {' and '.join(problems)}; choose the right file.")
    return held


def load_parts(tensors: Mapping[str, Tensor], parts: Iterable[Part], where: str) -> list[Part]:
    """Put the tensors of a file into the networks, in single precision, in evaluation mode.

    Modules of a network that are not used are taken out of it.

    Args:
        tensors: By official key.
        parts: The networks of this file; each may lie on the meta device.
        where: The file, for messages.

    Returns:
        The parts that were loaded.

    Raises:
        BadModel: Keys are missing or left over, have another shape, or the noise schedule is another one;
            nothing is changed then.
    """
    held = check_keys({key: tuple(value.shape) for key, value in tensors.items()}, parts, where)
    _check_schedule(tensors, where)
    for part in held:
        for name, _ in list(part.module.named_children()):
            if not any((start.startswith(f"{name}.") or not start) for start in part.needed):
                delattr(part.module, name)
        state = {name: _single(tensors[part.prefix + name]) for name in part.module.state_dict()}
        part.module.load_state_dict(state, assign=True)
        part.module.eval().requires_grad_(False)
    return held


def on_meta(build: Callable[..., Network], *arguments: object) -> Network:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build(*arguments)


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _check_schedule(tensors: Mapping[str, Tensor], where: str) -> None:
    """The products of the noise schedule, where a file has them, must be ours (half precision may be)."""
    name = "alphas_cumprod"
    if name in tensors and not torch.allclose(
        tensors[name].float(), full_schedule().alphas_cumprod, rtol=2e-3, atol=1e-4
    ):
        raise BadModel(f"{where} was trained with another noise schedule than MGLD-VSR; choose its own file.")


def _some(keys: list[str]) -> str:
    named = ", ".join(keys[:_NAMED])
    return f"{named} and {len(keys) - _NAMED} more" if len(keys) > _NAMED else named
