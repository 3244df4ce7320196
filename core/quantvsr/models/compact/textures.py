"""Periodic procedural textures, a few of every family, kept as one atlas tensor.

Every family is a function that draws `count` textures in one go: (count, P, P) float32 in 0..1, periodic in
both directions. `FAMILIES` holds them by name with the number of atlas rows that each gets.
"""

import math
import random
import string
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .rng import Rng
from .shapes import KINDS, PER_KIND, Leaves, paint, plan_buckets, profile_table, slots_of

Family = Callable[[Rng, int, int], Tensor]
FAMILIES: dict[str, tuple[Family, int]] = {}


def _family(name: str, count: int) -> Callable[[Family], Family]:
    def add(function: Family) -> Family:
        FAMILIES[name] = (function, count)
        return function

    return add


def _grid(rng: Rng, size: int) -> tuple[Tensor, Tensor]:
    """Row and column coordinates in 0..1, shapes (1, size, 1) and (1, 1, size)."""
    line = torch.arange(size, device=rng.device) / size
    return line[None, :, None], line[None, None, :]


def _stretch(values: Tensor) -> Tensor:
    """Map every image to 0..1 by its own range."""
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    return (values - low) / (high - low).clamp(min=1e-6)


def _soft(values: Tensor, gain: Tensor) -> Tensor:
    """Sigmoid contrast around 0, so that about unit-variance input fills 0..1."""
    return torch.sigmoid(values * gain)


def spectrum_noise(
    rng: Rng, count: int, size: int, power: Tensor, stretch: Tensor, lowest: float = 1.0
) -> Tensor:
    """Gaussian noise with amplitude spectrum 1/f^power, stretched in a random direction.

    Args:
        rng: randomness.
        count: number of images.
        size: side in pixels.
        power: (count,) exponents.
        stretch: (count,) ratio of the correlation lengths along and across the random direction.
        lowest: frequency (cycles per image) below which the spectrum is flat.

    Returns:
        (count, size, size), mean 0 and variance 1 each, periodic.
    """
    turn = rng.uniform(count, 1, 1, high=2 * math.pi)
    fy = torch.fft.fftfreq(size, 1 / size, device=rng.device)[None, :, None]
    fx = torch.fft.rfftfreq(size, 1 / size, device=rng.device)[None, None, :]
    along = (fx * turn.cos() + fy * turn.sin()) * stretch[:, None, None]
    across = fy * turn.cos() - fx * turn.sin()
    amplitude = (along.square() + across.square() + lowest**2).pow(-power[:, None, None] / 2)
    amplitude[:, 0, 0] = 0
    noise = torch.fft.irfft2(torch.fft.rfft2(rng.normal(count, size, size)) * amplitude, s=(size, size))
    return noise / noise.std((1, 2), keepdim=True).clamp(min=1e-8)


def _smooth(rng: Rng, count: int, size: int, power: float = 2.5) -> Tensor:
    exponent = torch.full((count,), power, device=rng.device)
    return spectrum_noise(rng, count, size, exponent, torch.ones_like(exponent))


def _column(rng: Rng, count: int, low: float, high: float) -> Tensor:
    return rng.uniform(count, 1, 1, low=low, high=high)


