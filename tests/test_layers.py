import chex
import jax
import jax.numpy as jnp
import numpy as np
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
    module, x = Act("relu"), jnp.array([-1.0, 2.0])
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
