"""Upscaling clips of every size and length with a model whose answer is known."""

import itertools
import tracemalloc
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.upscale.fake import FakeAdapter
from quantvsr.errors import BadInput, Cancelled, QuantVSRError
from quantvsr.media.types import Frame
from quantvsr.progress import Progress
from quantvsr.runtime.replay import Replays
from quantvsr.upscale import UpscaleReport, enlarge, upscale_clip
from quantvsr.upscale.noise import NoiseField


def clip(count, height=24, width=32, seed=0, start=0):
    """Random frames that are no cuts: a common picture with a little change."""
    rng = np.random.default_rng(seed)
    base = rng.random((height, width, 3), dtype=np.float32) * 0.6 + 0.2
    for i in range(start, start + count):
        change = rng.random((height, width, 3), dtype=np.float32) * 0.05
        yield Frame(i, base + change, Fraction(i, 25), Fraction(1, 25))


def upscale(frames, adapter=None, **settings):
    return list(upscale_clip(adapter or FakeAdapter(), frames, **settings))


def expected(frame, seed=0, grain=0.05):
    """What the fake model makes of a whole frame."""
    height, width = frame.rgb.shape[:2]
    noise = torch.from_numpy(NoiseField(seed, 48).crop(0, 0, height, width))
    grain_picture = torch.nn.functional.pixel_shuffle(noise, 4).numpy()
    return np.clip(enlarge(frame.rgb) + grain * grain_picture.transpose(1, 2, 0), 0, 1)


@given(
    count=st.integers(1, 14),
    height=st.integers(1, 21),
    width=st.integers(1, 21),
    overlap=st.integers(0, 4),
    tile=st.sampled_from([8, 12, 96]),
)
@settings(max_examples=25)
def test_every_frame_once_in_order_with_its_time_and_size(count, height, width, overlap, tile):
    frames = list(clip(count, height, width, start=3))
    results = upscale(frames, tile=tile, overlap=4, temporal_overlap=overlap)
    assert [f.index for f in results] == list(range(3, 3 + count))
    assert [f.time for f in results] == [f.time for f in frames]
    assert [f.duration for f in results] == [f.duration for f in frames]
    for result in results:
        assert result.rgb.shape == (4 * height, 4 * width, 3) and result.rgb.dtype == np.float32
        assert result.rgb.min() >= 0 and result.rgb.max() <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 11])
def test_windows_change_nothing_when_the_model_treats_frames_alike(count):
    frames = list(clip(count))
    for frame, result in zip(frames, upscale(frames), strict=True):
        np.testing.assert_allclose(result.rgb, expected(frame), atol=2e-6)


@pytest.mark.parametrize(("tile", "overlap"), [(96, 16), (40, 16), (24, 8), (16, 4)])
def test_the_tile_plan_hardly_matters(tile, overlap):
    # All plans share the noise; bicubic reads two pixels past a tile's edge, where its share is low.
    frames = list(clip(5, 50, 70))
    for frame, result in zip(frames, upscale(frames, tile=tile, overlap=overlap), strict=True):
        error = np.abs(result.rgb - expected(frame))
        # The last pixels see the padding.
        assert error[:196, :272].mean() < 1e-3 and error[:196, :272].max() < 0.1


def test_noise_is_exactly_the_same_for_all_plans():
    flat = [Frame(i, np.full((50, 70, 3), 0.5, np.float32), Fraction(i)) for i in range(7)]
    results = {tile: upscale(flat, tile=tile, overlap=4) for tile in (96, 32, 12)}
    for frames in results.values():
        for frame in frames:
            np.testing.assert_allclose(frame.rgb, results[96][0].rgb, atol=5e-7)


@pytest.mark.parametrize("reach", [1, 4])
def test_no_seams_on_a_smooth_ramp(reach):
    across, down = np.meshgrid(np.linspace(0.2, 0.7, 120), np.linspace(0, 0.2, 60))
    ramp = np.repeat((across + down)[..., None], 3, 2).astype(np.float32)
    adapter = FakeAdapter(grain=0.0, reach=reach)
    whole = upscale([Frame(0, ramp, Fraction(0))], adapter, tile=120)[0].rgb
    tiled = upscale([Frame(0, ramp, Fraction(0))], adapter, tile=40, overlap=16)[0].rgb
    inner = (slice(24, -24), slice(24, -24))
    # A seam would be a step between neighbours; the ramp itself rises by 0.001 a pixel.
    for axis in (0, 1):
        steps = np.abs(np.diff(tiled[inner], axis=axis) - np.diff(whole[inner], axis=axis))
        assert steps.max() < 5e-4
    assert np.abs(tiled - whole)[inner].max() < 0.006


def test_a_static_clip_gives_equal_frames():
    still = next(iter(clip(1))).rgb
    results = upscale([Frame(i, still, Fraction(i)) for i in range(13)], tile=16, overlap=4)
    for result in results[1:]:
        np.testing.assert_allclose(result.rgb, results[0].rgb, atol=2e-7)


