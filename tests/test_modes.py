"""Every activation under the dtypes and the switches of JAX that users set."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import jet, pallas, sparse

import flaxact as fa
from tests.quick import jit

FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
INPUTS = jnp.linspace(-3, 3, 16).reshape(2, 8)
KEY = jax.random.key(0)
SORTED = ("entmax15", "k_winners", "sparsemax")
TAILORED = ("tailored_dks(tanh)", "tailored_tat(tanh)")  # which take a smooth activation
PERIODIC = {"cosine", "finer", "fourier", "gcu", "sine", "siren"}  # no limit at infinity
SURROGATE = {name for name in fa.names() if fa.get(name).spec.surrogate}
# Of a minimum or maximum with a number, of arctan and of others JAX 0.10.2 has no right rule for jet.
NOT_IN_JET = {
    *("arctan", "aria2", "bent_identity", "gelu", "gudermannian", "hard_sigmoid", "isrlu", "isru"),
    "laplace",
    *("log_sigmoid", "mish", "nelu", "serf", "soft_exponential", "softplus"),
    *("sparse_sigmoid", "spline", "sqrt_softplus", "squareplus", "tanhexp", "xatlu"),
}
LEARNED_ARRAYS = {
    name for name in fa.names() if {*fa.get(name).learned} - {*fa.get(name).spec.hyperparameters}
}
LONG = {"mtlu"}  # half a minute in jet, whose rules are called eagerly
TRANSFORMED = (
    *(f"{t}(prelu)" for t in ("bipolar", "clipped", "gated", "negated", "noisy")),
    *(f"{t}(prelu)" for t in ("scaled", "shifted", "softcap", "squared")),
    *("centered(relu)", "standardized(relu)", "rational(relu)", *TAILORED),
    *("compose(elu, apl)", "mixture(prelu, elu)", "with_surrogate_derivative(relu, silu)"),
)


def applied(name, width=INPUTS.shape[-1]):
    """The activation as a function of x alone, with what it learns at its start."""
    act = fa.get(name)
    learned = act.parameters(width, KEY) if act.learned else {}
    return lambda x: act(x, **learned)


def gradient(function):
    return jax.grad(lambda x: function(x).astype(jnp.float32).sum())


def test_every_transform_is_tried():
    assert {fa.get(spec).spec.name for spec in TRANSFORMED} == set(fa.names("transform"))


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names())
def test_strict_dtype_promotion_changes_nothing(name):
    function = applied(name)
    for dtype in ("float32", "bfloat16"):
        x = INPUTS.astype(dtype)
        expected = function(x), gradient(function)(x)
        with jax.numpy_dtype_promotion("strict"):
            actual = function(x), gradient(function)(x)
        for one, other in zip(actual, expected, strict=True):
            assert one.dtype == other.dtype == jnp.dtype(dtype)
            np.testing.assert_array_equal(one, other)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names())
def test_float8_is_the_rounded_float32_result(name):
    function = applied(name)
    for dtype in FLOAT8:
        x = INPUTS.astype(dtype)
        actual = function(x)
        assert actual.dtype == jnp.dtype(dtype)
        expected = function(x.astype(jnp.float32)).astype(dtype)
        np.testing.assert_array_equal(np.asarray(actual, float), np.asarray(expected, float))


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [*fa.names(), *TRANSFORMED])
def test_no_rank_is_promoted(name):
    """Parameters of shape (channels,) included, which broadcast to the last axis."""
    function = applied(name)
    with jax.numpy_rank_promotion("raise"):
        for shape in ((2, 8), (2, 3, 3, 8)):
            x = jax.ShapeDtypeStruct(shape, jnp.float32)
            assert jax.eval_shape(gradient(function), x).shape == shape


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", fa.names("learned"))
def test_rank_promotion_changes_no_value(name):
    function = applied(name)
    x = INPUTS.reshape(2, 1, 8)
    expected = function(x)
    with jax.numpy_rank_promotion("raise"):
        np.testing.assert_array_equal(function(x), expected)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [*fa.names(), *TRANSFORMED])
def test_an_empty_array_gives_an_empty_one(name):
    """Along any axis, as jax.nn's functions do; softmax and its kin too."""
    for shape in ((0, 8), (2, 0, 4), (4, 0)):
        function = applied(name, shape[-1])
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        wanted = (*shape[:-1], fa.get(name).width(shape[-1]))
        assert jax.eval_shape(function, x).shape == wanted
        assert jax.eval_shape(gradient(function), x).shape == shape


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", fa.names())
def test_whole_numbers_and_booleans_are_taken(name):
    """As floats of the default width, but by relu, hard_tanh and identity, which keep them."""
    function = applied(name)
    keeps = name in ("hard_tanh", "identity", "relu")
    assert fa.get(name).spec.keeps_integers == keeps
    for x in (np.arange(-8, 8).reshape(2, 8), jnp.arange(16, dtype=jnp.uint8).reshape(2, 8) > 7):
        actual = function(x)
        expected = function(jnp.asarray(x, jnp.float32))
        assert actual.dtype == expected.dtype or keeps
        np.testing.assert_allclose(actual.astype(jnp.float32), expected, rtol=2e-7)


