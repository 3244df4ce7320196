import copy
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from quantvsr.errors import BadInput, BadModel
from quantvsr.quant import activations
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import skip_weight


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _plain(kind: type[nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return kind(*args, **kwargs)


def _layer(plain: nn.Module, config: LayerQuantConfig, rank: int = 2, seed: int = 0) -> DualBranchLayer:
    layer = DualBranchLayer(plain, config, "layer")
    layer.set_rank(rank)
    layer.initialise(torch.Generator().manual_seed(seed))
    return layer


def shift_randomly(layer: DualBranchLayer) -> None:
    if layer.activation_shift is not None:
        layer.set_activation_shift(_random(layer.geometry.in_channels, seed=9))


# One layer of every shape that occurs, with an input for it.
CASES: dict[str, tuple[nn.Module, Tensor]] = {
    "tokens": (_plain(nn.Linear, 12, 10), _random(3, 5, 12)),
    "vector": (_plain(nn.Linear, 7, 4, bias=False), _random(7)),
    "conv1d": (_plain(nn.Conv1d, 6, 8, 3, padding=1), _random(2, 6, 9)),
    "conv2d": (_plain(nn.Conv2d, 12, 8, 3, padding=1), _random(3, 12, 6, 5)),
    "stride": (_plain(nn.Conv2d, 6, 5, 3, stride=2, padding=1, bias=False), _random(2, 6, 7, 6)),
    "dilation": (_plain(nn.Conv2d, 4, 6, 3, padding=2, dilation=2), _random(2, 4, 6, 6)),
    "pointwise": (_plain(nn.Conv2d, 10, 6, 1), _random(2, 10, 3, 4)),
    "temporal": (_plain(nn.Conv3d, 8, 8, (3, 1, 1), padding=(1, 0, 0)), _random(2, 8, 5, 3, 3)),
    "reflect": (_plain(nn.Conv2d, 6, 5, 3, padding=1, padding_mode="reflect"), _random(2, 6, 5, 5)),
    "replicate": (
        _plain(nn.Conv3d, 4, 4, (3, 1, 1), padding=(1, 0, 0), padding_mode="replicate"),
        _random(1, 4, 4, 3, 3),
    ),
    "circular": (_plain(nn.Conv1d, 6, 5, 3, padding="same", padding_mode="circular"), _random(2, 6, 9)),
    "same": (_plain(nn.Conv1d, 6, 5, 3, padding="same"), _random(2, 6, 9)),
    "groups": (_plain(nn.Conv2d, 12, 8, 3, padding=1, groups=2), _random(2, 12, 5, 5)),
    "depthwise": (_plain(nn.Conv2d, 6, 6, 3, padding=1, groups=6), _random(2, 6, 5, 5)),
    "unbatched": (_plain(nn.Conv2d, 6, 5, 3, padding=1), _random(6, 5, 5)),
    "one channel": (_plain(nn.Conv2d, 1, 5, 3, padding=1), _random(2, 1, 5, 5)),
}

configs = st.builds(
    LayerQuantConfig,
    weight_bits=st.integers(2, 8),
    activation_bits=st.integers(2, 8),
    weight_symmetric=st.booleans(),
    activation_symmetric=st.booleans(),
    weight_granularity=st.sampled_from(["tensor", "channel"]),
    activation_granularity=st.sampled_from(["tensor", "frame", "token"]),
    parts=st.sampled_from([1, 2]),
    rotation=st.sampled_from(["none", "reference", "block"]),
    rotation_block=st.sampled_from([2, 8, 64]),
    low_rank=st.booleans(),
    bias_alignment=st.booleans(),
    range_holds_zero=st.booleans(),
    scale_floor=st.sampled_from(["absolute", "relative"]),
    weight_range=st.sampled_from(["frozen", "refresh", "learned"]),
    weight_clip_search=st.booleans(),
    activation_clip=st.sampled_from(["none", "learned"]),
    activation_shift=st.booleans(),
    cap_rank=st.booleans(),
    honour_padding=st.booleans(),
    exclude_by_prefix=st.booleans(),
    at_rest=st.sampled_from(["float32", "float16"]),
    keep_dtype=st.booleans(),
    profile=st.just("any"),
)


@settings(max_examples=120)
@given(configs, st.sampled_from(sorted(CASES)), st.integers(0, 6))
def test_every_combination_of_switches_works(config: LayerQuantConfig, case: str, rank: int) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, config, rank)
    shift_randomly(layer)
    layer.mode = "train"
    x = x.clone().requires_grad_()
    trained = layer(x)
    trained.sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())
    with torch.no_grad():
        again = layer(x)
    layer.mode = "frozen"
    with torch.no_grad():
        frozen = layer(x)
    assert trained.shape == plain(x).shape
    torch.testing.assert_close(frozen, trained.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again, trained.detach(), rtol=1e-4, atol=1e-5)
    for codes, zero_point in zip(layer.codes(), layer.zero_points(), strict=True):
        low = -(2 ** (config.weight_bits - 1) - 1) if config.weight_symmetric else 0
        high = 2 ** (config.weight_bits - 1) - 1 if config.weight_symmetric else 2**config.weight_bits - 1
        assert low <= int(codes.min()) and int(codes.max()) <= high
        if config.range_holds_zero:
            assert low <= float(zero_point.min()) and float(zero_point.max()) <= high


