"""A survey that is quick to encode, and what it takes to stop, kill and compare runs of it."""

import hashlib
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np

from galnb.catalogue import Catalogue
from galnb.encoding import encode
from galnb.images import Images
from galnb.models import PCA
from galnb.sources.base import Source

BANDS, SIZE, ROWS = ("r",), 8, 20
warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)


class Toy(Source):
    """Galaxies all over the sky whose pixels hang on their number; what happens on reading one is told."""

    bands = BANDS

    def __init__(self, n=120, on_read=None, seconds=0.0):
        super().__init__()
        self.id, self.on_read, self.seconds = np.arange(n) + 100, on_read or {}, seconds

    def positions(self):
        rng = np.random.default_rng(1)
        return rng.uniform(0, 360, len(self)), np.degrees(np.arcsin(rng.uniform(-1, 1, len(self))))

    def read_rows(self, rows):
        time.sleep(self.seconds)
        for row in rows:
            if int(row) in self.on_read:
                self.on_read[int(row)]()
        pixels = np.random.default_rng(2).random((len(self), 1, SIZE, SIZE), dtype=np.float32)[rows]
        places = (values[rows] for values in self.positions())
        return Images(pixels, self.id[rows], self.bands, *places, table={"twice": 2.0 * rows})


def model():
    found = PCA(BANDS, SIZE, 3)
    found.components.copy_(found.components.new_tensor(np.eye(3, SIZE**2)))
    return found


def make(path, source=None, workers=0, **options):
    with warnings.catch_warnings():
        if not options.pop("told", False):
            warnings.simplefilter("error", UserWarning)
        options = {"partition_rows": ROWS, "batch": 8, **options}
        return encode(source or Toy(), model(), path, workers=workers, **options)


def tree(path):
    """The sha256 of every file of a folder."""
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def forked(run, *, alone=False):
    """The id of a child process that does `run`; it ends with 0, or 1 after an exception."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if alone:
            os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
        code = 0
    except KeyboardInterrupt:
        code = 2
    finally:
        os._exit(code)


def ended(child):
    """The exit code of a child process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(seconds, run):
    """The exit code of a child that does `run`, killed after so many seconds; 0 if it was done by then."""
    child = forked(run)
    time.sleep(seconds)
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    code = ended(child)
    assert code in (0, -signal.SIGKILL), code
    return code


def children_of(process):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(stat.parent.name))
    return found


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def assert_same(path, whole):
    assert tree(path) == whole
    catalogue = Catalogue(path)
    assert catalogue.check() == [] and sorted(catalogue.id[:]) == list(range(100, 220))
    beside = {file.name for file in path.parent.iterdir() if file.name.startswith(f".{path.name}")}
    assert not beside
