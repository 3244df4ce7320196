"""The dual-branch layer: a low-bit branch on the residual weight beside a full-precision low-rank branch.

Specification, sections 4 to 6; one class for linear layers and convolutions over one to three dimensions.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput, BadModel
from quantvsr.quant import activations, clipping, weights
from quantvsr.quant.affine import half_through
from quantvsr.quant.config import Basis, LayerQuantConfig
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.geometry import geometry_of, plain_weight
from quantvsr.quant.hadamard import Rotation, draw_signs
from quantvsr.quant.lowrank import (
    factor_shapes,
    largest_rank,
    leading_directions,
    seen_from,
    svd_factors,
    thin_weights,
    weight_moment,
)
from quantvsr.quant.packing import packed_size
from quantvsr.quant.parts import plan_parts
from quantvsr.quant.skip import Skip

Mode = Literal["fp", "train", "frozen"]
_OPTIONAL = ("lba", "activation_clip", "activation_shift", "activation_range", "activation_balance")
MODES: tuple[Mode, ...] = ("fp", "train", "frozen")


class DualBranchLayer(nn.Module):
    """A linear or convolution layer with a low-bit branch and a low-rank branch.

    `y = op(quantized activations, quantized residual weight) + op(activations, L1 L2) + bias`, where the
    residual weight is the plain weight less `L1 L2`, and both sides of the low-bit product are rotated. In
    the basis "activation" the quantized activations are what the directions of L2 leave over.

    Modes: "fp" is the plain layer. "train" quantizes the current residual at every call, with derivatives to
    L1, L2, lba and, where configured, to weight ranges and activation clips. "frozen" uses weights encoded
    once; derivatives still reach the input and lba.

    The first call in a low-bit mode initialises the layer if `initialise` was not called before.

    Args:
        plain: nn.Linear, nn.Conv1d, nn.Conv2d or nn.Conv3d (not a subclass). Its weight is shared, not
            copied.
        config: All switches.
        name: Dotted name in the model, for messages.

    Attributes:
        weight, bias: The plain layer's, never trained.
        basis: "weight" or "activation", see `lowrank`; may differ from the configured one (see `notes`).
        L1, L2: The low-rank factors: (O, r) and (r, n) in the basis "weight", else (O, r * K) and (r, C).
        lba: (1, O, 1...), the trained bias; None without bias alignment.
        range_min, range_max: Weight ranges per part, used unless `weight_range` is "refresh".
        activation_clip: (parts, 2), factors on the lower and upper activation bound; None when off.
        activation_shift: (C,), what is subtracted from the channels of activations; None when off.
        activation_range: (parts, 2), static bounds of activations; None when they are dynamic.
        activation_balance: (C,), what the channels of activations are divided by; None when off.
        rounding: Per part, variables of learned rounding (see `rounding`); None: to the nearest code.
        check_finite: Raise `BadInput` when an activation holds NaN or infinity (costs a synchronisation).
        notes: Why this layer departs from its configuration, in words.
    """

    def __init__(self, plain: nn.Module, config: LayerQuantConfig, name: str = "") -> None:
        super().__init__()
        geometry = geometry_of(plain)
        if geometry is None:
            raise BadInput(
                f"{name or 'A layer'} of type {type(plain).__name__} cannot be quantized; exclude it."
            )
        self.geometry, self.config, self.name = geometry, config, name
        weight, bias = plain_weight(plain)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        # Models and libraries look at these (in_features, stride, ...).
        for attribute in getattr(plain, "__constants__", ()):
            if attribute not in ("name",) and not hasattr(self, attribute):
                setattr(self, attribute, getattr(plain, attribute))

        plan = plan_parts(geometry, config)
        self.parts, self.activation_parts = plan.weight, plan.activation
        self.rotation_kind, self.notes = plan.rotation, plan.notes
        out, ones = geometry.out_channels, (1,) * (weight.ndim - 1)
        device = weight.device
        self.rank = 0
        self.basis: Basis = plan.basis
        self.L1, self.L2 = (
            nn.Parameter(torch.zeros(shape, device=device))
            for shape in factor_shapes(weight.shape, 0, self.basis)
        )
        self.lba = (
            nn.Parameter(torch.zeros(1, out, *ones[1:], device=device)) if config.bias_alignment else None
        )
        range_shape = (out, *ones) if config.weight_granularity == "channel" else ()
        learned = config.weight_range == "learned"
        self.range_min, self.range_max = (
            nn.ParameterList(
                nn.Parameter(torch.zeros(range_shape, device=device), requires_grad=learned)
                for _ in self.parts
            )
            for _ in range(2)
        )
        shift = torch.zeros(geometry.in_channels, device=device) if config.activation_shift else None
        # A parameter, so that whoever keeps the parameters of a training keeps it too; no stage trains it.
        self.activation_shift = None if shift is None else nn.Parameter(shift, requires_grad=False)
        self._shift_seen = (-1, False)
        static = torch.zeros(len(self.parts), 2, device=device)
        is_static = config.activation_range == "static"
        self.activation_range = nn.Parameter(static, requires_grad=False) if is_static else None
        balance = torch.ones(geometry.in_channels, device=device)
        self.activation_balance = nn.Parameter(balance, requires_grad=False) if plan.balanced else None
        self.rounding: list[Tensor] | None = None
        clip = torch.ones(len(self.parts), 2, device=device)
        self.activation_clip = nn.Parameter(clip) if config.activation_clip == "learned" else None
        for i, rotated in enumerate(plan.rotated):
            self.register_buffer(f"weight_clip{i}", torch.ones(range_shape, device=device))
            self.set_signs(i, None if rotated else torch.ones(0, dtype=torch.int8))
        self.encoded: EncodedWeight | None = None
        self.check_finite = False
        self._mode: Mode = "fp"
        self._branch_ready = self._ranges_ready = False

    # Structure ---------------------------------------------------------------------------------------------

    def set_signs(self, part: int, signs: Tensor | None) -> None:
        """Set the signs of one part: int8 (n,), empty where nothing is rotated, None while not drawn."""
        if signs is not None:
            signs = signs.to(self.weight.device)
        self.register_buffer(f"signs{part}", signs)
        self._rotations: dict[int, Rotation] = {}

    @property
    def signs(self) -> tuple[Tensor | None, ...]:
        """Rotation signs of each part, int8; empty where nothing is rotated, None before initialisation."""
        return tuple(cast("Tensor | None", getattr(self, f"signs{i}")) for i in range(len(self.parts)))

    def rotation_size(self, part: int) -> int:
        """Number of signs of one part: its channels, or 0 where nothing is rotated."""
        signs = self.signs[part]
        return self.parts[part] if signs is None else signs.numel()

    def rotation(self, part: int = 0) -> Rotation:
        """The rotation of one part."""
        if part not in self._rotations:
            signs, size = self.signs[part], self.parts[part]
            if signs is None:
                raise RuntimeError("rotation signs are not drawn yet: call initialise()")
            kind = self.rotation_kind if signs.numel() else "none"
            self._rotations[part] = Rotation(kind, size, signs, self.config.rotation_block)
        return self._rotations[part]

    @property
    def weight_clips(self) -> tuple[Tensor, ...]:
        """Share of the residual's range in use, of each part."""
        return tuple(cast(Tensor, getattr(self, f"weight_clip{i}")) for i in range(len(self.parts)))

    @property
    def is_shifted(self) -> bool:
        """Whether a shift other than zero is subtracted from activations."""
        if self.activation_shift is None:
            return False
        # Looking at the values waits for the device: only when they were written to.
        if self._shift_seen[0] != self.activation_shift._version:
            self._shift_seen = self.activation_shift._version, bool(self.activation_shift.any())
        return self._shift_seen[1]

    @torch.no_grad()
    def set_activation_shift(self, shift: Tensor) -> None:
        """Set what is subtracted from the channels of activations, with the value it has at rest.

        Args:
            shift: (C,), all input channels.

        Raises:
            ValueError: The configuration has no shift, or the size is wrong.
        """
        if self.activation_shift is None or shift.shape != self.activation_shift.shape:
            raise ValueError("the layer takes no shift of this size")
        stored = shift.half().float() if self.config.at_rest == "float16" else shift
        self.activation_shift.copy_(stored)
        self.encoded = None

    @torch.no_grad()
    def set_activation_balance(self, factors: Tensor) -> None:
        """Set what the channels of activations are divided by, with the values these have at rest.

        Low-rank factors and weight ranges are to be initialised (again) after.

        Args:
            factors: (C,), all input channels, positive.

        Raises:
            ValueError: The configuration has no balance, or the size is wrong.
        """
        if self.activation_balance is None or factors.shape != self.activation_balance.shape:
            raise ValueError("the layer takes no balance of this size")
        # Within what half precision holds with all its digits.
        factors = factors.clamp(1e-3, 1e3)
        stored = factors.half().float() if self.config.at_rest == "float16" else factors
        self.activation_balance.copy_(stored)
        self._branch_ready = self._ranges_ready = False
        self.encoded = None

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        self._rotations = {}
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]

    # State -------------------------------------------------------------------------------------------------

    @property
    def initialised(self) -> bool:
        """Whether the low-rank branch, the rotation and the weight ranges are set."""
        return self._branch_ready and self._ranges_ready

    @property
    def is_frozen(self) -> bool:
        """Whether encoded weights are held."""
        return self.encoded is not None

    @property
    def mode(self) -> Mode:
        """One of "fp", "train" and "frozen"; setting "frozen" encodes the weight unless that is done."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}; use one of {', '.join(MODES)}")
        if mode == "train":
            self.encoded = None
        elif mode == "frozen" and not self.is_frozen:
            self.freeze()
        self._mode = mode

    def set_rank(self, rank: int) -> None:
        """Choose the rank; L1 and L2 become zero and the branch not initialised (section 4).

        Args:
            rank: Columns of L1; capped at min(O, n) when the configuration says so.
        """
        if rank < 0:
            raise BadInput(f"{self.name or 'A layer'}: rank {rank} is negative; use 0 or more.")
        shape, most = self.weight.shape, largest_rank(self.weight.shape, self.basis)
        if not self.config.low_rank:
            rank = 0
        if self.config.cap_rank:
            rank = min(rank, most)
        self.rank = rank
        self._set_factors(*(torch.zeros(s) for s in factor_shapes(shape, min(rank, most), self.basis)))
        self._branch_ready = False
        self.encoded = None

    @torch.no_grad()
    def _set_factors(self, l1: Tensor, l2: Tensor) -> None:
        if (self.L1.shape, self.L2.shape) == (l1.shape, l2.shape):
            # The same objects: somebody may train them already.
            self.L1.copy_(l1)
            self.L2.copy_(l2)
            return
        trained = self.L1.requires_grad, self.L2.requires_grad
        device = self.weight.device
        self.L1 = nn.Parameter(l1.to(device), requires_grad=trained[0])
        self.L2 = nn.Parameter(l2.to(device), requires_grad=trained[1])

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """One-time initialisation in float32 from the plain weight (section 6).

        Low-rank factors, rotation signs (kept if drawn before), weight ranges and clips, in this order and
        the first part before the second. Ranges set before are kept when they are frozen, as in the
        reference.

        Args:
            generator: Source of the signs; the global one when not given.
        """
        if not self._branch_ready:
            if self.basis == "activation":
                self.set_directions(weight_moment(self.weight))
            elif len(self.L2):
                self._set_factors(*self._weight_factors())
            self._branch_ready = True
        self.draw_signs(generator)
        if not self._ranges_ready:
            self.reset_weight_ranges()
        self.encoded = None

    def _weight_factors(self) -> tuple[Tensor, Tensor]:
        """Leading singular vectors of the weight, of the balanced one where there is a balance."""
        if self.activation_balance is None:
            return svd_factors(self.weight, len(self.L2))
        l1, l2 = svd_factors(weights.balanced(self, self.weight.float()), len(self.L2))
        # The branch runs on activations that are not divided.
        channels = self.weight.shape[1]
        divided = l2.reshape(len(l2), channels, -1) / self.activation_balance[:, None]
        return l1, divided.reshape(l2.shape)

    def draw_signs(self, generator: torch.Generator | None = None) -> None:
        """Draw the rotation signs that are not drawn yet, first part first.

        Args:
            generator: The global one when not given.
        """
        for i, (size, signs) in enumerate(zip(self.parts, self.signs, strict=True)):
            if signs is None:
                self.set_signs(i, draw_signs(size, generator))

    @torch.no_grad()
    def set_directions(self, moment: Tensor) -> None:
        """Set L2 to the leading principal directions of the activations and L1 to the weight seen from them.

        Weight ranges do not follow; see `reset_weight_ranges`. For the basis "activation" only.

        Args:
            moment: (C, C), covariance of the input channels.
        """
        if not len(self.L2):
            return
        directions = leading_directions(moment, len(self.L2))
        # The values at rest, so that L1 belongs to the directions that are subtracted.
        directions = directions.half().float() if self.config.at_rest == "float16" else directions
        self._set_factors(seen_from(self.weight, directions), directions)
        self.encoded = None

    @torch.no_grad()
    def reset_weight_ranges(self) -> None:
        """Set weight ranges (and clips) from the current rotated residual."""
        for i, rotated in enumerate(self.rotated_residual()):
            lo, hi = weights.ranges(self, rotated)
            if self.config.weight_clip_search:
                ratio = clipping.best_ratio(rotated, lo, hi, self.config)
                self.register_buffer(f"weight_clip{i}", ratio)
                lo, hi = lo * ratio, hi * ratio
            for ranges, value in ((self.range_min, lo), (self.range_max, hi)):
                # The same objects: somebody may train them already.
                ranges[i].copy_(value)
        self._ranges_ready = True

    def branch_parameters(self) -> list[nn.Parameter]:
        """What stage two trains: L1 and L2."""
        return [self.L1, self.L2] if len(self.L2) else []

    def range_parameters(self) -> list[nn.Parameter]:
        """Learned weight ranges and activation clips; empty in the profile `reference`."""
        ranges = [*self.range_min, *self.range_max] if self.config.weight_range == "learned" else []
        return [*ranges, *([] if self.activation_clip is None else [self.activation_clip])]

    def bias_parameters(self) -> list[nn.Parameter]:
        """What stage three trains."""
        return [] if self.lba is None else [self.lba]

    def training_state(self) -> dict[str, Tensor]:
        """Everything training and initialisation set, by name: a snapshot without the plain weight.

        Empty before initialisation.
        """
        if not self.initialised:
            return {}
        state: dict[str, Tensor] = {"L1": self.L1, "L2": self.L2}
        for name in _OPTIONAL:
            if (value := getattr(self, name)) is not None:
                state[name] = value
        for i in range(len(self.parts)):
            state[f"range_min{i}"], state[f"range_max{i}"] = self.range_min[i], self.range_max[i]
            state[f"weight_clip{i}"] = self.weight_clips[i]
            state[f"signs{i}"] = cast(Tensor, self.signs[i])
        return {name: value.detach().clone() for name, value in state.items()}

    @torch.no_grad()
    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` gave; the parameters stay the same objects where shapes allow.

        Raises:
            BadModel: The state belongs to a layer of another shape or configuration.
        """
        expected = {"L1", "L2"} | {n for n in _OPTIONAL if getattr(self, n) is not None}
        kinds = ("range_min", "range_max", "weight_clip", "signs")
        expected |= {f"{kind}{i}" for i in range(len(self.parts)) for kind in kinds}
        if set(state) != expected or not self._fits(state["L1"], state["L2"]):
            raise BadModel(
                f"The saved state of layer {self.name} does not fit it; use the settings it was made with."
            )
        l1, l2 = state["L1"], state["L2"]
        if self.L1.shape != l1.shape:
            self.rank = len(l2)
        self._set_factors(l1.clone(), l2.clone())
        for name in _OPTIONAL:
            if name in state:
                getattr(self, name).copy_(state[name])
        for i in range(len(self.parts)):
            self.range_min[i].copy_(state[f"range_min{i}"])
            self.range_max[i].copy_(state[f"range_max{i}"])
            self.register_buffer(f"weight_clip{i}", state[f"weight_clip{i}"].to(self.weight.device))
            self.set_signs(i, state[f"signs{i}"].clone())
        self._branch_ready = self._ranges_ready = True
        self.encoded = None

    def _fits(self, l1: Tensor, l2: Tensor) -> bool:
        return (l1.shape, l2.shape) == factor_shapes(self.weight.shape, len(l2), self.basis)

    @torch.no_grad()
    def load_reference(
        self,
        rank: int,
        l1: Tensor,
        l2: Tensor,
        lba: Tensor,
        ranges: Sequence[tuple[Tensor, Tensor]],
        signs: Sequence[Tensor | None],
    ) -> None:
        """Take over the parameters of a reference file (see `qparams`).

        Args:
            rank: The stored rank; may exceed the columns of L1.
            l1: (O, r).
            l2: (r, n).
            lba: (1, O, 1...); ignored without bias alignment.
            ranges: Lower and upper bounds of each part, kept in their type.
            signs: Of each part; None where nothing is rotated.
        """
        self.rank = rank if self.config.low_rank else 0
        if self.config.low_rank:
            self._set_factors(l1, l2)
        if self.lba is not None:
            self.lba.copy_(lba)
        device = self.weight.device
        for i, (lo, hi) in enumerate(ranges):
            for kept, value in ((self.range_min, lo), (self.range_max, hi)):
                kept[i] = nn.Parameter(value.clone().to(device), requires_grad=kept[i].requires_grad)
            found = signs[i]
            self.set_signs(i, torch.ones(0, dtype=torch.int8) if found is None else found)
        self._branch_ready = self._ranges_ready = True
        self.encoded = None

    # Weights -----------------------------------------------------------------------------------------------

    def factors(self) -> tuple[Tensor, Tensor]:
        """L1 and L2 with the values they have at rest; derivative 1."""
        if self.config.at_rest == "float16":
            return half_through(self.L1), half_through(self.L2)
        return self.L1, self.L2

    @torch.no_grad()
    def rotated_residual(self) -> list[Tensor]:
        """What the low-bit branch encodes: each part of the weight less `L1 L2`, rotated, float32."""
        return weights.rotate(self, weights.residual(self))

    @torch.no_grad()
    def freeze(self) -> None:
        """Encode the residual weight once; keeps its codes and the weight they decode to."""
        if not self.initialised:
            self.initialise()
        self.encoded = weights.encode_weight(self)

    @torch.no_grad()
    def load_encoded(self, rank: int, encoded: EncodedWeight) -> None:
        """Take over the encoded weight of a stored layer and switch to mode "frozen".

        Rotation signs and activation clips are set apart. The layer can be trained on: L1, L2 and lba
        continue from the stored values, weight ranges are found anew.

        Args:
            rank: As chosen when it was made.
            encoded: Everything else.

        Raises:
            ValueError: A shape does not fit.
        """
        l1, l2, bias = encoded.l1, encoded.l2, encoded.bias
        out = self.geometry.out_channels
        if not self._fits(l1, l2) or not (bias is None or bias.shape == (out,)):
            raise ValueError("factors or bias of another shape")
        self.rank = rank
        self._set_factors(l1.clone(), l2.clone())
        encoded.offset = weights.offset(self, weights.residual(self))
        if bias is not None and self.lba is not None:
            others = [t for t in (self.bias, encoded.offset) if t is not None]
            self.lba.copy_((bias - sum(t.float() for t in others)).reshape(self.lba.shape))
        self._branch_ready, self._ranges_ready = True, False
        self.encoded = encoded
        self._mode = "frozen"

    def _held(self) -> EncodedWeight:
        if self.encoded is None:
            raise RuntimeError("the layer holds no encoded weight: call freeze()")
        return self.encoded

    def codes(self) -> tuple[Tensor, ...]:
        """Weight codes of each part, uint8 (int8 when symmetric), in the shape of the weight's part."""
        return self._held().codes()

    def scales(self) -> tuple[Tensor, ...]:
        """Weight scales of each part, float32, (O, 1...) or 0-dimensional."""
        return self._held().scales()

    def zero_points(self) -> tuple[Tensor, ...]:
        """Weight zero points of each part, whole numbers in float32, shaped like the scales."""
        return self._held().zero_points()

    def total_bias(self, offset: Tensor | None = None) -> Tensor | None:
        """All constant terms, (O,), with the value they have at rest; None where there are none.

        Args:
            offset: What the shift leaves out (see `weights.offset`); taken from the encoded weight when
                frozen.
        """
        if self.encoded is not None:
            offset = self.encoded.offset
            if self.encoded.bias is not None and not (self.lba is not None and self._wants_grad(self.lba)):
                return self.encoded.bias
        terms = [
            term
            for term in (
                None if self.bias is None else self.bias.float(),
                None if self.lba is None else self.lba.flatten(),
                offset,
            )
            if term is not None
        ]
        if not terms:
            return None
        total = functools.reduce(torch.add, terms)
        return half_through(total) if self.config.at_rest == "float16" else total

    # Execution ---------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer in its mode.

        Args:
            x: (..., I) for linear; (N, C, positions...) or (C, positions...) for convolutions.

        Raises:
            BadInput: `check_finite` is set and the activation holds NaN or infinity.
        """
        if self._mode == "fp" or x.numel() == 0:
            return self._plain(x)
        kind, dims = x.dtype, self.geometry.dims
        unbatched = dims > 0 and x.ndim == dims + 1
        quant, skip = self.branches(x[None] if unbatched else x)
        y = quant if skip is None else skip.added_to(quant)
        y = y[0] if unbatched else y
        return y.to(kind) if self.config.keep_dtype else y.float()

    def _plain(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if not self.config.keep_dtype:
            x, weight, bias = x.float(), weight.float(), None if bias is None else bias.float()
        if not self.config.honour_padding:
            return self.geometry.apply(x, weight, bias)
        x, padded = self.geometry.pad(x)
        return self.geometry.apply(x, weight, bias, padded=padded)

    def branches(self, x: Tensor) -> tuple[Tensor, Skip | None]:
        """Output of the low-bit branch (with bias and lba), and what the low-rank branch adds.

        Args:
            x: Batched input.

        Returns:
            The low-bit branch's output, and what the low-rank branch adds to it; None when the rank is 0.
        """
        if self._mode == "frozen" and not self.is_frozen:
            self.freeze()
        elif not self.initialised and not self.is_frozen:
            self.initialise()
        geometry = self.geometry
        with no_autocast(x.device.type):
            if self.encoded is not None:
                weight, first, second = self.encoded.hat, self.encoded.first, self.encoded.second
                bias = self.total_bias()
            else:
                residual, first, second = weights.residual(self), None, None
                weight, bias = (
                    weights.quantize(self, residual),
                    self.total_bias(weights.offset(self, residual)),
                )
                if len(self.L2):
                    first, second = thin_weights(
                        *self.factors(), self.weight.shape, geometry.groups, self.basis
                    )
            x, padded = activations.pad(self, x.float())
            features = None
            if first is not None and self.basis == "activation":
                features = geometry.pointwise(x, first)
            x_low, padded_low = activations.pad_shifted(
                self, activations.leave_over(self, x, features), padded
            )
            quant = geometry.apply(activations.quantize(self, x_low), weight, bias, padded=padded_low)
            if first is None or second is None:
                return quant, None
            if features is None:
                features = geometry.apply(x, first, None, padded=padded)
        return quant, Skip(features, second, geometry, padded if self.basis == "activation" else None)

    @torch.no_grad()
    def activation_codes(self, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Codes (whole numbers in float32), scale and zero point of each part of a batched input.

        The codes are those of the padded input where padding is done before (modes other than zeros, and
        zeros under a shift).
        """
        return activations.codes(self, activations.low_input(self, x.float()))

    @torch.no_grad()
    def fit_to_inputs(self, inputs: Iterable[Tensor], rows: int = 2048) -> None:
        """Fit the quantization of activations to given inputs: the shift, then the clip factors.

        In the basis "activation" the directions of L2 become the leading principal ones of the inputs. The
        shift becomes the mean of each channel of what they leave over; the clip factors those with the least
        error of the low-bit branch. What the configuration does not have is left alone.

        Args:
            inputs: Inputs of this layer, as many as fit in memory.
            rows: Channel vectors looked at, over all inputs.
        """
        found = list(inputs)
        if not found or not self.fits_inputs:
            return
        if not self.initialised:
            self.initialise()
        if self.basis == "activation" and len(self.L2):
            self.set_directions(activations.channel_covariance(self, found))
            self.reset_weight_ranges()
        if self.activation_shift is not None:
            self.set_activation_shift(activations.channel_means(self, found))
        if self.activation_range is not None:
            self.activation_range.copy_(activations.static_range(self, found))
        if self.activation_clip is not None:
            self.activation_clip.copy_(clipping.search_activation_clip(self, found, rows))

    @property
    def fits_inputs(self) -> bool:
        """Whether `fit_to_inputs` has anything to do."""
        directed = self.basis == "activation" and len(self.L2) > 0
        fitted = (self.activation_clip, self.activation_shift, self.activation_range)
        return directed or any(value is not None for value in fitted)

    def _wants_grad(self, parameter: nn.Parameter) -> bool:
        return parameter.requires_grad and torch.is_grad_enabled()

    # Accounts ----------------------------------------------------------------------------------------------

    def bytes_at_rest(self) -> dict[str, int]:
        """Bytes of each stored part, named as in files without part numbers (see `checkpoint`)."""
        config, out = self.config, self.geometry.out_channels
        real = 2 if config.at_rest == "float16" else 4
        rows = out if config.weight_granularity == "channel" else 1
        kernel = self.weight[0, 0].numel()
        has_bias = self.bias is not None or self.lba is not None or self.activation_shift is not None
        if config.weight_symmetric:
            zero_points = 0
        elif config.range_holds_zero:
            zero_points = packed_size(rows, config.weight_bits)
        else:
            zero_points = 4 * rows  # any whole number is possible
        return {
            "codes": sum(packed_size(out * size * kernel, config.weight_bits) for size in self.parts),
            "scales": real * rows * len(self.parts),
            "zero_points": zero_points * len(self.parts),
            "signs": sum(packed_size(self.rotation_size(i), 1) for i in range(len(self.parts))),
            "L1": real * self.L1.numel(),
            "L2": real * self.L2.numel(),
            "bias": real * out if has_bias else 0,
            "activation_clip": 0 if self.activation_clip is None else 4 * self.activation_clip.numel(),
            "activation_shift": 0 if self.activation_shift is None else real * self.geometry.in_channels,
            "activation_range": 0 if self.activation_range is None else 4 * self.activation_range.numel(),
            "activation_balance": 0 if self.activation_balance is None else real * self.geometry.in_channels,
        }

    def bytes_fp32(self) -> int:
        """Bytes of the plain layer in float32."""
        return 4 * (self.weight.numel() + (0 if self.bias is None else self.bias.numel()))

    def extra_repr(self) -> str:
        """Kind, sizes, bits, rank, rotation, profile and mode, in that order."""
        g, c = self.geometry, self.config
        kernel = f", kernel={g.kernel}" if g.dims else ""
        groups = f", groups={g.groups}" if g.groups > 1 else ""
        bits = f"W{c.weight_bits}A{c.activation_bits}"
        return (
            f"{g.kind} {g.in_channels}->{g.out_channels}{kernel}{groups}, {bits}, rank={self.rank}, "
            f"rotation={self.rotation_kind}, parts={len(self.parts)}, profile={c.profile}, mode={self.mode}"
        )


@contextlib.contextmanager
def no_autocast(device: str) -> Iterator[None]:
    """Compute in the types that tensors have, on a device of this kind."""
    # Scales and zero points need float32: half precision overflows and bfloat16 has eight digits (section
    # 13).
    if not torch.is_autocast_enabled(device):
        yield
        return
    with torch.autocast(device, enabled=False):
        yield
