"""Ranges, scales, zero points, codes and derivatives against the golden vectors (specification, 12.1)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parity.golden import Failures, load, tensors_of
from quantvsr.quant.affine import (
    code_range,
    decode,
    encode,
    fake_quantize,
    running_range,
    scale_and_zero_point,
    value_range,
)


def _keep(case: dict[str, Any]) -> tuple[int, ...]:
    return (0,) if case["granularity"] == "channel" else ()


def _compare(
    failures: Failures, case: dict[str, Any], golden: dict[str, Tensor], x: Tensor, lo: Tensor, hi: Tensor
):
    where, bits, symmetric = case["id"], case["bits"], case["symmetric"]
    if code_range(bits, symmetric) != (case["qmin"], case["qmax"]):
        failures.found.append(f"{where}: code range")
    scale, zero_point = scale_and_zero_point(lo, hi, bits, symmetric=symmetric)
    failures.close(f"{where} scale", scale, golden["scale"], 1e-6, 0)
    codes = encode(x, scale, zero_point, bits, symmetric)
    hat = decode(codes, scale, zero_point)
    fake = fake_quantize(x, scale, zero_point, bits, symmetric)
    failures.exact(f"{where} fake quantization", fake, hat)
    # Where lo = -hi the zero point is a tie which the last bit of two divisions decides: see the case's note.
    tie = "lo = -" in case.get("note", "") or "x_min = -x_max" in case.get("note", "")
    if tie and not symmetric:
        step = float(golden["scale"].max()) * 1.0001
        failures.close(f"{where} zero point", zero_point, golden["zero_point"], 0, 1)
        failures.close(f"{where} dequant", hat, golden["dequant"], 1e-6, step)
        return
    failures.exact(f"{where} zero point", zero_point, golden["zero_point"])
    failures.exact(f"{where} codes", codes, golden["codes"])
    failures.close(f"{where} dequant", hat, golden["dequant"], 1e-6, 1e-12)


def test_codes_scales_and_zero_points(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "quantizers")
    failures = Failures()
    for case in description["cases"]:
        x = tensors[case["input"]]
        _compare(failures, case, tensors_of(tensors, case["id"]), x, *value_range(x, _keep(case)))
    failures.finish()


def test_ranges_are_reused_for_other_tensors(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "quantizers")
    failures = Failures()
    for case in description["reuse"]:
        golden = tensors_of(tensors, case["id"])
        lo, hi = value_range(golden["calibrate_on"], _keep(case))
        failures.exact(f"{case['id']} lo", lo, golden["x_min"])
        failures.exact(f"{case['id']} hi", hi, golden["x_max"])
        _compare(failures, case, golden, golden["apply_to"], lo, hi)
    failures.finish()


def test_running_ranges(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "quantizers")
    failures = Failures()
    for case in description["running"]:
        golden, momentum = tensors_of(tensors, case["id"]), case["momentum"]
        first, second = (value_range(golden[name], _keep(case)) for name in ("first", "second"))
        for i, bound in enumerate(("x_min", "x_max")):
            where = f"{case['id']} {bound}"
            after = running_range(first[i], first[i], momentum)
            failures.close(where + " 1", after, golden[bound + "_after_first"], 1e-6, 0)
            after = running_range(after, second[i], momentum)
            failures.close(where + " 2", after, golden[bound + "_after_second"], 1e-6, 0)
    failures.finish()


def test_derivatives(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "quantizers")
    failures = Failures()
    for case in description["gradients"]:
        golden, where = tensors_of(tensors, case["id"]), case["id"]
        x = golden["x"].clone().requires_grad_()
        if case["quantizer"] == "static":
            lo, hi = (golden[name].clone().requires_grad_() for name in ("x_min", "x_max"))
        else:
            lo, hi = value_range(golden["x"], _keep(case))
        scale, zero_point = scale_and_zero_point(lo, hi, case["bits"], symmetric=case["symmetric"])
        out = fake_quantize(x, scale, zero_point, case["bits"], case["symmetric"])
        failures.close(where + " output", out, golden["output"], 1e-6, 1e-12)
        torch.autograd.backward(out, golden["upstream"])
        assert x.grad is not None
        failures.close(where + " x", x.grad, golden["grad_x"], 1e-4, 1e-5)
        if case["quantizer"] == "static":
            assert lo.grad is not None and hi.grad is not None
            failures.close(where + " lo", lo.grad, golden["grad_x_min"], 1e-4, 1e-4)
            failures.close(where + " hi", hi.grad, golden["grad_x_max"], 1e-4, 1e-4)
    failures.finish()
