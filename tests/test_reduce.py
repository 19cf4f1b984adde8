import numpy as np
import pytest
from sklearn.decomposition import PCA

from galnb.errors import BadInput
from galnb.reduce import Plane, project

z = (np.random.default_rng(5).normal(size=(400, 8)) * np.arange(8, 0, -1)).astype("f4")


def test_pca_is_that_of_scikit_learn_with_the_largest_loading_positive():
    wanted = PCA(2, svd_solver="full").fit(z.astype(float))
    xy = project(z)
    np.testing.assert_allclose(abs(xy), abs(wanted.transform(z)), atol=1e-4)
    np.testing.assert_allclose(Plane(z).explained, wanted.explained_variance_ratio_, rtol=1e-5)
    assert np.corrcoef(xy[:, 0], z[:, 0])[0, 1] > 0
    assert np.array_equal(project(z.copy()), xy)


def test_inverse_of_pca_places_the_same_spot_near_local_galaxies():
    plane = Plane(z)
    spots = np.array([(0, 0), (3, -2), (60, 60)])
    back = plane.inverse(spots, k=1)
    np.testing.assert_allclose(plane.place(back), spots, atol=1e-4)
    np.testing.assert_allclose(plane.inverse(plane.xy[:5], k=1), z[:5], atol=1e-4)


def test_umap_repeats_and_gives_a_galaxy_its_own_latents_back(monkeypatch):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    monkeypatch.setattr("galnb.reduce.UMAP_SAMPLE", 300)
    options = {"n_epochs": 20, "n_neighbors": 8, "seed": 1}
    plane = Plane(z, "umap", **options)
    assert plane.xy.dtype == np.float32 and np.isfinite(plane.xy).all()
    assert np.array_equal(plane.xy, project(z, "umap", **options))
    np.testing.assert_allclose(plane.inverse(plane.xy[:5]), z[:5], atol=1e-3)
    assert plane.axes == ("UMAP 1", "UMAP 2")


def test_given_positions_are_kept_and_their_scales_do_not_matter():
    xy = np.c_[z[:, 0] * 1e-3, z[:, 1] * 1e3]
    plane = Plane(z, xy=xy, axes=("redshift", "r [mag]"))
    near = plane.inverse(xy[7], k=1)
    np.testing.assert_allclose(near[0], z[7], atol=1e-5)
    assert plane.axes == ("redshift", "r [mag]")
    with pytest.raises(BadInput, match="one position a row"):
        Plane(z, xy=xy[:3])


def test_rows_that_are_not_finite_have_no_position():
    holed = z.copy()
    holed[3, 2] = np.nan
    plane = Plane(holed)
    assert np.isnan(plane.xy[3]).all() and np.isfinite(np.delete(plane.xy, 3, 0)).all()
    assert np.isfinite(plane.inverse([(0, 0)])).all()
    for nothing in (np.full((3, 4), np.nan), np.zeros((0, 4))):
        with pytest.raises(BadInput, match="wanted at least one"):
            Plane(nothing)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (10, 1), (5, 2)])
def test_small_catalogues_have_a_plane(shape):
    plane = Plane(z[: shape[0], : shape[1]])
    assert plane.xy.shape == (shape[0], 2) and np.isfinite(plane.xy).all()
    assert plane.inverse(plane.xy).shape == shape


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="did you mean 'umap'"):
        project(z, "umpa")
    with pytest.raises(ValueError, match="pick a spot"):
        Plane(z).inverse([(np.nan, 0)])
    with pytest.raises(ValueError, match="PCA takes no min_dist"):
        Plane(z, min_dist=1)
