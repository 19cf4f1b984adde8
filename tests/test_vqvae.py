"""The vector-quantised autoencoder, its dictionaries and its prior against what is known exactly."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, entropy
from sklearn.neighbors import NearestNeighbors

from galnb.errors import BadInput
from galnb.models import VQVAE
from galnb.models.code_prior import CodePrior
from galnb.models.codebooks import IDLE, Codebooks
from galnb.models.likelihoods import log_likelihood
from galnb.models.vqvae import shared_out
from galnb.train import Settings, fit, train

SMALL = {
    "bands": ("r",),
    "size": 28,
    "latent_dim": 8,
    "widths": (16, 16, 16),
    "depth": 2,
    "words": 16,
    "prior_epochs": 20,
}


def books(length=3, words=4, depth=2, seed=0, **options):
    torch.manual_seed(seed)
    return Codebooks(length, words, depth, **options)


def blobs(n=80, size=28):
    """Galaxies of different places and widths, float32 (n, 1, size, size)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    place, width = rng.normal(size / 2, 1.5, (n, 2, 1, 1)), rng.uniform(2, 6, (n, 1, 1))
    blob = np.exp(-((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2) / (2 * width**2))[:, None]
    return (blob + 0.01 * rng.normal(size=blob.shape)).astype(np.float32)


def disturbed(module, by=0.3, seed=1):
    """The module with all its parameters moved, zeros too, so that nothing is as it starts."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(by * torch.randn(p.shape, generator=rng))
    return module.eval()


# dictionaries


def test_the_nearest_words_are_those_of_scikit_learn():
    own, z = books(5, 300, 3), 2 * torch.randn(400, 5, 3)
    for place, vectors in enumerate(own.vectors.numpy()):
        index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(vectors)
        found = index.kneighbors(z[:, place].numpy(), return_distance=False)[:, 0]
        assert np.array_equal(own.nearest(z)[:, place].numpy(), found)
        assert np.array_equal(own.look_up(own.nearest(z))[:, place].numpy(), vectors[found])


def test_words_move_as_in_appendix_a1_of_the_paper():
    own, decay = books(2, 3, 2, decay=0.9), 0.9
    count, total = own.count.double().numpy().copy(), own.total.double().numpy().copy()
    z = torch.randn(60, 2, 2)
    for part in z.split(20):
        tokens = own.nearest(part)
        own.follow(part, tokens)
        for place, word in itertools.product(range(2), range(3)):
            chose = part[tokens[:, place] == word, place].double().numpy() * (3 / 20)
            count[place, word] = decay * count[place, word] + (1 - decay) * len(chose) * (3 / 20)
            total[place, word] = decay * total[place, word] + (1 - decay) * chose.sum(0)
        np.testing.assert_allclose(own.vectors.numpy(), total / count[..., None], rtol=1e-4, atol=1e-5)


def test_words_become_the_means_of_what_chooses_them():
    rng = np.random.default_rng(0)
    centers = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    own = books(1, 3, 2, decay=0.9)
    own.total.copy_(torch.tensor(centers)[None] + 1)
    for _ in range(200):
        z = torch.from_numpy(centers[rng.integers(0, 3, 64)] + 0.3 * rng.normal(size=(64, 2))).float()
        own.follow(z[:, None], own.nearest(z[:, None]))
    np.testing.assert_allclose(own.vectors[0], centers, atol=0.15)


def test_a_word_that_nothing_chooses_starts_anew_where_galaxies_are():
    own = books(1, 4, 2, decay=0.9)
    own.total[0, 3] = 1e4
    z = torch.randn(64, 1, 2)
    steps = math.ceil(math.log(IDLE) / math.log(0.9))  # until its count of 1 is as small as that
    for _ in range(steps - 1):
        own.follow(z, own.nearest(z))
    torch.testing.assert_close(own.vectors[0, 3], torch.full((2,), 1e4), check_stride=False, rtol=1, atol=0)
    own.follow(z, own.nearest(z))
    assert torch.cdist(own.vectors[0, 3:], z[:, 0]).min() < 1e-5
    own.follow(z, own.nearest(z))
    assert (own.nearest(z) == 3).any() and (own.count >= IDLE).all()


def test_k_means_begins_them_and_few_galaxies_are_all_words():
    own, z = books(2, 8, 2), torch.randn(5, 2, 2)
    own.fit(z)
    torch.testing.assert_close(own.look_up(own.nearest(z)), z)
    own.fit(z[:1].expand(4, -1, -1))
    assert torch.isfinite(own.vectors).all()


def test_perplexity_is_scipys():
    own = books(2, 6, 1)
    own.count.copy_(torch.rand(2, 6) + 0.1)
    truth = np.mean(np.exp(entropy(own.count.numpy(), axis=1)))
    assert float(own.perplexity) == pytest.approx(truth, rel=1e-5)


def test_runs_of_components_vary_alike():
    variance = torch.from_numpy(np.geomspace(100, 0.01, 24))
    order = shared_out(variance, 3)
    assert sorted(order) == list(range(24)) and order[0] == 0
    products = variance[order].view(-1, 3).log().sum(1)
    plain = variance.view(-1, 3).log().sum(1)
    assert products.std() < 0.2 * plain.std()


# the prior


@pytest.fixture(scope="module")
def tiny():
    """Three places of four words: all 64 texts, and the log probability of each."""
    own = books()
    prior = disturbed(CodePrior(own, width=16, layers=2, heads=2), by=0.5)
    texts = torch.tensor(list(itertools.product(range(4), repeat=3)))
    return own, prior, texts, prior.log_prob(texts, own).detach().double()


def test_the_probabilities_of_all_texts_sum_to_one(tiny):
    *_, log_p = tiny
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert log_p.std() > 0.3  # and are not all alike


def test_texts_are_drawn_as_often_as_is_said(tiny):
    own, prior, texts, log_p = tiny
    drawn = prior.sample(20_000, own, torch.Generator().manual_seed(0))
    found = torch.bincount(drawn @ torch.tensor([16, 4, 1]), minlength=64).numpy()
    p = log_p.exp().numpy()
    often = 20_000 * p > 5
    wanted = 20_000 * np.append(p[often], p[~often].sum())
    assert (
        chisquare(np.append(found[often], found[~often].sum()), wanted * found.sum() / wanted.sum()).pvalue
        > 1e-3
    )


def test_no_word_hangs_on_those_after_it(tiny):
    own, prior, texts, _ = tiny
    logits = prior.logits(texts, own)
    for place in range(3):
        same = (texts[:, None, :place] == texts[None, :, :place]).all(2)
        apart = (logits[:, None, place] - logits[None, :, place]).abs().amax(2)
        assert apart[same].max() < 1e-5
        assert place == 0 or apart[~same].max() > 1e-2  # and it does on those before it


def test_before_training_the_prior_is_the_words_frequencies():
    own = books()
    own.fit(torch.randn(200, 3, 2))
    prior = CodePrior(own, width=16, layers=1).eval()
    prior.warm_start(own)
    share = own.count / own.count.sum(1, keepdim=True)
    found = prior.log_prob(torch.tensor([[0, 2, 1]]), own)
    torch.testing.assert_close(found.detach()[0], (share[0, 0] * share[1, 2] * share[2, 1]).log())


def test_the_prior_learns_which_words_go_together():
    """Texts whose second word is the first, and whose third is free: log 4 + 0 + log 4 nats."""
    own, rng, priors = books(), torch.Generator().manual_seed(0), []
    texts = torch.randint(4, (3000, 3), generator=rng)
    texts[:, 1] = texts[:, 0]
    for chance in (1, 2):  # which decides nothing
        torch.manual_seed(0)
        priors.append(CodePrior(own, width=32, layers=2, dropout=0.1))
        torch.manual_seed(chance)
        priors[-1].fit(texts, own, epochs=16)
    drawn = priors[0].sample(500, own, rng)
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() > 0.97
    assert -float(priors[0].log_prob(texts, own).detach().mean()) == pytest.approx(2 * math.log(4), abs=0.1)
    for one, other in zip(*(prior.state_dict().values() for prior in priors), strict=True):
        assert torch.equal(one, other)


# the model


@pytest.mark.parametrize("gains", [0, 1, 2])
def test_the_encoder_gets_the_decoders_gradient_as_if_there_were_no_words(gains):
    torch.manual_seed(0)
    model = VQVAE(**SMALL, gains=gains, commitment=0.0, evenness=0.0).eval()
    disturbed(model.decoder, by=0.05)
    x = torch.from_numpy(blobs(6))
    seen = {}
    own = model._encoding

    def watched(x):
        seen["z"] = own(x)
        seen["z"].retain_grad()
        return seen["z"]

    model._encoding = watched
    model.loss(x)["nll"].backward()
    words = model.latents(model.books.nearest(model._parts(seen["z"]))).requires_grad_()
    mean, log_scale = model.picture(words)
    (-log_likelihood("gaussian", x, mean, log_scale).mean() / 28**2).backward()
    torch.testing.assert_close(seen["z"].grad, words.grad)
    assert words.grad.abs().max() > 0


def test_an_even_mean_learns_by_the_squared_error_and_the_loss_stays():
    torch.manual_seed(0)
    x, mean = torch.rand(2, 5, 1, 8, 8)
    log_scale = torch.randn(5, 1, 8, 8) - 2
    precision = (-2 * log_scale).exp()
    for evenness, weight in ((0.0, precision), (1.0, torch.ones_like(x)), (0.5, precision.sqrt())):
        model = VQVAE(**SMALL, evenness=evenness)
        mean.requires_grad_(True).grad = None
        even = log_likelihood("gaussian", x, model._even(mean, log_scale), log_scale)
        torch.testing.assert_close(even, log_likelihood("gaussian", x, mean, log_scale))
        even.sum().backward()
        wanted = (x - mean.detach()) * weight * precision.mean() / weight.mean()
        torch.testing.assert_close(mean.grad, wanted, rtol=1e-4, atol=1e-3)
        mean.requires_grad_(False)


@torch.no_grad()
def test_a_warm_start_is_pca_with_words():
    x = torch.from_numpy(blobs(200))
    model = VQVAE(**SMALL | {"words": 64})
    model.warm_start([x])
    z = model._encoding(x)
    centered = (x.flatten(1) - model.mean).numpy()
    largest = np.linalg.svd(centered, compute_uv=False)[:8]
    found = np.sort(np.linalg.norm(z.numpy(), axis=0))[::-1]
    np.testing.assert_allclose(found, largest, rtol=1e-3)
    kept = 1 - float((x - model.decode(model.encode(x))).square().sum() / np.square(centered).sum())
    assert 0.9 * (largest**2).sum() / np.square(centered).sum() < kept < 1


@torch.no_grad()
@pytest.mark.parametrize("gains", [0, 1, 2])
def test_parts_are_all_of_the_latents(gains):
    torch.manual_seed(0)
    model, z = VQVAE(**SMALL, gains=gains), 5 * torch.randn(30, 8)
    model.scale.copy_(torch.rand(8) + 0.5)
    parts = model._parts(z)
    assert parts.shape == (30, 4 + gains, 2)
    torch.testing.assert_close(model._joined(parts), z)
    if gains:  # a size in units of the scale, and shapes that do not know it
        group = (z[:, : 8 // gains] / model.scale[: 8 // gains]).square().mean(1).sqrt()
        torch.testing.assert_close(parts[:, 0].exp(), group[:, None].expand(-1, 2))
        torch.testing.assert_close(model._parts(3 * z)[:, 1], parts[:, 1])
    assert torch.isfinite(model._joined(model._parts(0 * z))).all()


@torch.no_grad()
def test_two_groups_begin_as_what_a_half_turn_turns_round_and_what_it_keeps():
    x = torch.from_numpy(blobs(200))
    x = torch.cat([x, x.flip(2, 3)])
    model = VQVAE(**SMALL, gains=2)
    model.warm_start([x])
    odd, even = model._encoding(x).sub(model._encoding(x.flip(2, 3))).abs().sum(0).chunk(2)
    twice, none = model._encoding(x).abs().sum(0).chunk(2)
    torch.testing.assert_close(odd, 2 * twice, rtol=1e-2, atol=1e-2)
    assert float(even.sum()) < 1e-2 * float(none.sum())
    plain = VQVAE(**SMALL)
    plain.warm_start([x])
    both = [torch.linalg.svdvals(m.basis) for m in (model, plain)]
    torch.testing.assert_close(*both)  # as orthonormal as components are


@torch.no_grad()
def test_words_of_size_serve_faint_and_bright_structure_alike():
    """Latents whose size varies a hundredfold: relative errors, with and without words of size."""
    rng, left = torch.Generator().manual_seed(0), []
    z = torch.randn(2000, 8, generator=rng) * 10 ** torch.empty(2000, 1).uniform_(-1, 1, generator=rng)
    for gains in (0, 2):
        model = VQVAE(**SMALL | {"words": 64}, gains=gains)
        model.books.fit(model._parts(z))
        error = (model.latents(model.books.nearest(model._parts(z))) - z).norm(dim=1) / z.norm(dim=1)
        left.append(float(error.median()))
    assert left[1] < 0.6 * left[0]


def test_latents_are_words_and_words_are_latents():
    model = VQVAE(**SMALL).eval()
    x = torch.from_numpy(blobs(30))
    tokens = model.tokens(x)
    assert tokens.shape == (30, 4) and tokens.dtype == torch.int64 and model.bits == 16
    assert torch.equal(model.latents(tokens), model.encode(x))
    assert torch.equal(model.latents(tokens.to(torch.int16).numpy()), model.encode(x))
    again = model.books.nearest(model.encode(x).view(30, 4, 2))
    assert torch.equal(again, tokens)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = VQVAE(**SMALL, prior_width=32, prior_layers=1)
    x = blobs(400)
    settings = Settings(epochs=12, batch=40, warm_up=10, average=0.95, learning_rate=2e-3)
    history = fit(model, x, held_out=blobs(), settings=settings, progress=False)
    return model, torch.from_numpy(x), history


@torch.no_grad()
def test_training_improves_on_pca_with_words_and_uses_them(trained):
    model, x, history = trained
    start = VQVAE(**SMALL).eval()
    start.warm_start([x])
    assert float(model.bound(x).mean()) > float(start.bound(x).mean()) + 100
    assert history[-1].terms["perplexity"] > 8


def test_the_bound_is_the_loss_without_the_commitment(trained):
    model, x, _ = trained
    terms = {name: float(value.detach()) for name, value in model.loss(x).items()}
    assert terms["loss"] == pytest.approx(terms["nll"] + terms["prior"] + terms["commitment"])
    assert float(model.bound(x).mean()) == pytest.approx(-(terms["nll"] + terms["prior"]) * 28**2, rel=1e-4)
    bits = float(model.text_bits(model.tokens(x)).mean())
    assert bits == pytest.approx(terms["prior"] * 28**2 / math.log(2), rel=1e-4) and bits < model.bits


@torch.no_grad()
def test_what_is_drawn_is_as_galaxies_are(trained):
    model, x, _ = trained
    a, b = (model.sample(300, torch.Generator().manual_seed(7)) for _ in range(2))
    smooth = model.sample(300, torch.Generator().manual_seed(7), noise=False)
    assert torch.equal(a, b) and 0 <= a.min() and a.max() <= 1
    flux = x.clamp(0, 1).sum((1, 2, 3))
    assert float(a.sum((1, 2, 3)).mean()) == pytest.approx(float(flux.mean()), rel=0.15)
    assert float(a.sum((1, 2, 3)).std()) == pytest.approx(float(flux.std()), rel=0.35)
    left = (x - model.decode(model.encode(x))).std()
    assert float((a - smooth).std()) == pytest.approx(float(left), rel=0.3)


def test_evaluation_leaves_the_dictionaries_alone(trained):
    model, x, _ = trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.loss(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(tmp_path):
    def small():
        torch.manual_seed(0)
        return VQVAE(**SMALL, prior_width=16, prior_layers=1, decay=0.5)  # words restart often

    x, settings = blobs(48), Settings(epochs=3, batch=16, warm_up=2, seed=3)
    whole = small()
    fit(whole, x, held_out=x[:8], settings=settings, progress=False)
    for stop in (1, 5):
        path, interrupted, resumed = tmp_path / f"{stop}.checkpoint", small(), small()
        run = train(interrupted, x, held_out=x[:8], settings=settings, checkpoint=path)
        for _ in range(stop):
            next(run)
        run.close()
        torch.manual_seed(stop)  # the state outside must not matter
        fit(resumed, x, held_out=x[:8], settings=settings, checkpoint=path, progress=False)
        state = resumed.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_every_likelihood_and_no_network_learn():
    x = blobs(80).clip(0, 1)
    for options in ({"likelihood": "laplace"}, {"likelihood": "logistic"}, {"noise": "one"}, {"widths": ()}):
        torch.manual_seed(0)
        model = VQVAE(**SMALL | options, prior_width=16, prior_layers=1)
        history = fit(model, x, settings=Settings(epochs=4, batch=20, warm_up=2), progress=False)
        assert history[-1].terms["loss"] < history[0].terms["loss"]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"depth": 3}, "latent_dim=8, wanted a multiple of depth=3"),
        ({"depth": 0}, "multiple of depth=0"),
        ({"gains": 3}, "gains=3, wanted 0, 1 or 2"),
        ({"gains": 2, "latent_dim": 6}, "gains=2, wanted 0, 1 or 2 groups"),
        ({"words": 1}, "words=1, wanted at least 2"),
        ({"decay": 1.0}, "decay=1.0, wanted 0 to below 1"),
        ({"likelihood": "poisson"}, "is not one of"),
    ],
)
def test_a_model_that_cannot_be_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        VQVAE(**SMALL | options)


@pytest.mark.parametrize(
    "tokens, reason",
    [
        (np.zeros((3, 5), int), r"shape \(3, 5\), wanted \(n, 4\)"),
        (np.zeros(4, int), r"shape \(4,\), wanted \(n, 4\)"),
        (np.full((3, 4), 16), "from 0 to 15"),
        (np.full((3, 4), -1), "from 0 to 15"),
        (np.zeros((3, 4)), "whole numbers"),
    ],
)
def test_words_that_are_in_no_dictionary_are_one_clear_error(tokens, reason):
    with pytest.raises(BadInput, match=reason):
        VQVAE(**SMALL).latents(tokens)
