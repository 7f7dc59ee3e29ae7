"""Activations of complex numbers, beside formulas in numpy: values, derivatives, limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact.layers import Act
from tests.quick import check_gradients, jit

COMPLEX = [name for name in fa.names() if fa.get(name).spec.takes_complex]


def _modrelu(bias):
    return lambda z: np.maximum(abs(z) + bias, 0) * np.exp(1j * np.angle(z))


REFERENCE = {
    "modrelu": lambda z: z,
    "modrelu(bias=-0.5)": _modrelu(-0.5),
    "modrelu(bias=0.5)": _modrelu(0.5),
    "zrelu": lambda z: np.where((np.angle(z) >= 0) & (np.angle(z) <= np.pi / 2), z, 0),
    "cardioid": lambda z: z * np.cos(np.angle(z) / 2) ** 2,
    "complex_relu": lambda z: np.maximum(z.real, 0) + 1j * np.maximum(z.imag, 0),
}


def points(count: int = 200) -> np.ndarray:
    """Of many sizes, in all quadrants, and none near an edge of a function above."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(0.05, np.pi / 2 - 0.05, count) + rng.integers(4, size=count) * np.pi / 2
    sizes = 2.0 ** rng.uniform(-20, 20, count)
    return np.where(abs(sizes - 0.5) < 0.05, 1, sizes) * np.exp(1j * angles)


def test_exactly_these_take_complex_numbers():
    assert set(COMPLEX) == {spec.partition("(")[0] for spec in REFERENCE}


@pytest.mark.parametrize("spec", REFERENCE)
def test_values_are_those_of_numpy(spec):
    z = points()
    true = REFERENCE[spec](z)
    actual = np.asarray(jit(fa.get(spec))(jnp.asarray(z, jnp.complex64)))
    assert actual.dtype == np.complex64
    np.testing.assert_allclose(actual, true, rtol=5e-7)
    with jax.enable_x64(True):
        actual = np.asarray(jit(fa.get(spec))(z))
    assert actual.dtype == np.complex128
    np.testing.assert_allclose(actual, true, rtol=1e-14)


@pytest.mark.parametrize("spec", REFERENCE)
def test_on_the_real_axis_they_are_the_real_functions(spec):
    x = np.array([-2.0, -0.6, -0.2, 0.0, 0.2, 0.6, 2.0], np.float32)
    y = fa.get(spec)(x)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(fa.get(spec)(x.astype(complex)), y, rtol=1e-6)


@pytest.mark.parametrize("spec", REFERENCE)
def test_two_orders_of_derivatives_by_both_parts(spec):
    """Both modes against finite differences, of the parts as functions of the parts."""
    z = points(8)
    z = z / abs(z) * np.linspace(0.6, 2, 8)

    def parts(re, im):
        w = fa.get(spec)(jax.lax.complex(re, im))
        return jnp.real(w), jnp.imag(w)

    check_gradients(parts, (z.real, z.imag), order=2)


@pytest.mark.parametrize("spec", REFERENCE)
def test_the_gradient_is_by_the_convention_of_jax(spec):
    """Of a real loss: its derivative by the real part, less i times that by the imaginary part."""
    z = points(8)
    step = 1e-6 * abs(z)

    def loss(w):
        return abs(w) ** 2 + (w * (0.3 - 0.2j)).real

    with jax.enable_x64(True):
        gradient = jit(jax.grad(lambda z: jnp.sum(loss(fa.get(spec)(z)))))(z)
    true = loss(REFERENCE[spec](z + step)) - loss(REFERENCE[spec](z - step))
    true = true - 1j * (loss(REFERENCE[spec](z + 1j * step)) - loss(REFERENCE[spec](z - 1j * step)))
    np.testing.assert_allclose(gradient, true / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spec", REFERENCE)
def test_at_zero_and_far_out_nothing_is_nan(spec):
    top = np.finfo(np.float32).max
    far = np.array([1, 1j, -1, -1j, 1 + 1j, -1 - 1j, 1 - 1j, -1 + 1j])
    z = np.concatenate([[0], top * far, 1e-38 * far, 1e-45 * far]).astype(np.complex64)
    activation = fa.get(spec)
    assert not np.isnan(activation(z)).any()
    assert not np.isnan(jax.grad(lambda z: jnp.sum(jnp.real(activation(z))))(z)).any()
    assert activation(np.complex64(0)) == 0
    assert np.isnan(activation(np.complex64(complex(np.nan, 1))))
    assert activation(complex(np.inf, 0)).real == np.inf


def test_a_bias_of_each_channel_is_learned():
    with jax.enable_x64(True):
        z = points(6).reshape(2, 3)
        z = jnp.asarray(z / abs(z) * np.linspace(0.25, 1, 6).reshape(2, 3))
        bias = jnp.array([-0.3, 0.1, -0.001])
        true = np.stack([_modrelu(b)(z[:, i]) for i, b in enumerate(bias)], 1)
        np.testing.assert_allclose(fa.modrelu(z, bias), true, rtol=1e-12)
        re, im = jnp.real(z), jnp.imag(z)
        check_gradients(
            lambda re, im, bias: abs(fa.modrelu(jax.lax.complex(re, im), bias)), (re, im, bias)
        )


def test_a_layer_takes_complex_numbers_where_its_activation_does():
    z = jnp.asarray(points(6).reshape(2, 3), jnp.complex64)
    y, variables = Act("modrelu").init_with_output(jax.random.key(0), z)
    np.testing.assert_allclose(y, z, rtol=1e-6)
    assert variables["params"]["activation"]["bias"].dtype == jnp.float32
    for text in ("relu", "scaled(zrelu)", "crelu"):
        with pytest.raises(fa.InputError, match="takes an array of real numbers, not of complex64"):
            fa.get(text)(z)
    with pytest.raises(fa.InputError, match="as bias"):
        fa.modrelu(z, 1j)


@pytest.mark.parametrize("spec", REFERENCE)
def test_one_array_is_kept_for_the_backward_pass(spec):
    """The input, which the next layer does not keep; cardioid half an array more."""
    layers = 12

    def loss(weights, z):
        for w in weights:
            z = fa.get(spec)(z @ w)
        return jnp.mean(abs(z) ** 2)

    weights = [jax.ShapeDtypeStruct((128, 128), jnp.complex64)] * layers
    z = jax.ShapeDtypeStruct((512, 128), jnp.complex64)
    program = jax.jit(jax.grad(loss)).lower(weights, z).compile()
    memory = program.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes / (8 * 512 * 128 * layers) <= 2.5 + 2 / layers
