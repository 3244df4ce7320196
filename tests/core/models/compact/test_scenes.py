"""Procedural training clips: shapes, ranges, determinism, motion and the split of the seeds."""

import pytest
import torch

from quantvsr.models.compact.motion import Journey, view
from quantvsr.models.compact.rng import Rng
from quantvsr.models.compact.scenes import SHOWCASE_SEEDS, SceneBank, render_clip, sample_clips
from quantvsr.models.compact.shapes import (
    KINDS,
    PER_KIND,
    Leaves,
    paint,
    plan_buckets,
    profile_table,
    slots_of,
)
from quantvsr.models.compact.textures import FAMILIES, TextureAtlas


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_bank(seed: int, count: int = 3) -> SceneBank:
    return SceneBank(count, generator=generator(seed), size=96, texture_size=64, batch=2, texture_share=0.2)


@pytest.fixture(scope="module")
def bank() -> SceneBank:
    return small_bank(5)


def test_bank_holds_periodic_pictures_in_range(bank: SceneBank) -> None:
    assert bank.images.shape == (3, 4, 98, 98)
    assert bank.images.dtype == torch.float16
    assert torch.isfinite(bank.images).all()
    assert bank.images.min() >= 0 and bank.images.max() <= 1
    assert torch.equal(bank.images[..., 0, 1:-1], bank.images[..., -2, 1:-1])
    assert torch.equal(bank.images[..., 1:-1, -1], bank.images[..., 1:-1, 1])
    # Every scene shows something, and no two are alike.
    colours = bank.images[:, :3].float()
    assert (colours.std((1, 2, 3)) > 0.01).all()
    assert not torch.equal(colours[0], colours[1])


def test_refresh_replaces_the_oldest_scenes_only() -> None:
    bank = small_bank(6)
    before = bank.images.clone()
    bank.refresh(2)
    assert torch.equal(bank.images[2], before[2])
    assert not torch.equal(bank.images[0], before[0])
    assert not torch.equal(bank.images[1], before[1])
    bank.refresh(2)
    assert not torch.equal(bank.images[2], before[2])


def test_clips_have_shape_range_and_repeat_exactly(bank: SceneBank) -> None:
    clips = sample_clips(bank, 6, 5, 32, generator(1))
    assert clips.shape == (6, 5, 3, 32, 32)
    assert clips.dtype == torch.float32
    assert clips.min() >= 0 and clips.max() <= 1
    assert torch.equal(clips, sample_clips(bank, 6, 5, 32, generator(1)))
    assert not torch.equal(clips, sample_clips(bank, 6, 5, 32, generator(2)))


def test_the_same_seed_gives_the_same_bank_and_global_randomness_is_left_alone(bank: SceneBank) -> None:
    state = torch.get_rng_state()
    again = small_bank(5)
    assert torch.equal(bank.images, again.images)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fifth_of_the_clips_stands_still(bank: SceneBank) -> None:
    clips = sample_clips(bank, 120, 3, 16, generator(3))
    moving = (clips[:, 1:] - clips[:, :-1]).abs().amax((1, 2, 3, 4)) > 0
    share = 1 - moving.float().mean().item()
    assert 0.1 < share < 0.45


def test_motion_shifts_the_picture_by_the_stated_speed(bank: SceneBank) -> None:
    journey = Journey.random(Rng(generator(4)), 1, 2, (40, 40), 3)
    zero, none = torch.zeros(1), torch.zeros(1, 2)
    path = journey.path
    for name in ("acceleration", "sway", "tilt"):
        object.__setattr__(path, name, none)
    for name in ("turn", "turn_speed", "zoom_speed"):
        object.__setattr__(path, name, zero)
    object.__setattr__(path, "zoom", torch.ones(1))
    object.__setattr__(path, "speed", torch.tensor([[2.0, -3.0]]))
    object.__setattr__(journey, "things", ())
    object.__setattr__(journey, "shutter", zero)
    object.__setattr__(journey, "sharpen", zero)
    first, second = view(bank.images, journey)[0]
    torch.testing.assert_close(second[:, 2:, :-3], first[:, :-2, 3:], atol=2e-3, rtol=0)


def test_showcase_clip_repeats_and_moves() -> None:
    clip = render_clip(0, 5, 24, 36, scene_size=64)
    assert clip.shape == (5, 3, 24, 36)
    assert clip.min() >= 0 and clip.max() <= 1
    assert (clip[1:] - clip[:-1]).abs().amax() > 0.01
    assert torch.equal(clip, render_clip(0, 5, 24, 36, scene_size=64))
    assert not torch.equal(clip, render_clip(1, 5, 24, 36, scene_size=64))
    # The CPU generator looks at 32 bits of a seed, so the two halves of that range never meet.
    assert SHOWCASE_SEEDS == 2**31


def test_nearer_shapes_hide_farther_ones_and_wrap_around() -> None:
    table = profile_table(Rng(generator(0)))
    assert table.shape[0] == len(KINDS) * PER_KIND
    assert torch.allclose(table.amin(1), torch.ones(len(table)))
    table = torch.ones_like(table)  # discs
    buckets = plan_buckets([(4, 3)])
    leaves = Leaves(
        cy=torch.tensor([[0, 8, 8, 0]]),
        cx=torch.tensor([[0, 8, 10, 0]]),
        radius=torch.full((1, 4), 3.0),
        turn=torch.zeros(1, 4),
        profile=torch.zeros(1, 4, dtype=torch.long),
        nearness=torch.tensor([[0.0, 0.9, 0.2, 0.5]]),
    )
    slot = slots_of(paint(leaves, buckets, table, 16))[0]
    assert slot[8, 9] == 1 and slot[8, 13] == 2 and slot[8, 5] == 1
    assert slot[0, 0] == 3 and slot[14, 0] == 3 and slot[0, 14] == 3
    assert slot[3, 8] == 0


def test_textures_are_periodic_and_fill_the_range() -> None:
    atlas = TextureAtlas(Rng(generator(2)), 64, 0, 0.2)
    assert atlas.images.shape[0] == sum(rows.stop - rows.start for rows in atlas.rows.values())
    assert atlas.images.min() >= 0 and atlas.images.max() <= 1
    rows = torch.arange(len(atlas.images))[:, None]
    place = torch.rand(1, 50, generator=generator(1)) * 64
    here, there = atlas.sample(rows, place, place), atlas.sample(rows, place + 64, place - 128)
    torch.testing.assert_close(here, there, atol=2e-3, rtol=0)
    before = atlas.images.clone()
    atlas.refresh(Rng(generator(9)), "wood")
    changed = {name for name, rows in atlas.rows.items() if not torch.equal(atlas.images[rows], before[rows])}
    assert changed == {"wood"}
    assert set(FAMILIES) | {"text"} == set(atlas.rows)


def test_bank_and_generator_must_share_a_device() -> None:
    with pytest.raises(ValueError, match="generator lives on cpu"):
        SceneBank(1, generator=generator(0), device="meta")
