"""A checkpoint with its stamp: every figure follows from the file."""

import json
import math

import pytest

from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file, hash_path
from quantvsr.jobs import DeliverJob, run
from quantvsr.jobs.deliver import DeliverResult
from quantvsr.quant.checkpoint import read_checkpoint_info


def deliver(finished, tmp_path, **changes):
    out = str(tmp_path / "model.safetensors")
    result = run(DeliverJob(checkpoint=str(finished.folder), **{"out": out, **changes}))
    assert isinstance(result, DeliverResult)
    return result


def test_the_stamp_says_what_the_file_is(finished, tmp_path):
    result = deliver(finished, tmp_path, figures=("psnr_fp=34.25",))
    stamp = json.loads(result.stamp.read_text())
    info = read_checkpoint_info(result.out)
    assert result.out.read_bytes() == finished.checkpoint.read_bytes()
    assert stamp["checkpoint_sha256"] == hash_file(result.out)
    assert sum(stamp["bytes"]["parts"].values()) == result.out.stat().st_size == stamp["bytes"]["file"]
    assert {"codes", "scales and zero points", "low-rank branch", "file header"} <= set(
        stamp["bytes"]["parts"]
    )
    weights = sum(math.prod(layer["shape"]) for layer in info.layers.values())
    assert stamp["effective_bits"]["all"] == pytest.approx(8 * info.bytes_file / weights, abs=1e-3)
    assert stamp["effective_bits"]["codes"] < stamp["effective_bits"]["all"]
    assert stamp["bits"] == {"W4A4": len(info.layers)}
    assert stamp["execution"][0]
    assert stamp["clips"] == [{"name": "clip", "sha256": hash_path(finished.clip)}]
    assert stamp["settings"]["seed"] == 42
    assert stamp["measured"] == {"psnr_fp": 34.25}
    assert stamp == result.content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out": "model.bin"}, "safetensors"),
        ({"figures": ("psnr",)}, "NAME=VALUE"),
        ({"figures": ("psnr=nan",)}, "NAME=VALUE"),
        ({"checkpoint": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_delivered_is_said(finished, tmp_path, change, words):
    with pytest.raises(BadInput, match=words):
        run(
            DeliverJob(
                **{"checkpoint": str(finished.folder), "out": str(tmp_path / "a.safetensors"), **change}
            )
        )


def test_nothing_is_replaced_unasked(finished, tmp_path):
    first = deliver(finished, tmp_path)
    with pytest.raises(BadInput, match="exists already"):
        deliver(finished, tmp_path)
    assert deliver(finished, tmp_path, overwrite=True).content == first.content
    with pytest.raises(BadInput, match="itself"):
        run(DeliverJob(checkpoint=str(first.out), out=str(first.out), overwrite=True))
