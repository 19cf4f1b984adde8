# %% 07.1
angles = 30 * torch.arange(6.0)
answer = cvae.decode(cvae.change(galaxy.expand(6, -1), {"ellipticity": 0.6, "position_angle": angles}))
told = measure(galnb.Images(answer.numpy(), bands=cvae.bands))
figure, ax = plt.subplots(figsize=(11, 2.2), layout="constrained")
wall(ax, answer, cvae.bands, "", 6)
ax.set_xticks(65 * np.arange(6) + 32, [f"{angle:.0f} degrees" for angle in told["position_angle"]])
plt.show()


# %% 07.2
def apart(a, b):
    return np.abs((np.asarray(a) - np.asarray(b) + 90) % 180 - 90)


elongated = np.asarray(wanted["ellipticity"]) > 0.3
errors = apart(wanted["position_angle"], found["position_angle"])[elongated]
print(f"median error {np.nanmedian(errors):.1f} degrees")
answer = apart

# %% 07.3
wish = dict(zip(cvae.codes.names, cvae.features(galaxy)[0].tolist(), strict=True))
wish["flux"], wish["area"] = float(cvae.codes.high[0]), float(cvae.codes.low[1])


def log_density(y):
    return cvae.prior.log_prob(cvae.codes(y), of=slice(cvae.style, None))


usual = log_density(cvae.features(cvae.draw(1000, torch.Generator().manual_seed(0))))
own = float(log_density(torch.tensor([list(wish.values())])))
print(f"log density {own:.1f}, usual ones from {float(usual.min()):.1f} up")
pictures = cvae.sample(8, torch.Generator().manual_seed(0), y=wish)
got = measure(galnb.Images(pictures.numpy(), bands=cvae.bands))
for name in ("flux", "area"):
    print(f"{name}: asked {wish[name]:.0f}, measured {np.nanmedian(got[name]):.0f}")
figure, ax = plt.subplots(figsize=(11, 1.6), layout="constrained")
wall(ax, pictures, cvae.bands, "much light in\na small area", 8)
plt.show()
answer = wish


# %% 07.4
def together(means, deviations):
    weights = 1 / np.asarray(deviations) ** 2
    precision = 1 + weights.sum(axis=0)  # the 1 is that of p(z), whose mean is 0
    return (weights * means).sum(axis=0) / precision, precision**-0.5


answer = together
