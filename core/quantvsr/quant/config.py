"""Every switch of a quantized layer, and the named profiles.

`reference` is the specification to the letter; `default` is ours. They are two values of one type: every
switch can be turned alone for an ablation.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from quantvsr.errors import BadInput

Basis = Literal["weight", "activation"]


@dataclass(frozen=True)
class LayerQuantConfig:
    """How layers are quantized. The field defaults are those of the profile `default`.

    Attributes:
        weight_bits: 2..8.
        activation_bits: 2..8.
        weight_symmetric: Narrow signed codes without zero point for weights.
        activation_symmetric: The same for activations.
        weight_granularity: "channel" (one range per output channel) or "tensor".
        activation_granularity: "tensor"; "frame" (one range per entry of dimension 0); "token" (the finest
            that integer execution allows, because the scale is constant over what is summed: one range per
            row of a linear layer's input, per position along dimensions with kernel size 1, per frame
            otherwise).
        parts: 1, or 2 for the reference's channel halves with ranges and rotations of their own.
        rotation: "none", "reference" (identity for many sizes) or "block" (every size).
        rotation_block: Largest block of the kind "block".
        low_rank: Full-precision low-rank branch on or off.
        low_rank_basis: Where the branch starts from. "weight" (reference): leading singular vectors of the
            weight; k x k to r channels, then 1 x 1. "activation": leading principal directions of the
            layer's calibration inputs; 1 x 1 to r channels, then k x k, and what the r channels hold is
            subtracted from the activations before these are quantized. Grouped convolutions always start
            from the weight.
        bias_alignment: Trainable bias per output channel on or off.
        range_holds_zero: Widen ranges to include 0, so that codes and zero points fit into 0..2^bits - 1 and
            padding is a valid code.
        scale_floor: "absolute" (1e-4, loses small layers) or "relative".
        weight_range: "frozen" at initialisation (reference), "refresh" from the current residual in every
            training step, or "learned" by gradient.
        weight_clip_search: Narrow each output channel's range to the one with the least squared error.
        activation_clip: "none", or "learned": two factors per part on the dynamic bounds.
        activation_shift: Subtract a mean per channel, found on calibration inputs, before quantization, and
            add its exact product with the weight to the bias.
        activation_range: "dynamic" (bounds from each input) or "static" (one range per part, from calibration
            inputs; the granularity does not matter then).
        activation_balance: Divide each channel of activations by a factor, found on calibration inputs, and
            multiply the weight's channel by it.
        split_at: Channels of the first of two parts, for inputs that are joined from two sources; 0: as
            `parts` says.
        cap_rank: Keep ranks at or below the weight's own, see `lowrank.largest_rank`.
        honour_padding: Execute padding modes other than zeros; the reference replaces them by zeros.
        exclude_by_prefix: Exclusions are string prefixes (reference) instead of exact names or globs.
        at_rest: Type of scales, factors and biases in files; the live layer computes with the stored values.
        keep_dtype: Output in the input's type; the reference returns float32.
        profile: Name shown to people; has no effect.
    """

    weight_bits: int = 4
    activation_bits: int = 4
    weight_symmetric: bool = False
    activation_symmetric: bool = False
    weight_granularity: Literal["tensor", "channel"] = "channel"
    activation_granularity: Literal["tensor", "frame", "token"] = "token"
    parts: Literal[1, 2] = 1
    rotation: Literal["none", "reference", "block"] = "block"
    rotation_block: int = 64
    low_rank: bool = True
    low_rank_basis: Basis = "activation"
    bias_alignment: bool = True
    range_holds_zero: bool = True
    scale_floor: Literal["absolute", "relative"] = "relative"
    weight_range: Literal["frozen", "refresh", "learned"] = "refresh"
    weight_clip_search: bool = True
    activation_clip: Literal["none", "learned"] = "learned"
    activation_shift: bool = True
    activation_range: Literal["dynamic", "static"] = "dynamic"
    activation_balance: bool = False
    split_at: int = 0
    cap_rank: bool = True
    honour_padding: bool = True
    exclude_by_prefix: bool = False
    at_rest: Literal["float32", "float16"] = "float16"
    keep_dtype: bool = True
    profile: str = "default"

    def __post_init__(self) -> None:
        """Check every value, so that a bad setting is named before any work starts.

        Raises:
            BadInput: A value is not allowed.
        """
        for name in ("weight_bits", "activation_bits"):
            bits = getattr(self, name)
            if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
                raise BadInput(f"{name} is {bits!r}; choose 2 to 8 bits.")
        if not isinstance(self.rotation_block, int) or not 2 <= self.rotation_block <= 1024:
            raise BadInput(f"rotation_block is {self.rotation_block!r}; choose 2 to 1024 channels.")
        if not isinstance(self.split_at, int) or self.split_at < 0:
            raise BadInput(f"split_at is {self.split_at!r}; give a number of channels, or 0.")
        for name, kind in get_type_hints(LayerQuantConfig).items():
            value, allowed = getattr(self, name), get_args(kind)
            if allowed and value not in allowed:
                raise BadInput(f"{name} is {value!r}; choose one of {', '.join(map(str, allowed))}.")
            if kind is bool and not isinstance(value, bool):
                raise BadInput(f"{name} is {value!r}; choose true or false.")

    def replace(self, **changes: Any) -> "LayerQuantConfig":
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """All values by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LayerQuantConfig":
        """Inverse of `to_json`; missing names take the default.

        Raises:
            BadInput: An unknown name or a value that is not allowed.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInput(
                f"Unknown quantization setting {unknown[0]!r}; use one of {', '.join(sorted(known))}."
            )
        return cls(**values)


def default(weight_bits: int = 4, activation_bits: int = 4) -> LayerQuantConfig:
    """Our profile."""
    return LayerQuantConfig(weight_bits, activation_bits)


def reference(weight_bits: int = 4, activation_bits: int = 4) -> LayerQuantConfig:
    """The specification to the letter, section 14."""
    return LayerQuantConfig(
        weight_bits,
        activation_bits,
        activation_granularity="tensor",
        parts=2,
        rotation="reference",
        low_rank_basis="weight",
        range_holds_zero=False,
        scale_floor="absolute",
        weight_range="frozen",
        weight_clip_search=False,
        activation_clip="none",
        activation_shift=False,
        cap_rank=False,
        honour_padding=False,
        exclude_by_prefix=True,
        at_rest="float32",
        keep_dtype=False,
        profile="reference",
    )


PROFILES: dict[str, Callable[[int, int], LayerQuantConfig]] = {"default": default, "reference": reference}
"""Profiles by name; each takes weight and activation bits."""
