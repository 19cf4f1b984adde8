"""The table of what models and densities can do, against what their papers say, and against the README."""

from pathlib import Path

import pytest
import torch
from torch import nn

from galnb import abilities, densities, models
from tests.tables import ability_table, between


@pytest.fixture(scope="module")
def table():
    return abilities.table()


@pytest.fixture
def row(table):
    return {row["name"]: row for row in table}


def test_every_member_has_a_row(row):
    assert list(row) == [*models.MEMBERS, *densities.MEMBERS]
    assert all(found["trains"] for found in row.values())


def test_likelihoods_are_exact_where_their_papers_say_so(row):
    exact = {name for name, found in row.items() if found["exact"]}
    assert exact == {"pca", "pixelcnn", "multiscale", *densities.MEMBERS}


def test_autoregressive_ones_draw_one_number_after_the_other(row):
    assert row["maf"]["passes"] == row["arnsf"]["passes"] == abilities.DIMS[0] and row["maf"]["grows"]
    assert row["pixelcnn"]["passes"] == abilities.SIZES[0] ** 2 and row["pixelcnn"]["grows"]


def test_coupling_draws_in_one_pass_and_continuous_flows_in_some(row):
    assert {row[name]["passes"] for name in ("nice", "realnvp", "nsf", "gmm", "vae", "wgan", "pca")} == {1}
    assert row["ffjord"]["passes"] > 5 and not row["ffjord"]["grows"]


def test_only_continuous_flows_have_a_free_form_jacobian(row):
    flows = {name for name in densities.MEMBERS if row[name]["free"] is not None}
    assert {name for name in flows if row[name]["free"]} == {"ffjord", "matching"}
    assert flows == {"nice", "realnvp", "nsf", "maf", "arnsf", "ffjord", "matching"}


def test_an_estimated_likelihood_is_not_exact():
    found = densities.load("ffjord", dim=2, trace="hutchinson")
    found.fit(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).numpy(), steps=2)
    points = torch.zeros(3, 2).numpy() + [[0.1, 0.2]]
    assert not abilities._same(lambda: torch.from_numpy(found.log_prob(points)))


def test_passes_are_counted():
    net = nn.Linear(3, 3)
    x = torch.zeros(2, 3)
    assert abilities.passes(net, lambda: net(x)) == 1
    assert abilities.passes(net, lambda: net(net(net(x)))) == 3


def test_the_readme_has_this_table(table):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    assert between(text, "abilities") == ability_table(table)
