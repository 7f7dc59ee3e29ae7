"""The AlexNet family against torch, layer by layer, and against what was published."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import traverse_util

import flaxact as fa
from flaxact import models
from flaxact.layers import LocalConv, adaptive_avg_pool, cross_map_response_norm
from tests.quick import jit

RNG = np.random.default_rng(0)
LOCAL = ("cuda_convnet(variant=conv_local_13pct)", "cuda_convnet(variant=conv_local_11pct)")
# With the smallest images that leave every layer something to do.
NETS = {
    "alexnet": (67, 67, 3),
    "alexnet_one_weird_trick": (64, 64, 3),
    "alexnet_cuda_convnet2": (64, 64, 3),
    "caffenet128": (67, 67, 3),
    "caffenet128(pooling=stride)": (67, 67, 3),
    LOCAL[0]: (8, 8, 3),
    LOCAL[1]: (8, 8, 3),
}


def images(shape, count=2):
    return np.random.default_rng(1).integers(0, 256, (count, *shape)).astype(np.uint8)


def template(model, shape):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, *shape), jnp.uint8))


def random_variables(model, shape):
    """Variables that keep signals of a size, drawn by NumPy: no initialization is compiled."""

    def draw(path, leaf):
        x = RNG.standard_normal(leaf.shape, np.float32)
        if path[-1].key == "kernel":
            inputs = leaf.shape[2:-1] if len(leaf.shape) == 6 else leaf.shape[:-1]
            return x * math.sqrt(2 / math.prod(inputs))
        return 120 + 10 * x if path[0].key == "inputs" else 0.1 * x

    return jax.tree_util.tree_map_with_path(draw, template(model, shape))


def kernels_and_outputs(model, *args, **kwargs):
    """Each layer with a kernel and what it gave, in the order of the data."""
    seen = {}

    def watch(next_fun, args, kwargs, context):
        y = next_fun(*args, **kwargs)
        if context.method_name == "__call__" and context.module.has_variable("params", "kernel"):
            seen[context.module.name] = y
        return y

    with nn.intercept_methods(watch):
        model.apply(*args, **kwargs)
    return seen


# Layers.


@pytest.mark.parametrize(("size", "channels"), [(5, 8), (9, 5), (4, 7), (1, 3)])
def test_cross_map_response_norm_by_its_formula_and_torchs(size, channels):
    x = RNG.normal(size=(2, 3, 4, channels)).astype(np.float32)
    expected = np.empty_like(x)
    for i in range(channels):
        near = x[..., max(0, i - size // 2) : i + (size - 1) // 2 + 1]
        expected[..., i] = x[..., i] / (1.5 + 2.0 / size * (near**2).sum(-1)) ** 0.6
    got = cross_map_response_norm(jnp.asarray(x), size, 2.0, 0.6, bias=1.5)
    chex.assert_trees_all_close(got, expected, rtol=1e-5)
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LocalResponseNorm(size, 2.0, 0.6, 1.5)(torch.tensor(x).permute(0, 3, 1, 2))
    chex.assert_trees_all_close(got, theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(13, 13), (6, 6), (7, 9), (2, 3), (1, 1)])
def test_adaptive_average_pooling_is_torchs(shape):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(2, *shape, 3)).astype(np.float32)
    theirs = torch.nn.AdaptiveAvgPool2d(6)(torch.tensor(x).permute(0, 3, 1, 2))
    got = adaptive_avg_pool(jnp.asarray(x), 6)
    chex.assert_trees_all_close(got, theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-5, atol=1e-6)


def local(x, kernel, bias):
    """A locally connected layer as it is defined: place by place."""
    high, wide = kernel.shape[2:4]
    beyond = ((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2)
    x = np.pad(x, ((0, 0), *beyond, (0, 0)))
    y = np.empty((x.shape[0], *bias.shape), np.float32)
    for i, j in np.ndindex(bias.shape[:2]):
        y[:, i, j] = np.tensordot(x[:, i : i + high, j : j + wide], kernel[i, j], 3) + bias[i, j]
    return y


@pytest.mark.parametrize("window", [(3, 3), (2, 5)])
def test_local_convolution_by_its_definition_and_flaxs(window):
    x = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
    shapes = {"kernel": (5, 4, *window, 3, 6), "bias": (5, 4, 6)}
    params = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    got = LocalConv(6, kernel_size=window).apply({"params": params}, x)
    chex.assert_trees_all_close(got, local(x, **params), rtol=1e-4, atol=1e-5)
    # Flax has the window's places behind the channels.
    turned = params["kernel"].transpose(0, 1, 4, 2, 3, 5).reshape(5, 4, -1, 6)
    theirs = nn.ConvLocal(6, window).apply({"params": params | {"kernel": turned}}, x)
    chex.assert_trees_all_close(got, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("init", "variance"), [("he", 2 / 576), ("paper", 0.0016), ("xavier", 2 / (9 * 64 + 9 * 32))]
)
def test_every_place_draws_a_kernel_with_the_fan_of_a_window(init, variance):
    model = models.create_model(LOCAL[0], "relu", kernel_init=init)

    def draw(key):
        return model.init(key, jnp.zeros((1, 16, 16, 3)))["params"]["local3"]["kernel"]

    kernel = jit(draw)(jax.random.key(0))
    chex.assert_shape(kernel, (4, 4, 3, 3, 64, 32))
    np.testing.assert_allclose(np.var(kernel, (2, 3, 4, 5)), variance, rtol=0.1)
    assert not np.array_equal(kernel[0, 0], kernel[0, 1])


@pytest.mark.thorough
def test_orthogonal_and_normalised_kernels_are_so_at_every_place():
    # shows every weight by itself
    x = jnp.eye(24).reshape(24, 3, 2, 4)
    key = jax.random.key(0)
    layer = LocalConv(3, kernel_size=(1, 1), kernel_init=fa.initializers.orthogonal())
    columns = jit(layer.init)(key, x)["params"]["kernel"].reshape(3, 2, 4, 3)
    eye = np.broadcast_to(np.eye(3, dtype=np.float32), (3, 2, 3, 3))
    chex.assert_trees_all_close(np.einsum("hwki,hwkj->hwij", columns, columns), eye, atol=1e-5)
    for weights in ("normalized", "standardized"):
        layer = LocalConv(5, kernel_size=(1, 1), weights=weights)
        y, variables = jit(layer.init_with_output)(key, x)
        chex.assert_shape(variables["params"]["scale"], (3, 2, 5))
        length = np.sqrt(np.sum(np.square(y), 0))
        if weights == "normalized":
            chex.assert_trees_all_close(length, np.asarray(variables["params"]["scale"]), rtol=1e-5)
        else:
            np.testing.assert_allclose(np.sum(y, 0), 0, atol=1e-6)
            np.testing.assert_allclose(length, 1, rtol=1e-4)


# Nets, against references in torch that share only the parameters.


class Reference:
    """torch's layers with our parameters; images are (batch, channels, height, width)."""

    def __init__(self, params):
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional
        self.params = params

    def conv(self, x, name, **options):
        kernel, bias = (self.torch.tensor(self.params[name][k]) for k in ("kernel", "bias"))
        return self.f.conv2d(x, kernel.permute(3, 2, 0, 1), bias, **options)

    def dense(self, x, name):
        x = x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
        return x @ self.torch.tensor(self.params[name]["kernel"]) + self.torch.tensor(
            self.params[name]["bias"]
        )

    def local(self, x, name):
        """By unfolding: of every place its window, channels before places."""
        kernel, bias = (self.torch.tensor(self.params[name][k]) for k in ("kernel", "bias"))
        height, width, channels = *kernel.shape[:2], kernel.shape[4]
        windows = self.f.unfold(x, 3, padding=1).reshape(-1, channels, 3, 3, height, width)
        y = self.torch.einsum("ncijhw,hwijcf->nfhw", windows, kernel)
        return y + bias.permute(2, 0, 1)

    def pool(self, x):
        return self.f.max_pool2d(x, 3, 2, ceil_mode=True)

    def respond(self, x, size, alpha, k):
        return self.f.local_response_norm(x, size, alpha, 0.75, k)

    def head(self, x):
        for name in ("fc6", "fc7"):
            x = self.f.relu(self.dense(x, name))
        return self.dense(x, "logits")


