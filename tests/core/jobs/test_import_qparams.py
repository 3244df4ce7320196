import pytest
import torch

from quantvsr.errors import BadModel
from quantvsr.hashing import hash_file
from quantvsr.jobs import run
from quantvsr.jobs.import_qparams import ImportQparamsJob
from quantvsr.jobs.options import Bits
from quantvsr.models.registry import open_model
from quantvsr.quant.checkpoint import load_checkpoint, read_checkpoint_info
from quantvsr.quant.config import reference
from quantvsr.quant.qparams import apply_qparams, export_qparams, read_qparams
from quantvsr.quant.surgery import quantize_model


def window(adapter):
    generator = torch.Generator().manual_seed(0)
    lq, noise = torch.rand(5, 3, 8, 8, generator=generator), torch.randn(4, 8, 8, generator=generator)
    return lambda: adapter.upscale_window(lq, noise, 1)


def published(model, path, bits=4, dtype=torch.float32, **switches):
    """A parameter file, and what the model with these parameters answers."""
    adapter = open_model(model)
    layers = quantize_model(
        adapter.denoiser, reference(bits, bits).replace(**switches), 3, adapter.default_exclude, seed=1
    )
    layers.set_mode("train")
    window(adapter)()
    params = export_qparams(adapter.denoiser)
    for entry in params.values():
        for key in entry:
            if ".x_m" in key:
                entry[key] = entry[key].to(dtype)
        entry["lba.lba"] += 0.01
    torch.save(params, path)
    fresh = open_model(model)
    layers = quantize_model(
        fresh.denoiser, reference(bits, bits).replace(**switches), 3, fresh.default_exclude, seed=2
    )
    apply_qparams(fresh.denoiser, read_qparams(path))
    layers.set_mode("frozen")
    return window(fresh)()


@pytest.mark.parametrize(
    ("dtype", "switches"),
    [
        (torch.float32, {}),
        (torch.bfloat16, {}),
        (torch.float32, {"parts": 1}),
        (torch.float32, {"rotation": "none"}),
        (torch.float32, {"weight_granularity": "tensor"}),
    ],
)
def test_the_checkpoint_answers_as_the_file(model, tmp_path, dtype, switches):
    file = tmp_path / "w4a4.pth"
    expected = published(model, file, dtype=dtype, **switches)
    result = run(ImportQparamsJob(file=str(file), model=str(model), out=str(tmp_path / "q")))
    assert result.layers == 3
    assert result.checkpoint == tmp_path / "q" / "checkpoint.safetensors"
    meta = read_checkpoint_info(result.checkpoint).meta
    assert meta["imported"] == {"name": "w4a4.pth", "sha256": hash_file(file)}
    adapter = open_model(model)
    full = window(adapter)()
    load_checkpoint(result.checkpoint, adapter.denoiser)
    assert torch.allclose(window(adapter)(), expected, atol=1e-6)
    assert not torch.allclose(full, expected, atol=1e-3)


def test_the_bits_are_what_the_user_says(model, tmp_path):
    file = tmp_path / "w6a6.pth"
    expected = published(model, file, bits=6)
    run(ImportQparamsJob(file=str(file), model=str(model), out=str(tmp_path / "q"), bits=Bits(6, 6)))
    adapter = open_model(model)
    load_checkpoint(tmp_path / "q" / "checkpoint.safetensors", adapter.denoiser)
    assert torch.allclose(window(adapter)(), expected, atol=1e-6)


def test_files_that_do_not_fit_are_refused(model, make_model, tmp_path):
    file, out = tmp_path / "w4a4.pth", str(tmp_path / "q")
    published(model, file)

    def fails(message, **changes):
        with pytest.raises(BadModel, match=message):
            run(ImportQparamsJob(**{"file": str(file), "model": str(model), "out": out, **changes}))

    fails("another shape", model=str(make_model("wide", width=16)))
    params = read_qparams(file)
    torch.save({**params, "model.other": params["model.mlp"]}, tmp_path / "more.pth")
    fails("more.pth has a layer other that", file=str(tmp_path / "more.pth"))
    torch.save({k: v for k, v in params.items() if k != "model.mlp"}, tmp_path / "less.pth")
    fails("no entry for layer mlp", file=str(tmp_path / "less.pth"))
    torch.save({k: {"x": v["stca.L1"]} for k, v in params.items()}, tmp_path / "odd.pth")
    fails(r"no wq.x_min in its first layer", file=str(tmp_path / "odd.pth"))
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")
    fails("something else than layers", file=str(tmp_path / "weights.pth"))
    fails("does not exist", file=str(tmp_path / "none.pth"))
    assert not (tmp_path / "q").exists()
