import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as SklearnPCA

from galnb import models
from galnb.models import AE, PCA


class Chunks:
    """Re-iterable batches of unequal size, counting the passes over them."""

    def __init__(self, x):
        self.x, self.passes = x, 0

    def __iter__(self):
        self.passes += 1
        return iter(self.x.split([70, 130, len(self.x) - 200]))


@pytest.mark.parametrize("size, bands", [(28, ("r",)), (48, ("g", "r"))])
def test_streaming_pca_equals_scikit_learn(size, bands):
    rng = np.random.default_rng(0)
    pixels, k = len(bands) * size**2, 12
    signal = rng.normal(size=(400, 40)) * np.geomspace(8, 0.5, 40)
    x = (signal @ rng.normal(size=(40, pixels)) / 40 + 0.05 * rng.normal(size=(400, pixels))).astype("f4")
    model = PCA(bands, size, k)
    chunks = Chunks(torch.from_numpy(x).view(400, len(bands), size, size))
    model.fit(chunks)
    truth = SklearnPCA(k, svd_solver="full").fit(x.astype("f8"))
    sign = np.sign((model.components.numpy() * truth.components_).sum(1, keepdims=True))
    np.testing.assert_allclose(model.components.numpy() * sign, truth.components_, atol=1e-5)
    np.testing.assert_allclose(model.variance, truth.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(model.mean, truth.mean_, atol=1e-5)
    assert chunks.passes <= 10


def test_the_likelihood_is_that_of_scikit_learns_probabilistic_pca():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 784)) * 0.1 + rng.normal(size=(900, 5)) @ rng.normal(size=(5, 784))
    model = PCA(("r",), 28, 5)
    model.fit([torch.from_numpy(x.astype("f4")).view(-1, 1, 28, 28)])
    truth = SklearnPCA(5, svd_solver="full").fit(x).score_samples(x[:20])
    found = model.log_prob(torch.from_numpy(x[:20].astype("f4")).view(-1, 1, 28, 28))
    np.testing.assert_allclose(found, truth, rtol=1e-3)


def test_too_few_images_for_the_components_are_refused():
    with pytest.raises(ValueError, match="3 images cannot give 5 components"):
        PCA(("r",), 28, 5).fit([torch.rand(3, 1, 28, 28)])


def test_a_warm_started_autoencoder_is_its_pca():
    x = torch.rand(60, 1, 32, 32)
    pca, ae = PCA(("r",), 32, 6), AE(("r",), 32, 6, (16, 16, 16))
    pca.fit([x])
    ae.warm_start([x])
    torch.testing.assert_close(ae.encode(x), pca.encode(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ae.decode(ae.encode(x)), pca.decode(pca.encode(x)), atol=1e-4, rtol=1e-4)


def test_the_contraction_is_the_jacobians_squared_norm():
    torch.manual_seed(0)
    x, ae = torch.rand(2, 1, 28, 28), AE(("r",), 28, 4, (16, 16, 16), contraction=1.0)
    torch.nn.init.normal_(ae.head.weight, std=0.1)
    jacobian = torch.autograd.functional.jacobian(lambda x: ae.encode(x) / ae.scale, x)
    truth = sum(jacobian[i, :, i].square().sum() for i in range(2)) / x.numel()
    found = torch.stack([ae.loss(x)["contraction"].detach() for _ in range(300)]).mean()
    torch.testing.assert_close(found, truth, rtol=0.1, atol=0)


def test_the_contraction_is_measured_without_a_gradient_too():
    ae = AE(("r",), 28, 4, (16, 16, 16), contraction=1.0)
    with torch.no_grad():
        assert ae.loss(torch.rand(2, 1, 28, 28))["contraction"] > 0


def test_the_kl_penalty_vanishes_at_the_wanted_activity_and_nowhere_else():
    ae = AE(("r",), 28, 4, (16, 16, 16), sparsity="kl", activity=0.2)
    wanted = torch.logit(torch.full((10, 4), 0.2))
    assert ae._divergence(wanted).abs() < 1e-6
    assert ae._divergence(wanted + 1) > 0.01


@pytest.mark.parametrize("size", [20, 300])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ValueError, match="28 to 256"):
        AE(size=size)


def test_a_misspelt_sparsity_names_the_right_one():
    with pytest.raises(ValueError, match="'l1'"):
        AE(sparsity="l2")


def test_capabilities_are_asked_of_the_models():
    table = {row["name"]: row for row in models.capabilities()}
    assert table["pca"]["log_prob"] and not table["ae"]["log_prob"] and table["ae"]["decode"]
