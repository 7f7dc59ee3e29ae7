"""The zoo for users of NNX: through the bridge, and a twin written by hand; and users' own nets."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

import flaxact as fa
from flaxact import nnx as fnnx
from flaxact.layers import avg_pool, max_pool
from flaxact.models import create_model, input_shape, list_models
from tests.quick import jit

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
LABELS = jnp.arange(4) % 3
MEAN = IMAGES.mean(axis=0, dtype=np.float32)


class Twin(nnx.Module):
    """cuda_convnet at a quarter of its width, as somebody would write it in NNX."""

    def __init__(self, act, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(3, 8, (5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(8, 8, (5, 5), rngs=rngs)
        self.conv3 = nnx.Conv(8, 16, (5, 5), rngs=rngs)
        self.fc64 = nnx.Linear(2 * 2 * 16, 16, rngs=rngs)
        self.fc10 = nnx.Linear(16, 3, rngs=rngs)
        self.act1 = fnnx.Act(act, 8, rngs=rngs)
        self.act2 = fnnx.Act(act, 8, rngs=rngs)
        self.act3 = fnnx.Act(act, 16, rngs=rngs)
        self.act4 = fnnx.Act(act, 16, rngs=rngs)

    def __call__(self, x):
        x = jnp.asarray(x, jnp.float32) - MEAN
        x = self.act1(max_pool(self.conv1(x), 3, stride=2))
        x = avg_pool(self.act2(self.conv2(x)), 3, stride=2)
        x = avg_pool(self.act3(self.conv3(x)), 3, stride=2)
        return self.fc10(self.act4(self.fc64(x.reshape(x.shape[0], -1))))


def as_linen(params):
    """The twin's parameters under the names that Linen gives them."""
    pure = nnx.to_pure_dict(params)
    return {k: {"activation": v["learned"]} if k.startswith("act") else v for k, v in pure.items()}


def trained(loss, params, steps=4):
    """Losses of a few steps of SGD, and the parameters after them."""
    optimizer = optax.sgd(1e-3)
    state = optimizer.init(params)
    collected = []

    @jit
    def step(params, state):
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, value

    for _ in range(steps):
        params, state, value = step(params, state)
        collected.append(float(value))
    return collected, params


def cross_entropy(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("act", ["elu", "prelu"])
def test_a_twin_in_nnx_gives_the_same_numbers(act, graph):
    """In NNX's graph and tree modes, with the same parameters, before and after training."""
    with nnx.set_graph_mode(graph):
        structure, params, rest = nnx.split(Twin(act, nnx.Rngs(0)), nnx.Param, ...)
        theirs, after = trained(
            lambda p: cross_entropy(nnx.merge(structure, p, rest, copy=True)(IMAGES)), params
        )
    linen = create_model("cuda_convnet(width=0.25)", act, num_classes=3)

    def loss(p):
        return cross_entropy(linen.apply({"params": p, "inputs": {"mean": MEAN}}, IMAGES))

    ours, ours_after = trained(loss, as_linen(params))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    chex.assert_trees_all_close(ours_after, as_linen(after), rtol=1e-3, atol=1e-5)


def test_any_model_as_an_nnx_module():
    """Through Flax's bridge: the same numbers as in Linen with the same parameters, and it trains."""
    bridged = create_model("cuda_convnet(width=0.25)", "prelu", num_classes=3, api="nnx")
    bridged.lazy_init(IMAGES)
    linen = create_model("cuda_convnet(width=0.25)", "prelu", num_classes=3)
    structure, params, rest = nnx.split(bridged, nnx.Param, ...)
    variables = {"params": nnx.to_pure_dict(params), "inputs": {"mean": MEAN}}
    expected = jax.jit(linen.apply)(variables, IMAGES)
    np.testing.assert_allclose(bridged(IMAGES), expected, rtol=1e-4, atol=1e-6)
    losses, _ = trained(
        lambda p: cross_entropy(nnx.merge(structure, p, rest, copy=True)(IMAGES)), params
    )
    assert losses[-1] < losses[0]


# Nets of users, who know nothing of flaxact: the activation is an argument.


class UsersLinenNet(nn.Module):
    activation: object = nn.relu

    @nn.compact
    def __call__(self, x):
        x = self.activation(nn.Dense(8)(x))
        return nn.Dense(3)(self.activation(nn.Dense(8)(x)))


class UsersNnxNet(nnx.Module):
    def __init__(self, activation, rngs: nnx.Rngs):
        self.first = nnx.Linear(6, 8, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        return self.last(self.activation(self.first(x)))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "act", [fa.relu, fa.get("centered(elu(alpha=0.5))"), fa.tanh, fa.get("mish")]
)
def test_nets_of_users_take_an_activation_with_no_other_change(act):
    x = jax.random.normal(jax.random.key(0), (4, 6))
    net = UsersLinenNet(activation=act)
    losses, _ = trained(
        lambda p: cross_entropy(net.apply(p, x)), net.init(jax.random.key(1), x), steps=20
    )
    assert losses[-1] < losses[0]
    structure, params, rest = nnx.split(UsersNnxNet(act, nnx.Rngs(0)), nnx.Param, ...)
    losses, _ = trained(
        lambda p: cross_entropy(nnx.merge(structure, p, rest, copy=True)(x)), params, steps=20
    )
    assert losses[-1] < losses[0]


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", fa.names("learned"))
def test_nnx_holds_every_learned_activation(name):
    site = fnnx.Act(name, width=4, rngs=nnx.Rngs(0))
    learned = nnx.state(site, fnnx.ActivationParam)
    assert len(jax.tree.leaves(learned)) == len(fa.get(name).parameters(4, jax.random.key(0)))
    assert site(jnp.ones((2, 3, 3, 4))).shape == (2, 3, 3, 4)


@pytest.mark.parametrize("name", list_models())
def test_no_layer_is_named_as_a_method(name):
    """Flax's bridge sets layers as attributes, and would replace the method."""
    model = create_model(name, "relu")
    images = jax.ShapeDtypeStruct((1, *input_shape(name)), jnp.float32)
    layers = set(jax.eval_shape(model.init, jax.random.key(0), images)["params"])
    assert layers
    assert not {layer for layer in layers if callable(getattr(type(model), layer, None))}
