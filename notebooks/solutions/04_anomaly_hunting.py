# %% 04.1
cloud = clouds["two blobs"]
places = np.stack(np.meshgrid(np.linspace(-6, 16, 45), np.linspace(-6, 16, 45)), axis=2).reshape(-1, 2)
near = np.min([np.linalg.norm(places - point, axis=1) for point in cloud], axis=0)
standard, extended = (anomaly.Scorer(kind, trees=200).fit(cloud) for kind in ("forest", "extended"))
empty = places[near >= 4]
answer = empty[np.argmin(standard.score(empty))]
for name, forest in (("standard", standard), ("extended", extended)):
    limit, ghost = np.quantile(forest.score(cloud), 0.99), forest.score(answer[None])[0]
    print(f"{name}: one point in a hundred is above {limit:.3f}, the ghost at {answer} has {ghost:.3f}")

# %% 04.2
away = latents.z - latents.z.mean(axis=0)
inverse = np.linalg.inv(np.cov(latents.z.T))
answer = np.sqrt(np.einsum("ij,jk,ik->i", away, inverse, away))
places = np.argsort(np.argsort(answer))
for name in kinds:
    print(f"{name:12} {np.corrcoef(places, np.argsort(np.argsort(scores[name])))[0, 1]:.2f}")

# %% 04.3
plain = images.pixels[np.flatnonzero(~flagged["artefact"])[100]]
rows, columns = np.mgrid[:32, :32] - 15.5
across = columns * np.sin(0.35) - rows * np.cos(0.35) - 10  # pixels from a line that is 10 from the center
line = np.exp(-(across**2))
for bright in (0.4, 0.2, 0.1, 0.05):
    picture = np.clip(plain + bright * line, 0, 0.98).astype(np.float32)
    print(f"brightness {bright}: a trail, {flags(galnb.Images([picture]))['trail'][0]}")
answer = np.clip(plain + 0.4 * line, 0, 0.98)
plt.figure(figsize=(4, 2))
plt.imshow(mosaic(galnb.Images(np.stack([plain, answer]), bands=images.bands), columns=2, gap=1))
plt.axis("off")
plt.show()

# %% 04.4
by_color = np.argsort(latents["color"])
answer = {int(row): "interesting" for row in by_color[-5:]} | {int(row): "ordinary" for row in by_color[:5]}
first = rank(latents.z, answer).order[:50]
reddest = latents["color"] > np.quantile(latents["color"], 0.95)
print(f"{reddest[first].sum()} of {reddest.sum()} among the first 50")
figure, ax = plt.subplots(figsize=(11, 1.4), layout="constrained")
wall(ax, first[:14], "taught")
plt.show()
