"""Activations whose outputs depend on more than the input at their place, against their definitions."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

import flaxact as fa
from tests.quick import check_gradients, jit, rounding_jit

WIDTH = 8
KEY = jax.random.key(0)


def sigmoid(x):
    return special.expit(x)


def relu(x):
    return np.maximum(x, 0)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def gated(gate):
    return lambda x: x[: len(x) // 2] * gate(x[len(x) // 2 :])


def gaussian_topk(x, sparsity=0.95):
    return relu(x - x.mean() - x.std() * special.ndtri(sparsity))


def thresholded(power):
    """The values max(x - t, 0)^power with the t, found by bisection, at which their sum is one."""

    def f(x):
        x = x / power
        t = optimize.brentq(
            lambda t: np.sum(relu(x - t) ** power) - 1, x.max() - 1, x.max(), xtol=1e-15
        )
        return relu(x - t) ** power

    return f


def blocks(x):
    return [x[i : i + 2] for i in range(0, len(x), 2)]


def lwta(x):
    return np.concatenate([np.where(b == b.max(), b, 0) for b in blocks(x)])


def k_winners(x):
    return np.array([v if sorted(x)[::-1].index(v) < math.ceil(len(x) / 4) else 0 for v in x])


def squash(x):
    norm = np.linalg.norm(x)
    return norm**2 / (1 + norm**2) * x / norm


def polynorm(x, p):
    powers = [x**i for i in (1, 2, 3)]
    terms = [w * v / np.sqrt(np.mean(v * v)) for w, v in zip(p["weights"], powers, strict=True)]
    return sum(terms) + p["bias"]


def meta_acon(x, p):
    beta = sigmoid((x @ p["squeeze"] + p["squeeze_bias"]) @ p["excite"] + p["excite_bias"])
    line = (p["p1"] - p["p2"]) * x
    return line * sigmoid(beta * line) + p["p2"] * x


def dyrelu(x, p):
    inner = relu(x @ p["squeeze"] + p["squeeze_bias"]) @ p["excite"] + p["excite_bias"]
    moved = (2 * sigmoid(inner) - 1).reshape(4, -1)
    lines = [(1 + moved[0]) * x + 0.5 * moved[2], moved[1] * x + 0.5 * moved[3]]
    return np.max(lines, axis=0)


def clamped(limit, alpha=1.0, shift=0.0, after=False):
    """The form of Step 3.7 if ``after``, else that of gpt-oss and of DeepSeek V4."""

    def f(x):
        value, gate = x[: len(x) // 2], x[len(x) // 2 :]
        before = np.inf if after else limit
        gate = np.minimum(gate, before) * sigmoid(alpha * np.minimum(gate, before))
        return np.minimum(gate, limit) * (np.clip(value, -limit, limit) + shift)

    return f


def softcapped(c, d):
    return lambda x: (
        gated(lambda g: c * np.tanh(g / c) * sigmoid(g))(x)
        / x[: len(x) // 2]
        * (d * np.tanh(x[: len(x) // 2] / d))
    )


SELU = (1.6732632423543772, 1.0507009873554805)
# Each as a function of one vector, by the definition.
REFERENCE = {
    "bilinear": gated(lambda b: b),
    "clamped_swiglu": clamped(7, 1.702, 1),
    "clamped_swiglu(10, alpha=1, value_shift=0)": clamped(10),
    "clamped_swiglu(0.5, alpha=1, value_shift=0, clamp_after=True)": clamped(0.5, after=True),
    "concatenated_elu": lambda x: np.concatenate([elu(x), elu(-x)]),
    "concatenated_elu(alpha=0.5)": lambda x: np.concatenate(
        [np.where(v > 0, v, 0.5 * np.expm1(np.minimum(v, 0))) for v in (x, -x)]
    ),
    "crelu": lambda x: np.concatenate([relu(x), relu(-x)]),
    "drelu_glu": lambda x: relu(x[: len(x) // 2]) * relu(x[len(x) // 2 :]),
    "dual_relu": lambda x: relu(x[: len(x) // 2]) - relu(x[len(x) // 2 :]),
    "dyrelu": dyrelu,
    "entmax": thresholded(2),
    "entmax(1.25)": thresholded(4),
    "entmax(3.0)": thresholded(0.5),
    "entmax15": thresholded(2),
    "geglu": gated(lambda b: b * sigmoid(2 * np.sqrt(2 / np.pi) * (b + 0.044715 * b**3))),
    "geglu(approximate=False)": gated(lambda b: b * special.ndtr(b)),
    "gaussian_topk": gaussian_topk,
    "gaussian_topk(sparsity=0.25)": functools.partial(gaussian_topk, sparsity=0.25),
    "glu": gated(sigmoid),
    "k_winners": k_winners,
    "k_winners(density=1)": lambda x: x,
    "log_softmax": lambda x: x - special.logsumexp(x),
    "lwta": lwta,
    "maxout": lambda x: np.array([b.max() for b in blocks(x)]),
    "maxout(pieces=8)": lambda x: x.max(keepdims=True),
    "meta_acon": meta_acon,
    "oplu": lambda x: np.concatenate([sorted(b)[::-1] for b in blocks(x)]),
    "polynorm": polynorm,
    "reglu": gated(relu),
    "seglu": gated(lambda b: SELU[1] * np.where(b > 0, b, SELU[0] * elu(b))),
    "softcapped_swiglu": softcapped(4, 25),
    "softcapped_swiglu(1.0, 0.5)": softcapped(1, 0.5),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(),
    "gumbel_softmax": special.softmax,
    "gumbel_softmax(0.5)": lambda x: special.softmax(x / 0.5),
    "softpick": lambda x: relu(np.expm1(x)) / (abs(np.expm1(x)).sum() + 1e-8),
    "softmax1": lambda x: np.exp(x) / (1 + np.exp(x).sum()),
    "softmin": lambda x: np.exp(-x) / np.exp(-x).sum(),
    "sparsemax": thresholded(1),
    "squared_reglu": gated(lambda b: relu(b) ** 2),
    "squash": squash,
    "swiglu": gated(lambda b: b * sigmoid(b)),
}
SPECS = tuple(REFERENCE)
LEARNED = tuple(s for s in SPECS if fa.get(s).learned)
ALONG = [s for s in SPECS if "axis" in fa.get(s).hyperparameters]


def inputs(shape=(WIDTH,), seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def learned(spec: str, width: int = WIDTH):
    """What it learns, drawn where it starts at zero, in float64 where that is enabled."""
    actual = fa.get(spec).parameters(width, KEY) if fa.get(spec).learned else {}
    rng = np.random.default_rng(2)
    return {k: jnp.asarray(v + 0.3 * rng.normal(size=v.shape)) for k, v in actual.items()}


def reference(spec: str, x: np.ndarray) -> np.ndarray:
    f = REFERENCE[spec]
    if spec in LEARNED:
        return f(x, {k: np.asarray(v) for k, v in learned(spec).items()})
    return f(x)


def applied(spec: str, **more):
    """The activation as a function of the input, with what ``learned`` gives."""
    activation = fa.get(spec)
    parameters = learned(spec) if spec in LEARNED else {}
    return lambda x: activation.spec.function(x, **dict(activation.changed), **parameters, **more)


def test_every_coupled_activation_has_a_reference():
    assert {fa.get(spec).spec.name for spec in SPECS} == set(fa.names("coupled"))


@pytest.mark.parametrize("spec", SPECS)
def test_values_are_those_of_the_definition(spec):
    with jax.enable_x64(True):
        f = jit(applied(spec))
        for x in (inputs(), 5 * inputs(seed=3), np.full(WIDTH, 0.5)):
            if spec in ("lwta", "k_winners") and np.ptp(x) == 0:
                continue  # ties: a test of their own
            np.testing.assert_allclose(f(x), reference(spec, x), rtol=1e-10, atol=1e-12)
    x = inputs().astype(np.float32)
    wanted = reference(spec, x.astype(np.float64))
    chex.assert_trees_all_close(jit(applied(spec))(x), wanted.astype(np.float32), atol=2e-6)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spec", ALONG)
def test_any_axis(spec, axis):
    x = inputs((WIDTH, WIDTH))
    with jax.enable_x64(True):
        got = jit(applied(spec, axis=axis))(x)
        wanted = np.apply_along_axis(functools.partial(reference, spec), axis, x)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_both_modes_and_two_orders(spec):
    with jax.enable_x64(True):
        check_gradients(applied(spec), (inputs(),), order=2)  # no ties


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_vmap_and_jit(spec):
    f = applied(spec)
    x = jnp.asarray(inputs((3, WIDTH)), jnp.float32)
    if spec in ("dyrelu", "meta_acon"):
        x = x[:, None]  # a batch
    compiled = jit(f)
    one_by_one = jnp.stack([compiled(row) for row in x])
    chex.assert_trees_all_close(jit(jax.vmap(f))(x), one_by_one, rtol=1e-5, atol=1e-6)
    if x.ndim == 2:
        chex.assert_trees_all_close(f(x), one_by_one, rtol=1e-5, atol=1e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("spec", SPECS)
def test_dtype_is_kept_and_half_precision_rounds_once(spec):
    f = applied(spec)
    half_inputs = [jnp.asarray(inputs((3, WIDTH)), t) for t in (jnp.bfloat16, jnp.float16)]
    both = rounding_jit(lambda xs: [(f(x), f(x.astype(jnp.float32))) for x in xs])
    for x, (y, wide) in zip(half_inputs, both(half_inputs), strict=True):
        assert y.dtype == x.dtype
        chex.assert_trees_all_equal(y, wide.astype(x.dtype))
    with jax.enable_x64(True):
        f = applied(spec)
        assert jax.eval_shape(f, jnp.ones((3, WIDTH), jnp.float64)).dtype == jnp.float64
        assert jax.eval_shape(f, jnp.ones((3, WIDTH), jnp.float32)).dtype == jnp.float32


@pytest.mark.sampled(5)
@pytest.mark.parametrize("spec", SPECS)
def test_the_stated_width_and_range_are_those_of_the_output(spec):
    activation = fa.get(spec)
    far = [500 * np.eye(WIDTH), -500 * np.eye(WIDTH), 500 * np.sign(inputs((50, WIDTH)))]
    x = np.concatenate([10 * inputs((200, WIDTH)), *far])
    y = np.asarray(jit(applied(spec))(x.astype(np.float32)))
    assert y.shape == (len(x), activation.width(WIDTH))
    low, high = activation.range
    assert low - 1e-6 <= y.min()
    assert y.max() <= high + 1e-6
    assert y.min() <= (low + 0.01 if math.isfinite(low) else -0.3)
    assert y.max() >= (high - 0.01 if math.isfinite(high) else 1)
    assert not activation.monotonic


SIMPLEX = ("softmax", "log_softmax", "sparsemax", "entmax15", "entmax")


@pytest.mark.sampled(11)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("spec", SPECS)
def test_neither_values_nor_slopes_are_nan_at_the_extremes(spec, dtype):
    f = applied(spec)
    top = float(jnp.finfo(dtype).max)
    if spec in ("dyrelu", "meta_acon"):
        top = top**0.5  # sums over drawn weights overflow

    @jit
    def value_and_slope(x):
        y, pull = jax.vjp(f, x)
        return y, pull(jnp.ones_like(y))[0]

    one, other = np.eye(WIDTH)[:2]
    for x in (0 * one, top * one, -top * other, -top * (one + other), np.full(WIDTH, -top)):
        y, slope = map(np.asarray, value_and_slope(x.astype(dtype)))
        assert not np.isnan(y).any()
        if np.isfinite(y).all():
            assert not np.isnan(slope).any()


@pytest.mark.sampled(5)
@pytest.mark.parametrize("spec", SPECS)
def test_nan_stays_nan(spec):
    x = inputs().astype(np.float32)
    x[3] = np.nan
    assert np.isnan(jit(applied(spec))(x)).any()


@pytest.mark.parametrize("name", SIMPLEX)
def test_limits_at_infinity(name):
    """An entry at -inf is as if it were not there."""
    f = getattr(fa, name)
    x = jnp.asarray(inputs(), jnp.float32)
    y = f(x.at[2].set(-jnp.inf))
    assert y[2] == (-jnp.inf if name == "log_softmax" else 0)
    rest = np.arange(WIDTH) != 2
    chex.assert_trees_all_close(y[rest], f(x[rest]), rtol=1e-6, atol=1e-7)


def test_limits_of_squash():
    x = jnp.array([jnp.inf, 3.0])
    chex.assert_trees_all_close(fa.squash(x), jnp.array([1.0, 0.0]))
    small = jnp.array([3e-12, 4e-12])
    chex.assert_trees_all_close(fa.squash(small), small * 5e-12, rtol=1e-6)
    assert float(jnp.linalg.norm(fa.squash(jnp.array([3e30, 4e30])))) == pytest.approx(1)


@pytest.mark.parametrize("name", ["squash", "polynorm"])
def test_no_slope_is_nan_at_the_zero_vector(name):
    jacobian = jax.jacobian(getattr(fa, name))(jnp.zeros(4))
    assert jnp.isfinite(jacobian).all()
    if name == "squash":
        chex.assert_trees_all_equal(jacobian, jnp.zeros((4, 4)))


@pytest.mark.parametrize("name", ["sparsemax", "entmax15", "entmax", "softmax"])
def test_onto_the_simplex_whatever_the_width(name):
    for width, scale in ((1, 1), (1000, 1), (1000, 1e-3), (1000, 1e4)):
        x = scale * inputs((4, width))
        y = np.asarray(getattr(fa, name)(jnp.asarray(x, jnp.float32)), np.float64)
        np.testing.assert_allclose(y.sum(-1), 1, rtol=2e-5)
        assert (y >= 0).all()
        if name != "softmax":
            wanted = np.apply_along_axis(REFERENCE[name], -1, np.float64(np.float32(x)))
            np.testing.assert_allclose(y, wanted, atol=1e-5)


def test_alpha_of_entmax_may_be_learned():
    """Two orders of derivatives by it and by the input, against differences; and one for each row."""
    x = np.array([[0.3, -0.2, 0.9, -2.0], [1.0, 0.7, 0.1, 0.4]])
    for alpha in (1.2, 1.5, 1.9):
        check_gradients(fa.entmax, (x, np.float64(alpha)), order=2)
        check_gradients(fa.entmax, (x, np.array([[alpha], [1.3]])), order=2)
        with jax.enable_x64(True):
            arrays = fa.entmax(x, jnp.float64(alpha))
            chex.assert_trees_all_close(arrays, fa.entmax(x, alpha), rtol=1e-12, atol=1e-14)
            step = 1e-6
            above, below = (
                np.apply_along_axis(thresholded(1 / (alpha + d - 1)), -1, x) for d in (step, -step)
            )
            slope = jax.jvp(lambda a: fa.entmax(x, a), (alpha,), (1.0,))[1]
            np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)
    with pytest.raises(fa.InputError, match="entmax needs one alpha along axis -1, not 4"):
        fa.entmax(x, jnp.full(4, 1.5))


def test_ties():
    """One wins of equals in lwta; all of equals stay in k_winners; oplu leaves a pair as it is."""
    x = jnp.array([1.0, 1.0, 2.0, 2.0])
    chex.assert_trees_all_equal(fa.lwta(x), jnp.array([1.0, 0, 2, 0]))
    chex.assert_trees_all_equal(fa.k_winners(x), jnp.array([0, 0, 2.0, 2.0]))
    chex.assert_trees_all_equal(jax.jacobian(fa.oplu)(x), jnp.eye(4))
    weights = jnp.array([1.0, 2.0, 3.0, 4.0])
    slope = jax.grad(lambda x: jnp.dot(fa.oplu(x), weights))(x)
    assert float(jnp.linalg.norm(slope)) == pytest.approx(float(jnp.linalg.norm(weights)))


@pytest.mark.parametrize(("density", "width"), [(0.07, 100), (0.1, 30), (1 / 3, 9), (0.3, 10)])
def test_k_winners_keeps_the_stated_share(density, width):
    """Rounded up, but not by a rounding error; a traced share too."""
    x = jnp.asarray(inputs((5, width)))
    wanted = math.ceil(round(density * width, 6))
    assert (jnp.sum(fa.k_winners(x, density) != 0, -1) == wanted).all()
    chex.assert_trees_all_equal(jax.jit(fa.k_winners)(x, density), fa.k_winners(x, density))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (fa.glu, r"glu needs a width that 2 divides, not 3 \(axis -1 of \(4, 3\)\)"),
        (fa.oplu, "oplu needs a width that 2 divides"),
        (fa.lwta, "lwta needs a width that 2 divides"),
        (lambda x: fa.maxout(x, pieces=2), "maxout needs a width that 2 divides, not 3"),
        (lambda x: fa.maxout(x, pieces=3, axis=0), "maxout needs a width that 3 divides, not 4"),
        (lambda x: fa.maxout(x, pieces=0), "maxout needs pieces > 0, not 0"),
        (lambda x: fa.maxout(x, pieces=1.5), "needs a whole number as pieces, not 1.5"),
        (lambda x: fa.k_winners(x, 1.5), "k_winners needs density from 0 to 1, not 1.5"),
        (lambda x: fa.k_winners(x, 0), "k_winners needs density > 0"),
        (lambda x: fa.entmax(x, 1.0), "entmax needs alpha > 1, not 1.0"),
        (lambda x: fa.concatenated_elu(x, alpha=-1.0), "concatenated_elu needs alpha > 0"),
        (fa.get("dyrelu"), "dyrelu draws its weights"),
        (lambda x: fa.polynorm(x, weights=jnp.ones(2)), r"needs weights of shape \(3,\)"),
        (lambda x: fa.get("bipolar(relu)")(1.0), r"of shape \(\) has no axis -1"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(fa.InputError, match=said):
        call(jnp.ones((4, 3)))


@pytest.mark.parametrize("name", [s for s in ALONG if "(" not in s])
def test_an_axis_that_is_not_there(name):
    for axis in (2, -3):
        with pytest.raises(fa.InputError, match=rf"shape \(8, 8\) has no axis {axis}"):
            getattr(fa, name)(jnp.ones((8, 8)), axis=axis)
    with pytest.raises(fa.InputError, match="has no axis -1"):
        getattr(fa, name)(1.0)


def test_softmax_and_glu_are_those_of_torch():
    torch = pytest.importorskip("torch")
    x = inputs((4, WIDTH)).astype(np.float32)
    torch_input = torch.tensor(x)
    for name, theirs in (
        ("softmax", torch.softmax(torch_input, -1)),
        ("log_softmax", torch.log_softmax(torch_input, -1)),
        ("glu", torch.nn.functional.glu(torch_input)),
        ("softmin", torch.nn.functional.softmin(torch_input, -1)),
    ):
        chex.assert_trees_all_close(getattr(fa, name)(x), theirs.numpy(), rtol=1e-6)
