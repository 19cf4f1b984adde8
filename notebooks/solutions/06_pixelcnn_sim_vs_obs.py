# %% 06.1
brightness = np.linspace(0, 1, 21, dtype=np.float32)
flat = np.ones((21, 3, 32, 32), dtype=np.float32) * brightness[:, None, None, None]
with torch.inference_mode():
    log_p = model.log_prob(torch.from_numpy(flat)).numpy()
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(brightness, log_p, "o-", label="a flat picture")
axis.axhline(
    known.values("SDSS", "log_p").max(), color="black", ls="--", label="the most probable SDSS galaxy"
)
axis.set(xlabel="brightness everywhere", ylabel="log p (nats)")
axis.legend()
plt.show()
answer = flat[log_p.argmax()]


# %% 06.2
def peeks(model, x, row, column):
    other = x.clone()
    other[:, :, row, column] = (x[:, :, row, column] + 0.5) % 1
    with torch.inference_mode():
        change = (model.log_prob_map(other) - model.log_prob_map(x)).abs().amax(dim=(0, 1))
    return bool((change[:row] > 1e-3).any() or (change[row, :column] > 1e-3).any())


print("our network peeks:", peeks(model, model.tensor(drawn[:2]), 14, 11))
answer = peeks

# %% 06.3
limit = np.quantile(known.values("SDSS", "log_p"), 0.05)
for name in pictures.sets:
    print(f"{name:22} {(known.values(name, 'log_p') < limit).mean():.2f} thrown away")
answer = (known.values("SDSS, other pictures", "log_p") < limit).mean()

# %% 06.4
from scipy.stats import spearmanr

rows = known.rows("SDSS")
related = {name: spearmanr(rows[name], rows["ratio"]).statistic for name in galnb.confounders.CONFOUNDERS}
closest = max(related, key=lambda name: abs(related[name]))
print({name: round(float(value), 2) for name, value in related.items()})
one = pair.matched(names=closest)
say(pair, "ratio")
print(one.held)
say(one, "ratio")
answer = one.tests("ratio", joint=False)["auroc"][0]
