"""Learned rounding block by block: each block learns to give its full-precision output.

BRECQ (Li et al., ICLR 2021) and Q-Diffusion (Li et al., ICCV 2023). Blocks are taken in the order of
execution; each gets what the quantized blocks before it give, so that it can make up for their error. A
block whose learned rounding is no better than rounding to nearest on the samples keeps the latter.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.calibration.blocks import Block, Call, Layers, find_blocks, modes, record_calls
from quantvsr.calibration.order import order_of
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.results import StageResult
from quantvsr.calibration.rounding_config import Rounding
from quantvsr.calibration.samples import Sample
from quantvsr.files import atomic_path, make_folder, remove
from quantvsr.progress import Progress
from quantvsr.quant import rounding, weights


def learn_rounding(
    model: nn.Module,
    layers: Layers,
    samples: Sequence[Sample],
    settings: Rounding,
    budget: RefineConfig,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    folder: Path | None = None,
) -> StageResult:
    """Learn how the weights of all layers are rounded.

    Args:
        model: Holds the layers.
        layers: Initialised layers whose weight ranges do not change any more.
        samples: Calibration samples.
        settings: See there.
        budget: Number of updates of each block (`updates + bias_updates`), samples per update, and seed.
        device: Where samples are sent.
        progress: Checked between samples; reports blocks and updates.
        folder: Where finished blocks are kept; learning that was stopped goes on with the next block.

    Returns:
        Mean relative error of the blocks at each update. Layers keep their rounding and are in mode "fp".
    """
    watch = progress or Progress()
    updates = budget.updates + budget.bias_updates
    count = min(settings.samples, len(samples))
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    blocks = find_blocks(model, layers, chosen[0], device)
    result = StageResult("rounding", losses=[0.0] * updates)
    done: list[str] = []
    for number, block in enumerate(blocks):
        stage = watch.stage("rounding", number / len(blocks), (number + 1) / len(blocks))
        stage.check()
        place = None if folder is None else folder / f"rounding-{number:03d}.safetensors"
        if place is None or not _take(place, block, layers):
            run = _BlockRun(model, layers, block, chosen, settings, budget, device, stage)
            losses = run.learn(done, f"Block {number + 1} of {len(blocks)}")
            result.losses = [a + b / len(blocks) for a, b in zip(result.losses, losses, strict=True)]
            if place is not None:
                _keep(place, block, layers)
        done += block.layers
    if folder is not None:
        remove(folder)
    return result


class _BlockRun:
    """Learning of one block."""

    def __init__(
        self,
        model: nn.Module,
        layers: Layers,
        block: Block,
        samples: Sequence[Sample],
        settings: Rounding,
        budget: RefineConfig,
        device: torch.device | str,
        progress: Progress,
    ) -> None:
        self.model, self.layers, self.block = model, layers, block
        self.samples, self.settings, self.budget = samples, settings, budget
        self.device, self.progress = device, progress
        self.own = [layers[name] for name in block.layers]
        self.module = model.get_submodule(block.name)

    def learn(self, before: Sequence[str], label: str) -> list[float]:
        """Learn, and return the relative error at each update.

        Args:
            before: Layers of the blocks before this one, which are quantized already.
            label: For messages.
        """
        with modes(self.layers, ()):
            wanted = [call.output for call in record_calls(self.model, self.block, self.samples, self.device)]
        with modes(self.layers, before):
            calls = record_calls(self.model, self.block, self.samples, self.device)
        power = float(torch.stack([y.float().square().mean() for y in wanted]).mean().clamp_min(1e-12))
        nearest = self._error(calls, wanted)
        variables = self._start()
        losses = self._train(calls, wanted, power, variables, label)
        if self._error(calls, wanted) >= nearest:
            for layer in self.own:
                layer.rounding, layer.encoded = None, None
        for layer in self.own:
            layer.mode = "fp"
        return losses

    def _start(self) -> list[Tensor]:
        """Give the layers variables; returns all of them."""
        found = []
        for layer in self.own:
            layer.rounding = []
            for i, part in enumerate(layer.rotated_residual()):
                step, _ = weights.scale(layer, part, i)
                layer.rounding.append(rounding.start(part, step.detach()).requires_grad_(True))
            found += layer.rounding
        return found

    def _train(
        self,
        calls: Sequence[Call],
        wanted: Sequence[Tensor],
        power: float,
        variables: list[Tensor],
        label: str,
    ) -> list[float]:
        budget, settings = self.budget, self.settings
        updates = budget.updates + budget.bias_updates
        optimizer = torch.optim.Adam(variables, lr=settings.learning_rate)
        losses: list[float] = []
        for layer in self.own:
            layer.mode = "train"
            for parameter in layer.parameters():
                parameter.requires_grad_(False)
        for step in range(updates):
            self.progress.check()
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for i in range(budget.accumulation):
                number = step * budget.accumulation + i
                place = order_of(range(len(calls)), budget.seed, f"rounding/{self.block.name}", number)
                loss = self._loss(calls[place], wanted[place]) / power
                (loss / budget.accumulation).backward()
                total += loss.item() / budget.accumulation
            beta = rounding.annealed(step, updates, settings.warm_up, settings.beta)
            if beta is not None:
                rest = torch.stack([rounding.regulariser(v, beta) for v in variables]).mean()
                (settings.regularisation * rest).backward()
            optimizer.step()
            losses.append(total)
            message = f"{label}: update {step + 1} of {updates}, error {total:.3g}"
            self.progress.report((step + 1) / updates, message, step=step + 1, steps=updates, loss=total)
        for variable in variables:
            variable.requires_grad_(False)
        return losses

    def _loss(self, call: Call, wanted: Tensor) -> Tensor:
        output = self.module(*call.args, **call.kwargs)
        output = output[0] if isinstance(output, tuple) else output
        return F.mse_loss(output.float(), wanted.float())

    @torch.no_grad()
    def _error(self, calls: Sequence[Call], wanted: Sequence[Tensor]) -> float:
        """Squared error of the block as it will be stored."""
        for layer in self.own:
            layer.encoded = None
            layer.mode = "frozen"
        total = 0.0
        for call, output in zip(calls, wanted, strict=True):
            self.progress.check()
            total += float(self._loss(call, output))
        return total


def _keep(place: Path, block: Block, layers: Layers) -> None:
    make_folder(place.parent)
    tensors = {
        f"{name}/{i}": v.detach().cpu().contiguous()
        for name in block.layers
        for i, v in enumerate(layers[name].rounding or [])
    }
    # A file may not be empty: a block that keeps rounding to nearest has no variables.
    tensors["block"] = torch.tensor(list(block.name.encode()), dtype=torch.uint8)
    with atomic_path(place) as temporary:
        save_file(tensors, temporary)


def _take(place: Path, block: Block, layers: Layers) -> bool:
    """Take over what an earlier run learned, if it is there."""
    if not place.is_file():
        return False
    tensors = load(place.read_bytes())
    for name in block.layers:
        layer = layers[name]
        found = [tensors[f"{name}/{i}"] for i in range(len(layer.parts)) if f"{name}/{i}" in tensors]
        layer.rounding = [v.to(layer.weight.device) for v in found] or None
        layer.encoded = None
    return True
