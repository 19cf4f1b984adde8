# %% 03.1
from sklearn.neighbors import NearestNeighbors

index = NearestNeighbors(n_neighbors=2).fit(latents.z)
of_drawn = index.kneighbors(z)[0][:, 0]
of_real = index.kneighbors(latents.z)[0][:, 1]  # the first is the galaxy itself
answer = np.median(of_drawn) / np.median(of_real)
plt.figure(figsize=(6, 3))
for name, far in (("real galaxies", of_real), ("numbers of one's own", of_drawn)):
    plt.hist(far, np.linspace(0, 8, 60), density=True, histtype="step", lw=2, label=name)
plt.xlabel("distance to the nearest other galaxy")
plt.legend()
plt.show()


# %% 03.2
def wasserstein(a, b):
    """The Wasserstein distance of two samples of one size, in standard deviations of the second."""
    return np.mean(np.abs(np.sort(a) - np.sort(b))) / np.std(b)


answer = wasserstein


# %% 03.3
def divergence(mean, log_std):
    """Nats (n,) by which a Gaussian cloud (n, d) differs from the round one."""
    return (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(1)


with torch.no_grad():
    nats = divergence(*vae.posterior(x)).numpy()
most = np.argsort(-nats)[:16]
print(f"{nats.mean():.0f} nats in the mean, {nats.min():.0f} to {nats.max():.0f}")
walls(most_nats=x[most], fewest=x[np.argsort(nats)[:16]])


answer = divergence

# %% 03.4
answer = np.roll(images.pixels[::4], (2, 2), axis=(2, 3))
moved = galnb.Images(answer, bands=images.bands)
rows, apart = realism.nearest(moved, images)
told = realism.told_apart(realism.properties(moved), real)
print(f"half within {np.median(apart):.4f}, real ones {np.median(among_real):.4f}; told apart by {told:.2f}")
walls(galaxies=images.pixels[::4][::15], moved=answer[::15], the_nearest_real_one=images.pixels[rows[::15]])
