# %% 05.1
def coupled(x):
    """log p (n,) of points (n, 2) under one coupling layer."""
    scale, shift = x[:, 0] / 2, x[:, 0] ** 2
    u1, u2 = x[:, 0], (x[:, 1] - shift) * np.exp(-scale)
    return -(u1**2 + u2**2) / 2 - np.log(2 * np.pi) - scale


sides = np.linspace(-3, 3, 150), np.linspace(-4, 9, 150)
banana = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
plt.figure(figsize=(4, 4))
plt.pcolormesh(*sides, np.exp(coupled(banana)).reshape(150, 150), cmap="magma")
plt.show()


answer = coupled

# %% 05.2
from scipy.stats import multivariate_normal

mean, covariance = latents.z[train].mean(axis=0), np.cov(latents.z[train].T)
full, diagonal = (multivariate_normal(mean, c) for c in (covariance, np.diag(np.diag(covariance))))
above = {
    name: full.logpdf(latents.z[r]) - diagonal.logpdf(latents.z[r])
    for name, r in (("seen", train), ("held out", held))
}
for name, nats in above.items():
    error = nats.std() / len(nats) ** 0.5
    print(f"{name}: {nats.mean():+.2f} ± {error:.2f} nats a galaxy; above 0 for {np.mean(nats > 0):.0%}")
answer = above["held out"].mean()

# %% 05.3
from scipy.stats import chi2

dimensions = np.arange(1, 65)
within = chi2.cdf(dimensions / 4, dimensions)
answer = dimensions[np.argmax(within < 1e-3)]
drawn_far = np.linalg.norm(np.random.default_rng(0).normal(size=(100_000, answer)), axis=1)
print(f"{np.mean(drawn_far < answer**0.5 / 2):.5f} of 100,000 draws in {answer} dimensions")
plt.figure(figsize=(5, 3))
plt.semilogy(dimensions, within)
plt.xlabel("dimensions")
plt.ylabel("share within half of sqrt(d)")
plt.show()

# %% 05.4
answer = np.random.default_rng(0).choice(size[learn], (len(test), 400))  # radii of other galaxies
flat = calibration.uniformity(calibration.pit(answer, size[test]))
print(f"distance from flat: {flat:.3f}; mean width {calibration.sigma_68(answer[0]):.2f}")
print(f"the posterior that looks: width {np.mean([calibration.sigma_68(row) for row in draws]):.2f}")
