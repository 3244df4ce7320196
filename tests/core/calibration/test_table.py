import numpy as np
import pytest

from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput


def small() -> ComplexityTable:
    return ComplexityTable.from_layers(
        {"a": ([1.0, 3.0], [0.0, np.nan]), "b": ([2.0], [5.0])},
        samples={"a": [0, 4], "b": [4]},
        scales={"a": [1.0, 2.0], "b": [3.0]},
        bounds={"a": ([-1.0, -2.0], [1.0, 2.0]), "b": ([-3.0], [3.0])},
        times=[0.0, 0.25, 0.5, 0.75, 1.0],
    )


def test_values_are_found_by_layer():
    table = small()
    assert len(table) == 2
    assert table.counts.tolist() == [2, 1]
    assert table.owner.tolist() == [0, 0, 1]
    assert table.layer("b")[1].tolist() == [5.0]
    with pytest.raises(KeyError):
        table.layer("c")


def test_means_leave_out_what_is_no_number():
    spatial, temporal = small().means()
    assert spatial.tolist() == [2.0, 2.0]
    assert temporal.tolist() == [0.0, 5.0]
    _, empty = ComplexityTable.from_layers({"a": ([1.0], [np.nan])}).means()
    assert np.isnan(empty).all()


def test_file_keeps_everything(tmp_path):
    table = small()
    table.save(tmp_path / "complexity.npz")
    back = ComplexityTable.load(tmp_path / "complexity.npz")
    assert back.names == table.names
    for part in ("offsets", "spatial", "temporal", "sample", "scale", "low", "high", "times"):
        np.testing.assert_array_equal(getattr(back, part), getattr(table, part))
    assert [p.name for p in tmp_path.iterdir()] == ["complexity.npz"]


def test_unusable_files_are_named(tmp_path):
    path = tmp_path / "complexity.npz"
    with pytest.raises(BadInput, match=r"complexity\.npz does not exist"):
        ComplexityTable.load(path)
    small().save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"complexity\.npz is not a readable"):
        ComplexityTable.load(path)
    np.savez(path, version=99)
    with pytest.raises(BadInput, match="version 99"):
        ComplexityTable.load(path)


def test_parts_must_match():
    with pytest.raises(ValueError, match="differ in number"):
        ComplexityTable.from_layers({"a": ([1.0], [1.0, 2.0])})
    with pytest.raises(ValueError, match="matching lengths"):
        ComplexityTable.from_layers({"a": ([1.0], [1.0])}, samples={"a": [0, 1]})
