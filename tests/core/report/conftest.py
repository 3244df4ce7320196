"""Small results folders of every kind."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from quantvsr.calibration.table import ComplexityTable
from quantvsr.metrics import metrics

LAYERS = ("down.0.conv1", "down.0.temporal.conv", "middle.attention.to_q", "up.0.conv1")
RANKS = (4, 8, 16, 12)
DIGEST = "0123456789abcdef" * 4


def write_picture(path, seed, height=24, width=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path)
    return picture


def write_model(folder, checkpoint=True):
    """What `quantize` leaves: ranks, complexity, losses, a checkpoint's header."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    values = {name: (rng.uniform(0.2, 2, 3), rng.uniform(0.1, 1, 3)) for name in LAYERS}
    ComplexityTable.from_layers(values).save(folder / "complexity.npz")
    thresholds = {"spatial_low": 0.4, "spatial_high": 1.2, "temporal_low": 0.3, "temporal_high": 0.7}
    ranks = {name: {"rank": rank} for name, rank in zip(LAYERS, RANKS, strict=True)}
    (folder / "ranks.json").write_text(
        json.dumps({"layers": ranks, "thresholds": thresholds, "bits": "W4A4"})
    )
    stages = [
        {"name": "low-rank", "losses": [0.5, 0.25, None, 0.2], "held_out": [[0, 0.5], [4, 0.2]]},
        {"name": "bias", "losses": [0.19, 0.18], "held_out": []},
    ]
    (folder / "refinement.json").write_text(json.dumps({"stages": stages}))
    if checkpoint:
        meta = {
            "program": "0.1.0", "model": "bundled", "bits": "W4A4", "method": "quantvsr", "preset": "quick",
            "seed": 42, "clips": [{"name": "walk.mkv", "sha256": DIGEST}],
        }  # fmt: skip
        header = {"quantvsr": json.dumps({"meta": meta, "source_hash": DIGEST})}
        save_file({"x": np.zeros(10, np.float32)}, folder / "checkpoint.safetensors", metadata=header)
        (folder / "work").mkdir()
        figures = {"bytes_fp32": 4000, "effective_bits": 4.99, "layers": 4}
        (folder / "work" / "quantize.stage.json").write_text(
            json.dumps({"figures": figures, "seconds": 130.5})
        )
    return folder


@pytest.fixture(name="write_model")
def write_model_fixture():
    return write_model


@pytest.fixture
def model_folder(tmp_path):
    return write_model(tmp_path / "my-model")


