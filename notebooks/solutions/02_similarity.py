# %% 02.1
nearest = Neighbors(latents).search(latents.z, k=2)
answer = latents.id[np.argmax(nearest.distances[:, 1])]  # the first column is the galaxy itself
wall(answer, galnb.similar(latents, id=answer, k=11), f"{answer}, the loneliest, and those nearest to it")

# %% 02.2
rows = Neighbors(latents).search(latents.z, k=11).rows
one_sided = [(i, rows[i, 1]) for i in range(len(rows)) if i not in rows[rows[i, 1]]]
answer = tuple(latents.id[list(one_sided[0])])
print(f"of {len(rows)} galaxies {len(one_sided)} are not among the ten nearest of their nearest")

# %% 02.3
answer = np.stack([latents[name] for name in ("color", "half_light_radius", "ellipticity")], axis=1)
answer = (answer - answer.mean(axis=0)) / answer.std(axis=0)
other = Neighbors(galnb.Latents(latents.id, answer)).search(answer, k=2).rows[:, 1]
chance = np.random.default_rng(0).permutation(len(latents))
for name in ("color", "half_light_radius", "ellipticity"):
    apart, by_chance = (np.median(abs(latents[name] - latents[name][row])) for row in (other, chance))
    print(f"{name:18} {by_chance / apart:.1f} times more alike")


# %% 02.4
def forgetful(galaxies):
    """The network's numbers (n, d) of each galaxy, in the mean of its eight views."""
    views = [np.rot90(galaxies.pixels, k, axes=(2, 3)) for k in range(4)]
    views += [view[..., ::-1] for view in views]
    return np.mean([galnb.encode(galaxies.with_pixels(v.copy()), model).z for v in views], axis=0)


table({"eight views": forgetful})


answer = forgetful
