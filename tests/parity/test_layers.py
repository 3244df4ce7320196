"""Whole layers of the profile `reference` against the golden vectors (specification, 12.2)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parity.golden import Failures, load, tensors_of
from quantvsr.quant.config import LayerQuantConfig, reference
from quantvsr.quant.hadamard import from_dense
from quantvsr.quant.layers import DualBranchLayer

_TYPES = {"linear": nn.Linear, "conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "conv3d": nn.Conv3d}
_OUTPUT = {"rtol": 1e-4, "atol": 2e-5}
_GRADIENT = {"rtol": 2e-3, "atol": 2e-4}


def _config(case: dict[str, Any]) -> LayerQuantConfig:
    granularity = {"tensor": "tensor", "channel": "frame"}[case["act_granularity"]]
    return reference(case["weight_bits"], case["act_bits"]).replace(
        weight_symmetric=case["weight_symmetric"],
        activation_symmetric=case["act_symmetric"],
        weight_granularity=case["weight_granularity"],
        activation_granularity=granularity,
        parts=2 if case["channel_split"] else 1,
        rotation="reference" if case["rotation"] else "none",
        low_rank=case["low_rank_branch"],
        bias_alignment=case["lba"],
    )


def _layer(case: dict[str, Any], golden: dict[str, Tensor]) -> DualBranchLayer:
    plain = _TYPES[case["type"]](**{"bias": "bias" in golden, **case["module"]})
    with torch.no_grad():
        plain.weight.copy_(golden["weight"])
        if plain.bias is not None:
            plain.bias.copy_(golden["bias"])
    layer = DualBranchLayer(plain, _config(case), case["id"])
    layer.set_rank(case["rank_requested"])
    for i, name in enumerate(("rot", "rot1")):
        if name in golden:
            signs = from_dense(golden[name]).signs
            layer.set_signs(i, torch.ones(0, dtype=torch.int8) if signs is None else signs)
    return layer


def _set_trained(layer: DualBranchLayer, golden: dict[str, Tensor]) -> None:
    """What training would have changed; the ranges stay."""
    with torch.no_grad():
        for name in ("L1", "L2", "lba"):
            parameter = getattr(layer, name)
            if name in golden and parameter is not None and parameter.numel():
                parameter.copy_(golden[name])


def test_full_precision_output(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden = tensors_of(tensors, case["id"])
        failures.close(case["id"], _layer(case, golden)(golden["x"]), golden["out_fp"], **_OUTPUT)
    failures.finish()


def test_initialisation(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        layer = _layer(case, golden)
        assert layer.parts == tuple(case["half_channels"]), where
        rotated = [not layer.rotation(i).is_identity for i in range(len(layer.parts))]
        assert rotated == [kind == "hadamard" for kind in case["rotation_kind"]], where
        layer.mode = "train"
        with torch.no_grad():
            own = layer(golden["x"])
        # Two float32 decompositions differ by some 1e-6, which can move a code across a tie: only the
        # products and, loosely, the output are compared; the rest is compared from the golden factors.
        difference = torch.linalg.vector_norm(own - golden["out_low_init"])
        assert difference < 0.02 * torch.linalg.vector_norm(golden["out_low_init"]), where
        if layer.L1.numel():
            product = golden["L1_init"] @ golden["L2_init"]
            failures.close(where + " L1 L2", layer.L1 @ layer.L2, product, 1e-4, 1e-5)
            assert layer.L1.shape[1] == case["rank_stored"], where
            with torch.no_grad():
                layer.L1.copy_(golden["L1_init"])
                layer.L2.copy_(golden["L2_init"])
        layer.reset_weight_ranges()
        with torch.no_grad():
            failures.close(where + " output", layer(golden["x"]), golden["out_low_init"], **_OUTPUT)
        for i in range(len(layer.parts)):
            suffix = "1" if i else ""
            for ranges, name in ((layer.range_min, "x_min"), (layer.range_max, "x_max")):
                failures.close(f"{where} {name}{suffix}", ranges[i], golden[name + suffix], 1e-5, 1e-6)
    failures.finish()


def _trained(case: dict[str, Any], golden: dict[str, Tensor]) -> DualBranchLayer:
    layer = _layer(case, golden)
    layer.initialise()
    with torch.no_grad():
        for i in range(len(layer.parts)):
            suffix = "1" if i else ""
            layer.range_min[i].copy_(golden["x_min" + suffix])
            layer.range_max[i].copy_(golden["x_max" + suffix])
    _set_trained(layer, golden)
    return layer


def test_codes(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        layer = _trained(case, golden)
        layer.mode = "frozen"
        found = zip(layer.codes(), layer.scales(), layer.zero_points(), strict=True)
        for i, (codes, scale, zero_point) in enumerate(found):
            failures.exact(f"{where} weight codes {i}", codes, golden[f"w_codes{i}"])
            failures.close(f"{where} weight scale {i}", scale, golden[f"w_scale{i}"], 1e-5, 0)
            failures.exact(f"{where} weight zero point {i}", zero_point, golden[f"w_zp{i}"])
        for i, (codes, scale, zero_point) in enumerate(layer.activation_codes(golden["x"])):
            failures.exact(f"{where} activation codes {i}", codes, golden[f"x_codes{i}"])
            failures.close(f"{where} activation scale {i}", scale, golden[f"x_scale{i}"], 1e-5, 0)
            failures.exact(f"{where} activation zero point {i}", zero_point, golden[f"x_zp{i}"])
    failures.finish()


def test_low_bit_output_in_both_modes(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        layer = _trained(case, golden)
        for mode in ("train", "frozen"):
            layer.mode = mode
            with torch.no_grad():
                failures.close(f"{where} {mode}", layer(golden["x"]), golden["out_low"], **_OUTPUT)
                quant, skip = layer.branches(golden["x"])
            bias = 0 if layer.lba is None else layer.lba.movedim(1, layer.geometry.channel_dim)
            failures.close(f"{where} {mode} quant", quant - bias, golden["branch_quant"], **_OUTPUT)
            skipped = torch.zeros_like(quant) if skip is None else skip.output()
            failures.close(f"{where} {mode} skip", skipped, golden["branch_skip"], **_OUTPUT)
    failures.finish()


def test_derivatives(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        layer = _trained(case, golden)
        for parameter in layer.parameters():
            parameter.requires_grad_()
        layer.mode = "train"
        x = golden["x"].clone().requires_grad_()
        torch.autograd.backward(layer(x), golden["upstream"])
        found: dict[str, Tensor | None] = {"x": x.grad, "L1": layer.L1.grad, "L2": layer.L2.grad}
        found["lba"] = None if layer.lba is None else layer.lba.grad
        for i in range(len(layer.parts)):
            suffix = "1" if i else ""
            found["x_min" + suffix] = layer.range_min[i].grad
            found["x_max" + suffix] = layer.range_max[i].grad
        for name in [key[len("grad_") :] for key in golden if key.startswith("grad_")]:
            actual = found[name]
            assert actual is not None, f"{where}: no derivative of {name}"
            tolerance = {"rtol": 2e-3, "atol": 2e-3} if name.startswith("x_m") else _GRADIENT
            failures.close(f"{where} {name}", actual, golden["grad_" + name], **tolerance)
    failures.finish()


def test_bias_training_derivatives_with_frozen_weights(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "layers")
    failures = Failures()
    for case in description["cases"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        layer = _trained(case, golden)
        layer.mode = "frozen"
        x = golden["x"].clone().requires_grad_()
        torch.autograd.backward(layer(x), golden["upstream"])
        assert x.grad is not None
        failures.close(where + " x", x.grad, golden["grad_x"], **_GRADIENT)
        if "grad_lba" in golden:
            assert layer.lba is not None and layer.lba.grad is not None
            failures.close(where + " lba", layer.lba.grad, golden["grad_lba"], **_GRADIENT)
        assert layer.L1.grad is None
    failures.finish()
