"""The example of docs/adapters.md through `quantize` and `upscale`."""

from core.models.test_own import mine
from quantvsr.jobs import QuantizeJob, UpscaleJob, run
from quantvsr.quant.checkpoint import read_checkpoint_info

__all__ = ["mine"]


def test_the_example_is_quantized_and_runs(mine, clip, tmp_path):
    out = tmp_path / "q"
    done = run(QuantizeJob(clips=(str(clip),), out=str(out), model=str(mine), device="cpu"))
    assert done.layers == 2
    assert len(read_checkpoint_info(done.checkpoint).meta["model_sha256"]) == 64
    job = UpscaleJob(
        clip=str(clip), out=str(tmp_path / "o.mp4"), model=str(mine), checkpoint=str(out), device="cpu"
    )
    result = run(job)
    assert (result.frames, result.width, result.precision) == (6, 64, "W4A4")
