"""Initial weights: published constants, statistics over shapes, and the errors at the door."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util
from jax.sharding import NamedSharding, PartitionSpec
from scipy import optimize
from scipy.stats import norm

import flaxact as fa
from flaxact import initializers as init
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.theory import gaussian_moments

KEY = jax.random.key(0)
DENSE = (300, 700)
CONV = (3, 3, 40, 60)


def std_of(kernel):
    return float(np.asarray(kernel, np.float64).std())


def test_he_of_vgg_b():
    """He et al. 2015, §2.2: √(2/n̂) of the 3×3 layers of VGG-B, for fan-out n̂, is these; constant
    0.01 would shrink the gradient from conv10 to conv2 by 1/(5.9 × 4.2² × 2.9² × 2.1⁴) = 1/(1.7e4).
    """
    published = {64: 0.059, 128: 0.042, 256: 0.029, 512: 0.021}
    exact = {filters: math.sqrt(2 / (9 * filters)) for filters in published}
    for filters, std in published.items():
        assert round(exact[filters], 3) == std
        kernel = init.he("fan_out")(KEY, (3, 3, 64, filters))
        assert std_of(kernel) == pytest.approx(std, rel=0.03)  # two digits are printed
    layers = {64: 1, 128: 2, 256: 2, 512: 4}
    shrinkage = math.prod((exact[n] / 0.01) ** count for n, count in layers.items())
    assert float(f"{shrinkage:.2g}") == 1.7e4
    rounded = math.prod((std / 0.01) ** layers[n] for n, std in published.items())
    assert float(f"{rounded:.2g}") == 1.7e4


def test_selu_with_lecuns_weights_stays_at_its_fixed_point():
    """Klambauer et al. 2017: mean 0 and variance 1, at any depth; the gain is 1."""
    assert gaussian_moments("selu").gain == pytest.approx(1, abs=1e-6)
    x = jax.random.normal(KEY, (2000, 500))
    for layer in range(12):
        x = fa.selu(x @ init.lecun()(jax.random.fold_in(KEY, layer), (500, 500)))
    assert float(x.mean()) == pytest.approx(0, abs=0.05)
    assert float(x.var()) == pytest.approx(1, abs=0.1)


# Brock et al. 2021, from deepmind-research/nfnets/base.py: 1/std of the output for a Gaussian input.
NFNETS = {
    "identity": 1.0,
    "celu": 1.270926833152771,
    "elu": 1.2716004848480225,
    "gelu": 1.7015043497085571,
    "leaky_relu": 1.70590341091156,
    "log_sigmoid": 1.9193484783172607,
    "relu": 1.7139588594436646,
    "relu6": 1.7131484746932983,
    "selu": 1.0008515119552612,
    "sigmoid": 4.803835391998291,
    "silu": 1.7881293296813965,
    "softplus": 1.9203323125839233,
    "softsign": 2.338853120803833,
    "tanh": 1.5939117670059204,
}


@pytest.mark.parametrize("name", NFNETS)
def test_gains_of_nfnets(name):
    """They were measured on random numbers: celu and elu, one function, differ by 5e-4 there, and so
    do the mirror images softplus and log_sigmoid: 2e-3 of the gain allows for that.
    """
    gain = gaussian_moments(name).variance ** -0.5
    assert gain == pytest.approx(NFNETS[name], rel=2e-3)
    kernel = init.variance_preserving(name, moment="variance")(KEY, DENSE)
    assert std_of(kernel) * math.sqrt(DENSE[0]) == pytest.approx(gain, rel=0.01)


def test_nfnets_relu_gain_exactly():
    """The paper's formula √(2/(1 - 1/π)) is 1.71286; the shipped 1.71396 is off by 6e-4."""
    exact = math.sqrt(2 / (1 - 1 / math.pi))
    assert exact == pytest.approx(1.7128585504, abs=1e-10)
    assert gaussian_moments("relu").variance ** -0.5 == pytest.approx(exact, abs=1e-10)
    assert abs(NFNETS["relu"] / exact - 1) == pytest.approx(6.4e-4, abs=1e-5)


