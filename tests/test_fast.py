"""The forms that are fast on the CPU give what the plain ones give, and are taken only there."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from flaxact.layers import _cpu_convolution as fast
from flaxact.layers import avg_pool, max_pool
from tests.quick import jit

EXPLICIT = ((2, 1), (0, 3))
# batch, height, width, channels, features, window, stride, padding, groups
CASES = {
    "color": (3, 8, 8, 3, 32, 5, 1, "SAME", 1),
    "color, narrow": (3, 8, 8, 3, 16, 3, 1, ((1, 1), (1, 1)), 1),
    "gray": (2, 8, 9, 1, 8, 2, 1, "VALID", 1),
    "gray, 2 of 4 side by side": (2, 6, 14, 1, 8, 5, 1, "SAME", 1),
    "color, 6 of 8 side by side": (2, 6, 12, 3, 8, 5, 1, "SAME", 1),
    "color, prime width": (2, 6, 11, 3, 8, 5, 1, "SAME", 1),
    "color, stride": (2, 11, 16, 3, 8, 5, 2, EXPLICIT, 1),
    "narrow": (2, 6, 8, 16, 16, 3, 1, "SAME", 1),
    "narrow, odd width": (2, 6, 7, 16, 16, 3, 1, "SAME", 1),
    "narrow, padded apart": (2, 7, 8, 5, 6, 4, 1, EXPLICIT, 1),
    "narrow, beyond": (2, 5, 6, 5, 6, 3, 1, ((4, 3), (5, 3)), 1),
    "narrow, stride": (2, 9, 8, 16, 16, 3, 2, "SAME", 1),
    "large batch": (64, 15, 15, 20, 8, 3, 1, "SAME", 1),
    "large batch, stride": (64, 15, 15, 20, 8, 3, 2, "VALID", 1),
    "large batch, narrow": (64, 23, 23, 8, 8, 3, 1, "SAME", 1),
    "1 × 1": (2, 5, 4, 20, 8, 1, 1, "SAME", 1),
    "two groups": (2, 6, 6, 8, 8, 3, 1, "SAME", 2),
    "groups": (2, 6, 6, 16, 8, 3, 1, "SAME", 8),
}
UNCHANGED = {"1 × 1", "groups"}  # the rest have another form on the CPU


def close(got, wanted):
    """But for rounding, which sums have relative to their terms."""
    scale = 1 + np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * scale)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    """Ours, plain, images, kernel and a direction in each."""
    batch, height, width, channels, features, size, stride, padding, groups = request.param
    normal = functools.partial(np.random.default_rng(0).standard_normal, dtype=np.float32)
    shapes = [(batch, height, width, channels), (size, size, channels // groups, features)] * 2
    ours = functools.partial(fast.convolve, stride=stride, padding=padding, groups=groups)
    x, kernel, *directions = (jnp.asarray(normal(s)) for s in shapes)
    kernel /= size * (channels // groups) ** 0.5
    return ours, plain(stride, padding, groups), x, kernel, *directions


def plain(stride, padding, groups):
    def convolve(x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return convolve


def everything(f, x, kernel, dx, dkernel):
    """Value, both modes' derivatives by each argument and by both, and second ones."""

    def loss(x, kernel):
        return jnp.sum(jnp.sin(f(x, kernel)))

    gradient = jax.grad(loss, (0, 1))
    return (
        jax.jvp(f, (x, kernel), (dx, dkernel)),
        jax.jvp(lambda x: f(x, kernel), (x,), (dx,)),
        jax.jvp(lambda k: f(x, k), (kernel,), (dkernel,)),
        gradient(x, kernel),
        jax.grad(loss)(x, kernel),
        jax.grad(loss, 1)(x, kernel),
        jax.jvp(gradient, (x, kernel), (dx, dkernel)),  # forward over reverse
        jax.grad(lambda *p: jnp.vdot(gradient(*p)[1], dkernel), (0, 1))(x, kernel),
    )


@pytest.mark.sampled(5)
def test_convolution_is_the_plain_one_in_value_and_derivatives(case):
    ours, theirs, *arrays = case
    got = jit(functools.partial(everything, ours))(*arrays)
    wanted = jit(functools.partial(everything, theirs))(*arrays)
    jax.tree.map(close, got, wanted)


@pytest.mark.sampled(5)
def test_convolution_is_mapped_over_images_and_over_kernels(case):
    ours, theirs, x, kernel, dx, dkernel = case
    for axes, images, kernels in (
        ((0, None), jnp.stack([x, dx]), kernel),
        (
            (None, 0),
            x,
            jnp.stack([kernel, dkernel]),
        ),
    ):
        both = [
            jit(jax.vmap(jax.grad(lambda *p, f=f: jnp.sum(f(*p) ** 2), (0, 1)), axes))
            for f in (ours, theirs)
        ]
        got, wanted = (f(images, kernels) for f in both)
        jax.tree.map(close, got, wanted)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_plain(case, dtype):
    ours, theirs, *arrays = case
    x, kernel = (a.astype(dtype) for a in arrays[:2])
    assert str(jax.make_jaxpr(ours)(x, kernel)) == str(jax.make_jaxpr(theirs)(x, kernel))


