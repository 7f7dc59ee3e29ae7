"""Derivatives read from the output: what docs/results/inverse.md says of their exactness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.branches import ALLOWED, FUNCTIONS, branches, from_output, pack, unpack


def slopes(name: str, x, bits: int, bend: float):
    """What the output and the bits tell of the derivative, and the derivative in float64."""
    activation = from_output(name, bits, bend)
    read = jax.jit(lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1])(x)
    return np.asarray(read, np.float64), FUNCTIONS[name][1](x.astype(np.float64))


def inputs(name: str, nearest: float, farthest: float):
    """Float32 inputs at such distances from the minimum, on both sides."""
    distance = np.geomspace(nearest, farthest, 40_000)
    return (branches(name).at + np.stack([-distance, distance])).astype(np.float32)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_codes_survive_packing(bits):
    codes = np.random.default_rng(0).integers(0, 2**bits, (3, 64))
    words = pack(jnp.asarray(codes), bits)
    assert words.nbytes * 8 == codes.size * bits
    np.testing.assert_array_equal(unpack(words, bits), codes)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_bit_is_enough_away_from_the_minimum(name):
    read, true = slopes(name, inputs(name, 0.05, 100.0), bits=1, bend=0.0)
    np.testing.assert_allclose(read, true, atol=2e-6, rtol=0)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_bit_is_not_enough_at_the_minimum(name):
    """Inputs of one output there have derivatives up to √(2 f″ ulp) apart, and at least 0.57 of it."""
    b = branches(name)
    apart = np.sqrt(2 * (2 * b.near_height[0]) * b.unit)
    read, true = slopes(name, inputs(name, 1e-8, 0.05), bits=1, bend=0.0)
    assert ALLOWED < 0.28 * apart < np.max(abs(read - true)) < 0.55 * apart


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("bits", "bend"), [(4, 0.0), (2, 0.525)])
def test_more_bits_or_a_bend_are_enough(name, bits, bend):
    read, true = slopes(name, inputs(name, 1e-8, 0.05), bits, bend)
    np.testing.assert_allclose(read, true, atol=ALLOWED, rtol=0)
