"""Reading a finished demo's folder."""

import json
import shutil
from pathlib import Path

import pytest

from quantvsr_gui.results import NoResults, load


def test_frames_are_found_in_order_of_their_numbers(results_folder: Path) -> None:
    (results_folder / "frames" / "fp" / "00002.png").rename(results_folder / "frames" / "fp" / "10.png")
    (results_folder / "frames" / "fp" / "notes.txt").write_text("no frame")
    (results_folder / "frames" / "other").mkdir()
    shutil.copy(results_folder / "frames" / "fp" / "10.png", results_folder / "frames" / "other" / "0.png")
    results = load(results_folder)
    assert results.kinds() == ["fp", "lowbit"]
    assert [path.name for path in results.frames["fp"]] == ["00000.png", "00001.png", "10.png"]


def test_the_length_is_what_all_versions_have(results_folder: Path) -> None:
    (results_folder / "frames" / "lowbit" / "00002.png").unlink()
    assert load(results_folder).length() == 2


def test_figures_become_rows_and_unknown_ones_stay_empty(results_folder: Path) -> None:
    rows = {row.label: (row.fp, row.lowbit, row.minmax) for row in load(results_folder).rows()}
    assert rows == {
        "PSNR to ground truth": ("27.12 dB", "26.95 dB", "22.30 dB"),
        "SSIM to ground truth": ("0.8123", "0.8101", ""),
        "PSNR to full precision": ("", "34.20 dB", ""),
        "Warping error": ("0.00123", "", ""),
        "Size of quantized layers": ("40.00 MB", "7.00 MB (82.5% less)", ""),
    }


@pytest.mark.parametrize("value", [None, "high", True, float("nan"), float("inf"), [1.0]])
def test_what_is_no_number_is_no_figure(results_folder: Path, value: object) -> None:
    metrics = json.loads((results_folder / "metrics.json").read_text())
    metrics.update(psnr_fp_lowbit=value)
    (results_folder / "metrics.json").write_text(json.dumps(metrics))
    assert "PSNR to full precision" not in [row.label for row in load(results_folder).rows()]


def test_a_demo_that_never_ran_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(NoResults, match="not run yet"):
        load(tmp_path / "demo")


@pytest.mark.parametrize("text", ["{", "[1, 2]", "\x00"])
def test_a_damaged_metrics_file_is_named(results_folder: Path, text: str) -> None:
    (results_folder / "metrics.json").write_text(text)
    with pytest.raises(NoResults, match=r"metrics\.json .* run the demo again"):
        load(results_folder)


def test_frames_are_needed(results_folder: Path) -> None:
    shutil.rmtree(results_folder / "frames")
    with pytest.raises(NoResults, match="holds no frames"):
        load(results_folder)