def alexnet(ref, x):
    relu = ref.f.relu
    x = ref.pool(ref.respond(relu(ref.conv(x, "conv1", stride=4)), 5, 5e-4, 2.0))
    x = ref.pool(ref.respond(relu(ref.conv(x, "conv2", padding=2, groups=2)), 5, 5e-4, 2.0))
    x = relu(ref.conv(x, "conv3", padding=1))
    x = relu(ref.conv(x, "conv4", padding=1, groups=2))
    return ref.head(ref.pool(relu(ref.conv(x, "conv5", padding=1, groups=2))))


def alexnet_cuda_convnet2(ref, x):
    relu = ref.f.relu
    last = -(x.shape[-1] - 11) % 4
    x = ref.respond(ref.conv(ref.f.pad(x, (0, last, 0, last)), "conv1", stride=4), 5, 1e-4, 2.0)
    x = relu(ref.conv(relu(ref.pool(x)), "conv2", padding=2))
    x = relu(ref.conv(ref.pool(ref.respond(x, 5, 1e-4, 2.0)), "conv3", padding=1))
    x = relu(ref.conv(x, "conv4", padding=1))
    return ref.head(relu(ref.pool(ref.conv(x, "conv5", padding=1))))


def caffenet128(ref, x):
    relu = ref.f.relu
    x = ref.pool(relu(ref.conv(x, "conv1", stride=4)))
    x = ref.pool(relu(ref.conv(x, "conv2", padding=2, groups=2)))
    x = relu(ref.conv(x, "conv3", padding=1))
    x = relu(ref.conv(x, "conv4", padding=1, groups=2))
    return ref.head(ref.pool(relu(ref.conv(x, "conv5", padding=1, groups=2))))