def _direction(rng: Rng, count: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Whole-numbered frequency vectors (fy, fx), so that waves close on themselves; length low..high."""
    turn = rng.uniform(count, 1, 1, high=math.pi)
    length = rng.log_uniform(count, 1, 1, low=low, high=high)
    return (length * turn.sin()).round(), (length * turn.cos()).round()


@_family("noise", 10)
def noise(rng: Rng, count: int, size: int) -> Tensor:
    """Isotropic 1/f^b noise: stone, plaster, clouds, soil."""
    power = rng.uniform(count, low=0.4, high=1.9)
    return _soft(
        spectrum_noise(rng, count, size, power, torch.ones_like(power)), _column(rng, count, 0.8, 3.0)
    )


@_family("streaks", 6)
def streaks(rng: Rng, count: int, size: int) -> Tensor:
    """Noise stretched in one direction: brushed metal, bark, rain, fur."""
    power, stretch = rng.uniform(count, low=0.5, high=1.5), rng.log_uniform(count, low=3.0, high=20.0)
    return _soft(spectrum_noise(rng, count, size, power, stretch, 4.0), _column(rng, count, 1.0, 4.0))


@_family("smooth", 3)
def smooth(rng: Rng, count: int, size: int) -> Tensor:
    """Very smooth variation: skies, lit walls."""
    return _stretch(_smooth(rng, count, size, 3.5))


@_family("stripes", 4)
def stripes(rng: Rng, count: int, size: int) -> Tensor:
    """Stripes from a soft sine to hard bars, with uneven widths and a slight bend."""
    y, x = _grid(rng, size)
    fy, fx = _direction(rng, count, 6, 80)
    phase = 2 * math.pi * (fy * y + fx * x) + _smooth(rng, count, size, 3.5) * _column(rng, count, 0.0, 1.0)
    return _soft(
        torch.sin(phase) + _column(rng, count, -0.8, 0.8), rng.log_uniform(count, 1, 1, low=1.5, high=12.0)
    )


@_family("checks", 3)
def checks(rng: Rng, count: int, size: int) -> Tensor:
    """Chess boards and tartans."""
    y, x = _grid(rng, size)
    fy, fx = rng.integers(count, 1, 1, low=5, high=40), rng.integers(count, 1, 1, low=5, high=40)
    rows = torch.tanh(torch.sin(2 * math.pi * fy * y) * 6)
    columns = torch.tanh(torch.sin(2 * math.pi * fx * x) * 6)
    woven = rng.chance(count, 1, 1, p=0.5)
    return torch.where(woven, rows * columns, (rows + columns) / 2) * 0.5 + 0.5


def _cells(
    rng: Rng, count: int, size: int, rows: Tensor, columns: Tensor, bond: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Brick-like cells: pixels to the border along y and x, and a random tone for each."""
    y, x = _grid(rng, size)
    row = (y * rows).floor()
    across = torch.remainder(x * columns + bond * torch.remainder(row, 2), columns)
    column = across.floor()
    ty, tx = y * rows - row, across - column
    border_y = torch.minimum(ty, 1 - ty) * size / rows
    border_x = torch.minimum(tx, 1 - tx) * size / columns
    tones = rng.uniform(count, 64 * 64)
    place = (row.long() % 64 * 64 + column.long() % 64).reshape(count, -1)
    return border_y, border_x, tones.gather(1, place).reshape(count, size, size)


@_family("bricks", 5)
def bricks(rng: Rng, count: int, size: int) -> Tensor:
    """Bricks, tiles and planks with mortar and a tone for each."""
    rows = 2 * rng.integers(count, 1, 1, low=4, high=24)
    columns = rng.integers(count, 1, 1, low=3, high=20)
    border_y, border_x, tone = _cells(rng, count, size, rows, columns, rng.chance(count, 1, 1, p=0.7) * 0.5)
    mortar = (torch.minimum(border_y, border_x) - _column(rng, count, 0.7, 2.5)).clamp(0, 1)
    grain = _soft(_smooth(rng, count, size, 1.0), _column(rng, count, 0.5, 1.5)) - 0.5
    body = 0.65 + (tone - 0.5) * _column(rng, count, 0.1, 0.7) + grain * _column(rng, count, 0.0, 0.5)
    return (mortar * body + (1 - mortar) * _column(rng, count, 0.0, 0.6)).clamp(0, 1)


@_family("facade", 5)
def facade(rng: Rng, count: int, size: int) -> Tensor:
    """Rows of windows with frames and sills, some lit."""
    rows, columns = rng.integers(count, 1, 1, low=4, high=16), rng.integers(count, 1, 1, low=3, high=20)
    border_y, border_x, tone = _cells(
        rng, count, size, rows, columns, torch.zeros(count, 1, 1, device=rng.device)
    )
    depth = torch.minimum(
        border_y - _column(rng, count, 0.12, 0.3) * size / rows,
        border_x - _column(rng, count, 0.08, 0.3) * size / columns,
    )
    frame = _column(rng, count, 1.0, 3.0)
    cross = (
        torch.minimum((border_x - size / columns / 2).abs(), (border_y - size / rows / 2).abs()) < 1.0
    ).float()
    lit = torch.where(tone > _column(rng, count, 0.5, 1.0), tone, tone * 0.35)
    glass = torch.where((depth > frame) & (cross * rng.chance(count, 1, 1, p=0.5) < 0.5), lit, 0.9)
    return torch.where(depth > 0, glass, _column(rng, count, 0.4, 0.75).expand_as(glass))


@_family("wood", 5)
def wood(rng: Rng, count: int, size: int) -> Tensor:
    """Bands bent by noise: wood, marble, sand ripples, water."""
    y, x = _grid(rng, size)
    fy, fx = _direction(rng, count, 2, 24)
    bend = _smooth(rng, count, size, 1.8) * rng.log_uniform(count, 1, 1, low=0.4, high=6.0)
    wave = torch.sin(2 * math.pi * (fy * y + fx * x) + bend)
    fine = _smooth(rng, count, size, 1.0) * _column(rng, count, 0.0, 0.4)
    return _soft(wave + fine, _column(rng, count, 1.0, 4.0))


@_family("weave", 4)
def weave(rng: Rng, count: int, size: int) -> Tensor:
    """Fabric: threads that go over and under."""
    y, x = _grid(rng, size)
    threads = 2 * rng.integers(count, 1, 1, low=12, high=64)
    over = torch.remainder((y * threads).floor() + (x * threads).floor(), 2) > 0
    warp, weft = (
        torch.sin(math.pi * torch.remainder(x * threads, 1)),
        torch.sin(math.pi * torch.remainder(y * threads, 1)),
    )
    pattern = torch.where(over, warp * _column(rng, count, 0.7, 1.0), weft * _column(rng, count, 0.5, 1.0))
    return (pattern + 0.15 * _smooth(rng, count, size, 0.8)).clamp(0, 1)


@_family("dots", 4)
def dots(rng: Rng, count: int, size: int) -> Tensor:
    """Halftone and polka dots whose size follows a slow wave."""
    y, x = _grid(rng, size)
    gy, gx = _direction(rng, count, 8, 70)
    one, two = torch.cos(2 * math.pi * (gy * y + gx * x)), torch.cos(2 * math.pi * (gx * y - gy * x))
    slow = _smooth(rng, count, size, 3.0) * _column(rng, count, 0.0, 0.5)
    return _soft((one + two) / 2 + slow + _column(rng, count, -0.5, 0.5), _column(rng, count, 6, 16))


@_family("contours", 4)
def contours(rng: Rng, count: int, size: int) -> Tensor:
    """Fine lines of even width along the level curves of a smooth field."""
    field = _smooth(rng, count, size, 2.6) * rng.log_uniform(count, 1, 1, low=2.0, high=10.0)
    slope_y = (field.roll(-1, 1) - field.roll(1, 1)) / 2
    slope_x = (field.roll(-1, 2) - field.roll(1, 2)) / 2
    distance = (torch.remainder(field, 1.0) - 0.5).abs() / torch.hypot(slope_y, slope_x).clamp(min=1e-3)
    lines = (distance - _column(rng, count, 0.4, 2.0)).clamp(0, 1)
    return torch.where(rng.chance(count, 1, 1, p=0.7), lines, 1 - lines)


@_family("cracks", 4)
def cracks(rng: Rng, count: int, size: int) -> Tensor:
    """Voronoi cells: pebbles, leather, cracked earth, crazy paving."""
    y, x = _grid(rng, size)
    warp_y, warp_x = _smooth(rng, count, size, 2.0) * 0.012, _smooth(rng, count, size, 2.0) * 0.012
    py, px = y + warp_y, x + warp_x
    seeds = 14
    jitter_y, jitter_x = rng.uniform(count, seeds, seeds), rng.uniform(count, seeds, seeds)
    row, column = (py * seeds).floor().long(), (px * seeds).floor().long()
    nearest = torch.full_like(py, 9.0)
    second = nearest.clone()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            place = (torch.remainder(row + dy, seeds) * seeds + torch.remainder(column + dx, seeds)).reshape(
                count, -1
            )
            oy = jitter_y.reshape(count, -1).gather(1, place).reshape_as(py) + (row + dy) - py * seeds
            ox = jitter_x.reshape(count, -1).gather(1, place).reshape_as(px) + (column + dx) - px * seeds
            far = torch.hypot(oy, ox)
            second = torch.minimum(second, torch.maximum(nearest, far))
            nearest = torch.minimum(nearest, far)
    gap = ((second - nearest) * rng.log_uniform(count, 1, 1, low=3.0, high=25.0)).clamp(0, 1)
    return torch.where(rng.chance(count, 1, 1, p=0.7), gap, 1 - nearest.clamp(0, 1))


def _painted(
    rng: Rng, count: int, size: int, kinds: list[str], plan: list[tuple[int, int]], spread: Tensor
) -> Tensor:
    """Dead leaves in grey: shapes of `kinds`, turned by about `spread` (count, 1) radians, a tone each."""
    buckets = plan_buckets(
        [(min(half, size // 2 - 1), max(1, int(number * (size / 512) ** 2))) for half, number in plan]
    )
    slots = buckets[-1].stop
    table = profile_table(rng)
    rows = torch.tensor([KINDS.index(kind) * PER_KIND for kind in kinds], device=rng.device)
    radius = rng.uniform(count, slots, low=0.5, high=1.0)
    for bucket in buckets:
        radius[:, bucket.start : bucket.stop] *= bucket.half
    leaves = Leaves(
        cy=rng.integers(count, slots, high=size),
        cx=rng.integers(count, slots, high=size),
        radius=radius,
        turn=rng.uniform(count, 1, high=2 * math.pi) + rng.normal(count, slots) * spread,
        profile=rows[rng.integers(count, slots, high=len(kinds))] + rng.integers(count, slots, high=PER_KIND),
        nearness=rng.uniform(count, slots),
    )
    slot = slots_of(paint(leaves, buckets, table, size)).reshape(count, -1)
    tone = (rng.normal(count, slots) * rng.uniform(count, 1, low=0.08, high=0.3) + 0.5).clamp(0, 1)
    tone[:, 0] = rng.uniform(count, high=0.5)
    # A slope of light across each shape tells leaves apart even where their tones agree.
    line = torch.arange(size, device=rng.device)
    half = size // 2
    dy = (
        torch.remainder(
            line[:, None].expand(size, size).reshape(1, -1) - leaves.cy.gather(1, slot) + half, size
        )
        - half
    )
    dx = (
        torch.remainder(
            line[None, :].expand(size, size).reshape(1, -1) - leaves.cx.gather(1, slot) + half, size
        )
        - half
    )
    slope = (
        rng.normal(count, slots, scale=0.15).gather(1, slot) * dy
        + rng.normal(count, slots, scale=0.15).gather(1, slot) * dx
    )
    shade = (slope / leaves.radius.gather(1, slot)).clamp(-0.4, 0.4) * (slot > 0)
    return (tone.gather(1, slot) + shade).clamp(0, 1).reshape(count, size, size)


@_family("foliage", 6)
def foliage(rng: Rng, count: int, size: int) -> Tensor:
    """Leaves, gravel, crowds: dead leaves at a small scale."""
    plan = [(28, 100), (14, 900), (7, 1600), (4, 1400)]
    return _painted(
        rng, count, size, ["ellipse", "superellipse", "blob"], plan, rng.uniform(count, 1, low=0.2, high=3.0)
    )


@_family("strokes", 5)
def strokes(rng: Rng, count: int, size: int) -> Tensor:
    """Hair, grass, straw and scribble: thin strokes around one direction."""
    plan = [(60, 900), (30, 2400)]
    return _painted(rng, count, size, ["bar"], plan, rng.log_uniform(count, 1, low=0.05, high=1.5))


def _glyph_sheet(pick: random.Random, size: int) -> Image.Image:
    """One sheet of lines of random words; lines that leave on the right enter again on the left."""
    sheet = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(sheet)
    top = 0
    letters = pick.choice(
        [
            string.ascii_lowercase,
            string.ascii_uppercase,
            string.ascii_letters + string.digits,
            string.digits + "/-:.",
        ]
    )
    mixed = pick.random() < 0.5
    height = pick.choice([14, 18, 24, 32, 44, 64, 96])
    while top < size:
        if mixed:
            height = pick.choice([14, 18, 24, 32, 44, 64, 96])
        if top + height * 1.25 > size:
            break
        font = ImageFont.load_default(size=height)
        words = ["".join(pick.choice(letters) for _ in range(pick.randint(1, 9))) for _ in range(40)]
        line = " ".join(words)[: int(size / height * 2) + 2]
        start = pick.randint(0, size - 1)
        if pick.random() < 0.85:
            length = pick.uniform(0.4, 1.0) * size
            while draw.textlength(line, font=font) > length and len(line) > 1:
                line = line[:-1]
            draw.text((start, top), line, fill=255, font=font)
            draw.text((start - size, top), line, fill=255, font=font)
        if pick.random() < 0.15:
            draw.rectangle(
                (0, top + height * 1.15, size, top + height * 1.15 + max(1, height // 12)), fill=200
            )
        top += int(height * pick.uniform(1.2, 1.6))
    return sheet


def text_sheets(seed: int, count: int, size: int) -> Tensor:
    """Sheets of random text, (count, size, size) float32 in 0..1, drawn on the CPU with Pillow's own font."""
    pick = random.Random(seed)
    return (
        torch.from_numpy(np.stack([np.asarray(_glyph_sheet(pick, size)) for _ in range(count)])).float() / 255
    )


class TextureAtlas:
    """All textures as one tensor (K, P, P) float16; rows of one family lie together.

    Args:
        rng: source of randomness; its device is the atlas's device.
        size: side P in texels.
        seed: chooses the text sheets.
        share: scales the number of rows of every family (at least one each).
    """

    def __init__(self, rng: Rng, size: int, seed: int, share: float = 1.0) -> None:
        self.size = size
        self.rows: dict[str, slice] = {}
        parts, start = [], 0
        for name, (family, count) in FAMILIES.items():
            count = max(1, round(count * share))
            self.rows[name] = slice(start, start + count)
            parts.append(family(rng, count, size).half())
            start += count
        sheets = max(1, round(8 * share))
        self.rows["text"] = slice(start, start + sheets)
        parts.append(text_sheets(seed, sheets, size).half().to(rng.device))
        self.images = torch.cat(parts)
        starts = [rows.start for rows in self.rows.values()]
        counts = [rows.stop - rows.start for rows in self.rows.values()]
        self.starts = torch.tensor(starts, device=rng.device)
        self.counts = torch.tensor(counts, device=rng.device)

    def family_index(self, *names: str) -> list[int]:
        """Positions of families in `starts` and `counts`."""
        order = list(self.rows)
        return [order.index(name) for name in names]

    def refresh(self, rng: Rng, name: str) -> None:
        """Draw all rows of one procedural family anew (text sheets are kept)."""
        if name in FAMILIES:
            rows = self.rows[name]
            self.images[rows] = FAMILIES[name][0](rng, rows.stop - rows.start, self.size).half()

    def sample(self, row: Tensor, v: Tensor, u: Tensor) -> Tensor:
        """Bilinear look-up of texture `row` at texels (v, u), repeated endlessly; shapes broadcast."""
        size = self.size
        v0, u0 = v.floor(), u.floor()
        fv, fu = v - v0, u - u0
        top, left = torch.remainder(v0.long(), size) * size, torch.remainder(u0.long(), size)
        bottom, right = torch.remainder(v0.long() + 1, size) * size, torch.remainder(u0.long() + 1, size)
        flat, base = self.images.reshape(-1), row * (size * size)
        upper = flat[base + top + left].float() * (1 - fu) + flat[base + top + right].float() * fu
        lower = flat[base + bottom + left].float() * (1 - fu) + flat[base + bottom + right].float() * fu
        return upper * (1 - fv) + lower * fv
