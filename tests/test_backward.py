"""What the backward pass holds on to, read off the compiled program."""

import jax
import pytest

import flaxact as fa
from benchmarks.backward import compiled

LAYERS = 12
# jax.nn keeps 2 (relu, leaky_relu, softplus) to 3 (elu, gelu, silu) of these.
KEPT = {name: 1.1 for name in fa.names() if fa.get(name).monotonic} | {"gelu": 2.05, "silu": 2.05}


def arrays_kept(activation) -> float:
    return compiled(activation, rows=1024, width=256, layers=LAYERS)[1]


@pytest.mark.parametrize("name", fa.names())
def test_arrays_kept_a_layer(name):
    # A dozen layers carry two working arrays between them: 2 / 12 on top of what is kept.
    assert arrays_kept(fa.get(name)) <= KEPT[name] + 2 / LAYERS


def test_leaner_than_jax_nn_where_that_keeps_more():
    for name in ("relu", "leaky_relu", "elu", "gelu", "silu"):
        assert arrays_kept(fa.get(name)) < arrays_kept(getattr(jax.nn, name)) - 0.5, name
