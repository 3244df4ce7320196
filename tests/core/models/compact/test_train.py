"""Training: it learns, writes what can be opened, and goes on where it stopped."""

from pathlib import Path

import pytest
import torch

from quantvsr.models.compact.model import CompactVSRDenoiser
from quantvsr.models.compact.train import TrainConfig, Trainer, learning_rate


def config(folder: Path, steps: int, **changes: object) -> TrainConfig:
    small = {"batch": 1, "frames": 2, "size": 64, "bank_scenes": 1, "scene_size": 64, "compile": False}
    return TrainConfig(out=str(folder), steps=steps, **{**small, **changes})  # type: ignore[arg-type]


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    Trainer(config(tmp_path, 2)).train()
    trainer = Trainer(config(tmp_path, 3, resume=True))
    assert trainer.step == 2
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert trainer.step == 3
    changed = [not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True)]
    assert any(changed)
    model = CompactVSRDenoiser.from_pretrained(tmp_path / "denoiser")
    averaged = trainer.averaged_model()
    for ours, stored in zip(averaged.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(stored.float(), ours, atol=1e-3, rtol=1e-3)


def test_learning_rate_warms_up_and_falls(tmp_path: Path) -> None:
    settings = TrainConfig(out=str(tmp_path), warmup_steps=10)
    assert learning_rate(0.0, 0, settings) == pytest.approx(settings.learning_rate / 10)
    assert learning_rate(0.0, 9, settings) == pytest.approx(settings.learning_rate)
    assert learning_rate(0.5, 999, settings) == pytest.approx(settings.learning_rate * 0.505)
    assert learning_rate(1.0, 999, settings) == pytest.approx(settings.learning_rate / 100)
