"""What activations learn: where it starts, its gradient, and who owns it."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax.test_util import check_grads
from numpy.polynomial.chebyshev import chebval
from numpy.polynomial.legendre import legval

import flaxact as fa
from flaxact import nnx as fnnx
from flaxact.layers import Act
from flaxact.training import Recipe
from flaxact.training.optimizers import labels, make_optimizer
from tests.quick import check_gradients, derivatives, jit

WIDTH = 6
LEARNED = fa.names("learned")
DRAWN = ("dyrelu", "meta_acon")
# Where each starts, by its paper: (value, shape for WIDTH channels). Weights that are drawn, and fits,
# have tests of their own.
STARTS = {
    "acon_c": {"p1": (1, "channel"), "p2": (0, "channel"), "beta": (1, "channel")},
    "apl": {"slopes": (0, (2, WIDTH)), "places": ([-1 / 3, 1 / 3], (2, WIDTH))},
    "chebyshev": {"coefficients": ([0, 1, 0, 0, 0], (5, WIDTH))},
    "derf": {"alpha": (0.5, ()), "shift": (0, ()), "gamma": (1, "channel"), "beta": (0, "channel")},
    "dyt": {"alpha": (0.5, ()), "gamma": (1, "channel"), "beta": (0, "channel")},
    "felu": {"alpha": (1, "channel")},
    "flexible_relu": {"bias": (-1, ())},
    "fourier": {"cosines": (0, (5, WIDTH)), "sines": ([1, 0, 0, 0, 0], (5, WIDTH))},
    "gaussian_rbf": {"base_weight": (1, "channel"), "coefficients": (0, (8, WIDTH))},
    "legendre": {"coefficients": ([0, 1, 0, 0, 0], (5, WIDTH))},
    "modrelu": {"bias": (0, "channel")},
    "mpelu": {"alpha": (1, "channel"), "beta": (1, "channel")},
    "mtlu": {"slopes": ([0] * 20 + [1] * 20, (40, WIDTH)), "biases": (0, (40, WIDTH))},
    "parametric_softplus": {"alpha": (0.2, "channel"), "beta": (5, "channel")},
    "pelu": {"alpha": (1, ()), "beta": (1, ())},
    "polynorm": {"weights": (1 / 3, (3,)), "bias": (0, ())},
    "prelu": {"negative_slope": (0.25, "channel")},
    "snake": {"frequency": (1, "channel")},
    "snake_beta": {"frequency": (1, "channel"), "divisor": (1, "channel")},
    "soft_exponential": {"alpha": (0, "channel")},
    "spline": {"base_weight": (1, "channel"), "coefficients": (0, (8, WIDTH))},
    "srelu": {
        "left": (0, "channel"),
        "left_slope": (0.2, "channel"),
        "right": (1, "channel"),
        "right_slope": (1, "channel"),
    },
    "star_relu": {"scale": (0.8944, ()), "bias": (-0.4472, ())},
    "swish_beta": {"beta": (1, ())},
    "trelu": {"alpha": (1, "channel")},
    # log(1 + e^a) starts at 0.8, and beta + log(1 + e^a) too, with beta = 0.5
    "xielu": {"alpha_p": (np.log(np.expm1(0.8)), ()), "alpha_n": (np.log(np.expm1(0.3)), ())},
    "xatlu": {"alpha": (0, ())},
    "tlu": {"threshold": (0, "channel")},
}
SPECS = (*LEARNED, "rational(tanh)", "scaled(prelu, output=2.0)", "rational(relu)")


def inputs(shape=(4, WIDTH), seed=0):
    """No value within 0.05 of another place at which a derivative jumps."""
    x = np.random.default_rng(seed).uniform(-2.5, 2.5, shape)
    for place in (-1, -1 / 3, 0, 1 / 3, 1, *np.linspace(-1, 1, 41)):
        x = np.where(abs(x - place) < 0.01, place + 0.02, x)
    return x


def start(spec: str, width: int = WIDTH, dtype=jnp.float64):
    actual = fa.get(spec).parameters(width, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), actual)


def moved(parameters, scale: float = 0.05):
    """Parameters a little away from where they start, each by its own amount."""
    leaves, structure = jax.tree.flatten(parameters)
    rng = np.random.default_rng(1)
    return structure.unflatten(
        [leaf + scale * rng.uniform(0.2, 1, leaf.shape).astype(leaf.dtype) for leaf in leaves]
    )


def test_every_learned_activation_has_its_start_written_here():
    assert {*STARTS, *DRAWN} == set(LEARNED)


@pytest.mark.parametrize("name", STARTS)
def test_parameters_start_as_in_the_paper(name):
    actual = fa.get(name).parameters(WIDTH)
    assert actual.keys() == STARTS[name].keys() == set(fa.get(name).learned)
    for key, (value, shape) in STARTS[name].items():
        wanted = np.asarray(value, np.float32)
        column = wanted[:, None] if wanted.ndim and len(actual[key].shape) > 1 else wanted
        wanted = np.broadcast_to(column, (WIDTH,) if shape == "channel" else shape)
        assert actual[key].dtype == jnp.float32
        chex.assert_trees_all_close(actual[key], wanted, atol=1e-6)


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_weights(name):
    """LeCun's normal, biases at zero, another key another draw; none without a key."""
    activation = fa.get(name)
    width = 512
    actual = activation.parameters(width, jax.random.key(0))
    assert actual.keys() == set(activation.learned)
    inner = {"dyrelu": width // 8, "meta_acon": width // 16}[name]
    assert actual["squeeze"].shape == (width, inner)
    assert actual["excite"].shape == (inner, {"dyrelu": 4 * width, "meta_acon": width}[name])
    for key, fan_in in (("squeeze", width), ("excite", inner)):
        assert float(actual[key].std()) == pytest.approx(fan_in**-0.5, rel=0.02)
        assert not actual[f"{key}_bias"].any()
    other = activation.parameters(width, jax.random.key(1))
    assert (other["squeeze"] != actual["squeeze"]).any()
    with pytest.raises(fa.InputError, match="draws its weights"):
        activation.parameters(width)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", [n for n in LEARNED if "per_channel" in fa.get(n).hyperparameters])
def test_one_a_channel_or_one_for_all(name):
    for text, shape in (("True", (WIDTH,)), ("False", ())):
        activation = fa.get(f"{name}(per_channel={text})")
        assert fa.get(str(activation)) == activation
        actual = activation.parameters(WIDTH)
        assert {v.shape for v in actual.values()} == {shape}
        x = jnp.asarray(inputs(), jnp.float32)
        chex.assert_trees_all_close(activation(x, **actual), fa.get(name)(x), rtol=1e-5, atol=1e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("spec", SPECS)
def test_called_with_what_it_starts_with_it_is_what_it_is_without(spec):
    activation = fa.get(spec)
    x = jnp.asarray(inputs(), jnp.float32)
    actual = start(spec, dtype=jnp.float32)
    calls = {"with": lambda x: activation(x, **actual)}
    if spec not in DRAWN:
        calls["without"] = activation
    arrays = (x, x.astype(jnp.bfloat16))
    y = jit(lambda arrays: {k: [f(x) for x in arrays] for k, f in calls.items()})(arrays)
    assert [(v.shape, v.dtype) for v in y["with"]] == [(v.shape, v.dtype) for v in arrays]
    if spec not in DRAWN:
        chex.assert_trees_all_close(y["with"][0], y["without"][0], rtol=2e-6, atol=1e-6)


FEW = {"mtlu": "mtlu(bins=4)"}  # forty bins take long to compile


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", [FEW.get(s, s) for s in SPECS])
def test_gradients_by_parameters_and_input(spec):
    """Both modes against finite differences."""
    activation = fa.get(spec)
    with jax.enable_x64(True):
        x = jnp.asarray(inputs((2, 3)))
        parameters = moved(start(spec, 3))
        check_gradients(lambda p, x: activation(x, **p), (parameters, x))
        gradient = jit(jax.grad(lambda p: jnp.sum(activation(x, **p) ** 2)))(parameters)
        for leaf in jax.tree.leaves(gradient):
            assert leaf.any()  # none is silently zero


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_second_order_by_parameters_and_input(spec):
    activation = fa.get(spec)
    with jax.enable_x64(True):
        x = jnp.asarray(inputs((2, 3)))
        parameters = moved(start(spec, 3))
        both = jax.jit(lambda p, x: activation(x, **p))
        check_grads(both, (parameters, x), order=2, atol=1e-5, rtol=1e-5)


def _waves(x, cosines, sines):
    k = np.arange(1, len(sines) + 1)
    return np.cos(k * x) @ cosines + np.sin(k * x) @ sines


def _bumps(x, base_weight, coefficients):
    grid = np.linspace(-2, 2, len(coefficients))
    bumps = np.exp(-(((x - grid) / (grid[1] - grid[0])) ** 2))
    return base_weight * x / (1 + np.exp(-x)) + bumps @ coefficients


SUMS = {
    "chebyshev": lambda x, coefficients: chebval(np.tanh(x), coefficients),
    "legendre": lambda x, coefficients: legval(np.tanh(x), coefficients),
    "fourier": _waves,
    "gaussian_rbf": _bumps,
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_basis_functions_is_that_of_numpy(name):
    """With coefficients far from those it starts with, another set in each channel."""
    rng = np.random.default_rng(2)
    x = rng.uniform(-3, 3, (5, 3))
    with jax.enable_x64(True):
        learned = jax.tree.map(lambda v: rng.normal(size=v.shape), fa.get(name).parameters(3))
        actual = np.asarray(fa.get(name)(x, **learned))
        slope = np.asarray(derivatives(lambda x: fa.get(name)(x, **learned), 1)(x))[1]
    for (row, channel), y in np.ndenumerate(actual):
        own = {key: value[..., channel] for key, value in learned.items()}
        assert y == pytest.approx(SUMS[name](x[row, channel], **own), rel=1e-12, abs=1e-12)
        low, high = (SUMS[name](x[row, channel] + d, **own) for d in (-1e-6, 1e-6))
        assert slope[row, channel] == pytest.approx((high - low) / 2e-6, rel=1e-7, abs=1e-7)


def test_bumps_need_two_centers():
    with pytest.raises(fa.InputError, match="gaussian_rbf needs centers >= 2, not 1"):
        fa.gaussian_rbf(1.0, centers=1)


# Whose parameters are no numbers.
BY_ARRAYS = {"apl", "mtlu", "polynorm", "spline", *SUMS}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", [n for n in STARTS if n not in BY_ARRAYS])
def test_arrays_and_numbers_give_the_same(name):
    """Values, and derivatives, which are computed another way."""
    f = getattr(fa, name)
    x = jnp.asarray(inputs(), jnp.float32)
    numbers = {k: float(v.ravel()[0]) for k, v in moved(start(name, dtype=jnp.float32)).items()}
    arrays = {k: jnp.full((WIDTH,), v, jnp.float32) for k, v in numbers.items()}
    shaped = {k: jnp.full((1, 1), v, jnp.float32) for k, v in numbers.items()}
    for given in (arrays, shaped):
        ours, wanted = (
            jit(jax.value_and_grad(lambda x, h=h: jnp.sum(jnp.sin(f(x, **h)))))(x)
            for h in (given, numbers)
        )
        chex.assert_trees_all_close(ours, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", LEARNED)
def test_arrays_of_another_shape_are_refused(name):
    x = jnp.asarray(inputs(), jnp.float32)
    good = start(name, dtype=jnp.float32)
    f = functools.partial(getattr(fa, name), x)
    for key, value in good.items():
        wrong = jnp.ones((*value.shape[:-1], WIDTH + 1))
        with pytest.raises(fa.InputError, match=rf"{name}.*{key} of shape"):
            f(**good | {key: wrong})
        with pytest.raises(
            fa.InputError, match=rf"{name} takes a real (number or )?array as {key}"
        ):
            f(**good | {key: "0.5"})
        with pytest.raises(
            fa.InputError, match=rf"{name} takes a real (number or )?array as {key}"
        ):
            f(**good | {key: value + 1j})
        with pytest.raises(fa.InputError, match="unknown parameter"):
            fa.get(name)(x, **good, other=value)


def test_what_cannot_be_learned_together():
    for text, said in (
        ("centered(prelu)", "without learned parameters; prelu learns negative_slope"),
        ("standardized(scaled(pelu))", r"learns activation.alpha, activation.beta"),
        ("tailored_dks(swish_beta)", "needs an activation without learned parameters"),
        ("rational(prelu)", "needs an activation without learned parameters"),
        (
            "with_surrogate_derivative(step, prelu)",
            "needs an activation without learned parameters",
        ),
        ("rational(softmax)", "needs a pointwise activation, not softmax"),
    ):
        with pytest.raises(fa.InputError, match=said):
            fa.get(text)


def test_nested_in_transforms():
    activation = fa.get("mixture(scaled(prelu, 2.0), elu, weight=0.25)")
    assert activation.learned == ("first.activation.negative_slope",)
    actual = activation.parameters(3)
    assert jax.tree.map(jnp.shape, actual) == {"first": {"activation": {"negative_slope": (3,)}}}
    x = jnp.array([[-1.0, -2.0, 3.0]])
    slope = jnp.array([0.1, 0.2, 0.3])
    y = activation(x, first={"activation": {"negative_slope": slope}})
    wanted = 0.25 * 2 * fa.prelu(x, slope) + 0.75 * fa.elu(x)
    chex.assert_trees_all_close(y, wanted, rtol=1e-6)
    with pytest.raises(fa.InputError, match="unknown parameter"):
        activation(x, second={"alpah": slope})


def test_slopes_that_are_shared_by_layer_and_channel_of_an_image():
    x = jnp.asarray(inputs((2, 5, 5, 3)), jnp.float32)
    slope = jnp.array([0.1, 0.2, 0.3])
    wanted = np.where(x > 0, x, np.asarray(slope) * x)
    chex.assert_trees_all_close(fa.prelu(x, slope), wanted, rtol=1e-6)
    gradient = jax.grad(lambda s: fa.prelu(x, s).sum())(slope)
    chex.assert_trees_all_close(gradient, np.minimum(x, 0).sum((0, 1, 2)), rtol=1e-5)
    shared = jax.grad(lambda s: fa.prelu(x, s).sum())(jnp.float32(0.25))
    chex.assert_trees_all_close(shared, np.minimum(x, 0).sum(), rtol=1e-5)


# The largest error on [-3, 3] of the least squares fit of degree 5 over 4.
FITS = {"tanh": 4e-3, "gelu": 0.02, "silu": 1e-3, "sigmoid": 1e-3, "elu": 0.03, "relu": 0.04,
        "leaky_relu": 0.04, "sine": 0.02, "identity": 1e-6}  # fmt: skip


@pytest.mark.sampled(5)
@pytest.mark.parametrize("inner", FITS)
def test_rational_starts_as_the_activation(inner):
    x = jnp.linspace(-3, 3, 1001)
    error = abs(fa.rational(inner)(x) - fa.get(inner)(x))
    assert float(error.max()) <= FITS[inner]


FIXED = [n for n in fa.names("pointwise") if not fa.get(n).learned]


@pytest.mark.slow
@pytest.mark.parametrize("inner", [n for n in FIXED if n not in ("siren", "finer")])
def test_rational_starts_as_anything_and_has_no_pole(inner):
    activation = fa.get(inner)
    rational = fa.rational(inner)
    x = jnp.linspace(-3, 3, 1001)
    y = activation(x)
    bound = 0.55 if activation.jumps else 0.12 if activation.kinks else 0.05
    assert float(abs(rational(x) - y).max()) <= bound * float(abs(y).max())
    assert jnp.isfinite(rational(1e4 * x)).all()


class Net(nn.Module):
    """Two layers with one site between."""

    act: str

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="out")(Act(self.act, name="act1")(nn.Dense(WIDTH, name="in")(x)))


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_linen_and_nnx_own_the_same_and_one_step_moves_it(spec):
    activation = fa.get(spec)
    x = jnp.asarray(inputs((4, WIDTH)), jnp.float32)
    net = Net(spec)
    params = jit(net.init)(jax.random.key(0), x)["params"]
    assert params["act1"].keys() == {"activation"}
    owned = params["act1"]["activation"]
    chex.assert_trees_all_equal_shapes(owned, activation.parameters(WIDTH, jax.random.key(0)))
    kinds = labels(params)
    assert set(jax.tree.leaves(kinds["act1"])) == {"activation"}
    assert kinds["in"] == kinds["out"] == {"bias": "bias", "kernel": "kernel"}

    site = fnnx.Act(spec, width=WIDTH, rngs=nnx.Rngs(0))
    state = nnx.state(site, fnnx.ActivationParam)
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(owned))
    wanted = Act(spec).apply({"params": {"activation": owned}}, x)
    nnx.update(site, {"learned": owned})
    chex.assert_trees_all_close(site(x), wanted, rtol=1e-6)

    recipe = Recipe(weight_decay=0.1)
    optimizer = make_optimizer(recipe, 1, learning_rate=0.1, momentum=None)
    gradient = jit(jax.grad(lambda p: jnp.mean(net.apply({"params": p}, x) ** 2)))(params)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    # What is learned does not decay and moves by its gradient alone, the kernels by more.
    expected = jax.tree.map(lambda g: -0.1 * g, gradient)
    chex.assert_trees_all_close(updates["act1"], expected["act1"])
    assert (updates["in"]["kernel"] != expected["in"]["kernel"]).any()
    assert any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(updates["act1"]))


@pytest.mark.parametrize("name", DRAWN)
def test_on_images_a_small_net_reads_the_means_of_the_channels(name):
    x = jnp.asarray(inputs((2, 4, 4, WIDTH)), jnp.float32)
    module = Act(name)
    variables = module.init(jax.random.key(0), x)
    y = module.apply(variables, x)
    chex.assert_shape(y, x.shape)
    # The same for all places of an image: turned images give turned outputs.
    turned = module.apply(variables, x[:, ::-1])
    chex.assert_trees_all_close(turned, y[:, ::-1], rtol=1e-5, atol=1e-6)
    # One image does not see the other.
    chex.assert_trees_all_close(module.apply(variables, x[:1]), y[:1], rtol=1e-5, atol=1e-6)
    parts = jax.tree.map(lambda v: v + 0.5, variables["params"]["activation"])
    assert not jnp.allclose(fa.get(name)(x, **parts), y)


def test_prelu_keeps_one_array_a_layer_where_its_slope_is_trained():
    rows = 1024
    width = 256
    layers = 12

    def loss(parameters, x):
        for kernel, slope in parameters:
            x = fa.prelu(x @ kernel, slope)
        return jnp.mean(x**2)

    def step(parameters, x):
        gradients = jax.grad(loss)(parameters, x)
        return jax.tree.map(lambda p, g: p - 0.01 * g, parameters, gradients)

    shape = lambda *s: jax.ShapeDtypeStruct(s, jnp.float32)  # noqa: E731
    for slope in (shape(width), shape()):
        program = jax.jit(step).lower([(shape(width, width), slope)] * layers, shape(rows, width))
        residuals = program.compile().memory_analysis().temp_size_in_bytes / (
            4 * rows * width * layers
        )
        assert residuals <= 1.1 + 2 / layers  # two working arrays among a dozen layers
