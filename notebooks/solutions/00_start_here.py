# %% 00.1
answer = latents.id[np.nanargmax(latents["half_light_radius"])]

# %% 00.2
explorer.selection = latents.id[latents["color"] > np.nanquantile(latents["color"], 0.9)]
answer = explorer.selection

# %% 00.3
largest = np.nanargmax(latents["half_light_radius"])
nearest_first = np.argsort(np.linalg.norm(latents.z - latents.z[largest], axis=1))
answer = latents.id[nearest_first[1]]
plt.figure(figsize=(4, 2))
plt.imshow(mosaic(images[nearest_first[:2]], columns=2, gap=1))
plt.axis("off")
plt.title("the largest galaxy, and the one nearest to it")
plt.show()