def caffenet128_strided(ref, x):
    relu = ref.f.relu
    x = relu(ref.conv(x, "conv1", stride=4))
    x = relu(ref.conv(x, "conv2", stride=2, padding=2, groups=2))
    x = relu(ref.conv(x, "conv3", stride=2, padding=1))
    x = relu(ref.conv(x, "conv4", padding=1, groups=2))
    return ref.head(relu(ref.conv(x, "conv5", stride=2, padding=1, groups=2)))


def conv_local_13pct(ref, x):
    for name in ("conv1", "conv2"):
        x = ref.pool(ref.f.relu(ref.conv(x, name, padding=2)))
    for name in ("local3", "local4"):
        x = ref.f.relu(ref.local(x, name))
    return ref.dense(x, "fc10")


def conv_local_11pct(ref, x):
    x = ref.respond(ref.pool(ref.f.relu(ref.conv(x, "conv1", padding=2))), 9, 0.001, 1.0)
    x = ref.pool(ref.respond(ref.f.relu(ref.conv(x, "conv2", padding=2)), 9, 0.001, 1.0))
    for name in ("local3", "local4"):
        x = ref.f.relu(ref.local(x, name))
    return ref.dense(x, "fc10")


@pytest.mark.sampled(7)
@pytest.mark.parametrize(
    ("text", "reference", "shape"),
    [
        ("alexnet", alexnet, (227, 227, 3)),
        ("alexnet_cuda_convnet2(width=0.25)", alexnet_cuda_convnet2, (224, 224, 3)),
        ("caffenet128(kernel_init=paper)", caffenet128, (128, 128, 3)),
        ("caffenet128(kernel_init=paper, pooling=stride)", caffenet128_strided, (128, 128, 3)),
        (LOCAL[0], conv_local_13pct, (32, 32, 3)),
        (LOCAL[1], conv_local_11pct, (24, 24, 3)),
    ],
)
def test_logits_are_those_of_a_reference_in_torch(text, reference, shape):
    model = models.create_model(text, "relu")
    variables = random_variables(model, shape)
    x = images(shape)
    got = jit(model.apply)(variables, x)
    ref = Reference(variables["params"])
    if "inputs" in variables:
        inputs = x - variables["inputs"]["mean"]
    else:  # Caffe's order is BGR
        inputs = (x - np.array([104, 117, 124], np.float32)[::-1]) * np.float32(0.04)
    expected = reference(ref, ref.torch.tensor(inputs).permute(0, 3, 1, 2)).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


