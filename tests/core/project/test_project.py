"""A project's folder: what is written comes back; damage, locks and full disks are explained."""

import dataclasses
import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput, DiskFull
from quantvsr.jobs import QuantizeJob, job_from_json
from quantvsr.jobs.options import Bits
from quantvsr.project import ClipEntry, ExportRecord, Project, ProjectLocked, RunRecord, RunState, Settings
from quantvsr.project.folder import FILE, VERSION, Content
from quantvsr.project.portable import from_portable, to_portable
from quantvsr.project.requests import analyze_job, quantize_job
from quantvsr.resources import resource

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
bits = st.builds(Bits, st.integers(2, 8), st.integers(2, 8))
clips = st.builds(
    ClipEntry,
    names.map(lambda name: f"/clips/{name}"),
    st.integers(0, 5),
    st.none() | st.integers(6, 9),
    st.booleans(),
    st.none() | names,
)
settings_values = st.builds(
    Settings,
    model=names,
    seed=st.integers(0, 2**40),
    steps=st.none() | st.integers(1, 50),
    exclude=st.lists(names, max_size=3).map(tuple),
    clips=st.lists(clips, max_size=3).map(tuple),
    bits=bits,
    percentile=st.none() | st.floats(0, 0.5),
    rank_overrides=st.dictionaries(names, st.integers(0, 64), max_size=3),
    bit_overrides=st.dictionaries(names, bits, max_size=3),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "walk.qvsr"


def full_content(folder: Path) -> Content:
    job = QuantizeJob(out=str(folder / "checkpoints" / "w4-1"))
    run = RunRecord("w4-1", "W4A4", job.to_json(), RunState.DONE, "2026-01-01", 3.5, {"layers": 66})
    export = ExportRecord("video-1", "Video", job.to_json(), RunState.FAILED, message="The disk is full.")
    clip = ClipEntry(str(resource("clips") / "garden_lq.mkv"), 2, 9)
    settings = Settings(clips=(clip, ClipEntry(str(folder / "mine.mp4"))), rank_overrides={"mid": 8})
    return Content(
        settings, {"job": job.to_json(), "result": {}}, (run,), (export,), {"compare": {"frame": 3}}
    )


@given(settings_values)
def test_settings_survive_json(settings: Settings) -> None:
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_everything_comes_back(folder: Path) -> None:
    project = Project.create(folder)
    project.content = full_content(folder)
    project.save()
    project.close()
    again = Project.open(folder)
    assert again.content == project.content
    assert again.name == "walk"
    again.close()


def test_a_moved_project_finds_its_files(folder: Path, tmp_path: Path) -> None:
    project = Project.create(folder)
    project.content = full_content(folder)
    project.save()
    project.close()
    text = (folder / FILE).read_text()
    assert str(tmp_path) not in text
    assert str(resource("clips")) not in text
    moved = folder.rename(tmp_path / "elsewhere.qvsr")
    again = Project.open(moved)
    assert again.content == full_content(moved)
    assert isinstance(again.content.runs[0].request(), QuantizeJob)
    again.close()


@given(st.recursive(st.none() | st.integers() | names, lambda v: st.lists(v) | st.dictionaries(names, v)))
def test_what_holds_no_path_is_not_changed(value: object) -> None:
    place = Path("/projects/walk.qvsr")
    assert to_portable(value, place) == value
    assert from_portable(value, place) == value


def test_a_name_that_only_begins_like_the_project_stays(folder: Path) -> None:
    other = f"{folder}2/clip.mp4"
    assert to_portable(other, folder) == other


def test_work_under_way_is_interrupted_when_it_is_opened_again(folder: Path) -> None:
    project = Project.create(folder)
    run = full_content(folder).runs[0]
    states = (RunState.RUNNING, RunState.PAUSED, RunState.WAITING, RunState.DONE, RunState.FAILED)
    runs = tuple(dataclasses.replace(run, id=str(n), state=state) for n, state in enumerate(states))
    project.content = dataclasses.replace(project.content, runs=runs)
    project.save()
    project.close()
    again = Project.open(folder, read_only=True)
    interrupted = RunState.INTERRUPTED
    assert [run.state for run in again.content.runs] == [interrupted] * 3 + [RunState.DONE, RunState.FAILED]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "not a readable JSON"),
        ("[]", "no project file"),
        ('{"format": "quantvsr-project"}', "no valid version"),
        ('{"format": "quantvsr-project", "version": 1}', "restore it from a copy"),
        ('{"format": "quantvsr-project", "version": 1, "settings": {"bits": 4}}', "restore it from a copy"),
        (
            '{"format": "quantvsr-project", "version": 1, "settings": {}, "runs": [1]}',
            "restore it from a copy",
        ),
    ],
)
def test_damage_is_explained_and_nothing_is_written(folder: Path, content: str, match: str) -> None:
    Project.create(folder).close()
    (folder / FILE).write_text(content)
    with pytest.raises(BadInput, match=match):
        Project.open(folder)
    assert (folder / FILE).read_text() == content
    # The lock was given back.
    (folder / FILE).write_text(json.dumps(Content().to_json()))
    Project.open(folder).close()