def correlation_map(c, slope):
    """E f(u) f(v) of leaky ReLU of unit second moment (Zhang et al. 2022, eq. 9), by arc-cosines."""
    theta = math.acos(max(-1.0, min(1.0, c)))
    positive = (math.sin(theta) + (math.pi - theta) * c) / (2 * math.pi)  # E relu(u) relu(v)
    mixed = (math.sin(theta) - theta * c) / (2 * math.pi)  # E relu(u) relu(-v)
    return 2 / (1 + slope**2) * ((1 + slope**2) * positive - 2 * slope * mixed)


@pytest.mark.parametrize(("depth", "eta"), [(5, 0.3), (50, 0.9), (101, 0.8)])
def test_tats_leaky_slope(depth, eta):
    def missing(slope):
        c = 0.0
        for _ in range(depth):
            c = correlation_map(c, slope)
        return c - eta

    slope = optimize.brentq(missing, 0, 1, xtol=1e-14)
    tailored = fa.get(f"tailored_relu(depth={depth}, eta={eta})")
    y = tailored(jnp.array([1.0, -1.0]))
    assert float(y[0]) == pytest.approx(math.sqrt(2 / (1 + slope**2)), rel=1e-6)
    assert float(-y[1] / y[0]) == pytest.approx(slope, rel=1e-5)
    moments = gaussian_moments(tailored)
    assert moments.second_moment == pytest.approx(1, abs=1e-10)
    assert moments.slope_at_one == pytest.approx(1, abs=1e-10)
    # The slope of the C-map at 0, of which eta is made, by Price's theorem: (E f')².
    assert moments.slope_at_zero == pytest.approx((1 + slope) ** 2 / (2 * (1 + slope**2)), abs=1e-9)


FANS = {
    "fan_in": lambda shape: math.prod(shape[:-1]),
    "fan_out": lambda shape: math.prod(shape[:-2]) * shape[-1],
    "fan_avg": lambda shape: math.prod(shape[:-2]) * (shape[-2] + shape[-1]) / 2,
    "fan_geo_avg": lambda shape: math.prod(shape[:-2]) * math.sqrt(shape[-2] * shape[-1]),
}
DRAWN = {
    "he": (init.he, 2),
    "leaky": (lambda mode, d: init.he(mode, d, negative_slope=0.5), 2 / 1.25),
    "lecun": (init.lecun, 1),
    "tanh": (
        lambda mode, d: init.variance_preserving("tanh", mode, d),
        1 / norm.expect(lambda x: math.tanh(x) ** 2),
    ),
}


@pytest.mark.sampled(11)
@pytest.mark.parametrize("shape", [DENSE, CONV])
@pytest.mark.parametrize("mode", FANS)
@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
@pytest.mark.parametrize("name", DRAWN)
def test_variance_over_shapes_modes_and_distributions(name, distribution, mode, shape):
    make, scale = DRAWN[name]
    kernel = np.asarray(make(mode, distribution)(KEY, shape), np.float64)
    std = math.sqrt(scale / FANS[mode](shape))
    assert kernel.shape == shape
    assert kernel.std() == pytest.approx(std, rel=0.01)
    assert abs(kernel.mean()) < 5 * std / math.sqrt(kernel.size)
    reach = {"normal": 4.3, "truncated_normal": 2 / 0.8796, "uniform": math.sqrt(3)}[distribution]
    assert abs(kernel).max() == pytest.approx(reach * std, rel=0.2)
    assert (
        abs(kernel).max() < 1.25 * reach * std if distribution == "normal" else 1.01 * reach * std
    )


def test_xavier():
    """Glorot & Bengio 2010, eq. 16: uniform within √6/√(n_in + n_out)."""
    kernel = np.asarray(init.xavier()(KEY, DENSE))
    bound = math.sqrt(6 / 1000)
    assert abs(kernel).max() <= bound * (1 + 1e-6)
    assert abs(kernel).max() > 0.999 * bound
    assert std_of(init.xavier("normal")(KEY, CONV)) == pytest.approx(math.sqrt(2 / 900), rel=0.01)


