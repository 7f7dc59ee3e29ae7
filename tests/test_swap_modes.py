"""Every name that flaxact shares with jax.nn, beside it, in every mode in which JAX calls a function.

Where the two differ there is an entry in ``DIFFERENT``: a difference is a decision. The same list, in
words, is in docs/results/conventions.md.
"""

import contextlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import jet, pallas, sparse

import flaxact as fa
from tests.test_swap import SHARED, THEIRS

X = jnp.array([[-2.5, -1.25, -0.25, 0.5], [0.75, 1.5, 2.5, 7.0]])
WHOLE = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])


def called(x):
    return lambda f: f(x)


def within(context, mode):
    def run(f):
        with context():
            return mode(f)

    return run


def slope(x):
    return lambda f: jax.grad(lambda x: f(x).astype(jnp.float32).sum())(x)


def in_a_kernel(platform, derivative):
    """The kernel's program, lowered for a platform that need not be there; it has no value to see."""

    def run(f):
        def kernel(x_ref, y_ref):
            y_ref[...] = slope(x_ref[...])(f) if derivative else f(x_ref[...])

        x = jax.ShapeDtypeStruct((8, 256), jnp.float32)
        y = x if derivative else jax.eval_shape(f, x)
        call = pallas.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(y.shape, y.dtype))
        jax.export.export(jax.jit(call), platforms=[platform])(x)
        return jnp.zeros(())

    return run


def taylor(f):
    return jnp.stack(jet.jet(f, (X,), ((jnp.ones_like(X), jnp.zeros_like(X)),))[1])


def strict():
    return jax.numpy_dtype_promotion("strict")


def x64():
    return jax.enable_x64(True)


def no_ranks():
    return jax.numpy_rank_promotion("raise")


def debugging():
    stack = contextlib.ExitStack()
    stack.enter_context(jax.debug_nans(True))
    stack.enter_context(jax.check_tracer_leaks(True))
    return stack


def traced(x):
    """Without a value: of those test_swap.py and test_modes.py speak."""
    return lambda f: jax.eval_shape(f, x)


def traced_slope(x):
    return lambda f: jax.eval_shape(lambda x: slope(x)(f), x)


HALF = X.astype(jnp.bfloat16)
EIGHT = X.astype(jnp.float8_e4m3fn)
MODES = {
    "number": called(0.5),
    "whole number": called(3),
    "bool": called(True),
    "NumPy": called(np.asarray(X, np.float64)),
    "int32": called(jnp.asarray(WHOLE)),
    "int8": called(jnp.asarray(WHOLE - 4, jnp.int8)),
    "uint8": called(jnp.asarray(WHOLE, jnp.uint8)),
    "booleans": called(jnp.asarray(WHOLE > 3)),
    "int32, x64": within(x64, lambda f: jax.eval_shape(f, jnp.asarray(WHOLE, jnp.int32))),
    "x64": within(x64, traced(X)),
    "x64, gradient": within(x64, traced_slope(X)),
    "complex": traced(X.astype(complex)),
    "None": called(None),
    "list": called([0.5]),
    "object": called(np.array([None])),
    "strict": within(strict, traced(X)),
    "strict, gradient": within(strict, traced_slope(X)),
    "strict, bfloat16": within(strict, traced(HALF)),
    "strict, bfloat16, gradient": within(strict, traced_slope(HALF)),
    "float16": traced(X.astype(jnp.float16)),
    "float8": called(EIGHT),
    "float8, gradient": traced_slope(EIGHT),
    "no ranks": within(no_ranks, traced(X)),
    "no ranks, gradient": within(no_ranks, traced_slope(X)),
    "empty batch": traced(jnp.zeros((0, 4))),
    "empty batch, gradient": traced_slope(jnp.zeros((0, 4))),
    "empty axis": traced(jnp.zeros((4, 0))),
    "empty axis, gradient": traced_slope(jnp.zeros((4, 0))),
    "vmap": lambda f: jax.eval_shape(jax.vmap(f), X),
    "jvp": lambda f: jax.eval_shape(lambda x: jax.jvp(f, (x,), (x,))[1], X),
    "no jit": within(lambda: jax.disable_jit(True), called(X)),
    "no jit, number": within(lambda: jax.disable_jit(True), called(0.5)),
    "nnx.Param": lambda f: f(nnx.Param(X)),
    "host memory": lambda f: jax.jit(f)(jax.device_put(X, jax.memory.Space.Host)),
    "jet": taylor,
    "sparsify": lambda f: sparse.sparsify(f)(X),
    "Pallas, TPU": in_a_kernel("tpu", False),
    "Pallas, TPU, gradient": in_a_kernel("tpu", True),
    "Pallas, GPU": in_a_kernel("cuda", False),
    "Pallas, GPU, gradient": in_a_kernel("cuda", True),
}
SLOW = {
    "gradient": slope(X),
    "no jit, gradient": within(lambda: jax.disable_jit(True), slope(X)),
    "debugging": within(debugging, called(X)),
    "debugging, gradient": within(debugging, slope(X)),
}


