# %% 08.1
from scipy.spatial.distance import cdist


def nearest_words(pairs, words):
    return cdist(pairs, words).argmin(axis=1)


same = nearest_words(pairs.numpy(), words) == model.tokens(seen)[:, 0].numpy()
print(f"the same word for {same.mean():.0%} of the galaxies")
answer = nearest_words

# %% 08.2
for depth, k in ((1, 2), (2, 4), (4, 16), (8, 256)):
    tried = with_words(k, depth=depth)
    print(f"{16 // depth:2} dictionaries of {k:3} words: error {error(tried, unseen):.2e}")
answer = with_words(16, depth=4)


# %% 08.3
def used_bits(tokens):
    total = 0.0
    for column in tokens.T:
        share = torch.bincount(column).double() / len(column)
        share = share[share > 0]
        total -= float((share * share.log2()).sum())
    return total


texts = model.tokens(unseen)
print(f"{model.bits:.1f} bits as written, {used_bits(texts):.1f} by how often words are used,")
print(f"{float(model.text_bits(texts).mean()):.1f} for who has the transformer")
answer = used_bits

# %% 08.4
text = torch.zeros(1, 18, dtype=torch.int64)
with torch.no_grad():
    for place in range(18):
        text[0, place] = sloan.prior.logits(text, sloan.books)[0, place].argmax()
    plain = sloan.decode(sloan.latents(text))
    thousand = sloan.text_bits(sloan.prior.sample(1000, sloan.books, torch.Generator().manual_seed(0)))
own, least = float(sloan.text_bits(text)), float(thousand.min())
print(f"{own:.1f} bits; a thousand texts by chance {least:.1f} and more")
plt.figure(figsize=(1.6, 1.6))
plt.imshow(mosaic(galnb.Images(plain.clamp(0, 1).numpy(), bands=sloan.bands), columns=1))
plt.axis("off")
plt.show()
answer = text[0].tolist()
