"""The rules that docs/architecture.md gives: what may know what, and what may be installed."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from folders import REPOSITORY

ENGINE = REPOSITORY / "core" / "quantvsr"
APP = REPOSITORY / "quantvsr_gui"
QT = {"PySide6", "PySide2", "PyQt5", "PyQt6", "shiboken6", "qtpy", "pyqtgraph", "quantvsr_gui"}
HEAVY = {"torch", "diffusers", "transformers", "cv2", "av", "matplotlib", "scipy", "numba", "llvmlite"}
TESTS_ONLY = {"pytest", "hypothesis", "skimage", "scipy"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, with its full dotted name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no Python files in {folder}"
    return found


def breaches(folder: Path, forbidden: set[str]) -> dict[str, set[str]]:
    """Files of a folder that import something forbidden, and what."""
    found = {path.relative_to(folder).as_posix(): roots(imported(path)) & forbidden for path in files(folder)}
    return {name: modules for name, modules in found.items() if modules}


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after some code."""
    code += "\nimport sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_engine_imports_no_qt_and_no_test_tools() -> None:
    assert not breaches(ENGINE, QT | TESTS_ONLY)


def test_the_app_imports_nothing_heavy() -> None:
    assert not breaches(APP, HEAVY)


def test_an_import_inside_a_function_is_seen_too(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text("def f():\n    from PySide6.QtCore import QObject\n")
    assert breaches(tmp_path, QT) == {"late.py": {"PySide6"}}


def test_the_whole_app_loads_no_torch_not_even_indirectly() -> None:
    names = [path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".") for path in files(APP)]
    names = [name.removesuffix(".__init__") for name in names]
    loaded = modules_after("\n".join(f"import {name}" for name in names))
    assert "PySide6" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "import quantvsr",
        "import quantvsr.jobs",
        "import quantvsr.child",
        "from quantvsr.cli import build_parser; build_parser()",
    ],
)
def test_what_the_app_and_the_command_line_start_with_is_light(code: str) -> None:
    assert not modules_after(code) & (HEAVY | QT | {"numpy"})


@pytest.mark.parametrize("name", ["ranks", "cost"])
def test_ranks_and_cost_are_numpy_only(name: str) -> None:
    loaded = modules_after(f"import quantvsr.calibration.{name}")
    assert "numpy" in loaded
    assert not loaded & (HEAVY | QT)


def test_only_the_safe_loader_unpickles() -> None:
    unpicklers = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve"}
    assert set(breaches(ENGINE, unpicklers)) <= {"models/safe_load.py"}
    for path in files(ENGINE):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert "torch.load" not in called, path


def test_opencv_brings_no_qt_of_its_own() -> None:
    # opencv-python bundles Qt plugins and points Qt to them; the headless variant does not.
    spec = importlib.util.find_spec("cv2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    assert not (Path(spec.submodule_search_locations[0]) / "qt").exists()


def test_pyside_stays_below_the_version_that_aborts() -> None:
    version = importlib.metadata.version("PySide6-Essentials")
    assert tuple(map(int, version.split(".")[:2])) < (6, 12)


def test_every_declared_dependency_is_pinned() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    declared = {re.split(r"[<>=!~;\[ ]", line)[0] for line in lines}
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert {normal(name) for name in declared} <= {normal(pin.partition("==")[0]) for pin in pins}


def test_every_import_of_the_program_is_a_declared_dependency() -> None:
    declared = {"torch", "diffusers", "numpy", "cv2", "av", "safetensors", "rich", "PIL", "matplotlib"}
    declared |= {"PySide6", "pyqtgraph", "quantvsr", "quantvsr_gui"}
    for path in [*files(ENGINE), *files(APP), REPOSITORY / "main.py"]:
        # Triton comes with torch's CUDA wheels, llvmlite with numba; what needs them is left out without.
        optional = {"triton", "numba", "llvmlite"} if path.is_relative_to(ENGINE / "runtime") else set()
        foreign = roots(imported(path)) - set(sys.stdlib_module_names) - declared - optional
        assert not foreign, f"{path} imports {foreign}"