def test_a_seed_gives_the_same_result_and_another_seed_another():
    first, again, other = (upscale(clip(7), seed=seed, tile=16, overlap=8) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
        assert np.abs(a.rgb - c.rgb).mean() > 0.02


def test_windows_stop_at_a_hard_cut():
    dark = [Frame(i, np.full((16, 16, 3), 0.1, np.float32), Fraction(i)) for i in range(7)]
    light = [Frame(i, np.full((16, 16, 3), 0.9, np.float32), Fraction(i)) for i in range(7, 10)]

    class Mixing(FakeAdapter):
        def upscale_window(self, lq, noise, steps, before_step=None):
            mean = lq.mean(0, keepdim=True).expand_as(lq)
            return super().upscale_window(mean, noise, steps, before_step)

    results = upscale(dark + light, Mixing(grain=0.0))
    assert [round(float(f.rgb.mean()), 3) for f in results] == [0.1] * 7 + [0.9] * 3
    mixed = upscale(dark + light, Mixing(grain=0.0), find_cuts=False)
    assert any(0.15 < f.rgb.mean() < 0.85 for f in mixed)


def test_memory_is_bounded_and_frames_stream():
    alive = weakref.WeakSet()
    most = 0

    def frames():
        nonlocal most
        rgb = np.full((16, 16, 3), 0.5, np.float32)
        for i in range(1000):
            frame = Frame(i, rgb + np.float32(1e-4 * (i % 7)), Fraction(i))
            alive.add(frame)
            yield frame
            del frame
            most = max(most, len(alive))

    stream = upscale_clip(FakeAdapter(), frames(), steps=1)
    tracemalloc.start()
    count = sum(1 for _ in stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    # All results would be 49 MB; a window of them is 0.25 MB, a block of noise 0.8 MB (more while made).
    assert peak < 10e6
    assert most <= 3 * 5 + 5


def test_nothing_is_computed_before_it_is_asked_for():
    read = 0

    def frames():
        nonlocal read
        for frame in clip(100):
            read += 1
            yield frame

    adapter = FakeAdapter()
    stream = upscale_clip(adapter, frames())
    assert read == 0
    list(itertools.islice(stream, 3))
    assert read <= 15 and len(adapter.calls) == 1
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        ),
    ],
)
def test_running_out_of_memory_changes_the_plan_and_work_goes_on(error):
    told: list[str] = []

    class Listener(Progress):
        def warn(self, message):
            told.append(message)

    frames = list(clip(9, 40, 40))
    report = UpscaleReport()
    adapter = FakeAdapter(largest=20, error=error)
    results = upscale(frames, adapter, overlap=8, progress=Listener(), report=report)
    assert [f.index for f in results] == list(range(9))
    assert report.tile == 20 and max(adapter.calls[-1][2:]) <= 20
    # Tried once at full size; never again.
    assert sum(max(call[2:]) > 20 for call in adapter.calls) == 1
    assert told == report.warnings and len(told) == 1 and "20" in told[0] and "memory" in told[0]
    for frame, result in zip(frames, results, strict=True):
        assert np.abs(result.rgb - expected(frame)).mean() < 2e-3


def test_recordings_go_before_tiles_shrink(monkeypatch):
    given_up: list[bool] = []

    def give_up(self):
        given_up.append(True)
        return len(given_up) == 1

    class Filling(FakeAdapter):
        """Memory runs out as long as there are recordings."""

        def upscale_window(self, lq, noise, steps, before_step=None):
            if not given_up:
                raise self.error
            return super().upscale_window(lq, noise, steps, before_step)

    monkeypatch.setattr("quantvsr.upscale.engine.Replays.give_up", give_up)
    report = UpscaleReport()
    assert len(upscale(clip(5, 40, 40), Filling(), tile=24, overlap=8, report=report)) == 5
    assert given_up == [True] and report.tile == 24 and not report.warnings


@pytest.mark.parametrize("early", [False, True])
def test_steps_are_replayed_inside_the_model_alone_and_forgotten_at_the_end(monkeypatch, early):
    told: list[object] = []

    class Told(Replays):
        def __init__(self, networks, device):
            told.append(networks)

        def __enter__(self):
            told.append("in")

        def __exit__(self, *error):
            told.append("out")

        def clear(self):
            told.append("clear")

    class Looking(FakeAdapter):
        def upscale_window(self, *given):
            assert told[-1] == "in"
            return super().upscale_window(*given)

    monkeypatch.setattr("quantvsr.upscale.engine.Replays", Told)
    adapter = Looking()
    frames = upscale_clip(adapter, clip(12))
    next(frames)
    assert told == [(adapter.denoiser,), "in", "out"]
    if early:
        frames.close()  # type: ignore[attr-defined]
    else:
        assert len(list(frames)) == 11
    assert told[-1] == "clear" and told.count("clear") == 1


