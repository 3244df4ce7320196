"""Train the bundled model on procedural clips.

    python -m quantvsr.models.compact.train --out DIR --minutes M

Rectified flow on the folded residual (see `model.py`). Everything is made on the fly: scenes (`scenes.py`),
degradations (`degrade.py`), noise. One process per GPU under `torchrun`; gradients are averaged over the
processes. The schedule follows the clock, so that a run fits a budget of GPU time; an interrupted run goes on
from its last state with `--resume`. The exact run behind the shipped weights is in docs/model-card.md.

Writes into --out: `log.jsonl` (a line per 50 steps), `state.safetensors` (weights, averaged weights,
optimiser moments; step and clock in its header) and `denoiser/` (the averaged weights in half precision, as
`from_pretrained` reads them).
"""

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from quantvsr.files import atomic_path
from quantvsr.models.compact.degrade import degrade
from quantvsr.models.compact.model import CompactVSRDenoiser, enlarge, fold_condition
from quantvsr.models.compact.scenes import SceneBank, sample_clips

STATE = "state.safetensors"


@dataclass(frozen=True)
class TrainConfig:
    """Budget and hyper-parameters of a run."""

    out: str
    minutes: float = 25.0  # the budget, on the clock from the tenth step on
    steps: int = 0  # a budget in steps instead
    batch: int = 64  # clips per process and step
    frames: int = 5
    size: int = 256  # HR pixels
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    weight_decay: float = 1e-3
    average_decay: float = 0.999
    max_grad_norm: float = 1.0
    bank_scenes: int = 128
    scene_size: int = 768
    refresh_every: int = 8  # steps between two refills of the scene bank
    refresh_scenes: int = 8
    save_seconds: float = 60.0
    compile: bool = True
    resume: bool = False
    seed: int = 1


def sample_times(count: int, generator: Generator, device: torch.device) -> Tensor:
    """Flow times: uniform in 0.05..1, with 15 % at pure noise, where sampling starts; (count,)."""
    time = torch.rand(count, device=device, generator=generator) * 0.95 + 0.05
    start = torch.rand(count, device=device, generator=generator) < 0.15
    return torch.where(start, torch.ones_like(time), time)


def training_loss(model: CompactVSRDenoiser, gt: Tensor, lq: Tensor, generator: Generator) -> Tensor:
    """Velocity loss of one batch.

    Args:
        model: The denoiser; its `predict_clean` may be compiled.
        gt: Sharp clips, (B, T, 3, H, W), 0..1.
        lq: Their low-quality versions, (B, T, 3, H/4, W/4), 0..1.
        generator: Source of times and noise.

    Returns:
        Mean squared error of the velocity, scalar; times under 0.1 are weighted as 0.1.
    """
    enlarged = enlarge(lq, model.scale)
    clean = F.pixel_unshuffle(gt - enlarged, model.scale) / model.residual_scale
    batch, _, channels, height, width = clean.shape
    flow_time = sample_times(batch, generator, gt.device)
    # One noise field for all frames of a clip: static scenes stay static, and sampling does the same.
    noise = torch.randn(batch, 1, channels, height, width, device=gt.device, generator=generator)
    t = flow_time[:, None, None, None, None]
    noisy = (1 - t) * clean + t * noise
    predicted = model.predict_clean(noisy, flow_time, fold_condition(lq, enlarged, model.scale))
    return (((predicted.float() - clean) / t.clamp_min(0.1)) ** 2).mean()