@pytest.mark.parametrize("case", CASES)
def test_full_precision_mode_is_the_plain_layer(case: str) -> None:
    plain, x = CASES[case]
    assert torch.equal(_layer(plain, default())(x), plain(x))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("profile", [default, reference])
def test_eight_bits_are_close_to_the_plain_layer(case: str, profile: Any) -> None:
    plain, x = CASES[case]
    if profile is reference and getattr(plain, "padding_mode", "zeros") != "zeros":
        plain = copy.deepcopy(plain)
        plain.padding_mode = "zeros"  # what the reference makes of it
    layer = _layer(plain, profile(8, 8))
    layer.mode = "frozen"
    with torch.no_grad():
        out, expected = layer(x), plain(x)
    error = torch.linalg.vector_norm(out - expected) / torch.linalg.vector_norm(expected)
    assert float(error) < 0.02


def test_the_reference_pads_with_zeros_in_any_mode() -> None:
    plain, x = CASES["reflect"]
    assert isinstance(plain, nn.Conv2d)
    expected = F.conv2d(x, plain.weight, plain.bias, padding=1)
    assert torch.equal(_layer(plain, reference())(x), expected)
    assert torch.equal(_layer(plain, reference().replace(honour_padding=True))(x), plain(x))


def test_even_kernels_are_padded_unevenly_as_torch_does() -> None:
    plain = _plain(nn.Conv1d, 6, 5, 4, padding="same", padding_mode="circular")
    x = _random(2, 6, 9)
    layer = _layer(plain, default(8, 8))
    assert torch.equal(layer(x), plain(x))
    layer.mode = "frozen"
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("basis", ["weight", "activation"])
@pytest.mark.parametrize("rank", [1, 3, 100])
def test_two_thin_operations_equal_one_full_one(case: str, basis: Any, rank: int) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, default().replace(at_rest="float32", low_rank_basis=basis), rank)
    if layer.geometry.dims and x.ndim == layer.geometry.dims + 1:
        x = x[None]
    full = skip_weight(*layer.factors(), layer.weight.shape, layer.basis)
    padded, done = layer.geometry.pad(x)
    expected = layer.geometry.apply(padded, full, None, padded=done)
    for mode in ("train", "frozen"):
        layer.mode = mode
        quant, skip = layer.branches(x)
        assert skip is not None
        torch.testing.assert_close(skip.output(), expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), (quant + expected).detach(), rtol=1e-4, atol=1e-5)


def test_no_product_of_the_factors_is_made_when_frozen() -> None:
    plain, _ = CASES["conv2d"]
    for basis, kernel in (("weight", 1), ("activation", 3)):
        layer = _layer(plain, default().replace(low_rank_basis=basis), 2)
        layer.mode = "frozen"
        _, skip = layer.branches(_random(1, 12, 4, 4))
        assert skip is not None
        assert skip.features.shape[1] == 2 and skip.second.shape == (8, 2, kernel, kernel)


