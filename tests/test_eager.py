"""Calls outside of any program: what they compile, what is kept of it, and that they change nothing."""

import ast
import gc
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact import activations
from flaxact.activations._spec import catalogue
from tests.test_paths import NAMES, made, moved, variable

X = jnp.linspace(-3, 3, 16).reshape(2, 8)
COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: COMPILED.append(event) if "backend_compile" in event else None
)


def compilations(call, *args) -> int:
    """How many programs a call compiles."""
    COMPILED.clear()
    jax.block_until_ready(call(*args))
    return len(COMPILED)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [n for n in NAMES if variable(n)])
def test_another_number_compiles_nothing(name):
    function = catalogue[name].function
    inner = made(name).inner
    assert compilations(lambda: function(X, **inner, **moved(name))) > 0
    for factor in (1.5, 1.75):
        numbers = moved(name, factor)
        assert compilations(lambda n=numbers: function(X, **inner, **n)) == 0
        assert compilations(fa.bind(made(name), **numbers), X) == 0
        for h, value in numbers.items():
            numbers[h] = np.float32(value)
        assert compilations(lambda n=numbers: function(X, **inner, **n)) == 0


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", ["elu", "sine", "soft_exponential", "gelu"])
def test_nor_does_one_in_a_derivative(name):
    def derivatives(factor):
        activation = fa.bind(name, **moved(name, factor)) if variable(name) else fa.get(name)
        gradient = jax.grad(lambda x: activation(x).sum())
        return jax.vmap(activation)(X), gradient(X), jax.jvp(gradient, (X,), (X,))[1]

    derivatives(1.25)
    assert compilations(derivatives, 1.5) == 0


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "spec", ["elu", "glu", "softmax", "prelu", "centered(relu)", "noisy(gelu)"]
)
def test_the_same_call_again_traces_and_compiles_nothing(spec):
    activation = fa.get(spec)
    events = []
    jax.block_until_ready(activation(X))
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: events.append(event)
    )
    jax.block_until_ready(activation(X))
    assert events == []


@pytest.mark.parametrize("name", ["sine", "siren", "snake"])
def test_a_frequency_keeps_the_digits_that_float32_has_not(name):
    x = jnp.linspace(-1e4, 1e4, 101)
    for frequency in (0.3, 2 / 3, 29.7):
        f = getattr(fa, name)
        wanted = jax.jit(lambda x, f=f, v=frequency: f(x, v))(x)
        np.testing.assert_allclose(f(x, frequency), wanted, rtol=1e-6, atol=2e-7)
        slope, wanted = (
            g(jax.grad(lambda x, f=f, v=frequency: f(x, v).sum()))(x)
            for g in (lambda g: g, jax.jit)
        )
        np.testing.assert_allclose(slope, wanted, rtol=1e-6, atol=1e-6 * frequency)


def test_the_ways_to_call_give_the_same():
    wanted = jax.jit(lambda x: fa.elu(x, 0.5))(X)
    for found in (
        fa.elu(X, 0.5),
        fa.elu(X, alpha=0.5),
        fa.elu(x=X, alpha=0.5),
        fa.elu(np.asarray(X), 0.5),
        fa.elu(X, np.float16(0.5)),
        fa.elu(X, jnp.float32(0.5)),
        fa.elu(X, np.full(8, 0.5, np.float32)),
        fa.get("elu(0.5)")(X),
        fa.get("elu")(X, alpha=0.5),
        fa.elu(X, 0.5, exact_derivative=True),
        jax.vmap(fa.elu, (0, None))(X, 0.5),
        jax.vmap(lambda a: fa.elu(X, a))(jnp.full(1, 0.5))[0],
    ):
        chex.assert_trees_all_close(found, wanted, rtol=1e-6)
    assert fa.elu(1.5).weak_type
    assert fa.elu(3).dtype == jnp.float32
    assert fa.relu(3).dtype == jnp.int32
    assert fa.prelu(X, per_channel=False).shape == X.shape
    wanted = 1.5 * jnp.where(X > 0, X, jnp.expm1(X))
    chex.assert_trees_all_close(fa.get("scaled(elu, 1.5)")(X), wanted, rtol=1e-5)
    slope = jax.grad(lambda a: fa.elu(X, a).sum())(0.5)
    chex.assert_trees_all_close(slope, jnp.expm1(jnp.minimum(X, 0)).sum(), rtol=1e-5)


