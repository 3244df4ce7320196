import errno
import os
from pathlib import Path

import pytest

from quantvsr.errors import BadInput, DiskFull
from quantvsr.files import (
    atomic_bytes,
    atomic_json,
    atomic_path,
    check_place,
    file_for,
    folder_for,
    is_disk_full,
    make_folder,
    read_json,
)


def test_a_finished_file_appears_under_its_name(tmp_path):
    target = tmp_path / "new" / "clip.mp4"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"done")
        assert not target.exists()
    assert target.read_bytes() == b"done"
    assert [p.name for p in target.parent.iterdir()] == ["clip.mp4"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_removes_a_half_written_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "frames") as temporary:
        temporary.mkdir()
        (temporary / "1.png").write_bytes(b"x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "frames"
    target.mkdir()
    (target / "old.png").write_bytes(b"x")
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new.png").write_bytes(b"y")
    assert [p.name for p in target.iterdir()] == ["new.png"]
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_names_the_folder(tmp_path, error):
    with pytest.raises(DiskFull, match=str(tmp_path)), atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_seen_through_a_wrapped_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as inner:
            raise RuntimeError("writing failed") from inner
    except RuntimeError as error:
        assert is_disk_full(error)
    assert not is_disk_full(OSError(errno.EIO, "broken"))


def test_a_full_disk_while_the_data_is_flushed(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull):
        atomic_bytes(tmp_path / "a.bin", b"123")


def test_a_folder_name_taken_by_a_file(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInput, match="out"):
        make_folder(tmp_path / "out")
    with pytest.raises(BadInput, match="out"):
        atomic_bytes(tmp_path / "out" / "below" / "a.bin", b"1")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match=str(tmp_path)):
        atomic_bytes(tmp_path / "a.bin", b"1")


def test_json_round_trip(tmp_path):
    value = {"name": "ünï", "list": [1, 2.5, None, True]}
    atomic_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    atomic_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        atomic_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b""])
def test_a_damaged_json_file_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"nothing\.json"):
        read_json(tmp_path / "nothing.json")


@pytest.mark.parametrize("name", ["model", "w4a4.v2", "4.5 bits", "Modell ü"])
def test_a_folder_to_write_to_may_have_any_name(tmp_path, name):
    assert folder_for(str(tmp_path / name), "quantize") == tmp_path / name
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "x4.MP4", "a file"])
def test_a_file_is_no_folder_to_write_to(tmp_path, name):
    (tmp_path / "a file").write_text("x")
    with pytest.raises(BadInput, match=f"{name} looks like a file; --out of 'quantize' is a folder"):
        folder_for(str(tmp_path / name), "quantize")


def test_a_file_to_write_to_is_known_by_its_ending(tmp_path):
    assert file_for(tmp_path / "figures.JSON", "measure", ".json") == tmp_path / "figures.JSON"
    (tmp_path / "folder.json").mkdir()
    for name, words in (
        ("clip.mp4", "must end in .json"),
        ("folder.json", "is a folder; --out of 'measure'"),
    ):
        with pytest.raises(BadInput, match=words):
            file_for(tmp_path / name, "measure", ".json")


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "日" * 80 + ".json"])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, name):
    atomic_json(tmp_path / name, 1)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_place_below_a_file_is_no_place(tmp_path):
    check_place(tmp_path / "new" / "newer" / "a.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"file is a file, so .*a\.json cannot be written"):
        check_place(tmp_path / "file" / "below" / "a.json")