def test_ranks_are_capped_by_the_smaller_side_only_when_asked() -> None:
    plain = _plain(nn.Linear, 16, 6)
    layer = _layer(plain, default(), 12)
    assert layer.rank == 6 and layer.L1.shape == (6, 6)
    layer = _layer(CASES["conv2d"][0], default(), 100)
    assert layer.rank == 12 and layer.L1.shape == (8, 12 * 9) and layer.L2.shape == (12, 12)
    layer = _layer(plain, reference(), 12)
    assert layer.rank == 12 and layer.L1.shape == (6, 6)
    with pytest.raises(BadInput, match="negative"):
        layer.set_rank(-1)


@pytest.mark.parametrize(("case", "basis"), [("tokens", "weight"), ("conv2d", "activation")])
def test_full_rank_leaves_a_residual_of_rounding_only(case: str, basis: Any) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, default().replace(at_rest="float32", low_rank_basis=basis), 12)
    layer.mode = "frozen"
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("case", "granularity", "shape"),
    [
        ("tokens", "token", (3, 5, 1)),
        ("tokens", "frame", (3, 1, 1)),
        ("tokens", "tensor", ()),
        ("conv2d", "token", (3, 1, 1, 1)),
        ("pointwise", "token", (2, 1, 3, 4)),
        ("pointwise", "frame", (2, 1, 1, 1)),
        ("temporal", "token", (2, 1, 1, 3, 3)),
        ("temporal", "frame", (2, 1, 1, 1, 1)),
    ],
)
def test_scales_are_constant_over_what_is_summed(case: str, granularity: Any, shape: tuple[int, ...]) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, default().replace(activation_granularity=granularity))
    ((_, scale, zero_point),) = layer.activation_codes(x)
    assert scale.shape == zero_point.shape == shape


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("case", ["tokens", "conv2d", "stride", "pointwise", "temporal", "same", "reflect"])
def test_integer_sums_with_the_codes_give_the_low_bit_output(case: str, shifted: bool) -> None:
    """What an integer kernel would do: sum code differences, scale afterwards, padding as the zero point."""
    plain, x = CASES[case]
    layer = _layer(plain, default(8, 8).replace(activation_shift=shifted), 0)
    shift_randomly(layer)
    layer.mode = "frozen"
    ((codes, scale, zero_point),) = layer.activation_codes(x)
    (w_codes,), (w_scale,), (w_zero,) = layer.codes(), layer.scales(), layer.zero_points()
    padded = codes.shape != x.shape
    assert padded == (case == "reflect" or (shifted and layer.geometry.pads))
    summed = layer.geometry.apply(
        (codes - zero_point).double(), (w_codes - w_zero).double(), None, padded=padded
    )
    assert torch.equal(summed, summed.round())
    dim = layer.geometry.channel_dim
    if scale.ndim and layer.geometry.dims:
        # Where the kernel has size 1 each output position belongs to one input position.
        scale = scale[(slice(None), slice(None), *(slice(None, None, s) for s in layer.geometry.stride))]
    along_channels = [-1 if d == dim % x.ndim else 1 for d in range(x.ndim)]
    out = summed * scale * w_scale.reshape(along_channels)
    bias = layer.total_bias()
    if bias is not None:
        out = out + bias.reshape(along_channels)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), out.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_shift_changes_nothing_but_the_error(case: str) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, default(8, 8).replace(activation_shift=True, at_rest="float32"))
    shift_randomly(layer)
    for mode in ("train", "frozen"):
        layer.mode = mode
        with torch.no_grad():
            out, expected = layer(x), plain(x)
        error = torch.linalg.vector_norm(out - expected) / torch.linalg.vector_norm(expected)
        assert float(error) < 0.03, mode


