"""The registry, whole-clip measuring and the comparison of several versions."""

import json
import tracemalloc

import numpy as np
import pytest

from quantvsr.errors import BadInput
from quantvsr.metrics import Comparison, Meter, get_metric, measure, metrics

NAMES = ["psnr", "psnr_y", "ssim", "warp_error", "flicker", "temporal_difference"]


def clip(seed, frames=3, size=24):
    rng = np.random.default_rng(seed)
    return [rng.random((size, size, 3), dtype=np.float32) for _ in range(frames)]


def test_every_metric_says_what_it_is():
    assert set(NAMES) <= set(metrics())
    for name, each in metrics().items():
        assert each.name == name and each.title and len(each.conventions) > 40 and each.licence
        low, high = each.range
        assert low is None or high is None or low < high
        told = json.loads(json.dumps(each.to_json()))
        assert told["needs"] == sorted(each.needs) and "function" not in told


@pytest.mark.parametrize("name", NAMES)
def test_values_lie_in_the_stated_range(name):
    # The extremes: black against white, and back.
    black, white = np.zeros((16, 16, 3)), np.ones((16, 16, 3))
    low, high = get_metric(name).range
    for a, b in (([black, white], [white, black]), ([black, black], [black, black]), (clip(1), clip(2))):
        value = measure(a, b, [name])[name]
        assert value is not None and low <= value <= high


def test_unknown_names_list_what_there_is():
    with pytest.raises(BadInput, match=r"'vmaf'.*psnr_y"):
        measure(clip(0), clip(0), ["vmaf"])


@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 2), (0, 1)])
def test_different_lengths_are_one_sentence(first, second):
    with pytest.raises(BadInput, match=f"ends after {min(first, second)} frames") as told:
        measure(clip(0, first), clip(0, second), ["psnr"])
    assert str(told.value).count(".") == 1 and "\n" not in str(told.value)


def test_no_frames_and_no_reference():
    with pytest.raises(BadInput, match="no frames"):
        measure([], [], ["psnr"])
    for name in ("psnr", "psnr_y", "ssim", "flicker"):
        with pytest.raises(BadInput, match="reference"):
            measure(clip(0), None, [name])
        with pytest.raises(BadInput, match="reference"):
            Meter([name]).add(clip(0)[0])


def test_names_left_out_mean_all_that_can_be_had():
    assert set(measure(clip(0), clip(1))) == {
        name for name, each in metrics().items() if each.needs <= {"reference", "motion"}
    }
    assert set(measure(clip(0))) == {name for name, each in metrics().items() if each.needs <= {"motion"}}


def test_a_negative_border_is_refused():
    with pytest.raises(BadInput, match="-1"):
        measure(clip(0), clip(0), ["psnr"], border=-1)


def test_frames_are_read_once_and_not_kept():
    def frames(seed, count=40):
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield rng.random((64, 64, 3), dtype=np.float32)

    tracemalloc.start()
    measure(frames(0), frames(1), NAMES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Forty pairs would be 3.9 MB.
    assert peak < 2.5e6


def test_meter_gives_values_frame_by_frame():
    a, b = clip(0), clip(1)
    meter = Meter(["psnr", "flicker"])
    values = [meter.add(x, y) for x, y in zip(a, b, strict=True)]
    assert values[0]["flicker"] is None and values[1]["flicker"] is not None
    assert meter.result()["psnr"] == pytest.approx(np.mean([v["psnr"] for v in values]))
    assert meter.result() == measure(a, b, ["psnr", "flicker"])


def test_comparison_equals_measuring_one_by_one():
    versions = {"gt": clip(0), "fp": clip(1), "lowbit": clip(2)}
    together = Comparison(("fp", "lowbit"), ("gt", "fp"), NAMES)
    for gt, fp, lowbit in zip(*versions.values(), strict=True):
        together.add({"gt": gt, "fp": fp, "lowbit": lowbit})
    got = together.result()
    for name in ("psnr", "psnr_y", "ssim", "flicker"):
        for reference, candidate in (("gt", "fp"), ("gt", "lowbit"), ("fp", "lowbit")):
            alone = measure(versions[candidate], versions[reference], [name])[name]
            assert got[f"{name}_{reference}_{candidate}"] == alone
        assert f"{name}_fp_fp" not in got
    for candidate in ("gt", "fp", "lowbit"):
        alone = measure(versions[candidate], versions["gt"], ["warp_error"])["warp_error"]
        assert got[f"warp_error_{candidate}"] == alone
    json.dumps(got, allow_nan=False)


def test_comparison_without_ground_truth_takes_the_motion_of_the_next_best():
    together = Comparison(("fp", "lowbit"), ("fp",), ["psnr", "warp_error"])
    for fp, lowbit in zip(clip(1), clip(2), strict=True):
        together.add({"fp": fp, "lowbit": lowbit})
    got = together.result()
    assert set(got) == {"psnr_fp_lowbit", "warp_error_fp", "warp_error_lowbit"}
    assert got["warp_error_lowbit"] == measure(clip(2), clip(1), ["warp_error"])["warp_error"]


def test_comparison_names_the_clip_that_is_missing():
    together = Comparison(("fp",), ("gt",), ["psnr"])
    with pytest.raises(BadInput, match="'fp'"):
        together.add({"gt": clip(0)[0]})
