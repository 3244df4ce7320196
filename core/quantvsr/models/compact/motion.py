"""Moving views of still scenes: camera and object motion, occlusion, motion blur and a light camera model.

Each clip has one ground layer and up to three objects. A layer is a scene of the bank seen through a
similarity or slightly projective map that changes smoothly with time. Everything is sampled at twice the
output size and averaged, so edges are antialiased; the four sub-samples of a pixel may be taken at four
moments, which is motion blur for free.
"""

from dataclasses import dataclass, replace
from math import pi
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from .rng import Rng
from .shapes import KINDS, PER_KIND, look_up_profile, profile_table

# Share of clips that have a first, second and third object.
OBJECT_SHARES = (0.6, 0.3, 0.12)
MAX_SPEED = 8.0
MAX_BLUR = 5.0
_SAMPLES_AT_ONCE = {"cpu": 1 << 22, "cuda": 3 << 24}


class HasImages(Protocol):
    """What `sample_clips` needs of a scene bank."""

    images: Tensor


@dataclass(frozen=True)
class Path:
    """Motion of one layer, one row per clip.

    Time is in frames from the middle of the clip, lengths in output pixels.
    The layer's point seen at output position p is ``zoom * rotate(p - place(t)) / (1 + tilt . p)``, in scene
    pixels.
    """

    start: Tensor  # (n, 2) place at t = 0 (y, x)
    speed: Tensor  # (n, 2)
    acceleration: Tensor  # (n, 2)
    sway: Tensor  # (n, 2) amplitude of a slow swing
    sway_rate: Tensor  # (n,) radians per frame
    sway_phase: Tensor  # (n,)
    turn: Tensor  # (n,)
    turn_speed: Tensor  # (n,)
    zoom: Tensor  # (n,) scene pixels per output pixel
    zoom_speed: Tensor  # (n,) logarithm per frame
    tilt: Tensor  # (n, 2) per output pixel
    flip: Tensor  # (n,) -1 mirrors

    def take(self, index: Tensor) -> Self:
        """Rows `index`."""
        return type(self)(*(getattr(self, name)[index] for name in type(self).__dataclass_fields__))

    def place(self, time: Tensor) -> Tensor:
        """Place at times (n, T, ...) as (n, T, ..., 2)."""
        extra = (1,) * (time.dim() - 1)

        def vector(values: Tensor) -> Tensor:
            return values.reshape(-1, *extra, 2)

        swing = torch.sin(self.sway_rate.reshape(-1, *extra) * time + self.sway_phase.reshape(-1, *extra))[
            ..., None
        ]
        moment = time[..., None]
        moved = vector(self.speed) * moment + vector(self.acceleration) * (moment * moment / 2)
        return vector(self.start) + moved + vector(self.sway) * swing

    def local(self, time: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output positions (y, x), from the middle of the picture, in the layer's own turned frame."""
        extra = (1,) * (time.dim() - 1)
        place = self.place(time)
        angle = self.turn.reshape(-1, *extra) + self.turn_speed.reshape(-1, *extra) * time
        grow = torch.exp(self.zoom_speed.reshape(-1, *extra) * time)
        cos, sin = angle.cos() * grow, angle.sin() * grow
        flip = self.flip.reshape(-1, *extra)
        off_y, off_x = place[..., 0], place[..., 1]
        # Affine coefficients are tiny tensors (one per clip and moment); only the last lines touch pixels.
        local_y = cos * y + (-sin) * x + (sin * off_x - cos * off_y)
        local_x = (sin * flip) * y + (cos * flip) * x - flip * (sin * off_y + cos * off_x)
        tilt = self.tilt.reshape(-1, *extra, 2)
        depth = 1 + tilt[..., 0] * y + tilt[..., 1] * x
        return local_y / depth, local_x / depth


def _random_path(rng: Rng, count: int, frames: int, extent: float, calm: bool) -> Path:
    """Camera-like paths; `extent` is the longer side of the output in pixels."""
    fast = 2.5 if calm else MAX_SPEED
    length = fast * rng.uniform(count, 1).square()
    way = rng.uniform(count, 1, high=2 * pi)
    heading = torch.cat([way.sin(), way.cos()], 1)
    gentle = 1.0 / max(frames, 5)
    upright = rng.chance(count, p=0.75)
    turn = torch.where(upright, rng.normal(count, scale=0.08), rng.uniform(count, high=2 * pi))
    zoom = rng.log_uniform(count, low=1.1, high=2.7)
    soft = rng.chance(count, p=0.0 if calm else 0.12)
    tilted = rng.chance(count, 1, p=0.4)
    return Path(
        start=torch.zeros(count, 2, device=rng.device),
        speed=length * heading,
        acceleration=rng.normal(count, 2) * length * 0.8 * gentle,
        sway=rng.normal(count, 2) * rng.uniform(count, 1, low=-1.0, high=2.0).clamp(min=0),
        sway_rate=rng.log_uniform(count, low=0.1, high=1.2),
        sway_phase=rng.uniform(count, high=2 * pi),
        turn=turn,
        turn_speed=rng.normal(count, scale=0.06 * gentle) * rng.chance(count, p=0.5),
        zoom=torch.where(soft, rng.log_uniform(count, low=0.4, high=0.8), zoom),
        zoom_speed=rng.normal(count, scale=0.06 * gentle) * rng.chance(count, p=0.5),
        tilt=rng.normal(count, 2, scale=0.12 / extent) * tilted,
        flip=rng.chance(count, p=0.8) * 2.0 - 1,  # mostly unmirrored: letters keep their shapes
    )


def _held(path: Path, still: Tensor) -> Path:
    """The same path without any motion where `still` is true."""
    go = (~still).float()
    return replace(
        path,
        speed=path.speed * go[:, None],
        acceleration=path.acceleration * go[:, None],
        sway=path.sway * go[:, None],
        turn_speed=path.turn_speed * go,
        zoom_speed=path.zoom_speed * go,
    )


@dataclass(frozen=True)
class Thing:
    """One object layer for some of the clips."""

    clip: Tensor  # (n,) which clips
    path: Path
    scene: Tensor  # (n,) which scene covers it
    origin: Tensor  # (n, 2) scene pixels
    radius: Tensor  # (n,) output pixels
    profile: Tensor  # (n,)
    lace: Tensor  # (n,) 1 where the scene's own front shapes cut holes into it
    shown: Tensor  # (n,) 0 or 1


@dataclass(frozen=True)
class Journey:
    """Everything that `view` needs to show a batch of clips."""

    size: tuple[int, int]
    frames: int
    scene: Tensor  # (B,)
    origin: Tensor  # (B, 2)
    path: Path
    things: tuple[Thing, ...]
    table: Tensor
    shutter: Tensor  # (B,) frames that the shutter stays open
    gain: Tensor  # (B, 3) camera gains
    gamma: Tensor  # (B,)
    lens: Tensor  # (B,) width of the lens's or sharpening filter's Gaussian in output pixels
    sharpen: Tensor  # (B,) amount of sharpening; -1 is the plain Gaussian blur

    @classmethod
    def random(
        cls, rng: Rng, batch: int, frames: int, size: tuple[int, int], scenes: int, *, calm: bool = False
    ) -> Self:
        """Draw a batch of clips.

        Args:
            rng: randomness and device.
            batch: number of clips.
            frames: frames of each.
            size: height and width of the output.
            scenes: number of scenes to choose from.
            calm: slow, always moving, in focus: for clips to look at.
        """
        extent = float(max(size))
        still = rng.chance(batch, p=0.0 if calm else 0.2)
        tripod = still | rng.chance(batch, p=0.2)
        path = _held(_random_path(rng, batch, frames, extent, calm), tripod)
        camera_speed = path.speed
        things = []
        for share in (1.0, 1.0) if calm else OBJECT_SHARES:
            count = -int(-batch * share // 1)
            clip = rng.order(batch)[:count]
            own = _random_path(rng, count, frames, extent, calm)
            # An object moves on top of the camera's motion, and passes near the middle at half time.
            joined = own.speed + camera_speed[clip]
            spot = (rng.uniform(count, 2) - 0.5) * torch.tensor(size, device=rng.device) * 0.9
            own = replace(own, speed=joined, start=spot, tilt=torch.zeros_like(own.tilt))
            own = _held(own, still[clip])
            big = rng.chance(count, p=0.3)
            radius = rng.log_uniform(count, low=0.07, high=0.35) * extent
            things.append(
                Thing(
                    clip=clip,
                    path=own,
                    scene=rng.integers(count, high=scenes),
                    origin=rng.uniform(count, 2, high=4096.0),
                    radius=torch.where(big, radius * 2.5, radius),
                    profile=rng.integers(count, high=len(KINDS) * PER_KIND),
                    lace=rng.chance(count, p=0.3).float(),
                    shown=rng.chance(count, p=batch * share / count).float(),
                )
            )
        blurred = rng.chance(batch, p=0.2) & ~still
        soft = rng.chance(batch, p=0.0 if calm else 0.1)
        pace = torch.linalg.vector_norm(path.speed, dim=1).clamp(min=0.5)
        shutter = torch.minimum(rng.uniform(batch, low=0.2, high=0.8), MAX_BLUR / pace)
        return cls(
            size=size,
            frames=frames,
            scene=rng.integers(batch, high=scenes),
            origin=rng.uniform(batch, 2, high=4096.0),
            path=path,
            things=tuple(things),
            table=profile_table(rng),
            shutter=torch.where(blurred, shutter, 0.0),
            gain=rng.normal(batch, 1, scale=0.12).exp() * rng.normal(batch, 3, scale=0.03).exp(),
            gamma=rng.normal(batch, scale=0.12).exp(),
            lens=rng.uniform(batch, low=0.4, high=1.0),
            sharpen=torch.where(
                soft, -1.0, torch.where(rng.chance(batch, p=0.4), rng.uniform(batch, high=0.7), 0.0)
            ),
        )


def _look(images: Tensor, scene: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """Bilinear look at scenes at pixel positions (n, P, Q), wrapped around; (n, 4, P, Q)."""
    side = images.shape[-1]
    size = side - 2
    grid = torch.stack([torch.remainder(u, size), torch.remainder(v, size)], -1)
    # Pixel j of the scene is pixel j + 1 of the bordered image; grid_sample counts from the outer edges.
    grid = (grid + 1.5) * (2 / side) - 1
    return F.grid_sample(
        images[scene].float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _lens(clips: Tensor, sigma: Tensor, sharpen: Tensor) -> Tensor:
    """Unsharp mask of (B, T, 3, H, W) with Gaussian width and amount (B,): -1 blurs, 0 changes nothing."""
    sharp = clips
    taps = torch.arange(-2, 3, device=clips.device)
    weight = torch.exp(-taps.square() / (2 * sigma[:, None].clamp(min=0.05).square()))
    weight = (weight / weight.sum(1, keepdim=True))[:, :, None, None, None, None]
    batch, frames, _, height, width = clips.shape
    flat = F.pad(clips.reshape(batch * frames, 3, height, width), (0, 0, 2, 2), mode="replicate")
    rows = flat.reshape(batch, frames, 3, height + 4, width)
    clips = weight[:, 0] * rows[:, :, :, :height]
    for i in range(1, 5):
        clips = clips + weight[:, i] * rows[:, :, :, i : i + height]
    flat = F.pad(clips.reshape(batch * frames, 3, height, width), (2, 2, 0, 0), mode="replicate")
    columns = flat.reshape(batch, frames, 3, height, width + 4)
    smooth = weight[:, 0] * columns[..., :width]
    for i in range(1, 5):
        smooth = smooth + weight[:, i] * columns[..., i : i + width]
    return sharp + sharpen.reshape(-1, 1, 1, 1, 1) * (sharp - smooth)


def view(images: Tensor, journey: Journey, frames: slice | None = None) -> Tensor:
    """Render a batch of clips.

    Args:
        images: a scene bank's images, (N, 4, S + 2, S + 2).
        journey: what to show.
        frames: which frames; all when left out.

    Returns:
        (B, T, 3, height, width) float32 in 0..1.
    """
    height, width = journey.size
    device = images.device
    which = torch.arange(journey.frames, device=device)[frames or slice(None)]
    batch, count = journey.scene.shape[0], which.shape[0]
    # The four sub-samples of a pixel are taken at four moments while the shutter is open.
    moment = torch.tensor([[-0.375, 0.125], [0.375, -0.125]], device=device).reshape(1, 1, 1, 2, 1, 2)
    middle = which - (journey.frames - 1) / 2
    time = middle.reshape(1, -1, 1, 1, 1, 1) + journey.shutter.reshape(-1, 1, 1, 1, 1, 1) * moment
    half = torch.tensor([-0.25, 0.25], device=device)
    y = (torch.arange(height, device=device) - (height - 1) / 2)[:, None] + half
    x = (torch.arange(width, device=device) - (width - 1) / 2)[:, None] + half
    y, x = y.reshape(1, 1, height, 2, 1, 1), x.reshape(1, 1, 1, 1, width, 2)
    rows, columns = count * 2 * height, 2 * width

    def seen(path: Path, scene: Tensor, origin: Tensor, local_y: Tensor, local_x: Tensor) -> Tensor:
        zoom, base = path.zoom.reshape(-1, 1, 1), origin[:, None, None, :]
        v = local_y.reshape(-1, rows, columns) * zoom + base[..., 0]
        u = local_x.reshape(-1, rows, columns) * zoom + base[..., 1]
        return _look(images, scene, v, u)

    picture = seen(journey.path, journey.scene, journey.origin, *journey.path.local(time, y, x))[:, :3]
    for thing in journey.things:
        local_y, local_x = thing.path.local(time[thing.clip], y, x)
        radius = thing.radius.reshape(-1, 1, 1)
        cover = seen(thing.path, thing.scene, thing.origin, local_y, local_x)
        local_y, local_x = local_y.reshape(-1, rows, columns), local_x.reshape(-1, rows, columns)
        angle = torch.atan2(local_y, local_x)
        rho = look_up_profile(journey.table, thing.profile.reshape(-1, 1, 1), angle)
        rho = rho * torch.hypot(local_y, local_x) / radius
        # One sub-sample (half a pixel) of transition keeps the edge sharp after the averaging below.
        alpha = ((1 - rho) * radius * 2 + 0.5).clamp(0, 1)
        alpha = alpha * torch.lerp(torch.ones_like(alpha), cover[:, 3], thing.lace.reshape(-1, 1, 1))
        alpha = (alpha * thing.shown.reshape(-1, 1, 1))[:, None]
        under = picture[thing.clip]
        picture = picture.index_copy(0, thing.clip, under + alpha * (cover[:, :3] - under))
    picture = F.avg_pool2d(picture, 2).reshape(batch, 3, count, height, width).transpose(1, 2)
    picture = picture.clamp(0, 1).pow(journey.gamma.reshape(-1, 1, 1, 1, 1))
    picture = picture * journey.gain.reshape(-1, 1, 3, 1, 1)
    return _lens(picture, journey.lens, journey.sharpen).clamp(0, 1).contiguous()


@torch.no_grad()
def sample_clips(bank: HasImages, batch: int, frames: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw training clips.

    Args:
        bank: scenes to look at.
        batch: number of clips B.
        frames: frames T of each clip.
        size: height and width in pixels.
        generator: source of randomness, on the bank's device.

    Returns:
        (B, T, 3, size, size) float32, gamma-encoded RGB in 0..1.
    """
    rng = Rng(generator)
    scenes = bank.images.shape[0]
    limit = _SAMPLES_AT_ONCE.get(bank.images.device.type, 1 << 22)
    chunk = max(1, limit // (frames * 4 * size * size))
    parts = []
    for start in range(0, batch, chunk):
        journey = Journey.random(rng, min(chunk, batch - start), frames, (size, size), scenes)
        parts.append(view(bank.images, journey))
    return torch.cat(parts)
