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
from flaxact.layers import Act, avg_pool, max_pool, response_norm


def pooled(x, size, stride, reduce):
    """cuda-convnet's pooling as it is defined: one window after the other, clipped at the border."""
    counts = [max(1, -(-(n - size) // stride) + 1) for n in x.shape[1:3]]
    out = np.empty((x.shape[0], *counts, x.shape[3]), x.dtype)
    for i in range(counts[0]):
        for j in range(counts[1]):
            window = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, i, j] = reduce(window, axis=(1, 2))
    return out


@pytest.mark.sampled(5)
@pytest.mark.parametrize("shape", [(32, 32), (28, 28), (7, 8), (3, 5), (2, 1), (1, 1)])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 2), (5, 3)])
def test_pools_clip_their_border_windows(shape, size, stride):
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    got = max_pool(jnp.asarray(x), size, stride)
    chex.assert_trees_all_equal(got, pooled(x, size, stride, np.max))
    got = avg_pool(jnp.asarray(x), size, stride)
    chex.assert_trees_all_close(got, pooled(x, size, stride, np.mean), rtol=1e-5, atol=1e-6)


def test_pool_gradients_are_those_of_reduce_window():
    x = jax.random.normal(jax.random.key(0), (2, 9, 9, 2))  # no ties

    def reference(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")

    ours, theirs = (
        jax.grad(lambda x, f=f: jnp.sum(jnp.sin(f(x))))(x)
        for f in (lambda x: max_pool(x, 3, 2), reference)
    )
    chex.assert_trees_all_close(ours, theirs, rtol=1e-6)


def test_response_norm_by_its_formula():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    padded = np.pad(x**2, ((0, 0), (1, 1), (1, 1), (0, 0)))
    squares = sum(padded[:, i : i + 5, j : j + 4] for i in range(3) for j in range(3))
    expected = x / (1 + 2.0 / 9 * squares) ** 0.75
    chex.assert_trees_all_close(response_norm(jnp.asarray(x), 3, 2.0, 0.75), expected, rtol=1e-5)


@pytest.mark.parametrize("act", ["centered(relu)", fa.get("centered(relu)")])
def test_the_two_doors_apply_the_same(act):
    x = jnp.linspace(-2, 2, 7)
    expected = fa.get("centered(relu)")(x)
    chex.assert_trees_all_equal(Act(act).apply({}, x), expected)
    chex.assert_trees_all_equal(fnnx.Act(act)(x), expected)
    assert not jax.tree.leaves(nnx.state(fnnx.Act(act)))


def test_act_is_sown_only_where_asked_for():
    module = Act("relu")
    x = jnp.array([-1.0, 2.0])
    _, state = module.apply({}, x, mutable=["intermediates"])
    chex.assert_trees_all_equal(state["intermediates"]["output"][0], jnp.array([0.0, 2.0]))
    assert not isinstance(module.apply({}, x), tuple)


def test_equal_modules_share_a_trace():
    traces = []

    class Net(nn.Module):
        act: fa.Activation

        @nn.compact
        def __call__(self, x):
            traces.append(1)
            return Act(self.act)(x)

    apply = jax.jit(lambda module, x: module.apply({}, x), static_argnums=0)
    for _ in range(2):
        apply(Net(fa.get("centered(relu)")), jnp.ones(3))
    assert len(traces) == 1


@pytest.mark.parametrize("spec", ["crelu", "glu", "maxout(pieces=3)", "concatenated_elu"])
def test_an_act_may_change_the_width(spec):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2, name="out")(Act(spec)(x))

    params = jax.eval_shape(Net().init, jax.random.key(0), jnp.ones((1, 6)))["params"]
    assert params["out"]["kernel"].shape == (fa.get(spec).width(6), 2)


def test_what_an_act_refuses():
    x = jnp.ones((2, 5))
    for act, said in (
        ("glu", "glu needs a width that 2 divides, not 5"),
        ("rleu", "did you mean 'relu'"),
        ("centered(prelu)", "learns negative_slope"),
    ):
        with pytest.raises(fa.InputError, match=said):
            Act(act).init(jax.random.key(0), x)
        with pytest.raises(fa.InputError, match=said):
            fnnx.Act(act)(x)
    with pytest.raises(fa.InputError, match="give Act the width of its input"):
        fnnx.Act("prelu")
    with pytest.raises(fa.InputError, match=r"negative_slope of shape \(4,\) does not broadcast"):
        fnnx.Act("prelu", width=4)(x)
    with pytest.raises(fa.InputError, match="takes an array of real numbers, not of complex64"):
        Act("relu").apply({}, jnp.ones(3, complex))


def test_an_nnx_site_is_trained_and_spared_by_weight_decay():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(3, 4, rngs=rngs)
            self.act = fnnx.Act("prelu", width=4)

        def __call__(self, x):
            return self.act(self.dense(x))

    net = Net(nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (8, 3))

    def spared(params):
        is_param = lambda leaf: isinstance(leaf, nnx.Variable)  # noqa: E731
        is_decayed = lambda leaf: not isinstance(leaf, fnnx.ActivationParam)  # noqa: E731
        return jax.tree.map(is_decayed, params, is_leaf=is_param)

    gradient = nnx.grad(lambda net: jnp.mean(net(x) ** 2))(net)
    params = nnx.state(net, nnx.Param)
    decay = optax.add_decayed_weights(0.1, spared)
    updates, _ = decay.update(gradient, decay.init(params), params)
    slope = lambda state: state["act"]["learned"]["negative_slope"][...]  # noqa: E731
    chex.assert_trees_all_equal(slope(updates), slope(gradient))
    assert (slope(gradient) != 0).any()
    kernel = updates["dense"]["kernel"][...] - gradient["dense"]["kernel"][...]
    chex.assert_trees_all_close(kernel, 0.1 * net.dense.kernel[...], rtol=1e-5)
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(net, gradient)
    moved = net.act.learned["negative_slope"][...]
    chex.assert_trees_all_close(moved, 0.25 - 0.1 * slope(gradient), rtol=1e-6)
