"""Still scenes: random composition, painting, deferred shading, depth of field and tone curve.

The whole batch is painted as IDs first (`shapes.paint`); colour, texture, light and outlines are then worked
out once per visible pixel from the parameters of the shape that owns it. Everything is periodic (a torus),
linear-light and drawn at twice the wanted size, then averaged down, which is what a camera's pixels do.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .rng import Rng
from .shapes import (
    KINDS,
    PER_KIND,
    Bucket,
    Leaves,
    look_up_profile,
    paint,
    plan_buckets,
    profile_table,
    slots_of,
)
from .textures import TextureAtlas

# Largest radius of a bucket at a drawing size of 1536, and how many slots it has.
_PLAN = ((512, 12), (256, 36), (128, 100), (64, 300), (32, 800), (16, 1300), (8, 1400))
_PLAN_SIZE = 1536
_STRUCTURED = ("bricks", "facade", "text", "stripes", "checks", "weave", "dots")
_NATURAL = ("noise", "streaks", "wood", "cracks", "foliage", "strokes", "contours", "smooth")
# Weights of shape kinds (order of KINDS) in natural and in built scenes.
_KIND_WEIGHTS = {"natural": (3.0, 1.0, 0.4, 1.5, 0.5, 4.0, 1.2), "built": (1.0, 1.5, 6.0, 1.5, 0.2, 0.3, 2.0)}


def scene_buckets(size: int) -> list[Bucket]:
    """Slots for a drawing of `size` pixels: the plan for 1536, scaled by area."""
    scale = size / _PLAN_SIZE
    counts = [
        (
            max(2, round(half * scale)),
            max(2, round(number * (1.0 if half >= 128 else min(1.0, scale**2 * 2)))),
        )
        for half, number in _PLAN
        if half * scale >= 4 or half <= 8
    ]
    return plan_buckets([(half, min(number, 1400)) for half, number in counts])


def _pick(rng: Rng, weights: Tensor, *shape: int) -> Tensor:
    """Draw indices (k, n) with weights (k, m)."""
    ladder = (weights / weights.sum(1, keepdim=True)).cumsum(1)
    return torch.searchsorted(ladder.contiguous(), rng.uniform(*shape)).clamp(max=weights.shape[1] - 1)


@dataclass(frozen=True)
class Style:
    """What all shapes of a scene share; every field has one row per scene."""

    built: Tensor  # 1 for man-made scenes (upright rectangles, regular textures)
    exponent: Tensor  # a of the size law 1/r^a
    calm: Tensor  # 1 for scenes of a few plain things
    density: Tensor  # expected number of shapes in the largest bucket
    smallest: Tensor  # radius in drawing pixels under which nothing is drawn
    plain: Tensor  # share of shapes without texture
    shadow: Tensor  # strength of soft shadows
    night: Tensor  # 1 for dark scenes with bright signs
    turn: Tensor  # main direction, radians
    palette: Tensor  # (k, 6, 3) linear-light colours


def random_style(rng: Rng, count: int, size: int) -> Style:
    """Draw the styles of `count` scenes for a drawing of `size` pixels."""
    scale = size / _PLAN_SIZE
    night = rng.chance(count, 1, p=0.1).float()
    built = rng.chance(count, 1, p=0.5).float()
    spread = rng.uniform(count, 1, low=0.6, high=1.5)
    middle = rng.normal(count, 1, scale=0.4) - 1.6
    light = (middle + spread * rng.normal(count, 6)).exp()
    # Hues of earth and skin, leaves, and sky are common; a scene has two, and few vivid colours.
    common = torch.tensor([0.55, 0.55, 0.75, 1.5, 3.75, 3.75], device=rng.device)
    pair = common[rng.integers(count, 2, high=6)] + rng.normal(count, 2, scale=0.35)
    pair = torch.where(rng.chance(count, 2, p=0.25), rng.uniform(count, 2, high=2 * math.pi), pair)
    hue = pair.gather(1, rng.integers(count, 6, high=2)) + rng.normal(count, 6, scale=0.3)
    vivid = rng.chance(count, 6, p=0.07).float()
    dull = rng.uniform(count, 1, low=0.02, high=0.16)
    chroma = dull * rng.uniform(count, 6, low=0.1, high=1.6) + vivid * 0.3
    wheel = torch.stack([torch.cos(hue - shift) for shift in (0.0, 2.094, 4.189)], -1)
    warm = torch.tensor([0.12, 0.0, -0.14], device=rng.device) * rng.normal(count, 1, 1)
    palette = light[..., None] * torch.exp(1.6 * chroma[..., None] * wheel + warm)
    busy = rng.uniform(count, 1)
    # Calm scenes: a few large, plain things; photographs have much sky, wall and blur.
    calm = busy < 0.18
    return Style(
        built=built,
        exponent=rng.uniform(count, 1, low=2.0, high=3.0),
        density=torch.where(calm, 2.0, rng.log_uniform(count, 1, low=2.0, high=12.0)),
        calm=calm.float(),
        smallest=torch.where(busy < 0.5, rng.log_uniform(count, 1, low=12.0, high=150.0), 3.0) * scale,
        plain=torch.where(calm, 0.8, rng.uniform(count, 1, low=0.0, high=0.6)),
        shadow=rng.uniform(count, 1, low=-0.3, high=0.8).clamp(min=0),
        night=night,
        turn=torch.where(
            rng.chance(count, 1, p=0.7), rng.normal(count, 1, scale=0.06), rng.uniform(count, 1, high=3.14)
        ),
        palette=palette,
    )


def random_leaves(rng: Rng, style: Style, buckets: list[Bucket], size: int) -> Leaves:
    """Place the shapes of all scenes; slot 0 becomes the ground."""
    count, slots = style.built.shape[0], buckets[-1].stop
    device = rng.device
    radius = torch.empty(count, slots, device=device)
    share = torch.empty(count, slots, device=device)
    u = rng.uniform(count, slots)
    top = buckets[0].half
    for bucket in buckets:
        part = slice(bucket.start, bucket.stop)
        # Inverse of the cumulative 1/r^a law between half/2 and half.
        power = 1 - style.exponent
        radius[:, part] = bucket.half * (u[:, part] * (1 - 0.5**power) + 0.5**power).pow(1 / power)
        share[:, part] = (
            style.density * (top / bucket.half) ** (style.exponent - 1) / (bucket.stop - bucket.start)
        )
    radius[:, 0] = size / 2
    on = rng.chance(count, slots, p=share) & (radius >= style.smallest)
    # Small things gather in places, as they do in photographs; elsewhere stays calm.
    nests = rng.uniform(count, 5, 2)
    home = nests.gather(1, rng.integers(count, slots, high=5)[..., None].expand(-1, -1, 2))
    reach = rng.log_uniform(count, 1, 1, low=0.06, high=0.3)
    nested = (rng.uniform(count, slots) < rng.uniform(count, 1, low=0.2, high=0.95)) & (radius < top / 8)
    place = torch.where(
        nested[..., None], home + rng.normal(count, slots, 2) * reach, rng.uniform(count, slots, 2)
    )
    place = torch.remainder(place * size, size).long().clamp(max=size - 1)
    front = rng.uniform(count, 1, low=0.0, high=0.8)
    smallness = (radius / top).clamp(1e-2, 1).log() / math.log(1e-2)
    nearness = (rng.uniform(count, slots) + front * smallness) / (1 + front)
    natural, made = (torch.tensor(_KIND_WEIGHTS[name], device=device) for name in ("natural", "built"))
    weights = (natural + style.built * (made - natural)) * rng.uniform(count, len(KINDS), low=0.1, high=1.0)
    kind = _pick(rng, weights, count, slots)
    quarter = (
        rng.integers(count, slots, high=4) * (math.pi / 2) + style.turn + rng.normal(count, slots, scale=0.01)
    )
    upright = rng.uniform(count, slots) < 0.15 + 0.75 * style.built
    turn = torch.where(upright, quarter, rng.uniform(count, slots, high=2 * math.pi))
    return Leaves(
        cy=place[..., 0],
        cx=place[..., 1],
        radius=radius,
        turn=turn,
        profile=kind * PER_KIND + rng.integers(count, slots, high=PER_KIND),
        nearness=torch.where(on, nearness, -1.0),
    )


def _texture_choice(rng: Rng, atlas: TextureAtlas, style: Style, slots: int) -> tuple[Tensor, Tensor]:
    """Atlas row for every slot, and whether its texture is a regular one that wants to stand upright."""
    count = style.built.shape[0]
    families = len(atlas.rows)
    structured = torch.zeros(families, device=rng.device)
    structured[atlas.family_index(*_STRUCTURED)] = 1
    like = structured * style.built + (1 - structured) * (1 - style.built) + 0.15
    # A scene uses few materials: most weights are near zero.
    weights = like * rng.uniform(count, families).pow(4)
    signs = rng.chance(count, p=0.2) * 0.4
    weights[:, atlas.family_index("text")[0]] += signs
    family = _pick(rng, weights, count, slots)
    row = atlas.starts[family] + (rng.uniform(count, slots) * atlas.counts[family]).long()
    return row, structured[family] > 0


def shape_parameters(
    rng: Rng, style: Style, leaves: Leaves, atlas: TextureAtlas, size: int
) -> dict[str, Tensor]:
    """Look of every slot: each entry (k, slots) or (k, slots, 3)."""
    count, slots = leaves.radius.shape
    scale = size / _PLAN_SIZE

    def colour() -> Tensor:
        anchor = rng.integers(count, slots, high=6)[..., None].expand(-1, -1, 3)
        jitter = rng.normal(count, slots, 1, scale=0.4) + rng.normal(count, slots, 3, scale=0.06)
        return style.palette.gather(1, anchor) * jitter.exp()

    first, second = colour(), colour()
    # Two tones of one material are usually close; painted patterns and text are not.
    near = first * torch.exp(rng.normal(count, slots, 1, scale=0.4) + rng.signs(count, slots, 1) * 1.0)
    second = torch.where(rng.chance(count, slots, 1, p=0.65), near, second)
    row, regular = _texture_choice(rng, atlas, style, slots)
    is_text = (row >= atlas.rows["text"].start) & (row < atlas.rows["text"].stop)
    ink = torch.where(first.mean(-1, keepdim=True) > 0.2, first * 0.08, first * 6 + 0.5)
    second = torch.where(is_text[..., None], ink, second)
    plain = rng.uniform(count, slots) < style.plain
    contrast = torch.where(plain, 0.0, rng.uniform(count, slots).sqrt())
    contrast = torch.where(is_text & ~plain, 1.0, contrast)
    own = torch.where(
        rng.chance(count, slots, p=0.6), leaves.turn, rng.uniform(count, slots, high=2 * math.pi)
    )
    turn = torch.where(
        regular, style.turn + torch.where(rng.chance(count, slots, p=0.3), leaves.turn, 0.0), own
    )
    texels = rng.log_uniform(count, slots, low=0.22, high=0.95) / scale**0.5
    squeeze = rng.log_uniform(count, slots, low=0.6, high=1.0)
    lamp = rng.chance(count, slots, p=0.12) * style.night
    exposure = (1 - 0.93 * style.night) * (1 + lamp * rng.log_uniform(count, slots, low=8.0, high=60.0))
    lit = exposure[..., None]
    outlined = rng.chance(count, slots, p=0.08) | (
        rng.chance(count, 1, p=0.08) & rng.chance(count, slots, p=0.8)
    )
    flat_light = rng.chance(count, slots, p=0.3)
    return {
        "first": first * lit,
        "second": second * lit,
        "slope_y": torch.where(flat_light, 0.0, rng.normal(count, slots, scale=0.25)),
        "slope_x": torch.where(flat_light, 0.0, rng.normal(count, slots, scale=0.25)),
        "bulge": torch.where(
            rng.chance(count, slots, p=0.25), rng.uniform(count, slots, low=-0.3, high=0.9), 0.0
        ),
        "row": row,
        "contrast": contrast,
        "vy": turn.cos() * texels,
        "vx": -turn.sin() * texels,
        "uy": turn.sin() * texels * squeeze,
        "ux": turn.cos() * texels * squeeze,
        "v0": rng.uniform(count, slots, high=atlas.size),
        "u0": rng.uniform(count, slots, high=atlas.size),
        "grain_row": rng.integers(count, slots, low=atlas.rows["noise"].start, high=atlas.rows["noise"].stop),
        "grain": torch.where(
            plain & rng.chance(count, slots, p=0.5 + 0.5 * style.calm),
            0.0,
            rng.uniform(count, slots).square() * 3.0,
        ),
        "outline": outlined * rng.log_uniform(count, slots, low=1.5, high=6.0) * scale**0.5,
        "outline_tone": torch.where(rng.chance(count, slots, p=0.7), 0.1, 2.5),
    }


def _shade(
    keys: Tensor, leaves: Leaves, table: Tensor, look: dict[str, Tensor], atlas: TextureAtlas
) -> Tensor:
    """Linear-light colours (k, 3, S, S) of painted keys (k, S, S)."""
    images, size, _ = keys.shape
    slot = slots_of(keys).reshape(images, -1)

    def pixel(values: Tensor) -> Tensor:
        return values.gather(1, slot)

    line = torch.arange(size, device=keys.device)
    half = size // 2
    y = line[:, None].expand(size, size).reshape(1, -1)
    x = line[None, :].expand(size, size).reshape(1, -1)
    dy = (torch.remainder(y - pixel(leaves.cy) + half, size) - half).float()
    dx = (torch.remainder(x - pixel(leaves.cx) + half, size) - half).float()
    radius = pixel(leaves.radius)
    rho = look_up_profile(table, pixel(leaves.profile), torch.atan2(dy, dx) - pixel(leaves.turn))
    rho = (rho * torch.hypot(dy, dx) / radius).clamp(max=1.0)
    v = pixel(look["vy"]) * dy + pixel(look["vx"]) * dx + pixel(look["v0"])
    u = pixel(look["uy"]) * dy + pixel(look["ux"]) * dx + pixel(look["u0"])
    mix = atlas.sample(pixel(look["row"]), v, u) * pixel(look["contrast"])
    fine = atlas.sample(pixel(look["grain_row"]), u, v) - 0.5
    light = pixel(look["slope_y"]) * dy + pixel(look["slope_x"]) * dx
    light = light / radius + pixel(look["bulge"]) * (0.5 - rho.square()) + pixel(look["grain"]) * fine
    width = pixel(look["outline"])
    on_line = ((rho - 1) * radius + width).clamp(0, 1) * (width > 0)
    light = light.exp() * torch.lerp(torch.ones_like(light), pixel(look["outline_tone"]), on_line)
    index = slot[..., None].expand(-1, -1, 3)
    colour = torch.lerp(look["first"].gather(1, index), look["second"].gather(1, index), mix[..., None])
    return (colour * light[..., None]).transpose(1, 2).reshape(images, 3, size, size)


def _shadow(keys: Tensor, angle: float, reach: float) -> Tensor:
    """Share (k, 1, S, S) of points up to `reach` pixels towards the light that lie on nearer shapes."""
    total = torch.zeros(keys.shape, device=keys.device)
    steps = 6
    for step in range(1, steps + 1):
        far = reach * step / steps
        moved = keys.roll((round(far * math.sin(angle)), round(far * math.cos(angle))), (1, 2))
        total += (moved > keys + (1 << 24)).float() * (1 - (step - 1) / steps)
    return (total / (steps / 2))[:, None]


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Periodic Gaussian blur; images (k, C, S, S), sigma (k,) in pixels, 0 leaves an image as it is."""
    size = images.shape[-1]
    fy = torch.fft.fftfreq(size, device=images.device)[:, None]
    fx = torch.fft.rfftfreq(size, device=images.device)[None, :]
    fall = torch.exp(-2 * (math.pi * sigma[:, None, None, None]).square() * (fy.square() + fx.square()))
    return torch.fft.irfft2(torch.fft.rfft2(images) * fall, s=images.shape[-2:])


