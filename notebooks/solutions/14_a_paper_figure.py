# %% 14.1
def level(log_p, share):
    return np.quantile(log_p, 1 - share)


log_density = regions.density.log_prob(plane.xy.astype(np.float32))
print([round(float(level(log_density, share)), 2) for share in regions.shares], regions.levels.round(2))
answer = level

# %% 14.2
with figures.journal("apj"):
    mine = plt.figure()
    axes = mine.subplots()
    axes.hexbin(latents["half_light_radius"], latents["concentration"], bins="log", gridsize=40, mincnt=1)
    axes.set(xlabel="half-light radius (pixels of a stamp)", ylabel="concentration")
    answer = figures.save(mine, folder / "apj.pdf", of=latents)


# %% 14.3
def draw():
    rows = np.random.default_rng(1).choice(len(latents), 500, replace=False)
    drawn_figure = plt.figure(figsize=(4, 3))
    axes = drawn_figure.subplots()
    axes.scatter(latents["flux"][rows], latents["half_light_radius"][rows], s=4)
    axes.set(xlabel="flux", ylabel="half-light radius")
    return drawn_figure


answer = draw

# %% 14.4
from matplotlib.colors import CSS4_COLORS, to_rgb
from scipy.spatial.distance import cdist
from skimage.color import rgb2lab

names = list(CSS4_COLORS)
rgb = np.array([to_rgb(name) for name in names])
linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
without = np.clip(linear @ np.transpose(no_green), 0, 1)
without = np.where(without > 0.0031308, 1.055 * without ** (1 / 2.4) - 0.055, 12.92 * without)
usual, lost = (cdist(lab, lab) for lab in (rgb2lab(rgb), rgb2lab(without)))
i, j = np.unravel_index(np.where(lost < 5, usual, 0).argmax(), usual.shape)
print(f"{names[i]} and {names[j]}: {usual[i, j]:.0f} apart, {lost[i, j]:.0f} without green cones")
plt.figure(figsize=(3, 1.6))
plt.imshow([[rgb[i], rgb[j]], [without[i], without[j]]])
plt.yticks([0, 1], ["usual", "no green"])
plt.xticks([])
plt.show()
answer = (names[i], names[j])