@pytest.mark.parametrize("shape", [(50, 20), (20, 50), (3, 3, 8, 5), (2, 2, 3, 40)])
def test_orthogonal(shape):
    kernel = np.asarray(init.orthogonal(1.5)(KEY, shape), np.float64).reshape(-1, shape[-1])
    gram = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
    np.testing.assert_allclose(gram, 1.5**2 * np.eye(len(gram)), atol=1e-5)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "text", ["relu", "tanh", "gelu", "selu", "softplus", "leaky_relu(0.3)", "sigmoid", "cosine"]
)
def test_one_layer_keeps_the_second_moment(text):
    x = jax.random.normal(KEY, (200, 500))
    kernel = init.variance_preserving(text)(jax.random.key(1), (500, 6000))
    after = fa.get(text)(x) @ kernel
    # A mean above 0 goes with the sum of each unit's weights: √(2/6000) of it is chance.
    assert float((after**2).mean()) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("moment", ["second", "variance", "derivative"])
def test_relus_gains_of_each_moment(moment):
    kernel = init.variance_preserving("relu", moment=moment)(KEY, DENSE)
    scale = {"second": 2, "variance": 2 / (1 - 1 / math.pi), "derivative": 2}[moment]
    assert std_of(kernel) ** 2 * DENSE[0] == pytest.approx(scale, rel=0.02)


def test_centered_weights_see_no_mean_and_keep_the_variance():
    x = jax.nn.relu(jax.random.normal(KEY, (2000, 600)))
    make = init.variance_preserving("relu", moment="variance", centered=True)
    kernel = make(jax.random.key(1), (600, 500))
    chex.assert_trees_all_close(kernel.sum(0), jnp.zeros(500), atol=1e-4)
    after = x @ kernel
    assert float((after**2).mean()) == pytest.approx(1, rel=0.02)
    # Each unit's mean over the inputs vanishes: no mean shift.
    assert float((after.mean(0) ** 2).mean()) < 0.01