def _focus(rng: Rng, front: Tensor, ground: Tensor) -> Tensor:
    """Defocus the ground, the front or neither, and let a little of a blurred front spill over its border.

    Args:
        rng: randomness.
        front: (k, 4, S, S): colours of the front times its coverage, then the coverage.
        ground: (k, 3, S, S): colours of everything else times its coverage.
    """
    count, size = front.shape[0], front.shape[-1]
    mode = rng.uniform(count)
    sigma = rng.log_uniform(count, low=0.8, high=9.0) * (size / 768)
    back_sigma = torch.where(mode < 0.2, sigma, 0.0)
    front_sigma = torch.where(mode > 0.9, sigma, 0.0)
    sharp = blur(front, front_sigma)
    cover = sharp[:, 3:].clamp(0, 1)
    behind = blur(torch.cat([ground, 1 - front[:, 3:]], 1), back_sigma)
    filled = behind[:, :3] / behind[:, 3:].clamp(min=1e-3)
    return torch.cat([sharp[:, :3] + (1 - cover) * filled, cover], 1)


def _tone(rng: Rng, linear: Tensor) -> Tensor:
    """Display gamma 2.2 and contrast."""
    count = linear.shape[0]
    shown = linear.clamp(0, 1).pow(1 / 2.2)
    # The usual S-curve of cameras, in varying strength.
    return torch.lerp(shown, shown * shown * (3 - 2 * shown), rng.uniform(count, 1, 1, 1))


