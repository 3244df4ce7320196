import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.safe_load import load_pickle, load_safetensors

ZIP = [True, False]


def _value() -> dict[str, Any]:
    base = torch.arange(24, dtype=torch.float32)
    return {
        "state": OrderedDict(a=base.view(4, 6).T, shared=base[3:7], b=torch.tensor(3)),
        "types": [
            torch.ones(3, dtype=t)
            for t in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.bool)
        ],
        "parameter": nn.Parameter(torch.ones(2)),
        "empty": torch.empty(0, 3),
        "plain": (1, -2.5, None, True, "text", b"bytes", 2**70, {"x", "y"}, {1: [2]}),
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
    }


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


@pytest.mark.parametrize("as_zip", ZIP)
def test_what_torch_saves_comes_back(tmp_path: Path, as_zip: bool) -> None:
    file = tmp_path / "x.pth"
    torch.save(_value(), file, _use_new_zipfile_serialization=as_zip)
    found = load_pickle(file)
    assert _same(_value(), found)
    assert isinstance(found["state"], OrderedDict)
    # Views share their data, as they did when saved.
    assert (
        found["state"]["a"].untyped_storage().data_ptr()
        == found["state"]["shared"].untyped_storage().data_ptr()
    )


@pytest.mark.parametrize("as_zip", ZIP)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpy_numbers(tmp_path: Path, as_zip: bool, protocol: int) -> None:
    file = tmp_path / "x.pth"
    value = {"step": np.int64(7), "loss": np.float32(0.5), "on": np.bool_(True)}
    torch.save(value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=as_zip)
    found = load_pickle(file)
    assert found == value and isinstance(found["loss"], np.float32)


def test_state_dict_loads_into_a_model(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.save(model.state_dict(), tmp_path / "x.pth")
    nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).load_state_dict(load_pickle(tmp_path / "x.pth"))


class _Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def _hostile(marker: Path) -> dict[str, tuple[Any, str]]:
    command = f"touch {marker}"
    return {
        "os.system": (_Call(os.system, command), r"posix\.system|nt\.system"),
        "eval": (_Call(eval, f"open({str(marker)!r}, 'w')"), r"builtin(s|__)\.eval"),
        "exec": (_Call(exec, f"open({str(marker)!r}, 'w')"), r"builtin(s|__)\.exec"),
        "open": (_Call(open, str(marker), "w"), r"io\.open"),
        "getattr": (_Call(getattr, "os", "system"), r"builtin(s|__)\.getattr"),
        "import": (_Call(__import__, "os"), r"builtin(s|__)\.__(feature_)?import__"),
        "torch.load": (_Call(torch.load, str(marker)), r"torch\.serialization\.load"),
        "torch.hub": (_Call(torch.hub.load, "a/b", "c"), r"torch\.hub\.load"),
        "module": (nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
        "array": (np.zeros(3), r"_reconstruct"),
        "path": (Path("x"), r"pathlib"),
    }


@pytest.mark.parametrize("as_zip", ZIP)
@pytest.mark.parametrize("kind", sorted(_hostile(Path("x"))))
def test_hostile_files_are_refused_by_name_and_nothing_runs(tmp_path: Path, kind: str, as_zip: bool) -> None:
    marker, file = tmp_path / "ran", tmp_path / "x.pth"
    value, named = _hostile(marker)[kind]
    torch.save({"weights": torch.ones(2), "extra": value}, file, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(BadModel, match=named) as caught:
        load_pickle(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    assert not marker.exists()


def test_a_plain_hostile_pickle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(_Call(os.system, f"touch {tmp_path / 'ran'}")))
    with pytest.raises(BadModel, match="system"):
        load_pickle(file)
    assert not (tmp_path / "ran").exists()


def test_dotted_names_do_not_reach_through_allowed_modules(tmp_path: Path) -> None:
    # Protocol 4 may ask for attributes of attributes.
    attack = b"\x80\x04\x8c\x0bcollections\x8c\x27abc.sys.modules.__getitem__.__self__.get\x93."
    (tmp_path / "x.pkl").write_bytes(attack)
    with pytest.raises(BadModel):
        load_pickle(tmp_path / "x.pkl")


def _zip_of(data: bytes, path: Path, **storages: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", data)
        for key, content in storages.items():
            archive.writestr(f"x/data/{key[1:]}", content)


def _tensor_pickle(offset: int, size: tuple[int, ...], stride: tuple[int, ...], count: int) -> bytes:
    """A pickled tensor with any geometry over a storage `0` of `count` floats."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if obj == "STORAGE" else None

    import io

    stream = io.BytesIO()
    rebuild = torch._utils._rebuild_tensor_v2
    Pickler(stream, 2).dump(_Call(rebuild, "STORAGE", offset, size, stride, False, OrderedDict()))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("offset", "size", "stride", "count"),
    [
        (0, (5,), (1,), 4),
        (2, (3,), (1,), 4),
        (-1, (2,), (1,), 4),
        (0, (2, 2), (1,), 4),
        (0, (2,), (-1,), 4),
        (0, (2,), (1,), 8),
        (0, (2**62,), (1,), 4),
    ],
)
def test_tensors_beyond_their_data_are_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...], count: int
) -> None:
    file = tmp_path / "x.pth"
    _zip_of(_tensor_pickle(offset, size, stride, count), file, s0=b"\0" * 16)
    with pytest.raises(BadModel):
        load_pickle(file)
    _zip_of(_tensor_pickle(1, (3,), (1,), 4), file, s0=b"\0" * 16)
    assert load_pickle(file).shape == (3,)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}))
    with pytest.raises(BadModel, match="compressed"):
        load_pickle(tmp_path / "x.pth")


@pytest.mark.parametrize("as_zip", ZIP)
def test_truncated_files_are_refused(tmp_path: Path, as_zip: bool) -> None:
    file, cut = tmp_path / "x.pth", tmp_path / "cut.pth"
    torch.save({"a": torch.randn(50), "b": "text"}, file, _use_new_zipfile_serialization=as_zip)
    data = file.read_bytes()
    for keep in {0, 1, 10, len(data) // 4, len(data) // 2, len(data) - 300, len(data) - 1}:
        cut.write_bytes(data[: max(keep, 0)])
        with pytest.raises(BadModel, match=r"cut\.pth"):
            load_pickle(cut)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="does not exist"):
        load_pickle(tmp_path / "no.pth")
    with pytest.raises(BadModel, match="is a folder"):
        load_pickle(tmp_path)
    with pytest.raises(BadModel, match="does not exist"):
        load_safetensors(tmp_path / "no.safetensors")


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "x.safetensors"
    save_file({"a": torch.arange(3)}, file, {"k": "v"})
    tensors, metadata = load_safetensors(file)
    assert tensors["a"].tolist() == [0, 1, 2] and metadata == {"k": "v"}
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(BadModel, match="not a complete"):
        load_safetensors(file)
    (tmp_path / "y").write_bytes(b"\xff" * 100)
    with pytest.raises(BadModel, match="not a complete"):
        load_safetensors(tmp_path / "y")
