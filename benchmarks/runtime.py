"""How fast low-bit layers run here: `python benchmarks/runtime.py [--quick] [--json FILE] [--parts NAME...]`.

Parts, all on the processor: `limits` (rates of the machine), `layers` (those of the bundled model), `step`
(its whole denoiser), `network` (layers of the full-size MGLD-VSR denoiser), `disk` (bytes of checkpoints),
`clip` (a bundled clip from file to file, each way in a process of its own, with its peak memory), `pictures`
(how far the pictures of different ways of execution are apart). Contenders of a part run by turns; a time is
the median over rounds, a ratio that of the rounds' ratios. Speeds do not depend on the values of weights:
quantized ones are made without training (except those of `clip`).

On a machine with a GPU, `benchmarks/runtime_cuda.py` measures its layers.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch
from runtime_layers import network
from runtime_model import Bundled, clip, layers, pictures, sizes, step
from runtime_timing import Clock, limits

from quantvsr.jobs.work.machine import _cpu_features, _cpu_name
from quantvsr.quant.checkpoint import read_checkpoint_info

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ROOT.parent / "shared" / "golden" / "mgld" / "full_size_cost.json"
CHECKPOINT = (
    ROOT / "resources" / "projects" / "demo.qvsr" / "checkpoints" / "w4a4-1" / "checkpoint.safetensors"
)
PARTS = ["limits", "layers", "step", "network", "disk", "clip"]


def machine(threads: int) -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "processor": _cpu_name(),
        "features": _cpu_features(),
        "cores": os.cpu_count(),
        "threads": threads,
        "clock": "processor time of one thread" if Clock.read is time.thread_time else "wall",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "command": " ".join(["python", *sys.argv]),
    }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Speed of low-bit layers on this machine's processor.")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, fewer rounds and shapes")
    parser.add_argument("--parts", nargs="+", choices=[*PARTS, "pictures"], default=PARTS)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--size", type=int, help="edge of the bundled model's input, LQ pixels")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--checkpoint", type=Path, default=CHECKPOINT, help="of the bundled model, which also says the ranks"
    )
    parser.add_argument("--shapes", type=Path, default=SHAPES)
    parser.add_argument(
        "--processor-time", action="store_true", help="of one thread, for machines that others use as well"
    )
    parser.add_argument("--share", type=float, help="of the network's work, 0 to 1; the largest shapes")
    parser.add_argument("--compile", action="store_true", help="bf16 with torch.compile as well")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    given = parser.parse_args()
    if given.processor_time:
        Clock.processor()
        given.threads = 1
    torch.set_num_threads(given.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    rounds = given.rounds or (2 if given.quick else 9)
    ranks = {name: layer["rank"] for name, layer in read_checkpoint_info(given.checkpoint).layers.items()}
    bundled = Bundled(given.size or (32 if given.quick else 96), ranks)
    results: dict[str, Any] = {"machine": machine(given.threads)}
    print(json.dumps(results["machine"]))
    print("| what | how | median ms | least ms | times as fast | reached |\n|---|---|---|---|---|---|")
    if "limits" in given.parts:
        results["limits"] = limits(rounds)
    limit = results["limits"]["int8"] if "limits" in results else None
    if "layers" in given.parts:
        results["layers"] = layers(bundled, given.bits, 1 if given.quick else rounds, limit)
    if "step" in given.parts:
        results["step"] = step(bundled, given.bits, rounds, given.compile, limit)
    if "network" in given.parts and given.shapes.exists():
        share = given.share or (0.06 if given.quick else 1.0)
        results["network"] = network(given.shapes, given.bits, 1 if given.quick else rounds, limit, share)
    if "disk" in given.parts:
        results["disk"] = sizes(given.bits, bundled, given.checkpoint)
    if "clip" in given.parts:
        results["clip"] = clip(
            given.checkpoint, 5 if given.quick else 17, 96, given.rounds or 1, not given.quick
        )
    if "pictures" in given.parts:
        results["pictures"] = pictures(given.checkpoint, given.size or 48)
    results["load_after"] = os.getloadavg() if hasattr(os, "getloadavg") else None
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
