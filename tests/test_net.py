"""A net is two pure functions, whatever it was written in."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from flaxact import nnx as fnnx
from flaxact.data import Dataset, Split
from flaxact.layers import Act
from flaxact.net import Net, from_linen, from_nnx
from flaxact.training import Recipe, train

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 64).astype(np.int32)
IMAGES = (RNG.integers(0, 156, (64, 4, 4, 1)) + 100 * LABELS[:, None, None, None]).astype(np.uint8)
DATA = Dataset(
    "toy",
    Split(IMAGES, LABELS),
    Split(IMAGES, LABELS),
    2,
    class_names=("dark", "light"),
    note="made here",
)


class LinenNet(nn.Module):
    act: str = "elu"

    @nn.compact
    def __call__(self, x, *, train):
        x = x.reshape(x.shape[0], -1) / 255
        x = nn.Dense(8, name="first")(x)
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        x = nn.Dropout(0.1, deterministic=not train)(Act(self.act, name="act1")(x))
        return nn.Dense(2, name="second")(x)


class NnxNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(16, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.act1 = fnnx.Act("elu")
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.second = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        x = x.reshape(x.shape[0], -1) / 255
        return self.second(self.dropout(self.act1(self.norm(self.first(x)))))


def by_hand() -> Net:
    def init(key, images):
        return {"params": {"w": 0.01 * jax.random.normal(key, (16, 2)), "b": jnp.zeros(2)}}

    def apply(variables, images, *, train, key):
        params = variables["params"]
        return (images.reshape(len(images), -1) - 128) / 64 @ params["w"] + params["b"], variables

    return Net(init, apply)


NETS = {"linen": lambda: from_linen(LinenNet()), "nnx": lambda: from_nnx(NnxNet), "own": by_hand}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("loop", ["scan", "dispatch"])
def test_every_kind_trains(kind, loop):
    recipe = Recipe(epochs=15, batch_size=16, learning_rate=0.5)
    *_, last = train(NETS[kind](), recipe, DATA, [0, 1], loop=loop)
    assert last.test_error.shape == (2,)
    assert (last.train_error < 0.2).all()


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_what_a_training_pass_updates(kind):
    net = NETS[kind]()
    variables = net.init(KEY, IMAGES)
    images = jnp.asarray(IMAGES, jnp.float32)
    _, trained = net.apply(variables, images, train=True, key=KEY)
    _, tested = net.apply(variables, images, train=False, key=KEY)
    rest = "batch_stats" if kind == "linen" else "rest"
    before, after, at_rest = (
        jax.tree.leaves(v[rest]["norm"]) for v in (variables, trained, tested)
    )
    assert not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    chex.assert_trees_all_equal(before, at_rest)
    chex.assert_trees_all_equal(
        jax.tree.leaves(trained["params"]), jax.tree.leaves(variables["params"])
    )


@pytest.mark.thorough
def test_linen_and_nnx_agree_with_the_same_parameters():
    linen_net = from_linen(LinenNet())
    nnx_net = from_nnx(NnxNet)
    linen_variables = linen_net.init(KEY, IMAGES)
    variables = nnx_net.init(KEY, IMAGES)
    params = nnx.to_pure_dict(variables["params"])
    params = {k: params[k] for k in ("first", "norm", "second")}
    linen_variables = {**linen_variables, "params": params}
    images = jnp.asarray(IMAGES, jnp.float32)
    ours, _ = linen_net.apply(linen_variables, images, train=False, key=KEY)
    theirs, _ = nnx_net.apply(variables, images, train=False, key=KEY)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("graph", [True, False])
def test_nnx_in_graph_and_tree_mode(graph):
    """NNX's two semantics give the same losses."""

    def losses() -> list[float]:
        module = NnxNet(nnx.Rngs(0))
        optimizer = optax.sgd(0.1)
        structure, params, rest = nnx.split(module, nnx.Param, ...)
        state = optimizer.init(params)

        @jax.jit
        def step(params, rest, state):
            def loss(params):
                merged = nnx.merge(structure, params, rest, copy=True)
                merged.train()
                logits = merged(jnp.asarray(IMAGES, jnp.float32))
                value = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()
                return value, nnx.split(merged, nnx.Param, ...)[2]

            (value, rest_new), gradients = jax.value_and_grad(loss, has_aux=True)(params)
            updates, new = optimizer.update(gradients, state)
            return optax.apply_updates(params, updates), rest_new, new, value

        collected = []
        for _ in range(4):
            params, rest, state, value = step(params, rest, state)
            collected.append(float(value))
        return collected

    with nnx.set_graph_mode(graph):
        collected = losses()
    with nnx.set_graph_mode(True):
        np.testing.assert_allclose(collected, losses(), rtol=1e-6)
    assert collected[-1] < collected[0]


def test_equal_modules_give_one_net():
    assert from_linen(LinenNet()) is from_linen(LinenNet())
    assert from_linen(LinenNet("tanh")) is not from_linen(LinenNet())
    make = functools.partial(NnxNet)
    assert from_nnx(make) is from_nnx(make)