@pytest.mark.parametrize(
    "bad",
    [
        *("text", None, [1.0], 1j, np.array([None]), np.array(["a"]), 10**400, np.longdouble(1)),
        *(jnp.array(1j), jax.random.key(0), jax.ShapeDtypeStruct((2,), jnp.float32)),
        sparse.BCOO.fromdense(jnp.eye(2)),
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_is_no_array_of_real_numbers_is_refused_in_a_line(bad):
    is_complex = getattr(bad, "dtype", type(bad)) in (complex, jnp.complex64)
    for name in fa.names():
        takes_complex = fa.get(name).spec.takes_complex
        numbers = "real or complex numbers" if takes_complex else "real numbers"
        if not (is_complex and takes_complex):
            with pytest.raises(fa.InputError, match=f"^{name} takes an array of {numbers}, not ."):
                getattr(fa, name)(bad)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", fa.names())
def test_an_array_in_host_memory_is_refused_in_a_line(name):
    x = jax.device_put(INPUTS, jax.memory.Space.Host)
    for function in (applied(name), jax.jit(applied(name))):
        with pytest.raises(fa.InputError, match=f"^{name} needs an array in device memory: move"):
            function(x)


def test_variables_of_a_module_are_taken_as_they_are():
    x = nnx.Param(INPUTS)
    slope = nnx.Param(jnp.full(8, 0.5))
    np.testing.assert_array_equal(fa.relu(x), jax.nn.relu(INPUTS))
    np.testing.assert_array_equal(fa.prelu(x, slope), fa.prelu(INPUTS, slope[...]))
    np.testing.assert_array_equal(fa.elu(x, alpha=slope), fa.elu(INPUTS, slope[...]))


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", sorted({*fa.names("pointwise")} - NOT_IN_JET - SURROGATE - LONG))
def test_jet_gives_the_derivatives_that_jvp_gives(name):
    function = applied(name, 3)
    x = jnp.array([-0.7, 0.3, 0.8])
    one = jnp.ones_like(x)
    value, (first, second) = jet.jet(function, (x,), ((one, jnp.zeros_like(x)),))

    def slope(x):
        return jax.jvp(function, (x,), (one,))[1]

    np.testing.assert_allclose(value, function(x), rtol=1e-6)
    np.testing.assert_allclose(first, slope(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, jax.jvp(slope, (x,), (one,))[1], rtol=1e-4, atol=1e-5)


FAR = jnp.array([-jnp.inf, -jnp.finfo(jnp.float32).max, jnp.finfo(jnp.float32).max, jnp.inf])
STEEP = {"exponential", "squared_relu", "star_relu", "xielu"}  # whose slope overflows itself


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", sorted({*fa.names("pointwise")} - PERIODIC - STEEP))
def test_derivatives_of_two_orders_are_finite_at_the_ends(name):
    """By reverse mode over reverse mode, and times a number, as a loss multiplies them."""
    function = fa.get(name)
    first = jax.grad(lambda x: (5 * function(x)).sum())
    second = jax.grad(lambda x: first(x).sum())
    for found in jit(lambda x: (first(x), second(x)))(FAR):
        assert jnp.isfinite(found).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_slopes_in_half_precision_are_those_of_float32(dtype):
    """Also where the output has overflowed, or is a limit that the dtype has not exactly."""
    x = jnp.array([-3e4, -300.0, -1.5, -0.25, 0.3, 0.5, 1.5, 300.0, 1e4], dtype)
    specs = {*fa.names("pointwise")} - PERIODIC
    specs |= {"relu_n(maximum=0.1)", "threshold(threshold=0.1, value=0.1)"}
    specs |= {"srelu(left=0.1, left_slope=0.3, right=0.7, right_slope=0.5)"}

    def slopes(x):
        return {s: jax.vmap(jax.grad(lambda x, s=s: fa.get(s)(x)))(x) for s in sorted(specs)}

    actual, expected = (jit(slopes)(v) for v in (x, x.astype(jnp.float32)))
    for spec in specs:
        # Of an output that has rounded to its limit not the last of the slope is left.
        np.testing.assert_allclose(
            np.asarray(actual[spec], np.float32), expected[spec], rtol=0.02, atol=0.02, err_msg=spec
        )


@pytest.mark.slow
def test_an_explicit_sharding_of_the_batch_or_the_channels_is_kept():
    """In value and gradient; but for what sorts along the channels, of which JAX says so."""
    script = Path(__file__).with_name("four_devices.py")
    command = [sys.executable, script]
    output = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert output == {"batch": {}, "channels": dict.fromkeys(SORTED, "ShardingTypeError")}


@pytest.mark.sampled(17)
@pytest.mark.parametrize("name", [n for n in fa.names("pointwise") if n not in LEARNED_ARRAYS])
def test_a_derivative_within_a_pallas_kernel(name):
    """Right, and without ``jax.checkpoint``, which kernels for TPU cannot have.

    (Learned arrays, which those left out have, are a kernel's inputs.)
    """
    function = fa.get(name)
    x = jnp.array([-0.7, 0.3, 0.8])

    def kernel(x_ref, y_ref):
        y_ref[...] = gradient(function)(x_ref[...])

    def call(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pallas.pallas_call(kernel, out_shape=shape, interpret=True)(x)

    assert "remat" not in str(jax.make_jaxpr(call)(x))
    np.testing.assert_allclose(call(x), gradient(function)(x), rtol=1e-5, atol=1e-6)
    assert "remat" in str(jax.make_jaxpr(gradient(function))(x)) or name == "identity"
