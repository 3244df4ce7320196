"""Whole small networks of the profile `reference`: all three stages against the golden vectors (12.6)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity.golden import Failures, load, tensors_of
from parity.graph_network import GraphNetwork
from quantvsr.calibration.observe import forward_hooks, observe
from quantvsr.calibration.ranks import RankSettings, allocate
from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.samples import Sample
from quantvsr.calibration.stages import Stage, make_optimizer, named, sample_loss, set_rates
from quantvsr.quant.config import LayerQuantConfig, reference
from quantvsr.quant.hadamard import from_dense
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.qparams import apply_qparams, read_qparams
from quantvsr.quant.surgery import LayerMap, quantize_model

PREFIX = "model."
GRANULARITY = {"tensor": "tensor", "channel": "frame"}
# Free replay of the trajectory is possible where no rounding decision is close.
FREE = "e2e_micro"
SETS = (FREE, "e2e_unet")
STAGES = {"stage2": ("low-rank", ("L1", "L2")), "stage3": ("bias", ("lba",))}


def quant_config(config: dict[str, Any]) -> LayerQuantConfig:
    return reference(config["weight_bits"], config["act_bits"]).replace(
        weight_symmetric=config["symmetric"],
        activation_symmetric=config["symmetric"],
        weight_granularity=config["weight_granularity"],
        activation_granularity=GRANULARITY[config["act_granularity"]],
        parts=2 if config["channel_split"] else 1,
        rotation="reference" if config["rotation"] else "none",
        low_rank=config["low_rank_branch"],
        bias_alignment=config["lba"],
    )


def refine_config(config: dict[str, Any]) -> RefineConfig:
    found = RefineConfig.reference(
        config["num_iterations"], config["gradient_accumulation"], config["learning_rate"]
    )
    schedule, defaults = config["schedule"], config["optimizer_defaults"]
    # What the golden run had is what the profile says.
    assert config["optimizer"] == "AdamW"
    assert schedule["kind"] == found.schedule == "step"
    assert schedule["factor"] == found.step_factor
    assert schedule["step_size"] == max(found.updates // 2, 1)
    assert defaults["weight_decay"] == found.weight_decay
    assert tuple(defaults["betas"]) == found.betas
    assert defaults["eps"] == found.eps
    return found


class Case:
    """A golden network and its tensors."""

    def __init__(self, folder: Path, name: str) -> None:
        self.info, self.tensors = load(folder, name)
        self.config = self.info["config"]
        self.samples = [
            Sample({key: self.tensors[f"data/{key}"][i] for key in self.info["inputs"]}, output, {})
            for i, output in enumerate(self.tensors["data/fp_output"])
        ]

    def network(self) -> GraphNetwork:
        return GraphNetwork(self.info, self.tensors).eval()

    def evaluation(self, key: str = "eval") -> dict[str, Tensor]:
        return {name: self.tensors[f"{key}/{name}"] for name in self.info["inputs"]}

    def quantized(self, net: GraphNetwork) -> LayerMap:
        """Replace the layers; rotations are the golden ones. Keys carry the file's prefix."""
        ranks = {name.removeprefix(PREFIX): rank for name, rank in self.info["ranks"].items()}
        layers = quantize_model(net, quant_config(self.config), ranks, self.config["exclude_layers"])
        for name, layer in layers.items():
            for i in range(len(layer.parts)):
                matrix = self.tensors.get(f"{('rot', 'rot1')[i]}/{PREFIX}{name}")
                if matrix is not None:
                    signs = from_dense(matrix).signs
                    layer.set_signs(i, torch.ones(0, dtype=torch.int8) if signs is None else signs)
        return LayerMap({PREFIX + name: layer for name, layer in layers.items()}, skipped=layers.skipped)

    @torch.no_grad()
    def load_state(self, layers: LayerMap, stage: str, state: int) -> None:
        """Golden ranges, and the parameters after `state` updates of a stage."""
        last = self.config["num_iterations"]
        for name, layer in layers.items():
            if not layer.initialised:
                layer.initialise()
            for i in range(len(layer.parts)):
                for ranges, bound in ((layer.range_min, "x_min"), (layer.range_max, "x_max")):
                    ranges[i].copy_(self.tensors[f"range/{name}/{bound}{i or ''}"])
            for key in ("L1", "L2"):
                source = f"stage2/state{state if stage == 'stage2' else last}/{name}/{key}"
                if source in self.tensors:
                    getattr(layer, key).copy_(self.tensors[source])
            bias = self.tensors.get(f"stage3/state{state}/{name}/lba")
            if layer.lba is not None:
                layer.lba.zero_()
                if stage == "stage3" and bias is not None:
                    layer.lba.copy_(bias)
            layer.mode = "train"


@pytest.fixture(params=SETS)
def case(golden_folder: Path, request: pytest.FixtureRequest) -> Case:
    return Case(golden_folder, request.param)