def learning_rate(fraction: float, step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine from the top to a hundredth of it."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
    return config.learning_rate * min(1.0, (step + 1) / config.warmup_steps) * cosine


class Trainer:
    """State of a run: model, running average, optimiser, clock."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        use_cuda = torch.cuda.is_available()
        self.device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if use_cuda else "cpu")
        if use_cuda:
            torch.cuda.set_device(self.device)
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        if self.world > 1:
            dist.init_process_group("nccl" if use_cuda else "gloo")

        torch.manual_seed(config.seed)
        self.model = CompactVSRDenoiser()
        nn.Module.to(self.model, self.device)
        self.average = [p.detach().clone() for p in self.model.parameters()]
        self.names = [name for name, _ in self.model.named_parameters()]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.step, self.elapsed = 0, 0.0
        self.out = Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        if config.resume and (self.out / STATE).exists():
            self.load_state()
        if config.compile:
            self.model.predict_clean = torch.compile(self.model.predict_clean)  # type: ignore[method-assign]

        # Every process, and every continuation, draws from a stream of its own.
        seed = (config.seed * 1000 + self.rank) * 1_000_003 + self.step
        self.generator = Generator(self.device).manual_seed(seed)
        self.bank = SceneBank(
            config.bank_scenes, generator=self.generator, device=self.device, size=config.scene_size
        )

    @property
    def spent(self) -> float:
        """Share of the budget that is used up."""
        config = self.config
        return self.step / config.steps if config.steps else self.elapsed / (config.minutes * 60)

    def train(self) -> None:
        """Run until the budget is used up."""
        config = self.config
        parameters = list(self.model.parameters())
        started, base, saved = time.monotonic(), self.elapsed, time.monotonic()
        shown, losses = time.monotonic(), []
        while self.spent < 1:
            rate = learning_rate(self.spent, self.step, config)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self.update(parameters)
            self.step += 1
            if self.step == 10 and base == 0:  # the clock starts after compilation
                started = time.monotonic()
            if self.step % 10 == 0:
                self.elapsed = self.agree(base + time.monotonic() - started)
                losses.append(loss.item())
            if self.step % 50 == 0 and self.rank == 0:
                speed = 50 * config.batch * self.world / (time.monotonic() - shown)
                self.log(loss=sum(losses) / len(losses), learning_rate=rate, clips_per_second=speed)
                shown, losses = time.monotonic(), []
            if self.rank == 0 and time.monotonic() - saved > config.save_seconds:
                self.save_state()
                saved = time.monotonic()
        if self.rank == 0:
            self.save_state()
        if self.world > 1:
            dist.destroy_process_group()

    def update(self, parameters: list[torch.nn.Parameter]) -> Tensor:
        """One optimiser step on fresh clips; returns the loss of this process."""
        config = self.config
        with torch.no_grad():
            if self.step % config.refresh_every == 0:
                self.bank.refresh(config.refresh_scenes)
            gt = sample_clips(self.bank, config.batch, config.frames, config.size, self.generator)
            lq = degrade(gt, self.model.scale, self.generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = training_loss(self.model, gt, lq, self.generator)
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.world > 1:
            flat = torch.cat([g.flatten() for g in gradients])
            dist.all_reduce(flat, op=dist.ReduceOp.SUM)
            flat /= self.world
            pieces = flat.split([g.numel() for g in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))
        torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(config.average_decay, (self.step + 1) / (self.step + 10))
        for average, parameter in zip(self.average, parameters, strict=True):
            average.lerp_(parameter.detach(), 1 - decay)
        return loss.detach()

    def agree(self, seconds: float) -> float:
        """The clock of process 0, so that all processes stop at the same step."""
        if self.world == 1:
            return seconds
        clock = torch.tensor([seconds], device=self.device, dtype=torch.float64)
        dist.broadcast(clock, 0)
        return float(clock)

    def log(self, **values: float) -> None:
        """Add a line to the log and print it."""
        rounded = {name: float(f"{value:.5g}") for name, value in values.items()}
        line = {"step": self.step, "seconds": round(self.elapsed, 1), **rounded}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)

    def save_state(self) -> None:
        """Write the state (whole or not at all) and the averaged half-precision model."""
        tensors: dict[str, Tensor] = {}
        for name, parameter, average in zip(self.names, self.model.parameters(), self.average, strict=True):
            state = self.optimizer.state[parameter]
            tensors |= {f"weight/{name}": parameter.detach(), f"average/{name}": average}
            tensors |= {f"m/{name}": state["exp_avg"], f"v/{name}": state["exp_avg_sq"]}
        info = {"step": self.step, "elapsed": self.elapsed, "config": asdict(self.config)}
        with atomic_path(self.out / STATE) as temporary:
            save_file(
                {k: v.contiguous() for k, v in tensors.items()}, temporary, {"training": json.dumps(info)}
            )
        self.averaged_model().half().save_pretrained(self.out / "denoiser")

    def averaged_model(self) -> CompactVSRDenoiser:
        """The running average as a model of its own."""
        model = CompactVSRDenoiser()
        for parameter, average in zip(model.parameters(), self.average, strict=True):
            parameter.data.copy_(average)
        return model

    def load_state(self) -> None:
        """Take over what `save_state` wrote."""
        with safe_open(self.out / STATE, "pt", device=str(self.device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            info = json.loads(file.metadata()["training"])
        self.step, self.elapsed = info["step"], info["elapsed"]
        for index, (name, parameter) in enumerate(self.model.named_parameters()):
            parameter.data.copy_(tensors[f"weight/{name}"])
            self.average[index].copy_(tensors[f"average/{name}"])
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"m/{name}"],
                "exp_avg_sq": tensors[f"v/{name}"],
            }


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the bundled compact VSR model on procedural clips.")
    for name, field in TrainConfig.__dataclass_fields__.items():
        option = "--" + name.replace("_", "-")
        if field.type is bool:
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            required = name == "out"
            parser.add_argument(
                option, type=field.type, required=required, default=None if required else field.default
            )
    Trainer(TrainConfig(**vars(parser.parse_args()))).train()


if __name__ == "__main__":
    main()
