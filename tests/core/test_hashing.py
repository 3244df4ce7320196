import hashlib

import pytest
import torch

from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file, hash_json, hash_path, hash_state_dict


def test_a_file_has_its_plain_sha256(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(data)
    assert hash_file(tmp_path / "a") == hash_path(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"nothing\.mp4"):
        hash_path(tmp_path / "nothing.mp4")


def _folder(place, files):
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return hash_path(place)


def test_a_folder_hash_knows_names_contents_and_borders(tmp_path):
    first = _folder(tmp_path / "1", {"a": b"12", "b": b"3"})
    assert _folder(tmp_path / "2", {"b": b"3", "a": b"12", ".hidden": b"x"}) == first
    others = [{"a": b"1", "b": b"23"}, {"a": b"12", "c": b"3"}, {"a": b"12"}, {"a": b"12", "b": b"4"}]
    hashes = {_folder(tmp_path / f"other{i}", files) for i, files in enumerate(others)}
    assert len(hashes | {first}) == 5


def test_the_order_of_keys_does_not_matter():
    assert hash_json({"a": 1, "b": [2]}) == hash_json({"b": [2], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": "1"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_a_state_hash_sees_every_value(dtype):
    state = {"a": torch.zeros(2, 3, dtype=dtype), "b": torch.ones((), dtype=dtype)}
    same = {"b": torch.ones((), dtype=dtype), "a": torch.zeros(3, 2, dtype=dtype).T}
    assert hash_state_dict(state) == hash_state_dict(same)
    changed = {"a": state["a"].clone(), "b": state["b"]}
    changed["a"][1, 2] = 1
    assert hash_state_dict(changed) != hash_state_dict(state)
    assert hash_state_dict({"a": state["a"].reshape(3, 2), "b": state["b"]}) != hash_state_dict(state)