def test_full_precision(case):
    net, failures = case.network(), Failures()
    with torch.no_grad():
        for i, sample in enumerate(case.samples):
            failures.close(f"sample {i}", net(**sample.inputs), sample.output, 1e-4, 1e-5)
        failures.close("eval", net(**case.evaluation()), case.tensors["eval/fp_output"], 1e-4, 1e-5)
    failures.finish()


def test_stage_one(case):
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    assert list(layers) == case.info["quantized_layers"]
    assert list(layers.skipped) == case.info["not_quantized"]
    found = observe(net, layers, case.samples, lambda name: "", kind="reference")
    assert list(found.table.names) == [name for name in layers if name in set(case.info["observed_layers"])]
    for name in found.table.names:
        for values, key in zip(found.table.layer(name), ("c_spatial", "c_temporal"), strict=True):
            golden = case.tensors[f"stats/{name}/{key}"]
            failures.close(f"{name} {key}", torch.from_numpy(values.copy()), golden, 1e-4, 1e-6)
    config = case.config
    settings = RankSettings.reference(config["min_rank"], config["max_rank"], config["percentile"])
    allocation = allocate(found.table, settings, layers=list(layers))
    for key, value in case.info["thresholds"].items():
        assert getattr(allocation.thresholds, key) == pytest.approx(value, rel=1e-4)
    assert allocation.ranks == case.info["ranks"]
    assert [name for name, raw in allocation.raw.items() if raw is None] == case.info["not_observed_layers"]
    failures.finish()


def test_initialisation(case):
    layers, failures = case.quantized(case.network()), Failures()
    for name, layer in layers.items():
        layer.initialise()
        kinds = ["identity" if layer.rotation(i).is_identity else "hadamard" for i in range(len(layer.parts))]
        assert kinds == case.info["rotation_kind"][name]
        if layer.L1.numel():
            golden = [case.tensors[f"stage2/state0/{name}/{key}"] for key in ("L1", "L2")]
            failures.close(f"{name} L1 L2", layer.L1 @ layer.L2, golden[0] @ golden[1], 1e-4, 1e-5)
        for i in range(len(layer.parts)):
            for ranges, bound in ((layer.range_min, "x_min"), (layer.range_max, "x_max")):
                golden_range = case.tensors[f"range/{name}/{bound}{i or ''}"]
                failures.close(f"{name} {bound}{i}", ranges[i], golden_range, 1e-4, 1e-5)
    failures.finish()


def aligned(layer: DualBranchLayer, golden: dict[str, Tensor]) -> Tensor:
    """Signs that make the golden factors' columns look like ours: singular vectors have no own sign."""
    return torch.sign((layer.L1.detach() * golden["L1"]).sum(0))


def test_free_replay(golden_folder):
    """Stages two and three in one go from our own start, state by state."""
    case = Case(golden_folder, FREE)
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    noise = set(case.info["noise_gradient_lba_layers"])
    order = {
        STAGES[key][0]: [i for step in case.info[key]["steps"] for i in step["samples"]] for key in STAGES
    }
    for layer in layers.values():
        layer.initialise()
    signs = {
        name: aligned(layer, {"L1": case.tensors[f"stage2/state0/{name}/L1"]})
        for name, layer in layers.items()
        if f"stage2/state0/{name}/L1" in case.tensors
    }

    def compare(stage: str, done: int) -> None:
        key = next(k for k, (name, _) in STAGES.items() if name == stage)
        for where in (f"{key}/state{done}", f"{key}/grad{done - 1}"):
            for place, golden in tensors_of(case.tensors, where).items():
                name, _, part = place.rpartition("/")
                if part == "lba" and name in noise:
                    continue
                if part in ("L1", "L2"):
                    golden = golden * (signs[name] if part == "L1" else signs[name][:, None])
                parameter = getattr(layers[name], part)
                if "state" in where:
                    failures.close(f"{where} {place}", parameter.detach(), golden, 0, 2e-5)
                else:
                    failures.close(
                        f"{where} {place}", parameter.grad, golden, 1e-3, 1e-3 * float(golden.abs().max())
                    )

    result = refine(net, layers, case.samples, refine_config(case.config), order=order, on_update=compare)
    for key, (stage, _) in STAGES.items():
        ran, golden = result.stage(stage), case.info[key]["steps"]
        assert len(ran.losses) == len(golden) == case.config["num_iterations"]
        for found, rate, step in zip(ran.sample_losses, ran.rates, golden, strict=True):
            failures.close(f"{key} loss", torch.tensor(found), torch.tensor(step["loss_micro_mse"]), 2e-5, 0)
            assert rate == pytest.approx(step["lr"])
    with torch.no_grad():
        found = net(**case.evaluation())
    failures.close("eval", found, case.tensors["eval/low_bit_output"], 1e-4, 1e-4)
    failures.finish()


def stage_of(key: str, layers: LayerMap, config: RefineConfig) -> Stage:
    pick = DualBranchLayer.branch_parameters if key == "stage2" else DualBranchLayer.bias_parameters
    parameters = {"main": named(layers, pick)}
    return Stage(STAGES[key][0], config.updates, parameters, config.learning_rate, lambda sample, factor: 0.0)


