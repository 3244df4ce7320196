"""Rotation matrices against the golden vectors (specification, 12.5)."""

from pathlib import Path

import torch

from parity.golden import Failures, load
from quantvsr.quant.hadamard import Rotation, from_dense, has_rotation


def test_matrices_follow_from_their_signs(golden_folder: Path) -> None:
    description, tensors = load(golden_folder, "rotations")
    failures = Failures()
    for entry in description["sizes"]:
        size = entry["size"]
        matrix, signs = tensors[f"n{size}/rot"], tensors[f"n{size}/signs"]
        rotation = Rotation("reference", size, signs)
        failures.close(f"{size} dense", rotation.dense(), matrix, 0, 1e-6)
        found = from_dense(matrix)
        assert found.signs is not None
        failures.exact(f"{size} signs", found.signs, signs)
        x = torch.randn(3, size, 5, generator=torch.Generator().manual_seed(size))
        failures.close(f"{size} channels", rotation.apply_channels(x), matrix @ x, 1e-5, 1e-5)
        rows = x.movedim(1, -1)
        failures.close(f"{size} rows", rotation.apply_last(rows), rows @ matrix, 1e-5, 1e-5)
    failures.finish()


def test_the_same_sizes_are_rotated(golden_folder: Path) -> None:
    description, _ = load(golden_folder, "rotations")
    found = [size for size in range(1, 2561) if has_rotation("reference", size)]
    assert found == description["hadamard_sizes_up_to_2560"]
