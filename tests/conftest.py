"""Settings and fixtures for the whole suite."""

import os

# Before anything imports torch, Qt, matplotlib or the hub client: they read these once, at import.
# One thread per process: the results do not depend on the machine, and parallel runs do not fight for cores.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from pathlib import Path

import pytest
from hypothesis import settings

from folders import REPOSITORY, golden_folders, golden_mgld_folders
from folders import media_folder as find_media_folder

# No deadline (a busy machine is no failure) and the same examples in every run.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for `golden_folder` or `golden_mgld_folder` once per folder."""
    for argument, find in (("golden_folder", golden_folders), ("golden_mgld_folder", golden_mgld_folders)):
        if argument in metafunc.fixturenames:
            # The list position is part of the name: two folders may share theirs.
            found = [pytest.param(folder, id=f"{i}-{folder.name}") for i, folder in enumerate(find())]
            skip = pytest.param(None, marks=pytest.mark.skip(reason="no golden folder on this machine"))
            metafunc.parametrize(argument, found or [skip])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def media_folder() -> Path:
    """The folder with real clips; the test is skipped where there is none."""
    folder = find_media_folder()
    if folder is None:
        pytest.skip("no media folder on this machine (set QUANTVSR_MEDIA)")
    return folder