def test_fitting_subtracts_the_mean_and_lowers_the_error_of_offset_activations() -> None:
    plain = _plain(nn.Conv2d, 32, 16, 3, padding=1)
    x = F.silu(_random(4, 32, 12, 12) + 2 * _random(1, 32, 1, 1, seed=5))
    errors = {}
    for shifted in (False, True):
        layer = _layer(plain, default().replace(activation_shift=shifted), 0)
        layer.fit_to_inputs([x[:2], x[2:]])
        layer.mode = "frozen"
        with torch.no_grad():
            errors[shifted] = float((layer(x) - plain(x)).square().mean())
    assert layer.activation_shift is not None
    torch.testing.assert_close(layer.activation_shift, x.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert errors[True] < 0.6 * errors[False]
    with pytest.raises(ValueError, match="no shift"):
        layer.set_activation_shift(torch.zeros(3))
    with pytest.raises(ValueError, match="no shift"):
        _layer(plain, reference()).set_activation_shift(torch.zeros(32))


@pytest.mark.parametrize("case", ["tokens", "conv2d", "stride", "temporal", "reflect", "unbatched"])
def test_directions_of_the_activations_pass_unharmed(case: str) -> None:
    """Inputs that vary in two directions only are carried by the low-rank branch, whatever the bits."""
    plain, like = CASES[case]
    dim = 0 if case == "unbatched" else (1 if like.ndim > 3 else -1)
    spread = _random(*(2 if d == dim % like.ndim else n for d, n in enumerate(like.shape)), seed=3)
    x = (spread.movedim(dim, -1) @ _random(2, like.shape[dim], seed=4)).movedim(-1, dim)
    layer = _layer(plain, default(2, 2).replace(at_rest="float32"), 2)
    layer.fit_to_inputs([x, 2 * x])
    torch.testing.assert_close(layer.L2 @ layer.L2.T, torch.eye(2), rtol=1e-5, atol=1e-5)
    for mode in ("train", "frozen"):
        layer.mode = mode
        with torch.no_grad():
            torch.testing.assert_close(layer(x), plain(x), rtol=1e-3, atol=1e-3)


def test_activation_directions_lower_the_error_of_correlated_activations() -> None:
    plain = _plain(nn.Conv2d, 32, 16, 3, padding=1)
    x = F.conv2d(_random(4, 6, 12, 12), _random(32, 6, 1, 1, seed=2)) + 0.2 * _random(4, 32, 12, 12, seed=3)
    errors = {}
    for basis in ("weight", "activation"):
        layer = _layer(plain, default().replace(low_rank_basis=basis), 6)
        layer.fit_to_inputs([x[:2], x[2:]])
        layer.mode = "frozen"
        with torch.no_grad():
            errors[basis] = float((layer(x) - plain(x)).square().mean())
    assert errors["activation"] < 0.1 * errors["weight"]


def test_a_frame_does_not_depend_on_its_neighbours() -> None:
    plain, x = CASES["conv2d"]
    layer = _layer(plain, default())
    layer.mode = "frozen"
    louder = x.clone()
    louder[1:] *= 100
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], layer(louder)[0])


@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("case", ["tokens", "conv2d", "temporal", "reflect"])
def test_constant_activations_without_rotation_are_exact(case: str, value: float) -> None:
    plain, x = CASES[case]
    layer = _layer(plain, default().replace(rotation="none", activation_clip="none"))
    x = torch.full_like(x, value)
    torch.testing.assert_close(activations.quantize(layer, x), x, rtol=1e-6, atol=0)


def test_all_zero_input_gives_the_bias() -> None:
    plain, x = CASES["conv2d"]
    assert isinstance(plain, nn.Conv2d) and plain.bias is not None
    layer = _layer(plain, default())
    layer.mode = "frozen"
    with torch.no_grad():
        out = layer(torch.zeros_like(x))
    expected = plain.bias.detach().half().float()[:, None, None].expand_as(out)
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


def test_all_zero_weights_are_exact() -> None:
    plain = nn.Conv2d(4, 4, 3, padding=1)
    nn.init.zeros_(plain.weight)
    nn.init.zeros_(plain.bias)
    layer = _layer(plain, default(), 2)
    layer.mode = "frozen"
    with torch.no_grad():
        assert float(layer(_random(1, 4, 5, 5)).abs().max()) == 0