# What was published.


@pytest.mark.parametrize(
    ("text", "parameters"),
    # Two convolutions 107,328; local, of 36 places, 664,704 (64 to 32, or back) or 332,928 (32 to 32)
    # or 1,329,408 (64 to 64); dense 11,530.
    [
        (LOCAL[0], 107_328 + 664_704 + 332_928 + 11_530),
        (LOCAL[1], 107_328 + 1_329_408 + 664_704 + 11_530),
    ],
)
def test_parameters_of_the_local_nets_on_their_crops(text, parameters):
    assert models.parameters(models.create_model(text, "relu"), (24, 24, 3)) == parameters
    model = models.create_model(text, "relu")
    assert f"{parameters:,}" in type(model).__doc__


def test_neurons_and_multiplications_of_alexnet():
    """Figure 2's caption; its 253,440 of the first layer are not 55 × 55 × 96, as is well known.

    724 million multiplications: Sze et al. 2017, "Efficient Processing of Deep Neural Networks".
    """
    model = models.create_model("alexnet", "relu")
    assert round(models.multiply_accumulates(model, (227, 227, 3)) / 1e6) == 724
    sites = models.sites(model, (227, 227, 3))
    neurons = [math.prod(shape) for shape in sites.values()]
    assert neurons == [55 * 55 * 96, 186_624, 64_896, 64_896, 43_264, 4096, 4096]


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("text", "ones"),
    [("alexnet", "conv2 conv4 conv5 fc6 fc7"), ("alexnet_cuda_convnet2", "conv2 conv4 conv5 fc6 fc7"),
     ("alexnet_one_weird_trick", ""), ("caffenet128(kernel_init=paper)", "")],
)  # fmt: skip
def test_weights_and_biases_start_as_published(text, ones):
    name = text.split("(", maxsplit=1)[0]
    model = models.create_model(text, "relu", width=0.1)
    params = jit(model.init)(jax.random.key(0), images(NETS[name]))["params"]
    stds = {
        "alexnet_cuda_convnet2": {"conv3": 0.03, "conv4": 0.03, "conv5": 0.03},
        "caffenet128": {"fc6": 0.005, "fc7": 0.005},
    }.get(name, {})
    for layer, leaves in params.items():
        bias = -7.0 if name.endswith("2") and layer == "logits" else float(layer in ones.split())
        np.testing.assert_array_equal(leaves["bias"], bias)
        std = stds.get(layer, 0.01)
        if name == "alexnet_one_weird_trick":
            std = math.prod(leaves["kernel"].shape[:-1]) ** -0.5 / math.sqrt(3)
        np.testing.assert_allclose(leaves["kernel"].std(), std, rtol=0.05)


def test_maxout_at_equal_parameters_has_the_widths_of_mishkins_row():
    """68, 182, 272, 272, 172 and twice 1448 after it, in caffenet128_maxout_lsuv.prototxt."""
    model = models.create_model("caffenet128", "maxout", matched="parameters")
    widths = [shape[-1] for shape in models.sites(model, (128, 128, 3)).values()]
    assert widths[:4] + widths[5:] == [68, 182, 272, 272, 1448, 1448]
    assert abs(widths[4] - 172) <= 10  # 256/√2 is 181: theirs is not what the row's name says


@pytest.mark.sampled(7)
@pytest.mark.parametrize("text", NETS)
def test_dropout_in_training_only(text):
    rates = []

    def watch(next_fun, args, kwargs, context):
        if isinstance(context.module, nn.Dropout):
            rates.append((context.module.rate, context.module.deterministic))
        return next_fun(*args, **kwargs)

    x = jnp.zeros((2, *NETS[text]), jnp.uint8)
    for train in (True, False):
        model = models.create_model(text, "relu", width=0.1)
        with nn.intercept_methods(watch):
            keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
            jax.eval_shape(lambda keys, m=model, t=train: m.init(keys, x, train=t), keys)
    dropped = 0 if text in LOCAL else 2
    assert rates == [(0.5, False)] * dropped + [(0.5, True)] * dropped
    without = models.create_model(text, "relu", width=0.1, dropout=0.0)
    rates.clear()
    with nn.intercept_methods(watch):
        template(without, NETS[text])
    assert not rates


