# %% [markdown]
# # flaxact in your own model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/flaxact/flaxact/blob/main/notebooks/2_your_model.ipynb)
#
# Activations are functions, so every JAX library can call them. An activation that learns or draws
# random numbers needs an owner of its parameters: `flaxact.layers.Act` in Linen, `flaxact.nnx.Act`
# in NNX, your own dictionary elsewhere. This notebook trains the same small net in Linen, NNX,
# Equinox, Haiku and bare JAX.

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
import jax.numpy as jnp
import optax

import flaxact as fa
from flaxact import data
from flaxact.net import Net, from_linen
from flaxact.training import Recipe, train

digits = data.load()  # 4,000 images of digits for training, 1,000 for testing
recipe = Recipe(epochs=1 if QUICK else 5, batch_size=200, learning_rate=0.003, optimizer="adam")


def show(epochs):
    """Print the test error of every member after the last epoch."""
    *_, last = epochs
    print("test error:", last.test_error, "after", last.number, "epochs")


# %% [markdown]
# ## Linen
#
# `Act` is a named site. It owns what PReLU learns, one slope per channel, and a probe can read it.
# `from_linen` makes the module trainable: two seeds train at once.

# %%
from flax import linen as nn

from flaxact.layers import Act


class Classifier(nn.Module):
    """Two dense layers."""

    act: str = "prelu"

    @nn.compact
    def __call__(self, images):
        x = images.reshape(len(images), -1) / 255
        x = nn.Dense(64)(x)
        x = Act(self.act, name="act1")(x)
        return nn.Dense(10)(x)


show(train(from_linen(Classifier()), recipe, digits, [0, 1]))

# %% [markdown]
# An activation that learns nothing can be called as a function: `fa.gelu(x)` in place of
# `nn.gelu(x)`. Without `Act` the site cannot be probed.
#
# ## NNX
#
# `flaxact.nnx.Act` takes the width of its input, as NNX layers do. `ActivationParam` marks what the
# activation learns, so that weight decay can leave it out.

# %%
from flax import nnx

import flaxact.nnx


class Model(nnx.Module):
    """Two dense layers."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(784, 64, rngs=rngs)
        self.act = fa.nnx.Act("prelu", width=64, rngs=rngs)
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images):
        x = images.reshape(len(images), -1) / 255
        return self.out(self.act(self.hidden(x)))


model = Model(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(0.003), wrt=nnx.Param)


@nnx.jit
def step(model, optimizer, images, labels):
    """One step of Adam."""

    def loss(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

    value, grads = nnx.value_and_grad(loss)(model)
    optimizer.update(model, grads)
    return value


images = jnp.asarray(digits.train.images, jnp.float32)
labels = jnp.asarray(digits.train.labels)
for number in range(20 if QUICK else 100):
    part = slice(200 * (number % 20), 200 * (number % 20 + 1))
    value = step(model, optimizer, images[part], labels[part])
print("loss of the last batch:", value)
print("slopes of the first channels:", model.act.learned["negative_slope"][...][:4])

# %% [markdown]
# ## Equinox
#
# An Equinox module holds the parameters of the activation as a dictionary of arrays. `Net(init,
# apply)` makes any pair of pure functions trainable, so that seeds train at once here too.

# %%
for package, module in {"equinox": "equinox", "dm-haiku": "haiku"}.items():
    if importlib.util.find_spec(module) is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import equinox as eqx


class Equinox(eqx.Module):
    """Two dense layers."""

    hidden: eqx.nn.Linear
    out: eqx.nn.Linear
    learned: dict

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.hidden = eqx.nn.Linear(784, 64, key=first)
        self.out = eqx.nn.Linear(64, 10, key=second)
        self.learned = fa.get("prelu").parameters(width=64)

    def __call__(self, image):
        x = self.hidden(image.reshape(-1) / 255)
        return self.out(fa.get("prelu")(x, **self.learned))


_, structure = eqx.partition(Equinox(jax.random.key(0)), eqx.is_array)


def init(key, images):
    """The variables: what is trained is under "params"."""
    return {"params": eqx.filter(Equinox(key), eqx.is_array)}


def apply(variables, images, *, train, key):
    """Logits, and the variables as they are after the pass."""
    return jax.vmap(eqx.combine(variables["params"], structure))(images), variables


show(train(Net(init, apply), recipe, digits, [0, 1]))

# %% [markdown]
# ## Haiku
#
# `hk.get_parameter` owns the slope.

# %%
import haiku as hk


def forward(images):
    """Two dense layers."""
    x = hk.Linear(64)(hk.Flatten()(images / 255))
    slope = hk.get_parameter("negative_slope", (64,), init=hk.initializers.Constant(0.25))
    return hk.Linear(10)(fa.prelu(x, negative_slope=slope))


network = hk.without_apply_rng(hk.transform(forward))
net = Net(
    lambda key, images: {"params": network.init(key, jnp.asarray(images[:1], jnp.float32))},
    lambda variables, images, *, train, key: (
        network.apply(variables["params"], images),
        variables,
    ),
)
show(train(net, recipe, digits, [0, 1]))

# %% [markdown]
# ## Bare JAX
#
# The parameters of the activation are a dictionary among the others.

# %%
prelu = fa.get("prelu")


def init(key, images):
    """Two dense layers."""
    first, second = jax.random.split(key)
    weights = fa.initializers.variance_preserving("prelu")
    params = {
        "w1": weights(first, (784, 64)),
        "act": prelu.parameters(width=64),
        "w2": weights(second, (64, 10)),
    }
    return {"params": params}


def apply(variables, images, *, train, key):
    """Logits, and the variables as they are after the pass."""
    params = variables["params"]
    x = images.reshape(len(images), -1) / 255
    return prelu(x @ params["w1"], **params["act"]) @ params["w2"], variables


show(train(Net(init, apply), recipe, digits, [0, 1]))

# %% [markdown]
# Next: [compare activations with many seeds](3_compare.ipynb).
