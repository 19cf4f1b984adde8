"""What every test shares. Threads are set before numpy and torch load: else tests are 15 times slower."""

import os
import shutil
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

import pytest  # noqa: E402

from tests import trap  # noqa: E402

trap.install()
ROOT = Path(__file__).parents[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of several workers (pytest -n), one takes all tests of a file; notebooks it takes one by one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if "test_notebooks.py" in nodeid else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, or GALNB_DATA; skips where it is absent."""
    folder = Path(os.environ.get("GALNB_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GALNB_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a chromium; skips where none is installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    return path


@pytest.fixture(autouse=True)
def nothing_is_unpickled():
    """No test ends well in which galnb unpickled something, even if the error was caught on its way."""
    trap.install_late()
    trap.caught.clear()
    yield
    assert not trap.caught, f"galnb unpickled: {trap.caught}"
