"""What a user meets who writes `flaxact` where `jax.nn` stood."""

import inspect
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from tests.quick import jit, rounding_jit

LEFT_OUT = {
    "dot_product_attention": "no activation",
    "get_scaled_dot_general_config": "no activation",
    "scaled_dot_general": "no activation",
    "scaled_matmul": "no activation",
    "one_hot": "no activation: whole numbers in",
    "logsumexp": "a reduction",
    "logmeanexp": "a reduction",
    "log1mexp": "for probabilities: its domain is half the line",
    "standardize": "a normalization",
}
THEIRS = {name: f for name, f in vars(jax.nn).items() if callable(f) and not name.startswith("_")}
SHARED = tuple(sorted(THEIRS.keys() - LEFT_OUT.keys()))
POINTWISE = tuple(n for n in SHARED if not fa.get(n).spec.coupled)
# Where a kink's derivative is by another convention than in jax.nn, and what it is here.
KINKS = {
    ("leaky_relu", 0.0): 0.01,
    ("hard_tanh", -1.0): 0.0,
    ("hard_tanh", 1.0): 0.0,
    ("sparse_sigmoid", -1.0): 0.0,
    ("sparse_sigmoid", 1.0): 0.0,
}
DTYPES = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)
ULPS = {jnp.float16: 1, jnp.bfloat16: 1, jnp.float32: 8, jnp.float64: 8}


def grid(dtype, count: int = 40) -> jax.Array:
    """Zeros, the smallest and largest numbers, and random ones across the exponents between."""
    limits = jnp.finfo(dtype)
    low = math.log2(limits.tiny)
    high = math.log2(limits.max)
    drawn = 2 ** np.random.default_rng(0).uniform(max(low, -60), min(high, 60), count)
    simple = [0, 0.25, 0.5, 0.75, 1.5, 2, 2.5, 4, 5, 8, 20, 90, 1e4]
    ends = [float(limits.tiny), float(limits.eps), float(limits.max)]
    positive = np.concatenate([simple, ends, drawn])
    return jnp.asarray(np.concatenate([positive, -positive]), dtype)


def close(got, wanted, x, dtype, ulps: float) -> bool:
    """Within so many units in the last place of what jax.nn gives in float64, whose own rounding,
    of the size of its input, is let pass."""
    got, wanted, x = (np.asarray(v, np.float64) for v in (got, wanted, x))
    eps = float(jnp.finfo(dtype).eps)
    tiny = float(jnp.finfo(dtype).tiny)
    allowed = ulps * eps * abs(wanted) + tiny + 8 * np.finfo(np.float64).eps * abs(x)
    with np.errstate(invalid="ignore"):
        return bool(np.all((abs(got - wanted) <= allowed) | (got == wanted)))


def test_every_name_of_jax_nn_is_here_or_left_out_with_a_reason():
    assert not {name for name in SHARED if not hasattr(fa, name)}
    assert THEIRS.keys() >= LEFT_OUT.keys() - {"logmeanexp", "log1mexp"}  # newer than the rest


@pytest.mark.parametrize("name", SHARED)
def test_signatures_are_the_same(name):
    """The same arguments, in the same order, with the same defaults; ours may have options more."""
    ours = inspect.signature(getattr(fa, name)).parameters.values()
    theirs = inspect.signature(THEIRS[name]).parameters.values()
    in_order = [(p.name, p.default) for p in ours if p.kind is not p.KEYWORD_ONLY]
    assert in_order == [(p.name, p.default) for p in theirs]


