"""Ids of the hub stand for what is in its local cache; memory is checked before loading."""

from pathlib import Path

import pytest
import torch

from quantvsr.errors import BadModel, QuantVSRError
from quantvsr.models import placing
from quantvsr.models.registry import open_model, recognise
from tiny_mgld import write_tiny_mgld


def test_a_cached_model_is_found_and_a_missing_one_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--me--mgld"
    with pytest.raises(BadModel, match=r"me/mgld is not in the hub's cache .*hf download me/mgld"):
        recognise("hub:me/mgld")
    (place / "snapshots").mkdir(parents=True)
    write_tiny_mgld(place / "snapshots" / "abc")
    with pytest.raises(BadModel, match="not in the hub's cache"):
        recognise("hub:me/mgld")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc\n")
    assert recognise("hub:me/mgld").family == "mgld"
    with pytest.raises(BadModel, match=r"There is no model at nobody/model: .* write hub:nobody/model"):
        recognise("nobody/model")
    for wrong in ("hub:", "hub:name", "hub:../x", "hub:a/..", "hub:a/b/c"):
        with pytest.raises(BadModel, match="no id of the hub"):
            recognise(wrong)


def test_too_little_memory_is_said_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_mgld(tmp_path / "m")
    monkeypatch.setattr(placing, "_free_memory", lambda: 1_000_000)
    monkeypatch.setattr("quantvsr.models.mgld.opening.read_tensors", lambda path: pytest.fail("was read"))
    with pytest.raises(QuantVSRError, match=r"needs 0\.0 GB of main memory .* close other programs"):
        open_model(folder)
    monkeypatch.setattr(placing, "_free_memory", lambda: None)
    placing.check_memory(10, torch.device("cpu"), "x")


def test_the_system_tells_its_memory() -> None:
    free = placing._free_memory()
    assert free is None or free > 10_000_000
