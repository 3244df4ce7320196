"""Settings of the refinement, and its presets. Imports no torch: the desktop app shows these."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from quantvsr.errors import BadInput

SCHEDULES = ("step", "cosine")


@dataclass(frozen=True)
class RefineConfig:
    """How the low-rank branch and the bias are trained. The field defaults are those of our profile.

    Attributes:
        updates: Optimizer updates of stage two (L1, L2, and learned ranges and clips where a layer has them).
        bias_updates: Optimizer updates of stage three (the bias per output channel).
        layer_updates: Updates of a warm-up before stage two, in which every layer learns to match its own
            full-precision output ("layers first").
        accumulation: Samples per update.
        learning_rate: Of L1 and L2 in the basis "weight".
        direction_learning_rate: Of L1 and L2 in the basis "activation", None for the same: what they carry is
            most of the activations' energy, so that small steps go far.
        bias_learning_rate: Of the bias; None for the same as `learning_rate`.
        range_learning_rate: Of learned weight ranges, relative to their size.
        clip_learning_rate: Of learned activation clip factors.
        schedule: "step" (times `step_factor` every `updates // 2` updates) or "cosine" (down to 0).
        step_factor: See `schedule`.
        weight_decay: Decoupled weight decay; the published recipe has 0.01 by accident of a default.
        gradient_clip: Largest norm of all gradients together; None for no limit.
        betas: Of AdamW.
        eps: Of AdamW.
        emphasis: Weight of a sample is ((step + 1) / steps) ** emphasis over the sampling run it comes from,
            scaled to mean 1: above 0, late steps (whose error goes into the result directly) count more.
        holdout: Windows held out of training; the state with the least loss on them is kept. 0: the last
            state.
        evaluate_every: Updates between two looks at the held-out samples.
        held_samples: Most samples looked at; those of the last steps are preferred.
        encode_once: Stage three runs on weights encoded once (the same values, less work).
        autocast: Run forwards under bfloat16 autocast.
        snapshot_every: Updates between snapshots.
        seed: Order of the samples.
    """

    updates: int = 240
    bias_updates: int = 60
    layer_updates: int = 0
    accumulation: int = 2
    learning_rate: float = 2e-3
    direction_learning_rate: float | None = 2e-5
    bias_learning_rate: float | None = 5e-4
    range_learning_rate: float = 3e-3
    clip_learning_rate: float = 1e-3
    schedule: str = "cosine"
    step_factor: float = 0.2
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    emphasis: float = 0.0
    holdout: int = 2
    evaluate_every: int = 20
    held_samples: int = 8
    encode_once: bool = True
    autocast: bool = False
    snapshot_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        problems = (
            (min(self.updates, self.bias_updates, self.layer_updates) >= 0, "updates must not be negative"),
            (self.accumulation >= 1, "accumulation must be at least 1"),
            (self.schedule in SCHEDULES, f"schedule must be one of {', '.join(SCHEDULES)}"),
            (self.learning_rate > 0, "learning_rate must be positive"),
            (
                self.gradient_clip is None or self.gradient_clip > 0,
                "gradient_clip must be positive or absent",
            ),
            (min(self.evaluate_every, self.snapshot_every) >= 1, "intervals must be at least 1"),
            (self.holdout >= 0, "holdout must not be negative"),
        )
        for fine, text in problems:
            if not fine:
                raise BadInput(f"These refinement settings cannot be used: {text}.")

    @classmethod
    def reference(
        cls, updates: int = 900, accumulation: int = 4, learning_rate: float = 1e-3
    ) -> "RefineConfig":
        """The published loop (specification, section 10): weight decay and all, the last state wins."""
        return cls(
            updates=updates,
            bias_updates=updates,
            accumulation=accumulation,
            learning_rate=learning_rate,
            direction_learning_rate=None,
            bias_learning_rate=None,
            schedule="step",
            weight_decay=0.01,
            gradient_clip=None,
            holdout=0,
            encode_once=False,
            seed=42,
        )

    def rate_factor(self, step: int, updates: int) -> float:
        """What the learning rates are multiplied by in update `step` (from 0) of `updates`."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * step / max(updates, 1)))
        return self.step_factor ** (step // max(updates // 2, 1))

    def to_json(self) -> dict[str, Any]:
        """All values by name."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RefineConfig":
        """Read what `to_json` wrote; unknown keys are ignored, missing ones take their defaults."""
        known = {item.name: value[item.name] for item in fields(cls) if item.name in value}
        if "betas" in known:
            known["betas"] = tuple(known["betas"])
        return cls(**known)


PRESETS: dict[str, RefineConfig] = {
    # A part of a whole job of at most three minutes on two cores.
    "quick": RefineConfig(updates=45, bias_updates=15, accumulation=1, holdout=1, snapshot_every=20),
    "medium": RefineConfig(updates=240, bias_updates=60, accumulation=1),
    "standard": RefineConfig(updates=600, bias_updates=150, accumulation=2),
    # The published budget: 900 updates of 4 samples in each of the two stages.
    "paper": RefineConfig(updates=900, bias_updates=900, accumulation=4, holdout=4, held_samples=16),
}
