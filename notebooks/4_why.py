# %% [markdown]
# # Why one activation trains better than another
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/flaxact/flaxact/blob/main/notebooks/4_why.ipynb)
#
# Much is decided before the first step: signals grow, shrink or become alike from layer to layer,
# and so do gradients. This notebook measures that in a net, compares it with the theory of wide
# random nets, and shows the edge of chaos.

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
import numpy as np

import flaxact as fa
from flaxact import data
from flaxact.diagnostics import capture, pictures, predict, probe
from flaxact.models import create_model

digits = data.load()
images, labels = digits.train.images[:128], digits.train.labels[:128]
depth = 6 if QUICK else 20
width = 0.1 if QUICK else 0.2


def made(activation, kernel_init):
    """A deep net and its variables before any training."""
    model = create_model(f"mlp(depth={depth}, width={width})", activation, kernel_init=kernel_init)
    return model, model.init(jax.random.key(0), images)


# %% [markdown]
# ## Signals on their way through the net
#
# `probe` measures every site of an activation, forward and back. He's initialization keeps the size
# of ReLU's signal; Xavier's halves its second moment in each layer.

# %%
nets = {
    "relu, He": made("relu", "he"),
    "relu, Xavier": made("relu", "xavier"),
    "tanh, Xavier": made("tanh", "xavier"),
    "sigmoid, Xavier": made("sigmoid", "xavier"),
}
measures = ("second_moment", "gradient_norm", "zeros", "mean_to_std")
figures = {name: probe(*net, images, labels, measures=measures) for name, net in nets.items()}
pictures.over_depth(figures, "second_moment")

# %%
pictures.over_depth(figures, "gradient_norm")

# %% [markdown]
# The same as a table:

# %%
import pandas as pd

pd.concat({name: pd.DataFrame(sites).T for name, sites in figures.items()}).groupby(level=0).agg(
    ["first", "last"]
)

# %% [markdown]
# ## What the sites get
#
# The inputs of each activation, from the first layer at the top to the last.

# %%
model, variables = nets["relu, He"]
sites = capture(model, variables, images).sites
pictures.ridgelines({name: site.pre for name, site in sites.items()})

# %% [markdown]
# ## Theory beside measurement
#
# For independent weights and a wide layer, the moments of every site follow from the activation
# alone.

# %%
expected, measured = predict.predict_layer_moments(model, variables, images)
pictures.predicted_and_measured(expected, measured, "second_moment")

# %% [markdown]
# ## The edge of chaos
#
# Two inputs that are nearly alike drift apart from layer to layer if χ₁ > 1, and become alike if χ₁
# < 1. Gradients grow or shrink by the same factor. Between both lies the edge of chaos. It tells at
# which standard deviation of the weights a deep net can be trained.

# %%
for name in ("relu", "tanh", "erf", "gelu"):
    edge = fa.theory.edge_of_chaos(name)
    print(
        f"{name}: the edge at σ_w = {edge:.3f}; χ₁ at σ_w = 1 is {fa.theory.chi_1(name, 1.0):.3f}"
    )

# %%
count = 7 if QUICK else 25
pictures.phase_diagram("tanh", np.linspace(0.5, 3, count), np.linspace(0, 1, count))

# %% [markdown]
# The correlation of two inputs after a layer, as a function of their correlation before it. Where
# the curve is above the diagonal, inputs become alike.

# %%
import matplotlib.pyplot as plt

correlations = np.linspace(0, 1, 11 if QUICK else 41)
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
for name in ("relu", "tanh", "gelu", "sine"):
    after = [fa.theory.correlation_map(name, float(c)) for c in correlations]
    axes.plot(correlations, after, label=name)
axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", label="unchanged")
axes.set(xlabel="correlation before the layer", ylabel="after it")
axes.legend()
plt.show()

# %% [markdown]
# ## What follows for training
#
# The same net with ReLU, at one learning rate, from He's and from Xavier's weights.

# %%
from flaxact.net import from_linen
from flaxact.training import Recipe, train

recipe = Recipe(epochs=1 if QUICK else 5, batch_size=200, learning_rate=0.03, momentum=0.9)
for kernel_init in ("he", "xavier"):
    model, _ = made("relu", kernel_init)
    *_, last = train(from_linen(model), recipe, digits, [0] if QUICK else [0, 1, 2])
    print(f"{kernel_init}: training error {last.train_error}, test error {last.test_error}")

# %% [markdown]
# `flaxact probe` makes a page of such figures for many nets at once. Next: [reproduce Figure 1 of
# AlexNet](5_figure_1.ipynb).
