# %% [markdown]
# # Compare activations with many seeds
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/flaxact/flaxact/blob/main/notebooks/3_compare.ipynb)
#
# A difference between two activations means little without seeds. flaxact trains all seeds and
# learning rates of an activation at once, as one program on a GPU or TPU. This notebook compares
# four activations, each at its own best learning rate, and shows the report.
#
# In Colab choose a GPU or TPU first: *Runtime, Change runtime type*. On a CPU the net is smaller
# and the seeds are fewer.

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

# %%
import jax

from flaxact import studies
from flaxact.training import Recipe

activations = ("relu", "gelu", "silu", "tanh")
model = "mlp(depth=2, width=0.1)"
rates = (0.03, 0.1, 0.3)
seeds = 4
epochs = 6
if jax.default_backend() != "cpu":
    model = "cuda_convnet"
    rates = (0.001, 0.003, 0.01, 0.03)
    seeds = 16
    epochs = 10
if QUICK:
    activations = ("relu", "tanh")
    model = "mlp(depth=1, width=0.02)"
    rates = (0.01,)
    seeds = 2
    epochs = 2

study = studies.Study(
    activations,
    model,
    seeds=tuple(range(seeds)),
    learning_rates=rates,
    recipe=Recipe(epochs=epochs, batch_size=100, momentum=0.9),
    target_error=0.05,
)

# %% [markdown]
# `compare` trains what the folder does not hold yet, with a progress bar, and writes the report.
# Stopped, the same cell resumes.

# %%
results = studies.compare(study, folder="notebook-comparison")
results

# %% [markdown]
# ## The table
#
# Each activation is judged at the learning rate with the lowest training error.

# %%
studies.table(results)

# %% [markdown]
# ## A data frame
#
# `to_pandas` gives one row per run and epoch, for your own plots and statistics.

# %%
frame = results.to_pandas()
frame[frame.epoch == epochs].groupby(["activation", "learning_rate"])[
    ["train_error", "test_error"]
].agg(["mean", "std"])

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
last = frame[frame.epoch == epochs].groupby(["activation", "learning_rate"]).train_error.mean()
for activation in activations:
    rate = last[activation].idxmin()
    rows = frame[
        (frame.activation == activation) & (frame.learning_rate == rate) & (frame.epoch > 0)
    ]
    by_epoch = rows.groupby("epoch").test_error
    mean = by_epoch.mean()
    axes.plot(mean.index, mean, label=f"{activation}, rate {rate:g}")
    axes.fill_between(mean.index, by_epoch.min(), by_epoch.max(), alpha=0.15)
axes.set(xlabel="epoch", ylabel="test error", title="mean and range over seeds")
axes.xaxis.get_major_locator().set_params(integer=True)
axes.yaxis.set_major_formatter("{x:.0%}")
axes.legend()
plt.show()

# %% [markdown]
# ## The report
#
# One page, with an answer in words, plots, what every layer gave out, and how it was made. It loads
# nothing, so the file can be sent to others.

# %%
studies.show_report("notebook-comparison")

# %% [markdown]
# Next: [why one activation trains better than another](4_why.ipynb). On real images:
# `dataset="cifar10"` (needs `pip install "flaxact[data]"`).
