"""Adapters that users write; the example of docs/adapters.md is one."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from folders import REPOSITORY
from quantvsr.errors import BadModel
from quantvsr.models.own import open_file
from quantvsr.models.registry import model_files, model_hash, open_model, recognise

CPU = torch.device("cpu")


def example() -> str:
    page = (REPOSITORY / "docs" / "adapters.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return code


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The example's file, with random weights beside it."""
    path = tmp_path / "my_model.py"
    path.write_text(example())
    scope: dict[str, object] = {"__file__": str(path), "__name__": "example"}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    torch.manual_seed(0)
    denoiser = scope["Denoiser"]()  # type: ignore[operator]
    with torch.no_grad():
        denoiser.last.weight.mul_(0.2)
    save_file(denoiser.state_dict(), tmp_path / "my_model.safetensors")
    return path


def test_the_example_is_short_and_opens(mine: Path) -> None:
    assert sum(bool(line.strip()) for line in example().splitlines()) < 60
    assert recognise(mine).family == "python"
    adapter = open_model(mine)
    assert (adapter.name, adapter.source, adapter.device) == ("my-model", mine, CPU)
    assert model_files(mine) == [mine, mine.with_suffix(".safetensors")]
    before = model_hash(mine)
    save_file({"other": torch.ones(1)}, mine.with_suffix(".safetensors"))
    assert model_hash(mine) != before
    with pytest.raises(BadModel, match=r"open_adapter in .*my_model\.py failed"):
        open_model(mine)
    mine.with_suffix(".safetensors").unlink()
    with pytest.raises(BadModel, match="does not exist; put it there"):
        open_model(mine)


def test_a_file_is_not_run_to_recognise_it(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\ndef open_adapter(device): ...\n")
    assert recognise(path).family == "python"
    assert not (tmp_path / "ran").exists()
    with pytest.raises(BadModel, match="returned a NoneType, not a VSRAdapter"):
        open_model(path)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def open_adapter(device): raise LookupError('gone')", "LookupError: gone"),
        ("import not_here\ndef open_adapter(device): ...", "ModuleNotFoundError"),
        ("def open_adapter(device) ...", "not readable Python"),
        ("FILES = [open]\ndef open_adapter(device): ...", "not a plain list"),
        ("x = 1", "no weight file by its name"),
        (
            "from quantvsr.models.adapter import VSRAdapter\nclass A(VSRAdapter):\n"
            "  def layout(self, n): ...\n  def upscale_window(self, *a): ...\n"
            "  def record_window(self, *a): ...\n"
            "  name, scale = 'a', 4\ndef open_adapter(device): return A()",
            "has no window; see docs/adapters.md",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(tmp_path: Path, code: str, message: str) -> None:
    path = tmp_path / "a.py"
    path.write_text(code + "\n")
    with pytest.raises(BadModel, match=message) as caught:
        open_model(path)
    assert "a.py" in str(caught.value)


def test_layouts_and_replay_of_the_example(mine: Path) -> None:
    adapter = open_file(mine, CPU)
    lq, noise = torch.rand(5, 3, 8, 8), torch.randn(48, 8, 8)
    assert adapter.upscale_window(lq, noise, 2).shape == (5, 3, 32, 32)
    for inputs, output in adapter.record_window(lq, noise, 2):
        assert torch.equal(adapter.denoiser(**inputs), output)
