# %% [markdown]
# # Reproduce Figure 1 of Krizhevsky et al. 2012
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/flaxact/flaxact/blob/main/notebooks/5_figure_1.ipynb)
#
# The paper on AlexNet says that a net with ReLU reaches 25% training error on CIFAR-10 six times
# sooner than the same net with tanh. flaxact has run this at full size, with a search for each
# learning rate and several seeds. This notebook makes the page from the stored results, and then
# trains a small version of the race.

# %%
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("flaxact") is None:  # pip keeps the JAX that is here
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "flaxact"], check=True)

from flaxact import doctor

QUICK = "FLAXACT_QUICK" in os.environ  # smaller settings, with which the tests run this notebook
doctor.show()  # versions, data sets, and a small training on each kind of device

# %% [markdown]
# ## The stored run
#
# A study is made of pieces: one small file per finished run. They are in a checkout; a wheel has
# the results that were made of them. Either way the page, its tables and its figures are made here,
# in seconds and without any training. The command line does the same with `flaxact reproduce
# krizhevsky2012 --scale full --stored`.

# %%
import shutil
from pathlib import Path

from IPython.display import SVG, Markdown

from flaxact.reproduction import papers
from flaxact.reproduction.run import reproduce, write_page

out = Path("notebook-papers")
stored = papers.shipped_results("krizhevsky2012")
shutil.copytree(stored, out / "krizhevsky2012", dirs_exist_ok=True)
if (stored / "full").is_dir():
    page = reproduce("krizhevsky2012", "full", out, compute=False)
else:
    page = write_page("krizhevsky2012", "full", out)


def show(name):
    """A figure of the page, at most as wide as the cell."""
    text = page.with_name(f"full-{name}.svg").read_text("utf-8")
    return SVG(text.replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1))


show("training-error")

# %% [markdown]
# ReLU against tanh on all 50,000 training images, each at its best learning rate. The arrow spans
# the published factor. The claims, each with the range that was committed before the run:

# %%
text = page.read_text("utf-8")
start = text.index("## Published beside ours")
lines = text[start : text.index("\n## ", start + 3)].splitlines()
Markdown("\n".join(line for line in lines if "not measured" not in line))

# %%
show("ratio-by-target")

# %% [markdown]
# The factor depends on the training error at which it is read. Tanh's layers saturate early:

# %%
show("by-layer")

# %% [markdown]
# ## A small race, live
#
# The same question at a size that any machine can train: 4,000 images of digits, and for each
# activation the best of some learning rates. On a GPU or TPU the net is the one of the stored run.
# This answers nothing about CIFAR-10.

# %%
import jax

from flaxact import studies
from flaxact.training import Recipe

model = "mlp(width=0.1)"
rates = (0.01, 0.03, 0.1)
seeds = 3
epochs = 6
if jax.default_backend() != "cpu":
    model = "cuda_convnet(variant=80sec)"
    rates = (0.001, 0.003, 0.01, 0.03)
    seeds = 8
    epochs = 10
if QUICK:
    model = "mlp(depth=1, width=0.02)"
    rates = (0.03,)
    seeds = 2
    epochs = 2

study = studies.Study(
    ("relu", "tanh"),
    model,
    seeds=tuple(range(seeds)),
    learning_rates=rates,
    recipe=Recipe(epochs=epochs, batch_size=100, momentum=0.9),
    target_error=0.25,
)
results = studies.compare(study, folder="notebook-race")
studies.table(results)

# %%
import matplotlib.pyplot as plt

frame = results.to_pandas()
final = frame[frame.epoch == epochs].groupby(["activation", "learning_rate"]).train_error.mean()
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for activation, color in (("relu", "#0072B2"), ("tanh", "#D55E00")):
    rate = final[activation].idxmin()
    rows = frame[
        (frame.activation == activation) & (frame.learning_rate == rate) & (frame.epoch > 0)
    ]
    for seed, run in rows.groupby("seed"):
        label = f"{activation}, rate {rate:g}" if seed == 0 else None
        axes.plot(run.epoch, run.train_error, color=color, linewidth=1, label=label)
axes.axhline(0.25, color="#333333", linewidth=0.8, linestyle=":")
axes.set(xlabel="epoch", ylabel="training error", ylim=(0, 1))
axes.xaxis.get_major_locator().set_params(integer=True)
axes.yaxis.set_major_formatter("{x:.0%}")
axes.legend()
plt.show()

# %% [markdown]
# [The whole answer](../paper_repro/results/README.md) weighs all papers and experiments that bear
# on the question why ReLU is better than other activations, and when it is not.