@pytest.mark.parametrize("key", STAGES)
def test_losses_and_gradients_from_stored_states(case, key):
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    noise = set(case.info["noise_gradient_lba_layers"])
    accumulation = case.config["gradient_accumulation"]
    for k, step in enumerate(case.info[key]["steps"]):
        case.load_state(layers, key, k)
        parameters = stage_of(key, layers, refine_config(case.config)).parameters
        for layer in layers.values():
            for p in layer.parameters():
                p.requires_grad_(any(p is q for q in parameters.values()))
                p.grad = None
        for i, wanted, margin in zip(
            step["samples"], step["loss_micro_mse"], step["tie_margin"], strict=True
        ):
            loss = sample_loss(net, case.samples[i])
            (loss / accumulation).backward()
            if margin > 1e-5:
                failures.close(f"{key} loss {k} sample {i}", loss.detach(), torch.tensor(wanted), 1e-5, 0)
        if min(step["tie_margin"]) <= 1e-5:
            continue
        for place, golden in tensors_of(case.tensors, f"{key}/grad{k}").items():
            name, _, part = place.rpartition("/")
            if part == "lba" and name in noise:
                continue
            found, scale = getattr(layers[name], part).grad, float(golden.abs().max())
            failures.close(f"{key} gradient {k} {place}", found, golden, 1e-3, 1e-3 * scale)
    failures.finish()


@pytest.mark.parametrize("key", STAGES)
def test_optimizer_fed_with_stored_gradients(case, key):
    layers, failures = case.quantized(case.network()), Failures()
    config = refine_config(case.config)
    case.load_state(layers, key, 0)
    stage = stage_of(key, layers, config)
    optimizer = make_optimizer(stage, config)
    trained = [
        f"{name}.{'lba.lba' if part == 'lba' else 'stca.' + part}"
        for name, part in map(_split, stage.parameters)
    ]
    assert trained == case.info[key]["trained_parameters"]
    for k, step in enumerate(case.info[key]["steps"]):
        assert set_rates(optimizer, config.rate_factor(k, config.updates)) == pytest.approx(step["lr"])
        for name, p in stage.parameters.items():
            layer, part = _split(name)
            p.grad = case.tensors[f"{key}/grad{k}/{layer}/{part}"].clone()
        optimizer.step()
        for name, p in stage.parameters.items():
            layer, part = _split(name)
            golden = case.tensors[f"{key}/state{k + 1}/{layer}/{part}"]
            failures.close(f"{key} state {k + 1} {name}", p.detach(), golden, 0, 2e-6)
    failures.finish()


def _split(name: str) -> tuple[str, str]:
    layer, _, part = name.rpartition(".")
    return layer, part


def compare_pass(case: Case, net: nn.Module, layers: LayerMap, key: str, failures: Failures) -> None:
    """One low-bit pass with every layer's input and output against a stored trace."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.no_grad(), forward_hooks(layers, lambda name, layer, x, y: seen.update({name: (x, y)})):
        output = net(**case.evaluation(key))
    failures.close(f"{key} output", output, case.tensors[f"{key}/low_bit_output"], 1e-4, 1e-4)
    assert set(seen) == set(case.info["quantized_layers"])
    for name, pair in seen.items():
        for value, part in zip(pair, ("input", "output"), strict=True):
            failures.close(
                f"{key} {name} {part}", value, case.tensors[f"{key}/trace/{name}/{part}"], 1e-4, 1e-4
            )


@pytest.mark.parametrize("mode", ["train", "frozen"])
def test_final_pass_and_trace(case, mode):
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    case.load_state(layers, "stage3", case.config["num_iterations"])
    layers.set_mode(mode)
    compare_pass(case, net, layers, "eval", failures)
    failures.finish()


def test_final_pass_from_the_parameter_file(case, golden_folder):
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    apply_qparams(net, read_qparams(golden_folder / case.info["qparams_file"]))
    layers.set_mode("frozen")
    compare_pass(case, net, layers, "eval", failures)
    failures.finish()


def test_pass_from_a_bfloat16_parameter_file(case, golden_folder):
    """Ranges stored in bfloat16 give scales computed in bfloat16; converted first, they give others."""
    if "bf16_autocast_run" not in case.info:
        pytest.skip("this network has no bfloat16 run")
    run = case.info["bf16_autocast_run"]
    params = read_qparams(golden_folder / run["qparams_file"])
    net, failures = case.network(), Failures()
    layers = case.quantized(net)
    apply_qparams(net, params)
    layers.set_mode("frozen")
    compare_pass(case, net, layers, "eval_bf16", failures)
    upcast = {
        name: {k: v.float() if v.dtype == torch.bfloat16 else v for k, v in entry.items()}
        for name, entry in params.items()
    }
    apply_qparams(net, upcast)
    layers.set_mode("frozen")
    with torch.no_grad():
        found = net(**case.evaluation("eval_bf16"))
    golden = case.tensors["eval_bf16/low_bit_output_ranges_upcast"]
    failures.close("ranges converted to float32", found, golden, 1e-4, 1e-4)
    failures.finish()
