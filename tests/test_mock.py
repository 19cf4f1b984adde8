import hashlib

import numpy as np
import pytest
from astropy.table import Table

from galnb import disk, hats
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.latents import Latents
from galnb.mock import MOST, Mixture, mock, shipped


@pytest.fixture(scope="module")
def real():
    """Correlated latents in two clumps, with a radius that cannot be negative."""
    rng = np.random.default_rng(0)
    clump = rng.random(4000) < 0.3
    z = rng.normal(size=(4000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0.2], [0, 0, 0.3]])
    z[clump] += [6, 0, -4]
    table = Table({"half_light_radius": np.exp(0.3 * z[:, 1]), "ellipticity": 1 / (1 + np.exp(z[:, 2]))})
    table["half_light_radius"].unit = "arcsec"
    return Latents(np.arange(4000), z, table, {"credit": "made up"})


def contents(path):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_it_has_the_moments_columns_and_units_of_what_it_imitates(real, tmp_path):
    survey = mock(60_000, tmp_path / "mock.hats", latents=real, components=2, dtype="float32", workers=0)
    z = np.concatenate(list(survey.chunks()))
    assert z.shape == (60_000, 3)
    error = real.z.std(axis=0) / np.sqrt(len(real.z))
    assert (np.abs(z.mean(axis=0) - real.z.mean(axis=0)) < 4 * error).all()
    np.testing.assert_allclose(np.cov(z.T), np.cov(real.z.T), rtol=0.05, atol=0.02)
    assert survey.table["half_light_radius"].unit == "arcsec" and survey.meta["credit"] == "made up"
    radius = survey.read("half_light_radius", slice(None))
    assert radius.min() > 0
    np.testing.assert_allclose(np.log(radius), 0.3 * z[:, 1], atol=0.02)  # columns go with their latents
    assert ((ell := survey.read("ellipticity", slice(None))) > 0).all() and (ell < 1).all()


def test_ids_are_unique_and_places_are_even_over_the_sky_between_two_declinations(real, tmp_path):
    survey = mock(50_000, tmp_path / "mock.hats", latents=real, components=1, dec=(-70, 10), workers=0)
    assert np.array_equal(np.concatenate(list(survey.chunks("id"))), np.arange(50_000))
    ra, dec = (np.concatenate(list(survey.chunks(name))) for name in ("ra", "dec"))
    assert -85 < dec.min() < -60 and 0 < dec.max() < 25  # to within a pixel of 15 degrees
    inner = (dec > -55) & (dec < -5)
    share = np.histogram(np.sin(np.radians(dec[inner])), 6)[0] / inner.sum()
    np.testing.assert_allclose(share, 1 / 6, rtol=0.08)  # even in area, not in declination
    healpix = np.concatenate(list(survey.chunks(hats.INDEX)))
    assert (np.diff(healpix) >= 0).all() and np.array_equal(hats.index(ra, dec), healpix)


def test_the_same_bytes_whatever_the_number_of_processes_and_another_seed_another_survey(real, tmp_path):
    options = {"latents": real, "components": 2}
    for name, more in {"a": {"workers": 0}, "b": {"workers": 2}, "c": {"seed": 1, "workers": 0}}.items():
        mock(3000, tmp_path / f"{name}.hats", **options, **more)
    a, b, c = (contents(tmp_path / f"{name}.hats") for name in "abc")
    assert a == b and len(a) == 12 + 5
    assert not set(a.values()) & set(c.values()) - {a["partition_info.csv"], a["dataset/_common_metadata"]}


def test_a_stopped_one_goes_on_where_it_was(real, tmp_path, monkeypatch):
    mock(2000, tmp_path / "whole.hats", latents=real, components=1, workers=0)
    seen = []

    def stop(name):
        seen.append(name)
        if len(seen) == 31:
            raise KeyboardInterrupt

    monkeypatch.setattr(disk, "point", stop)
    with pytest.raises(KeyboardInterrupt):
        mock(2000, tmp_path / "stopped.hats", latents=real, components=1, workers=0)
    with pytest.raises(BadInput, match="unfinished"):
        Catalogue(tmp_path / "stopped.hats")
    monkeypatch.undo()
    mock(2000, tmp_path / "stopped.hats", latents=real, components=1, workers=0)
    assert contents(tmp_path / "stopped.hats") == contents(tmp_path / "whole.hats")


def test_partitions_are_of_a_size_that_fits_in_memory():
    from galnb.mock import _footprint

    for rows in (10, 10**6, 10**9):
        pixels = _footprint(rows, -90, 90)
        assert len(pixels) == 12 * 4 ** pixels[0].order and rows / len(pixels) <= MOST
    assert len(_footprint(10**8, -90, 90)) <= 3072


def test_the_shipped_density_gives_galaxies_that_its_network_decodes(tmp_path):
    survey = mock(500, tmp_path / "mock.hats", workers=0)
    assert survey.latent_dim == 50 and {"flux", "half_light_radius", "component"} <= set(survey.columns)
    from galnb.encoding import decode

    pixels = decode(survey[:16].z, survey.model())
    real = decode(shipped().z[:16], survey.model())
    assert pixels.shape == (16, 3, 64, 64) and 0.5 < pixels.mean() / real.mean() < 2
    assert 0.3 < pixels.std() / real.std() < 3


@pytest.mark.parametrize(
    "rows, options, told",
    [
        (0, {}, "wanted a whole number"),
        (1.5, {}, "wanted a whole number"),
        (10, {"dec": (5, -5)}, "two declinations"),
        (10, {"components": 4000}, "take fewer components"),
        (10, {"dtype": "float12"}, "did you mean"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(real, tmp_path, rows, options, told):
    with pytest.raises(ValueError, match=told):
        mock(rows, tmp_path / "mock.hats", latents=real, **options)
    assert not (tmp_path / "mock.hats").exists()


def test_rows_that_are_not_finite_are_not_imitated(real):
    z = real.z.copy()
    z[:100] = np.nan
    mixture = Mixture.of(Latents(real.id, z, real.table), 2)
    drawn, _ = mixture.draw(1000, np.random.default_rng(0))
    assert np.isfinite(drawn).all()