MAKERS = {
    "he": lambda: init.he(negative_slope=0.25),
    "xavier": lambda: init.xavier("normal"),
    "lecun": lambda: init.lecun("fan_out"),
    "orthogonal": lambda: init.orthogonal(2),
    "variance_preserving": lambda: init.variance_preserving("elu(alpha=0.5)"),
    "centered": lambda: init.variance_preserving("silu", centered=True),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_dtype_and_determinism(name, dtype):
    make = MAKERS[name]()
    kernel = make(KEY, CONV, dtype)
    assert kernel.dtype == dtype
    chex.assert_trees_all_equal(kernel, make(KEY, CONV, dtype))
    assert not jnp.array_equal(kernel, make(jax.random.key(1), CONV, dtype))
    assert make(KEY, CONV).dtype == jnp.float32
    assert std_of(kernel) == pytest.approx(std_of(make(KEY, CONV)), rel=0.02)
    compiled = jax.jit(make, static_argnums=(1, 2))(KEY, CONV, jnp.float32)
    chex.assert_trees_all_close(compiled, make(KEY, CONV), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_equal_arguments_share_one_trace(name):
    first = MAKERS[name]()
    again = MAKERS[name]()
    assert first is again
    assert nn.Dense(3, kernel_init=first) == nn.Dense(3, kernel_init=again)
    traces = []

    @jax.jit
    def leaf(x):
        return x

    def run(module, x):
        traces.append(module)
        return module.init(KEY, leaf(x))

    compiled = jax.jit(run, static_argnums=0)
    for make in (first, again):
        compiled(nn.Dense(3, kernel_init=make), jnp.ones((2, 4)))
    assert len(traces) == 1


@pytest.mark.parametrize("name", MAKERS)
def test_out_sharding_as_jax_passes_it(name):
    mesh = jax.make_mesh((1,), ("model",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "model"))
    kernel = MAKERS[name]()(KEY, (8, 4), jnp.float32, out_sharding=sharding)
    assert kernel.sharding == sharding
    chex.assert_trees_all_close(kernel, MAKERS[name]()(KEY, (8, 4)), rtol=1e-6)


def test_in_flax_modules():
    x = jnp.ones((2, 8, 8, 30))
    conv = nn.Conv(200, (3, 3), kernel_init=init.he("fan_out")).init(KEY, x)["params"]["kernel"]
    assert std_of(conv) == pytest.approx(math.sqrt(2 / 1800), rel=0.02)
    dense = nn.Dense(400, kernel_init=init.variance_preserving("silu"), param_dtype=jnp.bfloat16)
    kernel = dense.init(KEY, x)["params"]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    gain = gaussian_moments("silu").gain
    assert std_of(kernel) == pytest.approx(gain / math.sqrt(30), rel=0.02)


class SmallNet(nn.Module):
    """Two convolutions, one of them strided, a normalization with dropout, and a dense layer."""

    act: str = "relu"

    @nn.compact
    def __call__(self, x, train=False):
        x = Act(self.act)(nn.Conv(16, (3, 3), name="conv1")(x))
        x = nn.Dropout(0.1, deterministic=not train)(x)
        x = Act(self.act)(nn.Conv(24, (3, 3), strides=2, use_bias=True, name="conv2")(x))
        return nn.Dense(10, name="dense")(x.reshape(len(x), -1))


def layer_outputs(module, variables, x, **kwargs):
    """What each module with a kernel gives out, by its path, in the order of the names."""

    def has_kernel(layer, method):
        return method == "__call__" and layer.has_variable("params", "kernel")

    actual = module.apply(
        variables, x, capture_intermediates=has_kernel, mutable=["intermediates"], **kwargs
    )[1]["intermediates"]
    flat = traverse_util.flatten_dict(actual, sep="/")
    return {k.removesuffix("/__call__"): v[0] for k, v in flat.items() if k.endswith("__call__")}


def filled(module, x):
    """Variables with small Gaussian numbers: to compile a net's own initialization takes seconds."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.01 * rng.standard_normal(leaf.shape), leaf.dtype),
        jax.eval_shape(module.init, {"params": KEY, "dropout": KEY, "activation": KEY}, x),
    )


@pytest.mark.parametrize(("act", "key"), [("relu", None), ("tanh", jax.random.key(5))])
def test_lsuv_gives_every_layer_unit_variance(act, key):
    module = SmallNet(act)
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(1, 3, (32, 12, 12, 3)), jnp.float32)
    before = filled(module, x)
    after = init.lsuv(module, before, x, key=key, tolerance=0.01)
    outputs = layer_outputs(module, after, x)
    assert list(outputs) == ["conv1", "conv2", "dense"]
    for y in outputs.values():
        assert float(y.var()) == pytest.approx(1, abs=0.011)
    chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
    for name, layer in after["params"].items():
        chex.assert_trees_all_equal(layer["bias"], before["params"][name]["bias"])
        old = before["params"][name]["kernel"]
        new = layer["kernel"]
        if key is None:  # the given kernel, scaled
            chex.assert_trees_all_close(new, old * (new.std() / old.std()), rtol=1e-4, atol=1e-6)
        else:
            flat = np.asarray(new, np.float64).reshape(-1, new.shape[-1])
            gram = flat.T @ flat
            np.testing.assert_allclose(gram, gram[0, 0] * np.eye(len(gram)), atol=1e-4 * gram[0, 0])


@pytest.mark.thorough
def test_lsuv_on_cuda_convnet():
    module = create_model("cuda_convnet(width=0.25)", "relu")
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(0, 255, (16, 32, 32, 3)), jnp.float32)
    variables = filled(module, x)
    scaled = init.lsuv(module, variables, x, train=False)
    outputs = layer_outputs(module, scaled, x)
    assert set(outputs) == {"conv1", "conv2", "conv3", "fc64", "fc10"}
    for y in outputs.values():
        assert float(y.var()) == pytest.approx(1, abs=0.02)
    chex.assert_trees_all_equal(scaled["inputs"], variables["inputs"])


@pytest.mark.thorough
def test_lsuv_in_bfloat16_and_with_random_layers():
    class Half(SmallNet):
        @nn.compact
        def __call__(self, x, train=True):
            x = nn.Dense(64, param_dtype=jnp.bfloat16, name="first")(x)
            x = nn.Dropout(0.5, deterministic=not train)(Act("rrelu")(x))
            return nn.Dense(8, param_dtype=jnp.bfloat16, name="second")(x)

    x = jax.random.normal(KEY, (512, 20))
    rngs = {"dropout": KEY, "activation": KEY}
    variables = filled(Half(), x)
    scaled = init.lsuv(Half(), variables, x, rngs=rngs, train=True, key=KEY)
    outputs = layer_outputs(Half(), scaled, x, rngs=rngs)
    chex.assert_trees_all_equal_dtypes(variables, scaled)
    for y in outputs.values():
        assert float(y.var()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: init.he("fan_inn"), "did you mean 'fan_in'"),
        (lambda: init.he(mode=["fan_in"]), "unknown mode"),
        (lambda: init.he(distribution="gauss"), "unknown distribution 'gauss'"),
        (lambda: init.he(negative_slope=math.inf), "finite negative_slope"),
        (lambda: init.xavier("unifrom"), "did you mean 'uniform'"),
        (lambda: init.lecun("fan"), "unknown mode"),
        (lambda: init.orthogonal(0), "positive gain"),
        (lambda: init.orthogonal(math.nan), "positive gain"),
        (lambda: init.variance_preserving("rleu"), "did you mean 'relu'"),
        (lambda: init.variance_preserving("softmax"), "softmax is not pointwise"),
        (lambda: init.variance_preserving("relu", moment="third"), "unknown moment"),
        (lambda: init.variance_preserving("scaled(tanh, output=0)"), "has no gain"),
        (
            lambda: init.variance_preserving("clipped(relu, -2, -1)", moment="variance"),
            "has no gain",
        ),
        (lambda: init.he()(KEY, (3,)), "a kernel has a shape"),
        (lambda: init.orthogonal()(KEY, ()), "a kernel has a shape"),
        (lambda: init.he()(KEY, (0, 4)), "a kernel has a shape"),
        (lambda: init.variance_preserving("relu", centered=True)(KEY, (1, 4)), "only one"),
        (lambda: init.he(negative_slope="a"), "he needs a finite negative_slope, not 'a'"),
        (lambda: init.orthogonal("a"), "orthogonal needs a positive gain, not 'a'"),
    ],
)
def test_what_they_cannot_take(call, said):
    with pytest.raises(fa.InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


class Scanned(nn.Module):
    """Two dense layers in one nn.scan."""

    @nn.compact
    def __call__(self, x):
        class Cell(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                return nn.Dense(4)(x), None

        scanned = nn.scan(Cell, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        return scanned()(x, None)[0]


def dense_net(features=4):
    x = jax.random.normal(KEY, (16, 4))
    module = nn.Dense(features)
    return module, module.init(KEY, x), x


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, v, x: (m, v, x * 0), "kernel gives outputs of variance 0"),
        (lambda m, v, x: (m, v, x * jnp.nan), "kernel gives outputs of variance nan"),
        (lambda m, v, x: (Scanned(), Scanned().init(KEY, x), x), "which is inside nn.scan"),
        (lambda m, v, x: (Act("relu"), {}, x), 'no layer with a "kernel" in Act'),
    ],
)
def test_what_lsuv_cannot_scale(change, said):
    with pytest.raises(fa.InputError, match=said):
        init.lsuv(*change(*dense_net()))


@pytest.mark.parametrize("options", [{"tolerance": 0}, {"iterations": 0}, {"tolerance": math.nan}])
def test_lsuv_needs_a_tolerance_and_iterations(options):
    with pytest.raises(fa.InputError, match="tolerance and iterations > 0"):
        init.lsuv(*dense_net(), **options)