def test_a_project_of_a_newer_version_is_left_alone(folder: Path) -> None:
    Project.create(folder).close()
    value = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**value, "version": VERSION + 1, "program": "9.9"}))
    with pytest.raises(BadInput, match=r"newer version of this program \(9.9\); update"):
        Project.open(folder)


@pytest.mark.parametrize("name", ["nothing.qvsr", "empty.qvsr"])
def test_what_is_no_project_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.qvsr").mkdir()
    with pytest.raises(BadInput, match=f"{name} is no project"):
        Project.open(tmp_path / name)


def test_a_taken_name_is_not_overwritten(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="exists already"):
        Project.create(folder)
    assert (folder / "mine.txt").read_text() == "keep"


def test_a_second_program_is_refused_until_the_first_ends(folder: Path) -> None:
    Project.create(folder).close()
    code = f"""
import sys
from quantvsr.project import Project
project = Project.open({str(folder)!r})
print("open", flush=True)
sys.stdin.read()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ProjectLocked, match=rf"open in another window \(process {other.pid} on"):
            Project.open(folder)
        reader = Project.open(folder, read_only=True)
        reader.content = Content(Settings(seed=7))
        reader.save()
        # However it ends: nothing is left behind that would keep others out.
        other.kill()
    project = Project.open(folder)
    assert project.content.settings.seed == 42
    project.close()


def test_a_folder_that_cannot_be_written_to_is_opened_for_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Project.create(folder).close()
    monkeypatch.setattr("quantvsr.project.folder.os.access", lambda *_: False)
    project = Project.open(folder)
    assert project.read_only
    before = (folder / FILE).read_bytes()
    project.content = Content(Settings(seed=7))
    project.save()
    assert (folder / FILE).read_bytes() == before


def test_a_full_disk_keeps_the_saved_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.create(folder)
    before = (folder / FILE).read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    project.content = Content(Settings(seed=7))
    with pytest.raises(DiskFull, match="is full"):
        project.save()
    assert (folder / FILE).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [FILE, "project.lock"]
    project.close()


def test_a_copy_has_results_and_unsaved_changes_but_no_cache(folder: Path, tmp_path: Path) -> None:
    project = Project.create(folder)
    (project.run_folder("w4-1")).mkdir(parents=True)
    (project.run_folder("w4-1") / "checkpoint.safetensors").write_bytes(b"codes")
    project.cache.mkdir()
    (project.cache / "frame").write_bytes(b"pixels")
    project.content = full_content(folder)
    copy = project.copy_to(tmp_path / "copy.qvsr")
    assert (copy / "checkpoints" / "w4-1" / "checkpoint.safetensors").read_bytes() == b"codes"
    assert not (copy / "cache").exists()
    opened = Project.open(copy)
    assert opened.content == full_content(copy)
    opened.close()
    assert (project.copy_to(tmp_path / "whole.qvsr", cache=True) / "cache" / "frame").exists()
    with pytest.raises(BadInput, match="exists already"):
        project.copy_to(copy)
    with pytest.raises(BadInput, match="inside the project"):
        project.copy_to(folder / "inner.qvsr")
    project.close()


def test_jobs_follow_the_settings(folder: Path) -> None:
    settings = Settings(
        clips=(ClipEntry("/a.mp4"), ClipEntry("/b.mp4", learn=False), ClipEntry("/c.mp4", 3, 9)),
        exclude=("mid.*",),
        rank_overrides={"mid.conv": 4, "out.conv": 8},
        bit_overrides={"mid.conv": Bits(8, 8), "up.conv": Bits(6, 6)},
        samples=10,
    )
    job = quantize_job(settings, folder / "checkpoints" / "1", folder, bits=Bits(6, 8))
    assert job.clips == ("/a.mp4", "/c.mp4")
    assert [str(part) for part in job.ranges] == [":", "3:9"]
    assert [str(item) for item in job.layer_ranks] == ["out.conv=8"]
    assert [str(item) for item in job.layer_bits] == ["up.conv=W6A6"]
    assert (job.bits, job.samples, job.analysis) == (Bits(6, 8), 10, str(folder))
    assert job_from_json(job.to_json()) == job
    assert analyze_job(settings, folder).out == str(folder)


def test_without_a_ticked_clip_there_is_no_job(folder: Path) -> None:
    with pytest.raises(BadInput, match="tick one"):
        analyze_job(Settings(clips=(ClipEntry("/a.mp4", learn=False),)), folder)
    # Without any clip the bundled ones are taken.
    assert analyze_job(Settings(), folder).clips == ()


def test_a_range_without_frames_is_refused() -> None:
    with pytest.raises(BadInput, match="holds no frame"):
        ClipEntry("/a.mp4", 5, 5)
