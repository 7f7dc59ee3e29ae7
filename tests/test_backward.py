"""What the backward pass holds on to, read off the compiled program."""

import jax
import jax.numpy as jnp
import pytest

import flaxact as fa

LAYERS, ROWS, WIDTH = 12, 1024, 256
# jax.nn keeps 2 (relu, leaky_relu, softplus) to 3 (elu, gelu, silu) of these.
KEPT = {name: 1.1 for name in fa.names() if fa.get(name).monotonic} | {"gelu": 2.05, "silu": 2.05}


def arrays_kept(activation) -> float:
    """Arrays of a layer's size that a compiled training step of a dense stack needs a layer."""

    def loss(weights, x):
        for w in weights:
            x = activation(x @ w)
        return jnp.mean(x**2)

    def step(weights, x):
        gradients = jax.grad(loss)(weights, x)
        return [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)]

    weights = [jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32)] * LAYERS
    x = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)
    program = jax.jit(step).lower(weights, x).compile()
    return program.memory_analysis().temp_size_in_bytes / (ROWS * WIDTH * 4 * LAYERS)


@pytest.mark.parametrize("name", fa.names())
def test_arrays_kept_a_layer(name):
    # A dozen layers carry two working arrays between them: 2 / 12 on top of what is kept.
    assert arrays_kept(fa.get(name)) <= KEPT[name] + 2 / LAYERS


def test_leaner_than_jax_nn_where_that_keeps_more():
    for name in ("relu", "leaky_relu", "elu", "gelu", "silu"):
        assert arrays_kept(fa.get(name)) < arrays_kept(getattr(jax.nn, name)) - 0.5, name