# Options.


@pytest.mark.sampled(7)
@pytest.mark.parametrize("text", NETS)
def test_a_training_step_reaches_every_parameter(text):
    model = models.create_model(text, "elu", num_classes=3, width=0.1)
    x = images(NETS[text], 4)
    labels = jnp.array([0, 1, 2, 0])
    variables = random_variables(model, NETS[text])

    def loss_of(params):
        rngs = {"dropout": jax.random.key(0)}
        logits = model.apply(variables | {"params": params}, x, train=True, rngs=rngs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, grads = jit(jax.value_and_grad(loss_of))(variables["params"])
    assert 0 < loss < math.inf
    for path, grad in traverse_util.flatten_dict(grads).items():
        assert np.isfinite(grad).all(), path
        assert np.any(grad), path


@pytest.mark.sampled(7)
@pytest.mark.parametrize(
    ("norm", "init"),
    [("none", "lsuv"), ("batch", "orthogonal"), ("layer", "variance_preserving"), ("group", "he"),
     ("weight", "lsuv"), ("weight_mean_only_batch", "paper")],
)  # fmt: skip
@pytest.mark.parametrize("text", ["alexnet", "alexnet_one_weird_trick", "caffenet128", LOCAL[1]])
def test_every_option_builds(text, norm, init):
    model = models.create_model(text, "elu", num_classes=3, width=0.1, norm=norm, kernel_init=init)
    assert built(model, NETS[text]) == (2, 3)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("matched", ["width", "parameters"])
@pytest.mark.parametrize("width", [0.03, 0.37])
@pytest.mark.parametrize("act", ["crelu", "glu", "maxout(pieces=3)"])
@pytest.mark.parametrize("text", ["alexnet", "caffenet128", LOCAL[0]])
def test_widths_that_the_groups_divide(text, act, width, matched):
    model = models.create_model(text, act, num_classes=3, width=width, matched=matched)
    assert built(model, NETS[text]) == (2, 3)


def built(model, shape):
    """The logits' shape."""
    x = jnp.zeros((2, *shape))
    return jax.eval_shape(lambda key: model.init_with_output(key, x)[0], jax.random.key(0)).shape


@pytest.mark.sampled(5)
@pytest.mark.parametrize("text", ["caffenet128", f"{LOCAL[1][:-1]}, kernel_init=lsuv)"])
def test_lsuv_gives_every_layer_unit_variance(text):
    model = models.create_model(text, "tanh", width=0.1)
    x = images((67, 67, 3) if text == "caffenet128" else (8, 8, 3), 16)
    variables = jit(model.init)(jax.random.key(0), x)
    outputs = jit(lambda *args: kernels_and_outputs(model, *args))(variables, x)
    assert len(outputs) == 8 - 3 * ("local" in text)
    for name, y in outputs.items():
        assert abs(float(y.std()) - 1) < 0.01, name


@pytest.mark.parametrize(
    ("text", "shape", "said"),
    [
        ("alexnet", (10, 32, 3), "AlexNet needs images of 11 × 11 or more, not 10 × 32"),
        ("caffenet128", (32, 10, 3), "needs images of 11 × 11 or more"),
        ("alexnet_one_weird_trick", (6, 6, 3), "needs images of 7 × 7 or more"),
        ("alexnet_one_weird_trick", (64, 64, 4), "takes images of 3 channels, or 1, not 4"),
        ("caffenet128", (64, 64, 2), "takes images of 3 channels, or 1, not 2"),
    ],
)
def test_images_that_a_net_refuses(text, shape, said):
    model = models.create_model(text, "relu", width=0.1)
    with pytest.raises(fa.InputError, match=said):
        template(model, shape)
