# %% 01.1
missed = [metrics.mse(unseen.pixels, principal(unseen, k).pixels).mean() for k in range(65)]
share = 1 - np.array(missed) / missed[0]
answer = int(np.argmax(share > 0.8))  # the first place is that of no component
plt.figure(figsize=(6, 3))
plt.plot(np.arange(1, 65), explained[:64], label="galaxies learned from")
plt.plot(np.arange(65), share, label="galaxies never seen")
plt.axhline(0.8, color="gray", ls=":")
plt.xlabel("components")
plt.ylabel("variance explained")
plt.legend()
plt.show()

# %% 01.2
answer = np.stack([brightness * one for brightness in np.linspace(0.4, 1.6, 12)])
changes = (answer - answer.mean(axis=0)).reshape(len(answer), -1)
held = np.linalg.svd(changes, compute_uv=False) ** 2
plt.figure(figsize=(12, 1.4), layout="constrained")
plt.imshow(mosaic(galnb.Images(np.clip(answer, 0, 1), bands=images.bands), columns=12, gap=1))
plt.axis("off")
plt.title(f"One number changes, the brightness: one component holds {held[0] / held.sum():.0%}")
plt.show()

# %% 01.3
_, _, shipped = galnb.default_survey(progress=False)


def rounded_to(bits, z, like):
    """Latents rounded to 2**bits levels between the extremes of `like`."""
    low, high = like.min(axis=0), like.max(axis=0)
    step = (high - low) / (2**bits - 1)
    return low + np.rint((np.clip(z, low, high) - low) / step) * step


z, like = (galnb.encode(galaxies, shipped).z for galaxies in (unseen, train))
exact = error(galnb.reconstruct(unseen, shipped))
for bits in range(1, 9):
    again = unseen.with_pixels(galnb.decode(rounded_to(bits, z, like), shipped))
    growth = error(again) / exact - 1
    print(f"{bits} bits: the error grows by {growth:.1%}")
    if growth < 0.05:
        break
answer = bits

# %% 01.4
rng = np.random.default_rng(0)
three = rng.uniform(size=(2000, 3))
answer = np.cos(4 * three @ rng.normal(size=(3, 20)))
spread = np.linalg.svd(answer - answer.mean(axis=0), compute_uv=False) ** 2
print(f"dimension {dimension(answer):.2f}; three components hold {spread[:3].sum() / spread.sum():.0%}")
