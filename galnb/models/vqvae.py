"""The vector-quantised variational autoencoder: galaxies in a few words, and new ones written in them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .blocks import Decoder, Encoder, Trunk, zeroed
from .code_prior import CodePrior
from .codebooks import Codebooks
from .likelihoods import log_likelihood
from .pca import PCA
from .texture import Texture
from .vae import VAE


class VQVAE(VAE):
    """A variational autoencoder whose latents are words of dictionaries, and a transformer that writes them.

    The latent vector of a galaxy is cut in parts of `depth` numbers, and each part is replaced by the nearest
    of the `words` vectors in a dictionary of its own (van den Oord+2017; a dictionary for each part as in the
    product quantisation of Jegou+2011). The decoder sees words only, so that these whole numbers
    are all that is kept of a galaxy. A causal transformer learns which words go together: it gives a
    text's exact probability, and new texts are drawn from it.

    It starts as a PCA whose components are shared out so that all parts vary alike (Ge+2013), with
    dictionaries from k-means. Words follow the running means of what chose them, and words that nothing
    chooses start anew elsewhere (Razavi+2019); the encoder gets the decoder's gradient as if there were none.

    Parameters
    ----------
    bands, size, widths, likelihood, noise
        As of `VAE`.
    latent_dim : int
        A multiple of `depth`. Latents (n, latent_dim) are the words' vectors, in the pixels' unit.
    depth : int
        Numbers of a latent vector that one word stands for.
    gains : int
        Groups of latents whose size is a word of its own, so that their other words say only the shape
        (gain-shape quantisation, Sabin & Gray 1984), finely for all sizes alike. 1: all are one group;
        2: those that a half-turn of the picture turns into their negatives begin as one, all others as the
        other, for a galaxy's light is symmetric or is not in many latents at once. 0: no words of size.
    words : int
        Vectors of each dictionary: a word takes log2(words) bits.
    commitment : float
        Weight of the squared distance of encodings from their words, as nats of the pixels' likelihood.
    decay : float
        Of the dictionaries' running means, a step.
    evenness : float
        At 0 the mean picture learns by the likelihood, to which bright pixels, which are uncertain, count
        little; at 1 by the plain squared error; between, by powers of the spread (Seitzer+2022). The spread
        learns by the likelihood, which is the loss in any case.
    prior_width, prior_layers : int
        Of the transformer.
    prior_epochs : int
        That it goes on learning after training, from all views of the galaxies, when words move no more.

    Notes
    -----
    The loss is a bound of -log p(x) in nats a pixel, as that of `VAE`: of the pixels given the words, and of
    the words; and the commitment. The term "perplexity" is how many words of a dictionary are in use.

    Examples
    --------
    >>> model = VQVAE(("r",), 28, 8, (16, 16, 16), depth=2, words=16)
    >>> model.tokens(torch.rand(3, 1, 28, 28)).shape, model.bits
    (torch.Size([3, 4]), 16.0)
    >>> model.sample(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 28, 28])
    """

    views = 24  # of each galaxy for the transformer, which would learn fewer by heart

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 64,
        widths: tuple[int, ...] = (40, 72, 80),
        depth: int = 4,
        gains: int = 0,
        words: int = 256,
        likelihood: str = "gaussian",
        noise: str = "each",
        commitment: float = 0.25,
        decay: float = 0.99,
        evenness: float = 0.5,
        prior_width: int = 96,
        prior_layers: int = 3,
        prior_epochs: int = 7,
    ):
        if depth < 1 or latent_dim % depth:
            raise ValueError(f"latent_dim={latent_dim}, wanted a multiple of depth={depth}")
        if gains not in (0, 1, 2) or latent_dim % (depth * max(gains, 1)):
            raise ValueError(f"gains={gains}, wanted 0, 1 or 2 groups of so many times depth={depth} latents")
        super().__init__(bands, size, latent_dim, widths, 1.0, likelihood, noise, prior="normal")
        self.commitment, self.depth, self.gains, self.evenness = commitment, depth, gains, evenness
        self.prior_epochs = prior_epochs
        self.books = Codebooks(gains + latent_dim // depth, words, depth, decay)
        self.prior = CodePrior(self.books, prior_width, prior_layers)

    def _build(self, style: int, widths: tuple[int, ...], noise: str, read: int = 0, told: int = 0) -> None:
        n, pixels = len(self.bands), len(self.bands) * self.size**2
        self.style, self.net = style, bool(widths)
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.basis = nn.Parameter(torch.randn(style, pixels) / pixels**0.5)
        self.log_scale = nn.Parameter(torch.full((n, self.size, self.size) if noise == "each" else (), -2.0))
        self.texture = Texture(n, self.size)
        self.register_buffer("scale", torch.ones(style))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        if self.net:
            trunk = Trunk(self.size, n, widths)
            self.encoder, self.head = Encoder(trunk), zeroed(nn.Linear(trunk.features, style))
            self.spread, self.decoder = (
                nn.Linear(style, trunk.features),
                Decoder(trunk, n + (noise == "each")),
            )

    # from pictures to words, and back

    @property
    def bits(self) -> float:
        """What a galaxy's words take, as written without the prior; with it, less (see `text_bits`)."""
        length, words = self.books.count.shape
        return length * math.log2(words)

    def _encoding(self, x: Tensor) -> Tensor:
        """Latents (n, latent_dim) before they are replaced by words."""
        z = (x.flatten(1) - self.mean) @ self.basis.T
        return z + self.head(self.encoder(x)) * self.scale if self.net else z

    def _parts(self, z: Tensor) -> Tensor:
        """What words stand for (n, length, depth): of each group the logarithm of its size, and its shape."""
        if not self.gains:
            return z.view(len(z), -1, self.depth)
        z, scale = z.view(len(z), self.gains, -1), self.scale.view(self.gains, -1)
        gain = (z / scale).square().mean(2).clamp_min(1e-12).sqrt()
        shape = (z / gain[..., None]).view(len(z), self.gains, -1, self.depth)
        size = gain.log()[..., None, None].expand(-1, -1, 1, self.depth)
        return torch.cat([size, shape], 2).flatten(1, 2)

    def _joined(self, parts: Tensor) -> Tensor:
        """The latents (n, latent_dim) that such parts (n, length, depth) are of."""
        if not self.gains:
            return parts.flatten(1)
        groups = parts.view(len(parts), self.gains, -1, self.depth)
        return (groups[:, :, 1:] * groups[:, :, :1].mean(3, keepdim=True).exp()).flatten(1)

    def tokens(self, x: Tensor) -> Tensor:
        """The words (n, gains + latent_dim / depth) of images, int64 from 0 to below `words`."""
        return self.books.nearest(self._parts(self._encoding(x)))

    def latents(self, tokens) -> Tensor:
        """Latents (n, latent_dim) of words (n, gains + latent_dim / depth), for `decode`.

        Raises
        ------
        BadInput
            For another shape, or a number that is no word.
        """
        return self._joined(self.books.look_up(self.books.checked(tokens)))

    def encode(self, x: Tensor) -> Tensor:
        return self.latents(self.tokens(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents of images, and the logarithm of their standard deviation: they are certain."""
        z = self.encode(x)
        return z, torch.full_like(z, -math.inf)

    def picture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self._picture(z / self.scale, z @ self.basis + self.mean)

    # learning

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        z, pixels = self._encoding(x), x[0].numel()
        parts = self._parts(z.detach())
        tokens = self.books.nearest(parts)
        words = self._joined(self.books.look_up(tokens))
        mean, log_scale = self.picture(z + (words - z).detach())
        distance = (z - words).square().sum(1).mean() * (-2 * self.log_scale.detach()).exp().mean()
        terms = {
            "nll": -log_likelihood(self.likelihood, x, self._even(mean, log_scale), log_scale).mean()
            / pixels,
            "commitment": self.commitment * 0.5 * distance / pixels,
            "prior": -self.prior.log_prob(tokens, self.books).mean() / pixels,
        }
        terms["loss"] = sum(terms.values())
        if self.training:
            self.books.follow(parts, tokens)
        return terms | {"perplexity": self.books.perplexity}

    def _even(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """The mean, through which a gradient is weighed by a power of each pixel's spread."""
        precision = (-2 * log_scale.detach()).exp()
        weight = precision ** (1 - self.evenness)
        weight = weight / precision * (precision.mean() / weight.mean())
        return mean.detach() + weight * (mean - mean.detach())

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin as a PCA, with dictionaries from k-means of its latents."""
        pca = PCA(self.bands, self.size, self.style)
        pca.fit(batches)
        basis, variance = self._groups(pca.components, pca.variance.clamp_min(1e-9))
        with torch.no_grad():
            self.mean.copy_(pca.mean)
            self.basis.copy_(basis)
            self.scale.copy_(variance.sqrt())
            self.books.fit(torch.cat([self._parts(self._encoding(x)) for x in batches]))
            self.prior.warm_start(self.books)
            left = [(x - self.decode(self.encode(x))).square().mean((1, 2, 3)) for x in batches]
            self.log_scale.fill_(0.5 * float(torch.cat(left).mean().clamp_min(1e-5).log()))
        self.texture.fit(map(self._left, batches))

    def _groups(self, components: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Components and their variances in the order of words; of two groups the odd one comes first."""
        if self.gains < 2:
            order = shared_out(variance, self.depth)
            return components[order], variance[order]
        turned = components.view(-1, len(self.bands), self.size, self.size).flip(2, 3).flatten(1)
        _, axes = torch.linalg.eigh((components @ turned.T + turned @ components.T) / 2)
        bases, variances = [], []
        for axis in axes.chunk(2, 1):  # those with an eigenvalue near -1 come first
            own, turn = torch.linalg.eigh((axis.T * variance) @ axis)
            own, turn = own.flip(0), turn.flip(1)
            order = shared_out(own.clamp_min(1e-9), self.depth)
            bases.append((axis @ turn).T[order] @ components)
            variances.append(own.clamp_min(1e-9)[order])
        return torch.cat(bases), torch.cat(variances)

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Measure the noise's texture, and let the transformer go on: until now its words were moving."""
        texts = []

        def left(x: Tensor) -> tuple[Tensor, Tensor]:
            texts.append(self.tokens(x))  # in the same pass: to turn all galaxies anew takes minutes
            return self._left(x)

        self.texture.fit(map(left, batches))
        self.prior.fit(torch.cat(texts), self.books, epochs=self.prior_epochs)

    # asking

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Latents (n, latent_dim) of texts that the transformer writes."""
        return self.latents(self.prior.sample(n, self.books, generator))

    @torch.no_grad()
    def text_bits(self, tokens) -> Tensor:
        """What words, as `tokens` gives them, take (n,) when the prior is known to both sides, in bits."""
        return -self.prior.log_prob(self.books.checked(tokens), self.books) / math.log(2)

    @torch.no_grad()
    def bound(self, x: Tensor, *, k: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Lower bound (n,) in nats of log p(x): of its words and, given them, of its pixels.

        Of all texts that could give the picture it counts the one; nothing is drawn, so `k` and `generator`
        of `VAE.bound` change nothing.
        """
        tokens = self.tokens(x)
        of_pixels = log_likelihood(self.likelihood, x, *self.picture(self.latents(tokens)))
        return of_pixels + self.prior.log_prob(tokens, self.books)


def shared_out(variance: Tensor, depth: int) -> list[int]:
    """An order of components, by falling variance, whose runs of `depth` have products of variance alike.

    Each, in units of the least, goes to the run whose product is least, of those that are not full (Ge+2013).

    >>> shared_out(torch.tensor([8.0, 4.0, 2.0, 1.0]), 2)
    [0, 3, 1, 2]
    """
    runs, products = [[] for _ in range(len(variance) // depth)], [-math.inf] * (len(variance) // depth)
    for component, log in enumerate((variance / variance.min()).double().log().tolist()):
        least = min((run for run, of in enumerate(runs) if len(of) < depth), key=products.__getitem__)
        products[least] = (products[least] if runs[least] else 0.0) + log
        runs[least].append(component)
    return [component for run in runs for component in run]