@pytest.fixture
def comparison_folder(tmp_path):
    """What `demo` leaves, with tiny pictures."""
    folder = write_model(tmp_path / "demo")
    for number in range(5):
        for kind, size in (("lq", (30, 40)), ("gt", (120, 160)), ("fp", (120, 160)), ("lowbit", (120, 160))):
            seed = 10 * number + len(kind)
            write_picture(folder / "frames" / kind / f"frame_{number + 1:06}.png", seed, *size)
    content = {
        "format": 1, "program": "0.1.0", "versions": ["fp", "lowbit"], "clip": "walk.mkv", "bits": "W4A4",
        "psnr_gt_fp": 29.0, "psnr_gt_lowbit": 28.5, "psnr_gt_minmax": None, "psnr_fp_lowbit": 39.2,
        "psnr_gt_bicubic": 25.4, "psnr_fp_bicubic": 27.9, "psnr_y_gt_fp": 30.4, "psnr_y_gt_lowbit": 29.9,
        "ssim_gt_fp": 0.895, "ssim_gt_lowbit": 0.879, "ssim_fp_lowbit": 0.982, "warp_error_fp": 0.151,
        "warp_error_lowbit": 0.251, "warp_error_gt": 0.17, "warp_error_bicubic": 0.067, "frames": 5,
        "width": 160, "height": 120, "bytes_fp32": 44184192, "bytes_lowbit": 6939972, "reduction": 0.84293,
        "execution": "simulated", "device": "cpu", "seconds_total": 214.6,
        "seconds": {"quantize": 132.0, "upscale_fp": 15.6, "upscale_lowbit": 24.8, "measure": 1.1},
        "checkpoint_sha256": DIGEST, "command": "quantvsr demo --out demo --seed 42",
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def entry(method, bits, clips, mean, **changes):
    cell = "fp" if method == "fp" else f"{method}-{bits}-0000000000"
    return {
        "method": method, "bits": bits, "cell": cell, "folder": bits and f"models/{cell}", "status": "done",
        "error": None, "layers": 4, "bytes_fp32": 4000, "bytes_lowbit": 600 if bits else None,
        "effective_bits": 4.8 if bits else None, "checkpoint_sha256": DIGEST if bits else None,
        "seconds": {"upscale": 3.0, **({"quantize": 60.0} if bits else {})},
        "clips": {
            name: {"status": "done", "error": None, "figures": figures, "pictures": {}}
            for name, figures in clips.items()
        },
        "mean": mean, **changes,
    }  # fmt: skip


@pytest.fixture
def sweep_content():
    """results.json of a small sweep: two clips, three methods, one number of bits, one more not reached."""

    def clips(psnr, ssim, warp):
        return {
            "walk": {"psnr_gt": psnr - 10, "psnr_fp": psnr, "ssim_fp": ssim, "warp_error": warp},
            "tram": {"psnr_fp": psnr + 1, "ssim_fp": ssim, "warp_error": warp},
        }

    def mean(psnr, ssim, warp):
        return {"psnr_gt": psnr - 10, "psnr_fp": psnr + 0.5, "ssim_fp": ssim, "warp_error": warp}

    low, middle, best = (28.0, 0.8, 1.5), (33.0, 0.9, 0.6), (39.0, 0.98, 0.25)
    about = {
        "summary": "It does something.",
        "source": "A paper, 2024.",
        "simplified": "",
        "family": "method",
    }
    listed = {
        "maxmin": {**about, "title": "MaxMin"},
        "svdquant": {**about, "title": "SVDQuant", "simplified": "No fused kernels."},
        "quantvsr": {**about, "title": "QuantVSR"},
        "quantvsr+no-bias": {**about, "title": "QuantVSR, no bias", "family": "ablation"},
    }
    full = {
        name: {
            k: v
            for k, v in {"psnr_gt": 29.0, "warp_error": 0.15}.items()
            if name == "walk" or k == "warp_error"
        }
        for name in ("walk", "tram")
    }
    return {
        "format": "quantvsr-results", "version": 1, "program": "0.1.0", "command": "quantvsr sweep --bits 4",
        "settings": {"settings": {"preset": "quick", "bits": ["W4A4"], "seed": 42, "model": None}},
        "settings_hash": DIGEST, "model": {"name": "compact", "reference": "bundled", "sha256": DIGEST},
        "machine": {
            "device": "cpu", "device_name": "x86_64", "execution": "simulated",
            "versions": {"torch": "2.13.0"},
        },
        "metrics": {name: metrics()[name].to_json() for name in ("psnr", "ssim", "warp_error")},
        "learned_from": [{"name": "market.mkv", "sha256": DIGEST}],
        "left_out": [{"clip": "bad.mp4", "error": "bad.mp4 is no video."}],
        "clips": [
            {
                "id": name, "name": f"{name}.mkv", "sha256": DIGEST, "frames": 5, "width": 160, "height": 120,
                "has_gt": name == "walk", "learned": False,
                "region": {"frame": 2, "y": 10, "x": 20, "height": 24, "width": 32}, "row": 22,
                "figures": {"bicubic": {"psnr_fp": 27.0}}, "pictures": {},
            }
            for name in ("walk", "tram")
        ],
        "methods": listed,
        "entries": [
            entry("fp", None, full, {"psnr_gt": 29.0, "warp_error": 0.15}),
            entry("maxmin", "W4A4", clips(*low), mean(*low)),
            entry("svdquant", "W4A4", clips(*middle), mean(*middle)),
            entry("quantvsr", "W4A4", clips(*best), mean(*best)),
            entry("quantvsr+no-bias", "W4A4", clips(*middle), mean(*middle)),
            entry("maxmin", "W3A4", {}, {}, status="failed", error="It does not fit <conv3d>."),
            entry("svdquant", "W3A4", {}, {}, status="missing"),
        ],
    }  # fmt: skip


@pytest.fixture
def sweep_folder(tmp_path, sweep_content):
    """A sweep's folder with pictures of one clip."""
    folder = tmp_path / "sweep"
    number = 0
    clip = sweep_content["clips"][0]
    for name in ("lq", "gt", "bicubic", "fp"):
        clip["pictures"][name] = {
            kind: f"scenes/walk/pictures/{name}_{kind}.png" for kind in ("crop", "xt", "thumb")
        }
    places = [files for files in clip["pictures"].values()]
    for each in sweep_content["entries"][1:5]:
        files = {kind: f"cells/{each['cell']}/walk/{kind}.png" for kind in ("crop", "xt", "thumb")}
        each["clips"]["walk"]["pictures"] = files
        places.append(files)
    for files in places:
        for path in files.values():
            write_picture(folder / path, number := number + 1)
    write_model(folder / "models" / "quantvsr-W4A4-0000000000", checkpoint=False)
    (folder / "results.json").write_text(json.dumps(sweep_content))
    return folder