def test_nan_in_activations_is_named_when_checked() -> None:
    plain, x = CASES["conv2d"]
    layer = _layer(plain, default())
    layer.mode = "frozen"
    x = x.clone()
    x[1, 2, 3, 3] = float("nan")
    with torch.no_grad():
        assert bool(layer(x)[1].isnan().any()) and bool(layer(x)[0].isfinite().all())
        layer.check_finite = True
        with pytest.raises(BadInput, match="layer layer holds NaN"):
            layer(x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_layers_keep_their_type(dtype: torch.dtype) -> None:
    plain, x = CASES["conv2d"]
    half = copy.deepcopy(plain).to(dtype)
    layer = _layer(half, default())
    layer.mode = "frozen"
    with torch.no_grad():
        out = layer(x.to(dtype))
    assert out.dtype == dtype and layer.L1.dtype == torch.float32
    expected = _layer(half.float(), default())
    expected.mode = "frozen"
    torch.testing.assert_close(out.float(), expected(x.to(dtype).float()).detach(), rtol=2e-2, atol=2e-2)


def test_under_autocast_codes_do_not_change() -> None:
    plain, x = CASES["tokens"]
    layer = _layer(plain, default())
    layer.mode = "frozen"
    with torch.no_grad():
        expected = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
    assert out.dtype == x.dtype
    torch.testing.assert_close(out, expected, rtol=3e-2, atol=3e-2)


def test_channels_last_stays() -> None:
    plain, x = CASES["conv2d"]
    layer = _layer(plain, default())
    layer.mode = "frozen"
    with torch.no_grad():
        out = layer(x.contiguous(memory_format=torch.channels_last))
        assert out.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(out, layer(x), rtol=1e-4, atol=1e-5)


def test_the_input_is_never_changed() -> None:
    for (plain, x), rotation in itertools.product(CASES.values(), ("none", "block")):
        layer = _layer(plain, default().replace(rotation=rotation))
        layer.mode = "frozen"
        before = x.clone()
        with torch.no_grad():
            layer(x)
        assert torch.equal(x, before)


def test_refreshed_ranges_follow_the_residual_and_frozen_ones_do_not() -> None:
    plain, _ = CASES["tokens"]
    for kind, follows in (("refresh", True), ("frozen", False)):
        layer = _layer(plain, default().replace(weight_range=kind, weight_clip_search=False))
        layer.mode = "frozen"
        before = layer.scales()[0]
        with torch.no_grad():
            layer.L1.mul_(-5)
        layer.mode = "train"
        layer.mode = "frozen"
        assert torch.equal(before, layer.scales()[0]) != follows


def test_learned_ranges_and_clips_receive_derivatives() -> None:
    plain, x = CASES["conv2d"]
    layer = _layer(plain, default().replace(weight_range="learned", parts=2))
    layer.mode = "train"
    assert layer.activation_clip is not None
    with torch.no_grad():
        layer.activation_clip.fill_(0.7)
    (layer(x) ** 2).sum().backward()
    assert len(layer.range_parameters()) == 5
    for parameter in [*layer.range_parameters(), *layer.branch_parameters(), *layer.bias_parameters()]:
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0


def test_clip_search_lowers_the_error_and_training_can_go_on_from_it() -> None:
    plain = _plain(nn.Conv2d, 64, 32, 3, padding=1)
    x = _random(4, 64, 24, 24)
    layer = _layer(plain, default(), 0)
    layer.mode = "frozen"

    def error() -> float:
        with torch.no_grad():
            return float((layer(x) - plain(x)).square().mean())

    before = error()
    layer.fit_to_inputs([x[:2], x[2:]])
    assert layer.activation_clip is not None
    assert float(layer.activation_clip.detach().max()) < 0.9
    assert error() < 0.75 * before


def test_weight_clip_search_lowers_the_squared_error_of_every_row() -> None:
    plain = _plain(nn.Linear, 256, 16)
    searched = _layer(plain, default(), 0)
    plainly = _layer(plain, default().replace(weight_clip_search=False), 0)
    errors = []
    for layer in (searched, plainly):
        layer.mode = "frozen"
        (rotated,) = layer.rotated_residual()
        decoded = (layer.codes()[0] - layer.zero_points()[0]) * layer.scales()[0]
        errors.append((decoded - rotated).square().sum(1))
    assert bool((errors[0] <= errors[1]).all()) and float(errors[0].sum()) < 0.9 * float(errors[1].sum())


def test_bias_alignment_trains_while_weights_stay_encoded() -> None:
    plain, x = CASES["conv2d"]
    first, second = _layer(plain, default()), _layer(_plain(nn.Conv2d, 8, 4, 1), default())
    for layer in (first, second):
        layer.mode = "frozen"
    second(first(x)).square().sum().backward()
    for layer in (first, second):
        assert layer.lba is not None and layer.lba.grad is not None and float(layer.lba.grad.abs().max()) > 0
        assert layer.L1.grad is None and layer.L2.grad is None
    assert first.lba is not None
    with torch.no_grad():
        before = first(x)
        first.lba.add_(0.5)
        torch.testing.assert_close(first(x), before + 0.5, rtol=1e-3, atol=1e-3)


def test_modes() -> None:
    plain, x = CASES["tokens"]
    layer = DualBranchLayer(plain, default(), "x")
    layer.set_rank(2)
    with pytest.raises(ValueError, match="unknown mode"):
        layer.mode = "int"  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="freeze"):
        layer.codes()
    layer.mode = "frozen"
    assert layer.initialised and layer.is_frozen
    codes = layer.codes()[0]
    layer.mode = "fp"
    layer.mode = "frozen"
    assert layer.codes()[0] is codes  # not encoded again
    layer.set_rank(3)
    layer(x)
    assert layer.codes()[0] is not codes


