"""Make a stand-alone app in dist/ and try it: `make package`.

The result runs on this kind of system and processor only. Most of its size is torch's: with torch's CPU build
the app is much smaller than with the CUDA build.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "dist" / "QuantVSR Studio"


def run(*command: str, **environment: str) -> None:
    """Run a command from the repository's root; stop when it fails."""
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)


def main() -> None:
    """Install PyInstaller, build, and start both programs once."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q")
    run(*pip, "-c", "constraints.txt", "pyinstaller")
    pyinstaller = (sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN")
    run(*pyinstaller, "--distpath=dist", "--workpath=dist/.work", "build/quantvsr-studio.spec")
    suffix = ".exe" if sys.platform == "win32" else ""
    run(str(FOLDER / f"quantvsr{suffix}"), "info")
    run(str(FOLDER / f"quantvsr-studio{suffix}"), "--check", QT_QPA_PLATFORM="offscreen")
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{FOLDER}: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
