"""Measure how long the desktop app takes from the start of its process to its first painted window.

    python benchmarks/app_start.py [--runs 7]

Each run is a fresh process that opens the bundled project, or a new one with --empty, and closes at once.
Prints the median, best and worst of the time until the window is painted, its processor time, and the modules
that must not be loaded. The bar is 1.5 s (docs/benchmarks.md, section "App").
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

CODE = """
import json, sys, time
from pathlib import Path
from quantvsr_gui.app import make_application, make_window
home, empty = Path(sys.argv[1]), sys.argv[2] == "empty"
app = make_application(["quantvsr-studio"])
window = make_window(app, home / "config", home / "data")
window.show()
app.processEvents()
painted, used = time.time(), time.process_time()
if not empty:
    window.projects.open_first()
    app.processEvents()
heavy = sorted({"torch", "diffusers", "cv2", "av"} & set(sys.modules))
print(json.dumps({"painted": painted, "used": used, "project": time.time(), "heavy": heavy}))
window.close()
"""


def measure(home: str, empty: bool) -> dict[str, float | list[str]]:
    environment = {**os.environ, "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
    command = [sys.executable, "-c", CODE, home, "empty" if empty else "demo"]
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    told = json.loads(done.stdout.splitlines()[-1])
    return {**told, "painted": told["painted"] - began, "project": told["project"] - began}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the start of the app.")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--empty", action="store_true", help="do not open the bundled project")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        # The first run copies the bundled project and warms the file cache; it is shown, not counted.
        first, *runs = (measure(home, arguments.empty) for _ in range(arguments.runs + 1))
    print(f"{'':28}{'median':>8}{'best':>8}{'worst':>8}{'first':>8}")
    rows = [("window painted", "painted"), ("processor time until then", "used")]
    if not arguments.empty:
        rows.append(("project shown", "project"))
    for title, key in rows:
        values = [float(run[key]) for run in runs]  # type: ignore[arg-type]
        figures = (statistics.median(values), min(values), max(values), float(first[key]))  # type: ignore[arg-type]
        print(f"{title:28}" + "".join(f"{value:7.2f}s" for value in figures))
    heavy = sorted({name for run in (first, *runs) for name in run["heavy"]})  # type: ignore[union-attr]
    print(f"heavy modules loaded: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
