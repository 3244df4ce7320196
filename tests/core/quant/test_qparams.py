from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from quantvsr.errors import BadInput, BadModel
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.qparams import apply_qparams, export_qparams, read_qparams, write_qparams
from quantvsr.quant.surgery import LayerMap, quantize_model


def _model(config: LayerQuantConfig | None = None, rank: int = 3) -> tuple[nn.Module, LayerMap]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(6, 4, 1, bias=False))
    layers = quantize_model(model, config or reference(), rank)
    for layer in layers.values():
        layer.initialise()
    return model, layers


@pytest.mark.parametrize(
    "config",
    [
        reference(),
        reference().replace(parts=1),
        reference().replace(rotation="none"),
        reference().replace(weight_granularity="tensor"),
        reference().replace(bias_alignment=False),
    ],
)
def test_round_trip_gives_the_same_outputs(tmp_path: Path, config: LayerQuantConfig) -> None:
    model, layers = _model(config)
    with torch.no_grad():
        for layer in layers.values():
            for parameter in (*layer.branch_parameters(), *layer.bias_parameters()):
                parameter.add_(0.01)
    write_qparams(tmp_path / "q.pth", model)
    other, others = _model(config)
    apply_qparams(other, read_qparams(tmp_path / "q.pth"))
    for each in (layers, others):
        each.set_mode("frozen")
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


def test_the_keys_are_those_of_the_specification() -> None:
    model, _ = _model()
    entry = export_qparams(model)["model.0"]
    assert {key: (tuple(v.shape), v.dtype) for key, v in entry.items()} == {
        "wq.x_min": ((6, 1, 1, 1), torch.float32),
        "wq.x_max": ((6, 1, 1, 1), torch.float32),
        "stca.L1": ((6, 3), torch.float32),
        "stca.L2": ((3, 72), torch.float32),
        "stca._rank": ((), torch.int64),
        "rot.rot_mat": ((4, 4), torch.float32),
        "lba.lba": ((1, 6, 1, 1), torch.float32),
        "wq1.x_min": ((6, 1, 1, 1), torch.float32),
        "wq1.x_max": ((6, 1, 1, 1), torch.float32),
        "rot1.rot_mat": ((4, 4), torch.float32),
    }


def test_ranges_keep_their_type() -> None:
    model, layers = _model()
    params = export_qparams(model)
    params["model.0"]["wq.x_min"] = params["model.0"]["wq.x_min"].bfloat16()
    params["model.0"]["wq.x_max"] = params["model.0"]["wq.x_max"].bfloat16()
    apply_qparams(model, params)
    assert layers["0"].range_min[0].dtype == torch.bfloat16
    layers["0"].mode = "frozen"
    steps = (layers["0"].range_max[0] - layers["0"].range_min[0]) / 15
    torch.testing.assert_close(layers["0"].scales()[0], steps.detach().float(), rtol=0, atol=0)


def test_a_rank_above_the_factors_loads() -> None:
    model, layers = _model(rank=100)
    assert layers["1"].rank == 100 and layers["1"].L1.shape == (4, 4)
    params = export_qparams(model)
    other, others = _model(rank=1)
    apply_qparams(other, params)
    assert others["1"].rank == 100 and others["1"].L1.shape == (4, 4)


def test_missing_and_unknown_layers() -> None:
    model, _ = _model()
    params = export_qparams(model)
    del params["model.1"]
    with pytest.raises(BadModel, match="no entry for layer 1"):
        apply_qparams(model, params)
    assert apply_qparams(model, params, strict=False) == ["1"]
    params = export_qparams(model) | {"model.7": OrderedDict()}
    with pytest.raises(BadModel, match=r"model\.7"):
        apply_qparams(model, params)


SPOILED: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"stca.L2": None}, r"has no stca\.L2"),
    "factors": ({"stca.L1": torch.zeros(5, 3)}, "factors of another shape"),
    "ranges": ({"wq.x_min": torch.zeros(6, 1)}, "ranges of another shape"),
    "matrix": ({"rot.rot_mat": torch.zeros(4, 4)}, "not of the known form"),
    "size": ({"rot.rot_mat": torch.eye(3)}, "another rotation"),
    "no rotation": ({"rot.rot_mat": torch.empty(0, 0)}, "another rotation"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_entries_that_do_not_fit_are_named(kind: str) -> None:
    model, _ = _model()
    params = export_qparams(model)
    changes, words = SPOILED[kind]
    for key, value in changes.items():
        if value is None:
            del params["model.0"][key]
        else:
            params["model.0"][key] = value
    with pytest.raises(BadModel, match=words):
        apply_qparams(model, params)


def test_the_channel_split_must_agree() -> None:
    two, _ = _model()
    one, _ = _model(reference().replace(parts=1))
    with pytest.raises(BadModel, match="two parts"):
        apply_qparams(one, export_qparams(two))
    with pytest.raises(BadModel, match=r"no wq1\.x_min"):
        apply_qparams(two, export_qparams(one))


def test_other_files_are_refused(tmp_path: Path) -> None:
    for value in ({}, [1], {"a": 1}, {"a": {"b": 2}}, {1: {"b": torch.ones(1)}}):
        torch.save(value, tmp_path / "x.pth")
        with pytest.raises(BadModel, match="parameter file"):
            read_qparams(tmp_path / "x.pth")


def test_block_rotations_do_not_fit_the_format() -> None:
    model, _ = _model(default())
    with pytest.raises(BadInput, match="block rotation"):
        export_qparams(model)
