"""Whatever a user gives: one sentence that names the file, an exit code, and nothing half-written."""

import os
from fractions import Fraction

import numpy as np
import pytest

from quantvsr import cli
from quantvsr.media import open_writer, writer


def make_video(path, count=12):
    with open_writer(path, 32, 32, frame_rate=Fraction(24)) as video:
        for index in range(count):
            video.write(np.random.default_rng(index).random((32, 32, 3), np.float32), Fraction(index, 24))
    return path


def truncated(folder):
    path = make_video(folder / "cut.mp4")
    data = path.read_bytes()
    # The index at the head stays: the container promises more than there is.
    path.write_bytes(data[: len(data) // 6])
    return path


def not_readable(folder):
    path = make_video(folder / "locked.mp4")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    return path


def mixed_sizes(folder, make_clip):
    clip = make_clip("mixed", count=3)
    other = make_clip("other", count=1, height=20)
    (other / "000.png").rename(clip / "009.png")
    return clip


CASES = {
    "missing": lambda folder, make_clip: folder / "none.mp4",
    "empty": lambda folder, make_clip: _write(folder / "empty.mp4", b""),
    "text": lambda folder, make_clip: _write(folder / "notes.mp4", b"shopping list"),
    "noise": lambda folder, make_clip: _write(folder / "noise.mkv", bytes(range(256)) * 64),
    "picture that is none": lambda folder, make_clip: _write(folder / "picture.png", b"\x89PNG\r\n\x1a\n"),
    "truncated": lambda folder, make_clip: truncated(folder),
    "not readable": lambda folder, make_clip: not_readable(folder),
    "empty folder": lambda folder, make_clip: _folder(folder / "nothing"),
    "folder of other files": lambda folder, make_clip: (
        _write(_folder(folder / "docs") / "a.txt", b"1").parent
    ),
    "mixed sizes": mixed_sizes,
}


def _write(path, data):
    path.write_bytes(data)
    return path


def _folder(path):
    path.mkdir()
    return path


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["upscale", "compare", "quantize"])
def test_a_clip_that_cannot_be_used(finished, make_clip, tmp_path, capsys, case, command):
    clip = CASES[case](tmp_path, make_clip)
    out = tmp_path / "results" / ("out.mp4" if command == "upscale" else "out")
    extra = [] if command == "quantize" else ["--checkpoint", str(finished.checkpoint)]
    arguments = [command, str(clip), "--out", str(out), "--model", str(finished.model), "--quiet", *extra]
    assert cli.main(arguments) == 2
    text = capsys.readouterr()
    assert text.out == ""
    assert len(text.err.splitlines()) == 1
    assert clip.name in text.err
    assert "Traceback" not in text.err
    left = [path for path in out.parent.rglob("*") if path.is_file() and "work" not in path.parts]
    assert left == []


def test_a_clip_cut_short_gives_what_is_there_and_says_so(finished, tmp_path, capsys):
    clip = make_video(tmp_path / "cut.mp4", count=40)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    out = tmp_path / "out.mp4"
    assert cli.main(["upscale", str(clip), "--out", str(out), "--model", str(finished.model)]) == 0
    err = capsys.readouterr().err
    assert "Note: " in err
    assert "cut.mp4" in err
    assert out.exists()


def test_the_clip_itself_as_output(finished, tmp_path, capsys):
    clip = make_video(tmp_path / "a.mp4")
    before = clip.read_bytes()
    arguments = ["upscale", str(clip), "--out", str(clip), "--overwrite", "--model", str(finished.model)]
    assert cli.main([*arguments, "--quiet"]) == 2
    assert "is the clip itself" in capsys.readouterr().err
    assert clip.read_bytes() == before


@pytest.mark.parametrize("codec", ["h264", "png"])
def test_a_disk_that_fills_up_while_writing(finished, tmp_path, capsys, monkeypatch, codec):
    written = []

    def full(self, *details):
        written.append(1)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        return original(self, *details)

    kind = writer.ImageWriter if codec == "png" else writer.SegmentedVideoWriter
    original = kind._write
    monkeypatch.setattr(kind, "_write", full)
    out = tmp_path / "results" / ("out" if codec == "png" else "out.mp4")
    arguments = ["upscale", str(finished.clip), "--out", str(out), "--model", str(finished.model)]
    assert cli.main([*arguments, "--codec", codec, "--quiet"]) == 3
    err = capsys.readouterr().err
    assert str(out.parent) in err
    assert len(err.splitlines()) == 1
    # What is finished waits for more space.
    assert [path.name for path in out.parent.iterdir()] == [f"{out.name}.parts"]
    monkeypatch.setattr(kind, "_write", original)
    assert cli.main([*arguments, "--codec", codec, "--quiet"]) == 0
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_debug_shows_where(finished, tmp_path, capsys):
    assert cli.main(["upscale", str(tmp_path / "none.mp4"), "--debug", "--model", str(finished.model)]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", '{"width": 8}'])
def test_a_damaged_model(tmp_path, finished, capsys, text):
    folder = _folder(tmp_path / "broken")
    (folder / "tiny.json").write_text(text or "{}")
    arguments = ["upscale", str(finished.clip), "--out", str(tmp_path / "o.mp4"), "--model", str(folder)]
    assert cli.main([*arguments, "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "broken" in err
    assert len(err.splitlines()) == 1