@pytest.mark.sampled(7)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POINTWISE)
def test_values_are_those_of_jax_nn(name, dtype):
    with jax.enable_x64(True):
        x = jnp.append(grid(dtype), jnp.array([-jnp.inf, jnp.inf, jnp.nan], dtype))
        got = np.asarray(rounding_jit(getattr(fa, name))(x))
        assert got.dtype == dtype
        wanted = np.asarray(jit(THEIRS[name])(x.astype(jnp.float64)).astype(dtype))
        assert close(got[:-3], wanted[:-3], x[:-3], dtype, ulps=ULPS[dtype])
        got = got[-3:]
        wanted = wanted[-3:]
        known = ~np.isnan(wanted)
        np.testing.assert_array_equal(got[known], wanted[known])
        # jax.nn has nan for some at an infinity, where the limit is finite or infinite.
        np.testing.assert_array_equal(np.isnan(got), [False, False, True])


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", POINTWISE)
def test_slopes_are_those_of_jax_nn(name):
    x = grid(jnp.float32)
    got = jit(jax.vmap(jax.grad(getattr(fa, name))))(x)
    with jax.enable_x64(True):
        wanted = jit(jax.vmap(jax.grad(THEIRS[name])))(x.astype(jnp.float64))
    got = np.asarray(got, np.float64)
    wanted = np.asarray(wanted)
    assert not np.isnan(got).any()
    known = ~np.isnan(wanted) & np.array([(name, float(v)) not in KINKS for v in x])
    np.testing.assert_allclose(got[known], wanted[known], rtol=1e-6, atol=2e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", POINTWISE)
def test_slopes_at_kinks_are_those_of_jax_nn_or_noted(name):
    for place in fa.get(name).kinks:
        ours, theirs = (float(jax.grad(f)(place)) for f in (getattr(fa, name), THEIRS[name]))
        if (name, place) in KINKS:
            assert ours == pytest.approx(KINKS[name, place])
            assert ours != pytest.approx(theirs)
            assert "jax.nn" in fa.get(name).spec.note
        else:
            assert ours == pytest.approx(theirs)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", SHARED)
def test_results_have_the_type_that_jax_nn_gives(name, x64):
    """Python numbers and weak types included."""
    with jax.enable_x64(x64):
        inputs = [
            jnp.asarray([1.5, 2.0]),
            jax.lax.full((2,), 1.5),
            np.ones(2),
            jnp.ones(2, jnp.bfloat16),
        ]
        for x in inputs:
            ours, theirs = (jax.eval_shape(f, x) for f in (getattr(fa, name), THEIRS[name]))
            assert ours == theirs, x
            assert ours.weak_type == theirs.weak_type, x
        for x in (1.5, np.float32(1.5)) if name in POINTWISE else ():
            ours = getattr(fa, name)(x)
            theirs = THEIRS[name](x)
            assert ours.aval == theirs.aval, x  # shape, dtype and weak type


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("elu", (0.5,), {}),
        ("elu", (), {"alpha": jnp.array([0.5, 1.0, 2.0])}),
        ("celu", (0.5,), {}),
        ("celu", (jnp.float32(2.0),), {}),
        ("leaky_relu", (0.2,), {}),
        ("leaky_relu", (-0.5,), {}),
        ("leaky_relu", (), {"negative_slope": jnp.array([[0.1], [0.2]])}),
        ("squareplus", (1,), {}),
        ("squareplus", (), {"b": jnp.array(2.0)}),
        ("gelu", (False,), {}),
        ("gelu", (), {"approximate": True}),
    ],
)
def test_hyperparameters_are_taken_as_jax_nn_takes_them(name, args, kwargs):
    x = jax.random.normal(jax.random.key(0), (2, 3))
    ours = getattr(fa, name)
    theirs = THEIRS[name]
    wanted = theirs(x, *args, **kwargs)
    chex.assert_trees_all_close(ours(x, *args, **kwargs), wanted, rtol=1e-6, atol=1e-7)
    for f in (ours, theirs):
        jitted = jit(lambda x, f=f: f(x, *args, **kwargs))
        chex.assert_trees_all_close(jitted(x), wanted, rtol=1e-6, atol=1e-7)
    slopes = [jax.grad(lambda x, f=f: f(x, *args, **kwargs).sum())(x) for f in (ours, theirs)]
    chex.assert_trees_all_close(*slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["elu", "celu", "leaky_relu", "squareplus"])
def test_a_wider_hyperparameter_does_not_widen_the_result(name):
    """Here the input says what the dtype is; jax.nn promotes the two."""
    x = jnp.ones(3, jnp.bfloat16)
    wide = jnp.full(3, 0.5, jnp.float32)
    assert getattr(fa, name)(x, wide).dtype == jnp.bfloat16
    assert THEIRS[name](x, wide).dtype == jnp.float32


@pytest.mark.parametrize("axis", [-1, 0, (-1, 0), None])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_any_axes_and_with_a_mask(name, axis):
    x = 3 * jax.random.normal(jax.random.key(0), (4, 5, 3))
    weights = jax.random.normal(jax.random.key(1), x.shape)
    f = getattr(fa, name)
    theirs = THEIRS[name]

    def loss(x, mask, f):
        y = f(x, axis, where=mask)
        return jnp.sum(weights * jnp.where(jnp.isfinite(y), y, 0)), y

    both = [jit(jax.grad(lambda x, m, f=f: loss(x, m, f), has_aux=True)) for f in (f, theirs)]
    masks = [None, jax.random.bernoulli(jax.random.key(2), 0.6, x.shape)]
    masks += [jnp.array([True, False, True])]  # broadcast
    for mask in masks:
        ours, wanted = (g(x, mask) for g in both)
        chex.assert_trees_all_close(ours, wanted, rtol=1e-5, atol=1e-6)
    nothing = both[0](x, jnp.zeros((), bool))
    chex.assert_trees_all_equal(nothing[0], jnp.zeros_like(x))
    chex.assert_trees_all_equal(nothing[1], theirs(x, axis, where=jnp.zeros((), bool)))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_refuses_what_is_no_axis_or_no_mask(name):
    x = jnp.ones((4, 3))
    for call, said in (
        (lambda: getattr(fa, name)(x, 2), r"of shape \(4, 3\) has no axis 2"),
        (lambda: getattr(fa, name)(x, (0, -3)), r"has no axis -3"),
        (lambda: getattr(fa, name)(x, 1.5), "needs a whole number as axis, not 1.5"),
        (lambda: getattr(fa, name)(1.5), r"of shape \(\) has no axis -1"),
        (lambda: getattr(fa, name)(x, where=jnp.ones(4, bool)), "where of shape .4,. does not"),
        (lambda: getattr(fa, name)(x, where="all"), "takes a real number or array as where"),
    ):
        with pytest.raises(fa.InputError, match=said):
            call()


def test_axis_may_be_a_number_of_numpy():
    x = jnp.arange(6.0).reshape(2, 3)
    for name in ("softmax", "glu", "sparsemax", "squash"):
        axis = np.int64(0)
        chex.assert_trees_all_equal(getattr(fa, name)(x, axis=axis), getattr(fa, name)(x, axis=0))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_glu_is_that_of_jax_nn(axis):
    x = jax.random.normal(jax.random.key(0), (4, 6, 2))
    for f in (fa.glu, jax.jit(fa.glu, static_argnums=1)):
        chex.assert_trees_all_close(f(x, axis), jax.nn.glu(x, axis), rtol=1e-6)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("soft_sign", "softsign"), ("swish", "silu"), ("hard_silu", "hard_swish")],
)
def test_aliases_are_attributes_and_spec_texts(alias, name):
    assert getattr(fa, alias) is getattr(fa, name)
    assert fa.get(alias) == fa.get(name)