def convolutions(f, name, platform):
    """The convolutions, in order of their text, of the program of value and gradients."""
    batch, height, width, channels, features, size, _, _, groups = CASES[name]
    shapes = (batch, height, width, channels), (size, size, channels // groups, features)
    arrays = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
    traced = jax.jit(lambda *p: jax.vjp(f, *p)[1](f(*p))).trace(*arrays)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    return sorted(
        line.split("dim_numbers")[1]
        for line in text.splitlines()
        if "stablehlo.convolution" in line
    )


@pytest.mark.sampled(11)
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("name", CASES)
def test_only_on_the_cpu_another_form_is_lowered_where_it_pays(name, platform):
    *_, stride, padding, groups = CASES[name]
    ours = functools.partial(fast.convolve, stride=stride, padding=padding, groups=groups)
    forms = convolutions(ours, name, platform)
    same = forms == convolutions(plain(stride, padding, groups), name, platform)
    assert same == (platform != "cpu" or name in UNCHANGED)


def test_a_first_layer_has_no_gradient_of_images():
    x = jnp.ones((64, 40, 40, 3))
    kernel = jnp.ones((5, 5, 3, 32))
    traced = jax.jit(jax.grad(lambda k: jnp.sum(fast.convolve(x, k) ** 2))).trace(kernel)
    program = traced.lower(lowering_platforms=("cpu",)).as_text()
    # the output, 13 MB, asks for 16 parts: of fewer images than PART
    forward = 1
    parts = 64 // fast.PART
    assert program.count("stablehlo.convolution") == forward + parts


# height, width, window, stride: odd ones, windows that reach beyond, that are apart, larger than all
POOLS = [(8, 8, 3, 2), (7, 9, 3, 2), (6, 5, 2, 2), (9, 7, 5, 3), (8, 7, 2, 3), (2, 3, 4, 2), (5, 6, 3, 1),
         (7, 5, 1, 2)]  # fmt: skip


def flax_pool(function, x, size, stride):
    """With the border windows clipped, as ours."""
    count = [max(1, -((size - n) // stride) + 1) for n in x.shape[1:3]]
    beyond = [
        (0, max(0, (c - 1) * stride + size - n)) for c, n in zip(count, x.shape[1:3], strict=True)
    ]
    return function(x, (size, size), (stride, stride), beyond)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("height", "width", "size", "stride"), POOLS)
def test_pools_are_flaxs_in_value_and_derivatives(height, width, size, stride):
    distinct = np.random.default_rng(0).permutation(2 * height * width * 3)
    x = jnp.asarray(distinct.reshape(2, height, width, 3) / distinct.size, jnp.float32)
    direction = jax.random.normal(jax.random.key(0), x.shape)
    mean = functools.partial(nn.avg_pool, count_include_pad=False)
    for ours, theirs in (max_pool, nn.max_pool), (avg_pool, mean):
        got = pooled(functools.partial(ours, size=size, stride=stride), x, direction)
        plainly = functools.partial(flax_pool, theirs, size=size, stride=stride)
        jax.tree.map(close, got, pooled(plainly, x, direction))


@functools.partial(jit, static_argnums=0)
def pooled(f, x, direction):
    """Value, both modes' derivatives, and the second."""
    y, pull = jax.vjp(f, x)
    gradient = jax.grad(lambda x: jnp.sum(jnp.sin(3 * f(x))))
    second = jax.jvp(gradient, (x,), (direction,))
    return y, jax.jvp(f, (x,), (direction,)), pull(jnp.cos(9 * y)), second


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equal_maxima_share_the_gradient(dtype):
    image = jnp.asarray([[1, 5, 0, 0], [5, 5, 0, 0], [0, 0, 2, 2], [0, 0, 0, 0]], dtype)
    shares = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, 2, 2))))(image.reshape(1, 4, 4, 1))
    third = float(jnp.asarray(1 / 3, dtype))
    quarter = 1 / 4
    wanted = [
        [0, third, quarter, quarter], [third, third, quarter, quarter],
        [quarter, quarter, 1 / 2, 1 / 2], [quarter, quarter, 0, 0],
    ]  # fmt: skip
    assert shares.dtype == image.dtype
    np.testing.assert_allclose(np.asarray(shares[0, :, :, 0], np.float32), wanted, rtol=1e-6)


def test_max_pool_is_mapped_over_images():
    x = jax.random.normal(jax.random.key(0), (3, 2, 7, 7, 2))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(max_pool(x, 3, 2)))))
    close(jax.vmap(gradient)(x), jnp.stack([gradient(part) for part in x]))