def test_progress_does_not_go_back_when_tiles_shrink():
    heard: list[float] = []

    class Listener(Progress):
        def report(self, fraction, message="", **payload):
            heard.append(fraction)

    class Filling(FakeAdapter):
        """Memory runs out at the end of the third tile."""

        def upscale_window(self, lq, noise, steps, before_step=None):
            found = super().upscale_window(lq, noise, steps, before_step)
            if len(self.calls) == 3:
                raise self.error
            return found

    report, adapter = UpscaleReport(), Filling()
    upscale(clip(5, 40, 40), adapter, tile=24, overlap=8, total=5, progress=Listener(), report=report)
    assert report.tile < 24 and len(report.warnings) == 1
    assert heard == sorted(heard) and 0.8 < heard[-1] < 1


def test_no_memory_for_the_smallest_tile_is_one_sentence():
    with pytest.raises(QuantVSRError, match="not enough memory on cpu") as told:
        upscale(clip(5, 80, 80), FakeAdapter(largest=0))
    assert str(told.value).endswith(".") and str(told.value).count(".") == 1


def test_other_failures_of_the_model_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        upscale(clip(5), FakeAdapter(largest=0, error=RuntimeError("shapes do not match")))


def test_values_that_are_not_finite_stop_the_work():
    class Broken(FakeAdapter):
        def upscale_window(self, lq, noise, steps, before_step=None):
            return super().upscale_window(lq, noise, steps, before_step) * torch.nan

    with pytest.raises(QuantVSRError, match=r"fake.*not finite in frames 0 to 4"):
        upscale(clip(5), Broken())


def test_cancelling_stops_within_a_step():
    progress = Progress()
    steps = 0

    class Slow(FakeAdapter):
        def upscale_window(self, lq, noise, steps_wanted, before_step=None):
            def step():
                nonlocal steps
                before_step()
                steps += 1
                if steps == 5:
                    progress.cancel()

            return super().upscale_window(lq, noise, steps_wanted, step)

    stream = upscale_clip(Slow(), clip(50), steps=4, progress=progress)
    assert next(stream).index == 0
    with pytest.raises(Cancelled):
        list(stream)
    assert steps == 5


def test_progress_rises_to_the_end_and_report_tells_what_was_done():
    heard: list[float] = []

    class Listener(Progress):
        def report(self, fraction, message="", **payload):
            heard.append(fraction)
            assert message.startswith("frame ") and message.endswith(" of 12")

    report = UpscaleReport()
    adapter = FakeAdapter()
    upscale(clip(12, start=30), adapter, tile=16, overlap=4, total=12, progress=Listener(), report=report)
    assert heard == sorted(heard) and heard[0] == 0 and 0.8 < heard[-1] < 1
    assert report.frames == 12 and report.tiles == len(adapter.calls) and report.windows == 3
    assert report.peak_ram is None or report.peak_ram > 1e7
    assert report.peak_gpu is None and report.warnings == []
    assert 0 < report.model_seconds <= report.seconds
    assert set(adapter.steps) == {adapter.default_steps}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, "0 sampling steps"),
        ({"tile": 0}, "Tiles of 0"),
        ({"tile": 16, "overlap": 16}, "overlap by 16"),
        ({"overlap": -1}, "overlap by -1"),
        ({"temporal_overlap": 5}, "Windows of 5"),
        ({"temporal_overlap": -1}, "Windows of 5"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(BadInput, match=words):
        upscale_clip(FakeAdapter(), [], **arguments)


def test_a_change_of_size_names_the_frame():
    frames = [*clip(6), *clip(1, 24, 28, start=6)]
    with pytest.raises(BadInput, match=r"Frame 6 is 28x24.*32x24"):
        upscale(frames)


def test_no_frames_give_no_frames():
    assert upscale([]) == []


@given(
    count=st.integers(1, 23),
    first=st.integers(0, 22),
    length=st.integers(1, 9),
    cut=st.integers(0, 22),
    overlap=st.integers(0, 4),
)
@settings(max_examples=25)
def test_wanted_frames_are_those_of_the_whole_run_and_others_cost_nothing(count, first, length, cut, overlap):
    frames = list(clip(count, 8, 8))
    frames[cut:] = [Frame(f.index, 1 - f.rgb, f.time, f.duration) for f in frames[cut:]]
    wanted = range(min(first, count - 1), min(first + length, count))
    adapter, whole = FakeAdapter(), FakeAdapter()
    every = upscale(frames, whole, temporal_overlap=overlap)
    some = upscale(frames, adapter, temporal_overlap=overlap, wanted=wanted)
    assert [f.index for f in some] == list(wanted)
    for frame in some:
        assert np.array_equal(frame.rgb, every[frame.index].rgb)
    assert len(adapter.calls) <= len(whole.calls)
    assert len(adapter.calls) <= (len(wanted) + 4) * 2


def test_progress_of_a_part_counts_on_from_its_first_frame():
    told = []

    class Told(Progress):
        def report(self, fraction, message="", **payload):
            told.append((fraction, message))

    upscale(clip(20), wanted=range(8, 20), total=12, progress=Told())
    assert told[0] == (0.0, "frame 9 of 20")
    assert told[-1][1] == "frame 20 of 20"