def outcome(mode, f):
    """The result, or the error's type; on standard error nothing of what lowering has to say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jax.block_until_ready((MODES | SLOW)[mode](f))
    except (fa.InputError, TypeError, ValueError, NotImplementedError, KeyError, IndexError) as e:
        return type(e)
    except jax.errors.UnexpectedTracerError as e:
        return type(e)


def difference(mode, name):
    """How flaxact's differs from jax.nn's: "" where it does not."""
    ours = outcome(mode, getattr(fa, name))
    theirs = outcome(mode, THEIRS[name])
    if isinstance(ours, type):
        return "" if isinstance(theirs, type) else f"refused: {ours.__name__}"
    if isinstance(theirs, type):
        return "only here"
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype} for {theirs.dtype}"
    if isinstance(ours, jax.ShapeDtypeStruct):
        return ""
    eps = float(jnp.finfo(jnp.result_type(ours, float)).eps)
    if ours.dtype == EIGHT.dtype:
        eps = 1 / 8
    values = (np.asarray(v, float) for v in (ours, theirs))
    return "" if np.allclose(*values, rtol=8 * eps, atol=8 * eps) else "other values"


PROMOTED = ("glu", "sigmoid", "silu", "swish")  # jax.nn refuses whole numbers
REDUCED = ("log_softmax", "softmax")
# By mode: how ours differs, and for which functions. All else is the same or fails in both.
DIFFERENT = {
    "whole number": {"only here": ("sigmoid", "silu", "swish")},
    "bool": {"only here": ("log_sigmoid", "sigmoid", "silu", "swish")},
    "int32": {"only here": PROMOTED},
    "int8": {"only here": PROMOTED},
    "uint8": {
        "only here": PROMOTED,
        # jax.nn computes -1 and -x in bytes: its hard_tanh of 0 is 255.
        "other values": ("hard_tanh", "log_sigmoid", *REDUCED),
    },
    "booleans": {"only here": ("glu", "log_sigmoid", *REDUCED, "sigmoid", "silu", "swish")},
    # One rule: the default width, which is float64 then. jax.nn has it in 12 of them.
    "int32, x64": {
        "float64 for float32": (
            *("gelu", "log_sigmoid", "log_softmax", "mish", "soft_sign", "softmax", "softplus"),
            *("squareplus", "tanh"),
        ),
        "only here": PROMOTED,
    },
    "complex": {"refused: InputError": tuple(set(SHARED) - {"sparse_sigmoid"})},
    "nnx.Param": {"only here": ("sigmoid",)},
    # Some of jax.nn's work there, and elu, selu, hard_tanh, sparse_plus do not.
    "host memory": {
        "refused: InputError": tuple(set(SHARED) - {"elu", "hard_tanh", "selu", "sparse_plus"})
    },
    "jet": {
        "only here": ("celu", "hard_silu", "hard_swish", "relu", "relu6"),
        "refused: TypeError": ("gelu", "squareplus"),
    },
    # As jax.nn's relu and relu6: JAX 0.10.2 cannot sparsify what has a derivative of its own.
    "sparsify": {"refused: KeyError": tuple(set(SHARED) - {"identity", "relu", "relu6"})},
    "float8": {"other values": REDUCED},  # jax.nn's are sums in float8
    "Pallas, TPU": {"only here": ("celu", "elu", "selu")},
    "Pallas, TPU, gradient": {"only here": ("celu", "elu", "selu")},
    # As jax.nn's relu and softplus: there JAX 0.10.2 lowers no derivative of a function's own.
    "Pallas, GPU": {
        "refused: NotImplementedError": (
            *("gelu", "hard_tanh", "leaky_relu", "sigmoid", "silu", "soft_sign", "sparse_plus"),
            *("sparse_sigmoid", "swish", "tanh"),
        )
    },
    "Pallas, GPU, gradient": {
        "only here": (
            *("celu", "elu", "gelu", "hard_silu", "hard_swish", "leaky_relu", "mish", "selu"),
            *("silu", "soft_sign", "swish", "tanh"),
        )
    },
}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("mode", [*MODES, *(pytest.param(m, marks=pytest.mark.slow) for m in SLOW)])
def test_every_shared_name_is_as_in_jax_nn_or_decided(mode):
    collected = {}
    for name in SHARED:
        if kind := difference(mode, name):
            collected.setdefault(kind, set()).add(name)
    assert collected == {kind: set(names) for kind, names in DIFFERENT.get(mode, {}).items()}


ROWS = jnp.array([[-jnp.inf] * 3, [-jnp.inf, 1, 2], [0, 1, jnp.inf], [-3e38, -3e38, 3e38]])
MASKS = {
    "none": None,
    "some": jnp.array([[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]], bool),
    "nothing left": jnp.zeros((), bool),
    "all left": jnp.ones(3, bool),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_infinite_rows_is_that_of_jax_nn(name, mask):
    def both(f):
        def total(x):
            y = f(x, where=MASKS[mask])
            return jnp.where(jnp.isfinite(y), y * jnp.arange(1.0, 4), 0).sum(), y

        slope, y = jax.grad(total, has_aux=True)(ROWS)
        return np.asarray(y), np.asarray(slope)

    for ours, theirs in zip(both(getattr(fa, name)), both(THEIRS[name]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_masked_softmax_makes_no_nan_on_the_way(name):
    with jax.debug_nans(True):
        for mask in (*MASKS.values(), MASKS["some"][:, :1]):
            jax.grad(lambda x, m=mask: getattr(fa, name)(x, where=m)[:, 0].sum())(jnp.ones((4, 3)))
    with strict():
        assert getattr(fa, name)(ROWS.astype(jnp.bfloat16), where=MASKS["some"]).shape == ROWS.shape


@pytest.mark.parametrize("flag", [False, True])
def test_softmax_keeps_one_array_whatever_the_flag_says(flag):
    """The flag, off by default, is there for ``jax.nn.softmax`` to keep three as it did once."""
    with jax.softmax_custom_jvp(flag):
        residuals = [jax.tree.leaves(jax.vjp(f, X)[1]) for f in (fa.softmax, jax.nn.softmax)]
    ours, theirs = (sum(leaf.size for leaf in leaves) for leaves in residuals)
    assert ours == X.size
    assert theirs == X.size or not flag