def test_a_refusal_is_the_same_each_time():
    for _ in range(2):
        for call, said in (
            (lambda: fa.elu(X, alpha=-1.0), "alpha > 0"),
            (lambda: fa.elu(X, -1.0), "alpha > 0"),
            (lambda: fa.elu(X, alhpa=1.0), "did you mean 'alpha'"),
            (lambda: fa.elu(X, jnp.ones(3)), "does not broadcast"),
            (lambda: fa.elu(X.astype(complex)), "an array of real numbers"),
            (lambda: fa.glu(X[:, :7]), "that 2 divides"),
            (lambda: fa.softmax(X, axis=5), "has no axis 5"),
            (lambda: fa.rrelu(X, lower=9.0), "lower <= upper"),
            (lambda: fa.centered(fa.relu)(X, mean=jnp.zeros(())), "needs a number as mean"),
        ):
            with pytest.raises(fa.InputError, match=said):
                call()
        with pytest.raises(TypeError, match="multiple values"):
            fa.elu(X, 1.0, alpha=1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: fa.elu(x, alpha="a"),
        lambda x: fa.elu(x, alpha=jnp.ones(4)),
        fa.glu,
        fa.get("glu"),
    ],
)
def test_a_refusal_shows_no_frames_of_jax(wrong):
    with pytest.raises(fa.InputError) as refusal:
        wrong(jnp.ones(3))
    assert not hasattr(refusal.value, "__notes__")
    assert len(refusal.traceback) <= 5


def test_switches_of_jax_have_their_way():
    wanted = fa.elu(X, 0.5)
    for switch in (
        jax.disable_jit(),
        jax.transfer_guard("disallow"),
        jax.debug_nans(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        with switch:
            actual = fa.elu(X), fa.elu(X, 0.5)
        chex.assert_trees_all_close(actual[1], wanted, rtol=1e-6)
    with jax.enable_x64(True):
        assert fa.elu(jnp.ones(3, jnp.float64), 0.3).dtype == jnp.float64
        assert fa.elu(jnp.ones(3, jnp.float32), 0.3).dtype == jnp.float32
        exact = fa.sine(jnp.float64(1e4), 0.3)
    np.testing.assert_allclose(exact, np.sin(0.3 * 1e4), rtol=1e-10)


def test_what_is_kept_is_bounded():
    """No cache without a limit is of a function that takes something."""
    folder = Path(activations.__file__).parent
    for file in folder.glob("*.py"):
        text = file.read_text()
        assert "lru_cache(None)" not in text, file.name
        for node in ast.walk(ast.parse(text)):
            cached = isinstance(node, ast.FunctionDef) and "functools.cache" in map(
                ast.unparse, node.decorator_list
            )
            assert not (cached and node.args.args), f"{file.name}: {node.name}"
    limit = 300
    for i in range(limit):
        jax.eval_shape(lambda x, i=i: fa.elu(x, 2.0 + i), X)
    jax.clear_caches()  # which are bounded too, by some thousands
    gc.collect()
    alive = sum(getattr(f, "__name__", "") == "lean" for f in gc.get_objects() if callable(f))
    for i in range(limit):
        jax.eval_shape(lambda x, i=i: fa.elu(x, 2000.0 + i), X)
    jax.clear_caches()
    gc.collect()
    again = sum(getattr(f, "__name__", "") == "lean" for f in gc.get_objects() if callable(f))
    assert again <= alive
