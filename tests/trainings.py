"""Nets and data so small that a training is mostly compilation, for several files of tests."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact.activations import Activation, get
from flaxact.data import Dataset, Split
from flaxact.layers import Act
from flaxact.net import Net, from_linen
from flaxact.training import Recipe, updates


def random_data(train=48, test=507, size=8, seed=0) -> Dataset:
    """Images without sense, of three classes."""
    rng = np.random.default_rng(seed)
    splits = (
        Split(
            rng.integers(0, 256, (count, size, size, 1)).astype(np.uint8),
            rng.integers(0, 3, count).astype(np.int32),
        )
        for count in (train, test)
    )
    return Dataset("small", *splits, 3, class_names=("a", "b", "c"), note="random")


SMALL = random_data()
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.01)  # three steps an epoch of SMALL


def dense(scale=0.01) -> Net:
    """A linear classifier, quick to compile."""

    def init(key, images):
        size = int(np.prod(images.shape[1:]))
        return {"params": {"w": scale * jax.random.normal(key, (size, 3)), "b": jnp.zeros(3)}}

    def apply(variables, images, *, train, key):
        params = variables["params"]
        return images.reshape(len(images), -1) / 255 @ params["w"] + params["b"], variables

    return Net(init, apply)


DENSE = dense()


class Perceptron(nn.Module):
    """Two hidden layers, each with a site."""

    act: Activation

    @nn.compact
    def __call__(self, x, *, train):
        x = x.reshape(len(x), -1) / 255
        for i in (1, 2):
            x = Act(self.act, name=f"act{i}")(nn.Dense(6, name=f"dense{i}")(x))
        return nn.Dense(3, name="logits")(x)


class Convolutional(nn.Module):
    """With all that a training carries along: batch statistics, dropout, a learned activation."""

    act: Activation

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(4, (3, 3), name="conv1")(x / 255)
        x = Act(self.act, name="act1")(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(3, name="logits")(x)


PERCEPTRON = from_linen(Perceptron(get("tanh")))
CONVOLUTIONAL = from_linen(Convolutional(get("prelu")))


def trained(net, recipe, data, members, **options):
    """All epochs' metrics (epochs, members), and the last states by path, stacked over members."""
    actual = {name: [] for name in ("train_loss", "train_error", "test_loss", "test_error")}
    update = None
    for update in updates(net, recipe, data, members, **options):
        for name, rows in actual.items():
            if update.epoch is not None:
                rows.append(getattr(update.epoch, name))
    assert update is not None
    return {name: np.stack(rows) for name, rows in actual.items()}, update.arrays()


def member(arrays, i):
    """One member's arrays."""
    return {name: array[i] for name, array in arrays.items()}


def assert_same_bits(one, other):
    """Two trees of arrays by name are the same, nan for nan and sign for sign."""
    assert one.keys() == other.keys()
    for name in one:
        a = np.asarray(one[name])
        b = np.asarray(other[name])
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        assert a.tobytes() == b.tobytes(), name


@contextlib.contextmanager
def quick_compilation():
    """Half the time for programs that do the same, where speed is not what is tested."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
