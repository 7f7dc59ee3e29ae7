"""Activations that draw while training: the distribution, the gradient, and who gives the key."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from scipy import special, stats

import flaxact as fa
from flaxact import nnx as fnnx
from flaxact.layers import Act
from tests.quick import jit

NAMES = tuple(n for n in fa.names("stochastic") if not fa.get(n).spec.coupled)
SPECS = (*NAMES, "noisy(tanh, std=0.5)", "scaled(rrelu, output=2.0)", "noisy(prelu)")
KEY = jax.random.key(7)
COUNT = 20_000
INPUTS = (-2.0, -0.3, 0.4, 1.5)

# For an input, what is published of the output: its distribution, where it is above `least`, and the
# probability that it is `least` exactly.
UNIFORM = stats.uniform
NORMAL = stats.norm


def slope(x, low, high):
    """x times a slope that is uniform between two numbers, for negative x."""
    return UNIFORM(x * high, -x * (high - low))


def inverse_slope(x):
    """x / a with a uniform on (3, 8), for negative x: P(x / a <= y) = P(a <= x / y)."""

    class Inverse:
        def cdf(self, y):
            return np.clip((x / y - 3) / 5, 0, 1)

        def mean(self):
            return x * np.log(8 / 3) / 5

        def std(self):
            return np.sqrt(x * x / 24 - self.mean() ** 2)

    return Inverse()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


DRAWS = {
    "elastic_relu": lambda x: UNIFORM(0.5 * x, x) if x > 0 else 0.0,
    "noisy_relu": lambda x: NORMAL(x, np.sqrt(sigmoid(x))),
    "randomly_translated_relu": lambda x: NORMAL(x, 0.75),
    "rrelu": lambda x: x if x > 0 else inverse_slope(x),
    "rrelu_slope": lambda x: x if x > 0 else slope(x, 1 / 8, 1 / 3),
}
CUT = ("noisy_relu", "randomly_translated_relu")  # ReLU after the noise
# Without a key: what is done in testing.
TESTS = {
    "elastic_relu": lambda x: np.maximum(x, 0),
    "noisy_relu": lambda x: np.maximum(x, 0),
    "randomly_translated_relu": lambda x: np.maximum(x, 0),
    "rrelu": lambda x: np.where(x > 0, x, x / 5.5),
    "rrelu_slope": lambda x: np.where(x > 0, x, x * 11 / 48),
    "noisy(tanh, std=0.5)": np.tanh,
    "scaled(rrelu, output=2.0)": lambda x: 2 * np.where(x > 0, x, x / 5.5),
    "noisy(prelu)": lambda x: np.where(x > 0, x, x / 4),
}


def points() -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, 50)), jnp.float32)


def test_every_stochastic_activation_has_its_distribution_written_here():
    assert set(NAMES) == DRAWS.keys() == TESTS.keys() - set(SPECS[len(NAMES) :])


@pytest.mark.sampled(5)
@pytest.mark.parametrize("x", INPUTS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_is_distributed_as_published(name, x):
    """Kolmogorov–Smirnov, at a level of one in a thousand with this key; means within four errors."""
    y = np.asarray(fa.get(name)(jnp.full(COUNT, x), key=KEY), np.float64)
    wanted = DRAWS[name](x)
    if isinstance(wanted, float):
        np.testing.assert_array_equal(y, np.float32(wanted))
        return
    if name in CUT:
        zeros = np.mean(y == 0)
        share = wanted.cdf(0)
        assert abs(zeros - share) <= 4 * np.sqrt(share * (1 - share) / COUNT)
        y = y[y > 0]
        if len(y) < 100:
            return
        assert stats.kstest(y, lambda v: (wanted.cdf(v) - share) / (1 - share)).pvalue > 1e-3
        return
    assert stats.kstest(y, wanted.cdf).pvalue > 1e-3
    assert abs(y.mean() - wanted.mean()) <= 4 * wanted.std() / np.sqrt(COUNT)
    assert y.std() == pytest.approx(wanted.std(), rel=0.03)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_chooses_each_class_as_often_as_its_probability(hard):
    """The Gumbel-max theorem; its hard form is one class, with the derivative of the soft one."""
    logits = jnp.array([0.0, 1.0, -1.0, 0.5])
    x = jnp.broadcast_to(logits, (COUNT, 4))
    y = np.asarray(fa.gumbel_softmax(x, 0.5, hard=hard, key=KEY))
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
    counts = np.bincount(y.argmax(-1), minlength=4)
    assert (
        stats.chisquare(counts, COUNT * special.softmax(np.asarray(logits, np.float64))).pvalue
        > 1e-3
    )
    if hard:
        assert set(np.unique(y)) == {0.0, 1.0}
    weights = jnp.arange(4.0)
    slopes = [
        jax.grad(lambda x, h=h: jnp.vdot(fa.gumbel_softmax(x, 0.5, hard=h, key=KEY), weights))(
            logits
        )
        for h in (False, True)
    ]
    chex.assert_trees_all_close(*slopes)
    assert fa.get("gumbel_softmax(hard=True)")(logits).tolist() == [0, 1, 0, 0]


def test_noise_of_a_transform():
    """noisy(identity) is the input and a Gaussian of the stated standard deviation."""
    y = fa.get("noisy(identity, std=0.5)")(jnp.full(COUNT, 2.0), key=KEY)
    assert stats.kstest(np.asarray(y, np.float64), NORMAL(2, 0.5).cdf).pvalue > 1e-3
    sum_of_two = fa.get("noisy(noisy(identity, std=0.3), std=0.4)")
    y = np.asarray(sum_of_two(jnp.zeros(COUNT), key=KEY), np.float64)
    assert stats.kstest(y, NORMAL(0, 0.5).cdf).pvalue > 1e-3  # the two draws are independent


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_in_testing_it_is_the_stated_function(spec):
    x = points()
    wanted = TESTS[spec](np.asarray(x, np.float64))
    chex.assert_trees_all_close(fa.get(spec)(x), wanted.astype(np.float32), rtol=1e-5, atol=1e-7)
    assert fa.get(spec).stochastic


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_same_key_same_draw(spec):
    activation = fa.get(spec)
    x = points()
    draw = jit(lambda key: activation(x, key=key))
    chex.assert_trees_all_equal(draw(KEY), draw(KEY))
    chex.assert_trees_all_close(draw(KEY), activation(x, key=KEY), rtol=1e-6, atol=1e-6)
    other = draw(jax.random.key(8))
    assert float(jnp.mean(other != draw(KEY))) > 0.3
    # A draw for each value, not one for all of equal ones.
    same = [activation(jnp.full((50,), v), key=KEY) for v in (-0.7, 0.7)]
    assert max(len(np.unique(y)) for y in same) > 20
    many = jax.vmap(lambda key: activation(x, key=key))(jax.random.split(KEY, 3))
    chex.assert_shape(many, (3, *x.shape))
    assert len(np.unique(np.asarray(many[:, 0, 0]))) + len(np.unique(np.asarray(many[:, 0, 1]))) > 2


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_the_gradient_is_that_of_what_was_drawn(spec):
    activation = fa.get(spec)
    step = 1e-6
    with jax.enable_x64(True):
        x = points().astype(jnp.float64)

        @jit
        def both(x, key):
            f = lambda x: activation(x, key=key)  # noqa: E731
            y, pull = jax.vjp(f, x)
            slope = jax.jvp(f, (x,), (jnp.ones_like(x),))[1]
            return pull(jnp.ones_like(y))[0], slope, (f(x + step) - f(x - step)) / (2 * step)

        reverse, forward, differences = map(np.asarray, both(x, KEY))
    chex.assert_trees_all_close(reverse, forward)
    away = abs(forward - differences) < 1e-6  # but where a kink lies between the two points
    assert away.mean() > 0.98


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_dtypes_and_extremes(spec):
    activation = fa.get(spec)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        top = float(jnp.finfo(dtype).max)
        x = jnp.array([0.0, top, -top, jnp.inf, -jnp.inf, jnp.nan, -1.0, 1.0], dtype)
        for key in (None, KEY):
            y = jit(lambda x, key=key: activation(x, key=key))(x)
            assert y.dtype == dtype
            np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_linen_draws_from_the_stream_named_activation(spec):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Act(spec, name="act2")(Act(spec, name="act1")(x))

    x = points()
    activation = fa.get(spec)
    one = Act(spec)
    two = Net()
    variables = one.init(KEY, x)
    learned = variables.get("params", {}).get("activation", {})
    chex.assert_trees_all_close(one.apply(variables, x), activation(x, **learned))
    draws = [one.apply(variables, x, rngs={"activation": jax.random.key(i)}) for i in (0, 0, 1)]
    chex.assert_trees_all_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    # Another stream changes nothing, and two sites draw apart.
    chex.assert_trees_all_close(
        one.apply(variables, x, rngs={"dropout": KEY}), one.apply(variables, x)
    )
    variables = two.init(KEY, x)
    _, state = two.apply(variables, x, rngs={"activation": KEY}, mutable=["intermediates"])
    sites = state["intermediates"]
    first, second = (sites[site]["output"][0] for site in ("act1", "act2"))
    assert (second != activation(first)).any()
    assert not jnp.allclose(
        one.apply({"params": variables.get("params", {}).get("act1", {})}, x), first
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", SPECS)
def test_nnx_draws_in_training_and_not_in_evaluation(spec):
    x = points()
    activation = fa.get(spec)
    site = fnnx.Act(spec, width=x.shape[-1], rngs=nnx.Rngs(0))
    first = site(x)
    second = site(x)
    assert (first != second).any()
    chex.assert_trees_all_equal(fnnx.Act(spec, width=x.shape[-1], rngs=nnx.Rngs(0))(x), first)
    site.eval()
    chex.assert_trees_all_close(site(x), activation(x))
    site.train()
    assert (site(x) != activation(x)).any()

    @nnx.jit
    def run(site, x):
        return site(x)

    assert (run(site, x) != run(site, x)).any()
    with pytest.raises(fa.InputError, match="is random in training: give Act rngs"):
        fnnx.Act(spec, width=x.shape[-1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rrelu(lower=-1)", "rrelu needs lower > 0"),
        ("rrelu(lower=9)", "rrelu needs lower <= upper, not 9.0 and 8.0"),
        ("rrelu_slope(0.5, 0.25)", "rrelu_slope needs lower <= upper"),
        ("elastic_relu(1.5)", "elastic_relu needs alpha from 0 to 1, not 1.5"),
        ("randomly_translated_relu(std=0)", "randomly_translated_relu needs std > 0"),
        ("noisy(relu, std=-1)", "noisy needs std > 0"),
        ("noisy(softmax)", "noisy needs a pointwise activation"),
    ],
)
def test_refusals(text, said):
    with pytest.raises(fa.InputError, match=said):
        fa.get(text)
