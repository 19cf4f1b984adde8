"""A catalogue that never gives all of a column at once, as one on disk must not be asked to."""

import numpy as np
from astropy.table import Table

from galnb.latents import Latents


class Locked:
    """Ids that may only be asked for some rows at a time."""

    def __init__(self, ids):
        self.ids, self.dtype, self.read = ids, ids.dtype, 0

    def __len__(self):
        return len(self.ids)

    def __array__(self, *_, **__):
        raise AssertionError("all ids were asked for")

    def __getitem__(self, rows):
        self.read += np.size(rows)
        assert np.size(rows) <= 1 << 16
        return self.ids[rows]


class LockedTable:
    """Columns of which the same is true."""

    def __init__(self, table):
        self.colnames = table.colnames
        self.columns = {name: LockedColumn(table[name]) for name in table.colnames}

    def __getitem__(self, name):
        return self.columns[name]


class LockedColumn(Locked):
    unit, ndim = None, 1


class Catalogue:
    """What a session needs of a catalogue on disk."""

    def __init__(self, n=20_000, first=1000):
        z = np.random.default_rng(1).normal(size=(n, 3)).astype("f4")
        self._latents = Latents(np.arange(n) + first, z, Table({"v": np.arange(n) / n}))
        self._latents.table["kind"] = np.where(z[:, 1] > 0, "up", "down")
        self.id, self.z = Locked(self._latents.id), z
        self.table = LockedTable(self._latents.table)
        self.columns, self.latent_dim = ("v", "kind"), 3

    def __len__(self):
        return len(self._latents)

    def __getitem__(self, rows):
        return self._latents[rows]

    def chunks(self, name="z", *, start=0):
        return self._latents.chunks(name, start=start)

    def rows_of(self, ids):
        return self._latents.rows_of(ids)

    def hash(self):
        return self._latents.hash()
