"""The reference's own parameter files in and out (specification, sections 7 and 12.6)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity.golden import Failures, load, tensors_of
from quantvsr.quant.config import reference
from quantvsr.quant.qparams import apply_qparams, export_qparams, read_qparams, write_qparams
from quantvsr.quant.surgery import LayerMap, quantize_model, set_mode

_TYPES: dict[str, Callable[..., nn.Module]] = {
    "linear": nn.Linear,
    "conv1d": nn.Conv1d,
    "conv2d": nn.Conv2d,
    "conv3d": nn.Conv3d,
}
_SETS = ("e2e_micro", "e2e_unet")


class _Tree(nn.Module):
    """Holds modules under dotted names, as the golden networks name theirs."""

    def put(self, name: str, module: nn.Module) -> None:
        head, _, rest = name.partition(".")
        if not rest:
            self.add_module(head, module)
            return
        if head not in self._modules:
            self.add_module(head, _Tree())
        child = self._modules[head]
        assert isinstance(child, _Tree)
        child.put(rest, module)


def _model(description: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[nn.Module, LayerMap]:
    root = _Tree()
    for name, settings in description["modules"].items():
        module = _TYPES[settings["type"]](**{k: v for k, v in settings.items() if k != "type"})
        module.load_state_dict(
            {key: tensors[f"fp/{name}.{key}"] for key in ("weight", "bias") if f"fp/{name}.{key}" in tensors}
        )
        root.put(name, module)
    config = description["config"]
    settings = reference(config["weight_bits"], config["act_bits"]).replace(
        weight_granularity=config["weight_granularity"],
        activation_granularity={"tensor": "tensor", "channel": "frame"}[config["act_granularity"]],
        weight_symmetric=config["symmetric"],
        activation_symmetric=config["symmetric"],
        parts=2 if config["channel_split"] else 1,
        rotation="reference" if config["rotation"] else "none",
        low_rank=config["low_rank_branch"],
        bias_alignment=config["lba"],
    )
    return root, quantize_model(root, settings, exclude=config["exclude_layers"])


def _traces(
    failures: Failures, layers: LayerMap, golden: dict[str, Tensor], where: str, **tolerance: float
) -> None:
    for name, layer in layers.items():
        for mode in ("train", "frozen"):
            layer.mode = mode
            with torch.no_grad():
                out = layer(golden[f"model.{name}/input"])
            failures.close(f"{where} {name} {mode}", out, golden[f"model.{name}/output"], **tolerance)


@pytest.mark.parametrize("name", _SETS)
def test_imported_layers_give_the_recorded_outputs(golden_folder: Path, name: str) -> None:
    description, tensors = load(golden_folder, name)
    file = golden_folder / description.get("qparams_file", f"{name}_qparams.pth")
    root, layers = _model(description, tensors)
    assert ["model." + n for n in layers] == description["quantized_layers"]
    assert apply_qparams(root, read_qparams(file)) == []
    failures = Failures()
    _traces(failures, layers, tensors_of(tensors, "eval/trace"), name, rtol=1e-4, atol=2e-5)
    failures.finish()


def test_bfloat16_ranges_are_computed_with_in_bfloat16(golden_folder: Path) -> None:
    files = sorted(golden_folder.glob("*_qparams_bf16.pth"))
    if not files:
        pytest.skip(f"{golden_folder} has no file with bfloat16 ranges")
    failures = Failures()
    for file in files:
        name = file.name.removesuffix("_qparams_bf16.pth")
        description, tensors = load(golden_folder, name)
        root, layers = _model(description, tensors)
        apply_qparams(root, read_qparams(file))
        _traces(failures, layers, tensors_of(tensors, "eval_bf16/trace"), name, rtol=1e-4, atol=2e-5)
    failures.finish()


@pytest.mark.parametrize("name", _SETS)
def test_written_file_equals_the_read_one(golden_folder: Path, name: str, tmp_path: Path) -> None:
    description, tensors = load(golden_folder, name)
    failures = Failures()
    for file in sorted(golden_folder.glob(f"{name}_qparams*.pth")):
        root, _ = _model(description, tensors)
        before = read_qparams(file)
        apply_qparams(root, before)
        write_qparams(tmp_path / "out.pth", root)
        after = read_qparams(tmp_path / "out.pth")
        # The reference's own way of reading must accept it too.
        torch.load(tmp_path / "out.pth", weights_only=True)
        assert list(after) == list(before)
        for layer, entry in before.items():
            assert list(after[layer]) == list(entry), layer
            for key, value in entry.items():
                assert after[layer][key].dtype == value.dtype, (layer, key)
                if "rot_mat" in key:  # made anew from the signs
                    failures.close(f"{layer} {key}", after[layer][key], value, 0, 1e-6)
                else:
                    failures.exact(f"{layer} {key}", after[layer][key], value)
    failures.finish()


@pytest.mark.parametrize("name", _SETS)
def test_initialisation_gives_the_recorded_factors_and_ranges(golden_folder: Path, name: str) -> None:
    description, tensors = load(golden_folder, name)
    file = golden_folder / description.get("qparams_file", f"{name}_qparams.pth")
    root, layers = _model(description, tensors)
    apply_qparams(root, read_qparams(file))
    failures = Failures()
    for layer_name, layer in layers.items():
        full = "model." + layer_name
        layer.set_rank(description["ranks"][full])
        layer.initialise()
        product = tensors[f"stage2/state0/{full}/L1"] @ tensors[f"stage2/state0/{full}/L2"]
        failures.close(full + " L1 L2", layer.L1 @ layer.L2, product, 1e-4, 1e-5)
        layer.reset_weight_ranges()
        for i in range(len(layer.parts)):
            suffix = "1" if i else ""
            for ranges, key in ((layer.range_min, "x_min"), (layer.range_max, "x_max")):
                golden = tensors[f"range/{full}/{key}{suffix}"]
                failures.close(f"{full} {key}{suffix}", ranges[i], golden, 1e-4, 1e-5)
    failures.finish()


def test_export_refuses_layers_that_never_ran() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    quantize_model(model, reference())
    with pytest.raises(Exception, match="never initialised"):
        export_qparams(model)
    model(torch.randn(2, 4))
    set_mode(model, "train")
    model(torch.randn(2, 4))
    assert list(export_qparams(model)) == ["model.0"]