def render_scenes(
    rng: Rng, atlas: TextureAtlas, count: int, size: int, light_angle: float, reach: float
) -> Tensor:
    """Render `count` still scenes.

    Args:
        rng: randomness; its device does the work.
        atlas: textures.
        count: number of scenes, painted in one batch.
        size: side in pixels; scenes are drawn at twice this size.
        light_angle: direction of the light, radians, shared by the batch.
        reach: length of shadows in drawn pixels.

    Returns:
        (count, 4, size, size) float32: gamma-encoded RGB in 0..1 and the coverage of the shapes in front.
        Periodic.
    """
    drawn = 2 * size
    style = random_style(rng, count, drawn)
    buckets = scene_buckets(drawn)
    table = profile_table(rng)
    leaves = random_leaves(rng, style, buckets, drawn)
    keys = paint(leaves, buckets, table, drawn)
    look = shape_parameters(rng, style, leaves, atlas, drawn)
    limit = (rng.uniform(count, low=0.5, high=0.85) * (1 << 30)).int()[:, None, None, None]
    gain = rng.log_uniform(count, 1, 1, 1, low=0.7, high=1.5)
    fronts, grounds = [], []
    chunk = max(1, (1 << 23) // drawn**2)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        some = Leaves(*(getattr(leaves, name)[part] for name in Leaves.__dataclass_fields__))
        colour = _shade(keys[part], some, table, {name: values[part] for name, values in look.items()}, atlas)
        colour = colour * (
            1 - style.shadow[part, :, None, None] * _shadow(keys[part], light_angle, reach).clamp(0, 1)
        )
        # The shoulder comes before the averaging, else all edge pixels of a lamp would saturate: jagged.
        colour = 1 - torch.exp(-colour * gain[part])
        near = (keys[part, None] > limit[part]).float()
        fronts.append(F.avg_pool2d(torch.cat([colour * near, near], 1), 2))
        grounds.append(F.avg_pool2d(colour * (1 - near), 2))
    picture = _focus(rng, torch.cat(fronts), torch.cat(grounds))
    haze = blur(rng.normal(count, 1, size, size), torch.full((count,), size / 8.0, device=rng.device))
    haze = haze / haze.std((2, 3), keepdim=True) * rng.uniform(count, 1, 1, 1, low=0.0, high=0.45)
    haze = haze - 0.5 * haze.amax((2, 3), keepdim=True)  # mostly darker: little light is cut off at white
    return torch.cat([_tone(rng, picture[:, :3] * haze.exp()), picture[:, 3:]], 1)
