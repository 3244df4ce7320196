"""Shapes as radial profiles, and the painter that turns thousands of them into one ID image per scene.

A shape is the set of points with ``distance / radius * profile(angle) <= 1``; `profile` is one row of a
table of `ANGLES` values (1 in the direction where the shape is longest, more elsewhere). One test serves
every kind.

Occlusion needs no loop over shapes: each shape carries a key whose high bits are its nearness, and a pixel
keeps the largest key that covers it (`scatter_reduce` with amax). The maximum does not depend on the order
of the writes, so the result is the same on every run and every device. This is the dead-leaves model
(Matheron 1968; the 1/r^a size law and its likeness to photographs: Lee, Mumford and Huang, "Occlusion models
for natural images", 2001).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .rng import Rng

ANGLES = 512
PER_KIND = 48
KINDS = ("ellipse", "polygon", "rectangle", "superellipse", "star", "blob", "bar")
SLOT_BITS = 12
MAX_SLOTS = 1 << SLOT_BITS
_NEARNESS = (1 << (30 - SLOT_BITS)) - 1
_MAX_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 23}


def profile_table(rng: Rng) -> Tensor:
    """Random profiles (len(KINDS) * PER_KIND, ANGLES) float32: `PER_KIND` rows for each of `KINDS`."""
    n = PER_KIND
    theta = torch.arange(ANGLES, device=rng.device) * (2 * math.pi / ANGLES)
    cos, sin = theta.cos()[None], theta.sin()[None]

    def stretched(low: float) -> tuple[Tensor, Tensor, Tensor]:
        """Angle and length of the directions after the plane was stretched across the long axis."""
        aspect = rng.log_uniform(n, 1, low=low, high=1.0)
        across = sin / aspect
        return torch.atan2(across, cos.expand_as(across)), torch.hypot(cos.expand_as(across), across), aspect

    angle, length, _ = stretched(0.25)
    ellipse = length
    angle, length, _ = stretched(0.4)
    step = 2 * math.pi / rng.integers(n, 1, low=3, high=9)
    turned = torch.remainder(angle + rng.uniform(n, 1, high=2 * math.pi), step) - step / 2
    polygon = length * turned.cos()
    aspect = rng.log_uniform(n, 1, low=0.12, high=1.0)
    rectangle = torch.maximum(cos.abs().expand(n, -1), sin.abs() / aspect)
    aspect = rng.log_uniform(n, 1, low=0.25, high=1.0)
    power = rng.log_uniform(n, 1, low=0.7, high=9.0)
    superellipse = (cos.abs().pow(power) + (sin.abs() / aspect).pow(power)).pow(1 / power)
    angle, length, _ = stretched(0.6)
    points = rng.integers(n, 1, low=3, high=9)
    wave = (torch.remainder(angle * points / (2 * math.pi), 1.0) * 2 - 1).abs()
    star = length / (1 - rng.uniform(n, 1, low=0.3, high=0.75) * wave)
    harmonic = torch.arange(1, 13, device=rng.device)[None, :, None]
    decay = harmonic.float().pow(-rng.uniform(n, 1, 1, low=0.9, high=2.0))
    waves = torch.cos(theta * harmonic + rng.uniform(n, 12, 1, high=2 * math.pi)) * rng.normal(n, 12, 1)
    _, length, _ = stretched(0.4)
    blob = length * torch.exp((decay * waves).sum(1) * rng.uniform(n, 1, low=0.1, high=0.35))
    aspect = rng.log_uniform(n, 1, low=0.008, high=0.12)
    bar = torch.maximum(cos.abs().expand(n, -1), sin.abs() / aspect)
    table = torch.cat([ellipse, polygon, rectangle, superellipse, star, blob, bar])
    return table / table.amin(1, keepdim=True)


def look_up_profile(table: Tensor, row: Tensor, angle: Tensor) -> Tensor:
    """Profile values of rows `row` at `angle` (radians), linear between the table's angles."""
    place = torch.remainder(angle * (ANGLES / (2 * math.pi)), ANGLES)
    first = place.long().clamp_(max=ANGLES - 1)
    part = place - first
    base = row * ANGLES
    flat = table.reshape(-1)
    return flat[base + first] * (1 - part) + flat[base + (first + 1) % ANGLES] * part


@dataclass(frozen=True)
class Bucket:
    """Slots start..stop-1 hold shapes with a radius of half/2..half pixels."""

    start: int
    stop: int
    half: int


def plan_buckets(counts: list[tuple[int, int]]) -> list[Bucket]:
    """Lay (half, count) pairs out as slots; slot 0 stays free for the ground behind every shape."""
    buckets, start = [], 1
    for half, count in counts:
        buckets.append(Bucket(start, start + count, half))
        start += count
    if start > MAX_SLOTS:
        raise ValueError(f"{start} slots are more than the {MAX_SLOTS} that a key can hold")
    return buckets


@dataclass(frozen=True)
class Leaves:
    """Geometry of all slots of k images, each (k, slots).

    Lengths in pixels, angles in radians, rows of the profile table, nearness 0..1.
    A nearness below zero switches the slot off.
    """

    cy: Tensor
    cx: Tensor
    radius: Tensor
    turn: Tensor
    profile: Tensor
    nearness: Tensor


def paint(leaves: Leaves, buckets: list[Bucket], table: Tensor, size: int) -> Tensor:
    """Paint every shape on a torus of `size` x `size` pixels.

    Returns:
        Keys (k, size, size) int32: the slot in the low `SLOT_BITS` bits, the nearness above; 0 where no
        shape lies.
    """
    images, slots = leaves.cy.shape
    device = leaves.cy.device
    key = (leaves.nearness.clamp(0, 1) * (_NEARNESS - 1)).int() + 1
    key = (key << SLOT_BITS) | torch.arange(slots, device=device, dtype=torch.int32)
    key = torch.where(leaves.nearness >= 0, key, 0)
    canvas = torch.zeros(images, size * size, dtype=torch.int32, device=device)
    for bucket in buckets:
        side = 2 * bucket.half + 1
        offset = torch.arange(-bucket.half, bucket.half + 1, device=device)
        dy, dx = offset[:, None], offset[None, :]
        angle = torch.atan2(dy.float(), dx.float())
        distance = torch.hypot(dy.float(), dx.float())
        limit = _MAX_ELEMENTS.get(device.type, 1 << 21)
        chunk = max(1, limit // (images * side * side))
        for start in range(bucket.start, bucket.stop, chunk):
            part = slice(start, min(start + chunk, bucket.stop))

            def column(values: Tensor, part: slice = part) -> Tensor:
                return values[:, part, None, None]

            scaled = distance / column(leaves.radius)
            inside = scaled * look_up_profile(table, column(leaves.profile), angle - column(leaves.turn)) <= 1
            rows = torch.remainder(column(leaves.cy) + dy, size)
            place = rows * size + torch.remainder(column(leaves.cx) + dx, size)
            value = torch.where(inside, column(key), 0)
            canvas.scatter_reduce_(1, place.reshape(images, -1), value.reshape(images, -1), "amax")
    return canvas.reshape(images, size, size)


def slots_of(keys: Tensor) -> Tensor:
    """Slot of every pixel, int64, from the painter's keys."""
    return (keys & (MAX_SLOTS - 1)).long()