def test_lazy_initialisation_draws_from_the_global_generator_first_part_first() -> None:
    plain, x = CASES["tokens"]
    layer = DualBranchLayer(_plain(nn.Linear, 16, 4), reference(), "x")
    layer.mode = "train"
    torch.manual_seed(7)
    layer(_random(2, 16))
    torch.manual_seed(7)
    for signs in layer.signs:
        assert torch.equal(signs, torch.randint(0, 2, (8,)) * 2 - 1)
    state = torch.random.get_rng_state()
    layer = DualBranchLayer(plain, reference(), "x")  # halves of 6: identity, draws nothing
    layer.mode = "train"
    layer(x)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_departures_are_noted() -> None:
    for case, profile, words in (
        ("groups", reference(), "not defined for grouped"),
        ("one channel", reference(), "only one input channel"),
        ("tokens", reference(), "no Hadamard"),
        ("depthwise", default(), "one input channel per group"),
        ("groups", default().replace(parts=2), "cannot be cut"),
        ("groups", default(), "do not share directions"),
    ):
        assert any(words in note for note in _layer(CASES[case][0], profile).notes), (case, words)
    assert _layer(CASES["conv2d"][0], default()).notes == ()


def test_snapshots_bring_everything_back() -> None:
    plain, x = CASES["conv2d"]
    layer = _layer(plain, default().replace(activation_shift=True), 3, seed=1)
    shift_randomly(layer)
    with torch.no_grad():
        for parameter in (*layer.branch_parameters(), *layer.bias_parameters(), *layer.range_parameters()):
            parameter.mul_(0.9).add_(0.01)
    other = _layer(plain, default().replace(activation_shift=True), 1, seed=2)
    other.load_training_state(layer.training_state())
    for each in (layer, other):
        each.mode = "frozen"
    assert torch.equal(layer(x), other(x))
    assert DualBranchLayer(plain, default()).training_state() == {}
    with pytest.raises(BadModel, match="does not fit"):
        _layer(plain, reference()).load_training_state(layer.training_state())


def test_state_dict_round_trip_and_deep_copy() -> None:
    plain, x = CASES["conv2d"]
    config = default().replace(activation_shift=True)
    layer, other = _layer(plain, config, 2, seed=1), _layer(plain, config, 2, seed=2)
    shift_randomly(layer)
    layer.mode = other.mode = "train"
    assert not torch.equal(layer(x), other(x))
    other.load_state_dict(layer.state_dict())
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        assert torch.equal(layer(x), other(x)) and torch.equal(layer(x), twin(x))


def test_byte_count_of_a_known_layer() -> None:
    layer = _layer(_plain(nn.Conv2d, 64, 32, 3), default(4, 4), 8)
    assert layer.bytes_at_rest() == {
        "codes": 32 * 64 * 9 // 2,
        "scales": 32 * 2,
        "zero_points": 16,
        "signs": 8,
        "L1": 32 * 8 * 9 * 2,
        "L2": 8 * 64 * 2,
        "bias": 64,
        "activation_clip": 8,
        "activation_shift": 128,
        "activation_range": 0,
        "activation_balance": 0,
    }
    assert layer.bytes_fp32() == 4 * (32 * 576 + 32)


def test_subclasses_are_refused() -> None:
    class Mine(nn.Linear):
        pass

    with pytest.raises(BadInput, match="exclude it"):
        DualBranchLayer(Mine(3, 3), default(), "a.b")


def test_repr_tells_bits_rank_and_profile() -> None:
    text = repr(_layer(CASES["conv2d"][0], default(4, 6), 2))
    assert "conv2d 12->8" in text and "W4A6, rank=2" in text and "profile=default" in text
