"""Refinement: the low-rank branch, then the bias, learn to match the full-precision denoiser.

Specification, section 10. The published loop and ours are one loop with different settings. The order of
samples follows from the seed and a counter, and gradients are dropped at a stop, so that a snapshot holds all
that decides how the training goes on: a resumed refinement takes the same path bit for bit on the same
machine.

The model stays in evaluation mode; nothing in the loop draws random numbers.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantvsr.calibration.hooks import forward_hooks, full_precision
from quantvsr.calibration.order import order_of, sample_weights
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.results import RefineResult, StageResult
from quantvsr.calibration.samples import Sample, infos_of, split_windows
from quantvsr.calibration.snapshot_list import stages_of
from quantvsr.calibration.snapshots import Snapshot, SnapshotFolder
from quantvsr.calibration.stages import (
    Layers,
    Stage,
    load_moments,
    make_optimizer,
    moments,
    named,
    sample_loss,
    set_rates,
    trainable,
)
from quantvsr.errors import BadInput, Cancelled
from quantvsr.hashing import hash_json, hash_state_dict
from quantvsr.progress import Part, Progress
from quantvsr.quant.layers import DualBranchLayer


def refine(
    model: nn.Module,
    layers: Layers,
    samples: Sequence[Sample],
    config: RefineConfig | None = None,
    *,
    progress: Progress | None = None,
    snapshot_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    order: Mapping[str, Sequence[int]] | None = None,
    on_update: Callable[[str, int], None] | None = None,
    stop_at: int | None = None,
) -> RefineResult:
    """Train L1 and L2 (and learned ranges and clips), then the bias.

    Args:
        model: The network that holds the layers, on `device`; called as `model(**sample.inputs)`.
        layers: The quantized layers. If one is not initialised, all are made ready here: SVD, rotation,
            weight ranges, and a start for activation clips (`prepare`).
        samples: Calibration samples with full-precision outputs.
        config: Settings.
        progress: Reports `stage`, `step`, `steps`, `loss`, `learning_rate`, `seconds_left` (and `held_out`
            when measured); checked between layers, so that a stop acts within one layer's work.
        snapshot_dir: Where snapshots are kept; a refinement that was stopped goes on from the newest one.
        device: Where samples are sent; the device of the first layer if left out.
        order: Sample numbers per stage, in the order of use, instead of the seeded order (for replays).
        on_update: Called after every update with the stage and the number of updates done; the gradients that
            were used are still there.
        stop_at: End after so many updates of all stages together, with the state of that moment instead of
            the best one; taken from its snapshot where there is one.

    Returns:
        Losses of all stages. The model is left in the best state, in a low-bit mode.

    Raises:
        BadInput: No samples, or the loss is no number.
        Cancelled: The best state is in the model, the snapshot holds where to go on.
    """
    if not len(samples):
        raise BadInput("There are no calibration samples; record some first.")
    run = _Run(
        model, layers, samples, config or RefineConfig(), progress or Progress(), device, order, on_update
    )
    return run.go(snapshot_dir, stop_at)


class _Run:
    """One call of `refine`."""

    def __init__(
        self,
        model: nn.Module,
        layers: Layers,
        samples: Sequence[Sample],
        config: RefineConfig,
        progress: Progress,
        device: torch.device | str | None,
        order: Mapping[str, Sequence[int]] | None,
        on_update: Callable[[str, int], None] | None,
    ) -> None:
        self.model, self.layers, self.samples, self.config = model, layers, samples, config
        self.progress, self.order, self.on_update = progress, order or {}, on_update
        self.device = device or next(iter(layers.values())).weight.device
        infos = infos_of(samples)
        self.infos = infos
        self.train, held = split_windows(infos, config.holdout)
        # The last steps of a run have the most direct part in its result.
        late = sorted(held, key=lambda i: (-infos[i].get("step", 0), i))
        self.held = sorted(late[: config.held_samples])
        weights = sample_weights([infos[i] for i in self.train], config.emphasis)
        self.weights = dict(zip(self.train, weights, strict=True))
        self.held_weights = sample_weights([infos[i] for i in self.held], config.emphasis)
        self.done: list[StageResult] = []
        self.resumed = 0
        self.stop_at: int | None = None
        self.saved: int | None = None

    # Stages ------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """The stages with anything to do."""
        config, layers = self.config, self.layers
        factors = {
            basis: named(layers, lambda x, basis=basis: x.branch_parameters() if x.basis == basis else [])
            for basis in ("weight", "activation")
        }
        clips = named(layers, lambda layer: [] if layer.activation_clip is None else [layer.activation_clip])
        ranges = {n: p for n, p in named(layers, DualBranchLayer.range_parameters).items() if n not in clips}
        whole = {
            "main": factors["weight"],
            "direction": factors["activation"],
            "range": ranges,
            "clip": clips,
        }
        found = [
            Stage(
                "layers",
                config.layer_updates,
                whole,
                config.learning_rate,
                self._match_layers,
                evaluated=False,
            ),
            Stage("low-rank", config.updates, whole, config.learning_rate, self._match_output),
            Stage(
                "bias",
                config.bias_updates,
                {"main": named(layers, DualBranchLayer.bias_parameters)},
                config.bias_learning_rate or config.learning_rate,
                self._match_output,
            ),
        ]
        return [stage for stage in found if stage.updates and stage.parameters]

    def _match_output(self, sample: Sample, factor: float) -> float:
        loss = sample_loss(self.model, sample, self.config.autocast)
        (loss * factor).backward()
        return loss.item()

    def _match_layers(self, sample: Sample, factor: float) -> float:
        """Every layer against its own full-precision output on its own full-precision input."""
        losses: list[Tensor] = []

        def match(name: str, layer: nn.Module, x: Tensor, wanted: Tensor) -> None:
            assert isinstance(layer, DualBranchLayer)
            layer.mode = "train"
            with torch.enable_grad():
                found = layer.forward(x.detach())  # not through the hooks
                loss = F.mse_loss(found.float(), wanted.detach().float())
                loss = loss / wanted.detach().float().square().mean().clamp_min(1e-12)
                if loss.requires_grad:
                    (loss * factor).backward()
            layer.mode = "fp"
            losses.append(loss.detach())

        with torch.no_grad(), full_precision(self.layers), forward_hooks(self.layers, match):
            self.model(**sample.inputs)
        return float(torch.stack(losses).mean()) if losses else 0.0

    # The loop ----------------------------------------------------------------------------------------------

    def go(self, snapshot_dir: str | os.PathLike[str] | None, stop_at: int | None = None) -> RefineResult:
        self.model.eval()
        self.stop_at = stop_at
        fresh = not all(layer.initialised for layer in self.layers.values())
        initialise_layers(self.layers, _Quiet(self.progress))
        snapshots = SnapshotFolder(snapshot_dir, self._identity())
        chosen = None if stop_at is None else snapshots.exactly(stop_at)
        if chosen is not None:
            self._load(self._state(), chosen.tensors, "state/")
            for layer in self.layers.values():
                layer.mode = "train"
            stages = stages_of(chosen.state)
            if "current" in chosen.state:
                here = next(stage for stage in self.stages() if stage.name == stages[-1].name)
                self._evaluate(here, stages[-1], _Best())
                stages[-1].best_step = len(stages[-1].losses)
            return RefineResult(stages, int(chosen.state["number"]))
        snapshot = snapshots.newest(stop_at)
        stages = self.stages()
        total = sum(stage.updates for stage in stages)
        if snapshot is not None:
            self.done = [StageResult.from_json(value) for value in snapshot.state["done"]]
            self.resumed = self.saved = int(snapshot.state["number"])
            self._load(self._state(), snapshot.tensors, "state/")
        elif fresh:
            fit_to_samples(
                self.model,
                self.layers,
                self.samples,
                indices=self.train,
                device=self.device,
                progress=_Quiet(self.progress),
            )
        flags = {p: p.requires_grad for layer in self.layers.values() for p in layer.parameters()}
        before = 0
        try:
            with self._checks(), _repeatable():
                finished = {result.name for result in self.done}
                for stage in stages:
                    if stop_at is not None and before >= stop_at:
                        break
                    if stage.name not in finished:
                        here = snapshot if snapshot and snapshot.state["stage"] == stage.name else None
                        self._train(stage, before, total, here, snapshots)
                    before += stage.updates
        finally:
            for p, flag in flags.items():
                p.requires_grad_(flag)
                p.grad = None
        return RefineResult(tuple(self.done), self.resumed)

    def _identity(self) -> str:
        """Hash of what the trajectory depends on, except for values that are trained."""
        fixed: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            fixed |= {f"{name}.{k}": v for k, v in layer.state_dict().items() if k in ("weight", "bias")}
            fixed |= {f"{name}.signs{i}": s for i, s in enumerate(layer.signs) if s is not None}
        entries = getattr(self.samples, "entries", None)
        return hash_json(
            {
                "config": self.config.to_json(),
                "layers": {name: [layer.rank, layer.config.to_json()] for name, layer in self.layers.items()},
                "fixed": hash_state_dict(fixed),
                "samples": [e["sha256"] for e in entries] if entries is not None else len(self.samples),
            }
        )

    def _train(
        self, stage: Stage, before: int, total: int, snapshot: Snapshot | None, snapshots: SnapshotFolder
    ) -> None:
        config = self.config
        mode = "frozen" if stage.name == "bias" and config.encode_once else "train"
        for layer in self.layers.values():
            for p in layer.parameters():
                p.requires_grad_(False)
            layer.mode = "train"  # forgets weights encoded before
            layer.mode = mode
        parameters = stage.parameters
        for p in parameters.values():
            p.requires_grad_(True)
        optimizer = make_optimizer(stage, config)
        result, best = StageResult(stage.name), _Best()
        if snapshot is not None:
            result = StageResult.from_json(snapshot.state["current"])
            best.loss = snapshot.state["best_loss"] or math.inf
            best.tensors = {k[5:]: t for k, t in snapshot.tensors.items() if k.startswith("best/")}
            load_moments(optimizer, parameters, snapshot.tensors)
            for group, base in zip(optimizer.param_groups, snapshot.state["bases"], strict=True):
                group["base"] = base  # rates of ranges follow their size at the start of the stage

        def save() -> None:
            state = {
                "number": before + len(result.losses),
                "stage": stage.name,
                "done": [stage_result.to_json() for stage_result in self.done],
                "current": result.to_json(),
                "best_loss": best.loss if best.tensors else None,
                "bases": [group["base"] for group in optimizer.param_groups],
            }
            tensors = {f"state/{name}": t for name, t in self._state().items()}
            tensors |= {f"best/{name}": t for name, t in best.tensors.items()}
            snapshots.save(state["number"], state, tensors | moments(optimizer, parameters))
            self.saved = state["number"]

        try:
            self._updates(stage, before, total, optimizer, result, best, save)
        except (Cancelled, KeyboardInterrupt):
            save()
            self._load(parameters, best.tensors)
            raise
        if len(result.losses) < stage.updates:
            save()
            self.done.append(replace(result, best_step=len(result.losses)))
            return
        if best.tensors:
            self._load(parameters, best.tensors)
        self.done.append(result)
        # The next stage starts from the kept state; a stop before its first snapshot must find it.
        number = before + stage.updates
        state = {"number": number, "stage": "", "done": [r.to_json() for r in self.done]}
        snapshots.save(number, state, {f"state/{name}": tensor for name, tensor in self._state().items()})
        self.saved = number

    def _updates(
        self,
        stage: Stage,
        before: int,
        total: int,
        optimizer: torch.optim.AdamW,
        result: StageResult,
        best: "_Best",
        save: Callable[[], None],
    ) -> None:
        config, parameters = self.config, list(stage.parameters.values())
        pace = _Pace()
        last = stage.updates if self.stop_at is None else min(stage.updates, self.stop_at - before)
        for step in range(len(result.losses), last):
            if step % config.evaluate_every == 0:
                self._evaluate(stage, result, best)
            began = time.perf_counter()
            rate = set_rates(optimizer, config.rate_factor(step, stage.updates))
            optimizer.zero_grad(set_to_none=True)
            losses = [self._one(stage, step * config.accumulation + i) for i in range(config.accumulation)]
            if not all(math.isfinite(loss) for loss in losses):
                text = f"The loss of stage {stage.name} is no number at update {step + 1}"
                raise BadInput(f"{text}; lower the learning rate or check the clips.")
            if config.gradient_clip is not None:
                nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
            optimizer.step()
            result.losses.append(sum(losses) / len(losses))
            result.sample_losses.append(losses)
            result.rates.append(rate)
            if self.on_update is not None:
                self.on_update(stage.name, step + 1)
            done = step + 1
            seconds = time.perf_counter() - began
            result.seconds += seconds
            self.progress.report(
                (before + done) / total,
                f"Stage {stage.name}: update {done} of {stage.updates}, loss {result.losses[-1]:.3g}",
                stage=stage.name,
                step=done,
                steps=stage.updates,
                loss=result.losses[-1],
                learning_rate=rate,
                seconds_left=pace.left(seconds, total - before - done),
                number=before + done,
                snapshot=self.saved,
                **({"held_out": result.held_out[-1][1]} if result.held_out else {}),
            )
            if done % config.snapshot_every == 0 and done < stage.updates:
                self._evaluate(stage, result, best)  # a snapshot should know its own loss
                save()
        self._evaluate(stage, result, best)

    def _one(self, stage: Stage, number: int) -> float:
        """Loss of one sample; its share of the gradient is added."""
        self.progress.check()
        given = self.order.get(stage.name)
        index = given[number] if given else order_of(self.train, self.config.seed, stage.name, number)
        sample = self.samples[index].to(self.device)
        weight = 1.0 if given else self.weights[index]
        return stage.objective(sample, weight / self.config.accumulation)

    @torch.no_grad()
    def _evaluate(self, stage: Stage, result: StageResult, best: "_Best") -> None:
        """Loss on the held-out samples; remember the state if it is the best so far."""
        step = len(result.losses)
        known = result.held_out and result.held_out[-1][0] == step
        if not self.held or not stage.evaluated or known:
            return
        total = 0.0
        for index, weight in zip(self.held, self.held_weights, strict=True):
            self.progress.check()
            sample = self.samples[index].to(self.device)
            total += weight * sample_loss(self.model, sample, self.config.autocast).item() / len(self.held)
        result.held_out.append((step, total))
        if total < best.loss:
            best.loss, result.best_step = total, step
            best.tensors = {name: p.detach().clone() for name, p in stage.parameters.items()}

    # State -------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        """Everything that initialisation on samples and training set."""
        clips = {
            f"{name}.weight_clip{i}": clip
            for name, layer in self.layers.items()
            for i, clip in enumerate(layer.weight_clips)
        }
        return {**named(self.layers, trainable), **clips}

    @torch.no_grad()
    def _load(
        self, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], prefix: str = ""
    ) -> None:
        for name, p in parameters.items():
            if prefix + name in tensors:
                p.copy_(tensors[prefix + name])

    @contextlib.contextmanager
    def _checks(self) -> Iterator[None]:
        """Let a stop or a pause act between layers, in forward and backward passes."""

        def back(grad: Tensor) -> None:
            self.progress.check()

        def look(name: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
            self.progress.check()
            if y.requires_grad:
                y.register_hook(back)

        with forward_hooks(self.layers, look):
            yield


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Convolutions on a GPU choose the same, deterministic algorithm every time."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@dataclass
class _Best:
    """The best state on the held-out samples; empty while there is none."""

    loss: float = math.inf
    tensors: dict[str, Tensor] = field(default_factory=dict)


class _Quiet(Part):
    """Passes on a stop or a pause, and reports nothing."""

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        pass

    def warn(self, message: str) -> None:
        pass


class _Pace:
    """Seconds per update, as a running mean that follows changes."""

    def __init__(self) -> None:
        self._mean = 0.0

    def left(self, seconds: float, updates: int) -> float:
        self._mean = seconds if not self._mean else 0.8 * self._mean + 0.2 * seconds
        return self._mean * updates
