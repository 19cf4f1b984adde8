# %% 09.1
further = np.sqrt(4.0**2 - 3.0**2)
three = restoration.corrupt(galaxies, Corruption(psf_fwhm=3.0))
twice = restoration.corrupt(three, Corruption(psf_fwhm=further))
once = restoration.corrupt(galaxies, Corruption(psf_fwhm=4.0))
print(f"{further:.2f} pixels; pixels then differ by {np.abs(twice.pixels - once.pixels).max():.0e} at most")
answer = further

# %% 09.2
louder = restoration.corrupt(tuning, Corruption(0.05, 4.0), seed=1)
options = 0.05 * np.geomspace(0.5, 32, 13)
reached = [
    restoration.scores(restoration.wiener(louder, psf_fwhm=4.0, balance=balance), tuning)["psnr"]
    for balance in options
]
figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
ax.plot(options, reached, "o-")
ax.axvline(0.05 * (0.05 / 0.02) ** 2, color="0.6", ls="--", label="predicted: as the square of the noise")
ax.set(xscale="log", xlabel="balance", ylabel="PSNR, dB")
ax.legend(frameon=False, fontsize=8)
plt.show()
answer = options[np.argmax(reached)]


# %% 09.3
def noise_of(plane):
    change = np.diff(plane, axis=1)  # scatters by the root of two more than a pixel does
    return np.median(np.abs(change)) / 0.6745 / np.sqrt(2)


for noise in (0.05, 0.1, 0.2):
    planes = restoration.corrupt(galaxies, Corruption(noise)).pixels[:, 0]
    print(noise, np.quantile([noise_of(plane) for plane in planes], [0.16, 0.5, 0.84]).round(3))
answer = noise_of

# %% 09.4
looks = [restoration.corrupt(galaxies, Corruption(0.1), seed=k) for k in range(16)]
mean_look = galaxies.with_pixels(np.mean([look.pixels for look in looks], axis=0))
restored_mean = restoration.restore(mean_look, network)
each = [restoration.restore(look, network).pixels for look in looks]
for name, made in (
    ("the mean look", mean_look),
    ("the mean of restored looks", galaxies.with_pixels(np.mean(each, axis=0))),
    ("the mean look, restored", restored_mean),
):
    print(f"{name:28} {restoration.scores(made, galaxies)['psnr']:.1f} dB")
answer = restored_mean
