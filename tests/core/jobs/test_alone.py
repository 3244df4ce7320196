"""Two programs that write one output."""

import pytest

from quantvsr.errors import BadInput
from quantvsr.jobs.upscale import UpscaleJob
from quantvsr.jobs.work.alone import writing_alone
from quantvsr.progress import Progress


def test_an_output_is_written_by_one_program_at_a_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QUANTVSR_CACHE", str(tmp_path / "cache"))
    target = tmp_path / "out.mp4"
    with writing_alone(target):
        monkeypatch.chdir(tmp_path)
        said = r"being written already \(process \d+ on .*wait until"
        with pytest.raises(BadInput, match=said), writing_alone(target.relative_to(tmp_path)):
            raise AssertionError
        with writing_alone(tmp_path / "other.mp4"):
            pass
    with pytest.raises(ZeroDivisionError), writing_alone(target):
        raise ZeroDivisionError
    with writing_alone(target):
        pass


def test_without_a_cache_nothing_is_held(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QUANTVSR_CACHE", str(tmp_path / "file"))
    with writing_alone(tmp_path / "out.mp4"), writing_alone(tmp_path / "out.mp4"):
        pass


def test_the_parts_of_a_run_under_way_stay(clip, tmp_path) -> None:
    target = tmp_path / "out.mkv"
    parts = tmp_path / "out.mkv.parts"
    parts.mkdir()
    (parts / "plan.json").write_text('{"format": "quantvsr-parts", "key": "of another run"}')
    with writing_alone(target), pytest.raises(BadInput, match="already"):
        UpscaleJob(clip=str(clip), out=str(target)).run(Progress())
    assert (parts / "plan.json").is_file() and not target.exists()
