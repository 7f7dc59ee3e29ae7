# %% [markdown]
# # Activations in ten minutes
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/flaxact/flaxact/blob/main/notebooks/1_activations.ipynb)
#
# flaxact has 111 activations as plain JAX functions. This notebook shows their values, facts and
# graphs, what the backward pass keeps in memory, and how to add your own activation.

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
# ## A function and a value
#
# Every activation is a function of an array, as in `jax.nn`. Hyperparameters are keyword arguments.

# %%
import jax
import jax.numpy as jnp

import flaxact as fa

x = jnp.linspace(-3, 3, 7)
fa.elu(x, alpha=0.5)

# %% [markdown]
# `fa.get` gives the same activation as a value. It is frozen and hashable, so that it can be an
# attribute of a module or a static argument of `jax.jit`. A notebook shows its graph, formula and
# facts.

# %%
fa.get("elu(alpha=0.5)")

# %% [markdown]
# Transforms make new activations of old ones. Here GELU is shifted so that its mean is 0 for a
# standard Gaussian input, and scaled so that its second moment is 1.

# %%
f = fa.get("standardized(gelu)")
print(f(x))
f

# %% [markdown]
# ## Facts
#
# Facts are declared (range, kinks, monotonicity) or computed (Gaussian moments, Lipschitz constant,
# gain). `select` finds activations by their facts.

# %%
print(
    "mean, variance:",
    fa.theory.gaussian_moments("relu").mean,
    fa.theory.gaussian_moments("relu").variance,
)
print("Lipschitz constant of gelu:", fa.facts.lipschitz(fa.get("gelu")))
print("kinks of hard_swish:", fa.get("hard_swish").kinks)
condition = "monotonic and bounded" if QUICK else "monotonic and zero_mean and lipschitz <= 1"
fa.facts.select(condition)

# %% [markdown]
# ## Derivatives
#
# Derivatives are right to a few units in the last place, in both modes and of any order, at large
# inputs too. At a kink they follow the convention that `describe` names.

# %%
points = jnp.array([-1e4, -1.0, 0.0, 1.0, 1e4])
print("mish  ", jax.vmap(jax.grad(fa.mish))(points))
print("mish″ ", jax.vmap(jax.grad(jax.grad(fa.mish)))(points))
print("bfloat16:", fa.mish(points.astype(jnp.bfloat16)).dtype)

# %% [markdown]
# ## Memory of the backward pass
#
# Training keeps arrays from the forward pass for the backward pass. A derivative that can be read
# off the output needs no array of its own, because the next layer keeps the output anyway. The
# compiler tells how much memory a training step of a stack of dense layers needs; the difference
# between 6 and 3 layers is what a layer keeps.

# %%
import matplotlib.pyplot as plt


def kept(function, rows=1024, width=64):
    """Arrays of (rows, width) per layer that a compiled training step keeps."""

    def memory(layers):
        def loss(weights, x):
            for w in weights:
                x = function(x @ w)
            return jnp.mean(x**2)

        def step(weights, x):
            return jax.tree.map(jnp.subtract, weights, jax.grad(loss)(weights, x))

        weights = [jnp.zeros((width, width))] * layers
        compiled = jax.jit(step).lower(weights, jnp.zeros((rows, width))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    return (memory(6) - memory(3)) / (3 * 4 * rows * width)


names = ["relu", "elu", "sigmoid", "softplus", "gelu", "silu", "mish"]
ours = [kept(getattr(fa, name)) for name in names]
theirs = [kept(getattr(jax.nn, name)) for name in names]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.barh([i - 0.2 for i in range(len(names))], ours, 0.4, label="flaxact", color="#0072B2")
axes.barh([i + 0.2 for i in range(len(names))], theirs, 0.4, label="jax.nn", color="#D55E00")
axes.set_yticks(range(len(names)), names)
axes.invert_yaxis()
axes.set_xlabel("arrays kept per layer")
axes.legend()
plt.show()

# %% [markdown]
# ## Your own activation
#
# A decorated function is an activation like all others: it has a card, facts, transforms, and every
# net and command takes it.

# %%
import math


@fa.activation(
    r"x + \beta \sin x",
    source="",
    range=(-math.inf, math.inf),
    monotonic=lambda beta: abs(beta) <= 1,
    learned=("beta",),
)
def wavy(x, beta: float = 0.5):
    """A wave along the identity."""
    return x + beta * jnp.sin(x)


fa.get("wavy")

# %% [markdown]
# `learned=("beta",)` makes `beta` trainable. `parameters` gives its initial value.

# %%
fa.get("wavy").parameters(width=8), fa.get("prelu").parameters(width=3)

# %% [markdown]
# Declared facts are compared with the values at the first use. A wrong one is refused.


# %%
@fa.activation(r"\sin x", source="", range=(0, 1), monotonic=True)
def wrong(x):
    """The sine, with wrong facts."""
    return jnp.sin(x)


try:
    fa.get("wrong")(x)
except fa.InputError as error:
    print(error)

# %% [markdown]
# Next: [put activations into your own model](2_your_model.ipynb). The
# [gallery](../docs/gallery/README.md) has the card of every activation.
