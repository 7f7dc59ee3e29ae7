"""The neighbors of AlexNet against PyTorch, built layer by layer, and what their papers say."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact import models
from flaxact.layers import adaptive_avg_pool, adaptive_max_pool
from flaxact.models import he_net
from flaxact.models._catalogue import entries
from tests.quick import jit

FILES = ("lenet5", "network_in_network", "all_cnn_c", "vgg", "fitnet4", "squeezenet_bn", "small_net",
         "elu_net", "he_net", "conv_pool_cnn_c", "cifar_full")  # fmt: skip
NAMES = [name for name in models.list_models() if entries()[name].file in FILES]


def images(batch, *shape):
    return np.random.default_rng(0).integers(0, 256, (batch, *shape)).astype(np.uint8)


def filled(model, x):
    """A model's variables with random numbers for all it learns, kernels of variance 1.5 / fan-in."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            fan_in = leaf.size // leaf.shape[-1]
            return jnp.asarray(rng.normal(0, math.sqrt(1.5 / fan_in), leaf.shape), leaf.dtype)
        low, high = (50, 150) if path[0].key == "inputs" else (0.5, 1.5)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def logits_of(model, *shape):
    x = jax.ShapeDtypeStruct((2, *shape), jnp.uint8)
    return jax.eval_shape(lambda key, x: model.init_with_output(key, x)[0], jax.random.key(0), x)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", NAMES)
def test_logits(name):
    model = models.create_model(name, "relu")
    logits = logits_of(model, *models.input_shape(name))
    classes = {"small": 100, "elu": 100, "vgg": 1000, "he": 1000}.get(
        name.split("_")[0].rstrip("1369"), 10
    )
    assert logits.shape == (2, classes)
    assert logits.dtype == jnp.float32


@pytest.mark.sampled(7)
@pytest.mark.parametrize("text", [*FILES, "elu_net18", "he_net22"])
@pytest.mark.parametrize("shape", [(37, 45, 4), (12, 11, 1)])
def test_other_images(text, shape):
    assert logits_of(models.create_model(text, "tanh", num_classes=7), *shape).shape == (2, 7)


@pytest.mark.parametrize("text", ["lenet5", "all_cnn_c", "conv_pool_cnn_c", "he_net14"])
def test_images_that_are_too_small(text):
    model = models.create_model(text, "relu")
    with pytest.raises(fa.InputError, match=r"needs images of \d+ × \d+ or more, not 8 × 20"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 20, 3)))


@pytest.mark.parametrize(
    ("text", "published"),
    [
        # He et al. 2015, table 3, model B (from memory). The rest: counted for the papers' protocols.
        ("he_net22", 2.32e10),
        ("elu_net11", 157e6),
        ("network_in_network", 222e6),
        ("fitnet4", 191e6),
        ("squeezenet_bn", 52.5e6),
        ("small_net", 11.4e6),
    ],
)
def test_multiplications(text, published):
    model = models.create_model(text, "relu")
    shape = models.input_shape(text)
    assert models.multiply_accumulates(model, shape) == pytest.approx(published, rel=0.005)


def test_prelu_adds_a_slope_for_each_site_of_he_net():
    """13 extra parameters in 14 layers (He et al. 2015, §4.1)."""
    counts = [
        models.parameters(models.create_model("he_net14", act), (224, 224, 3))
        for act in ("relu", "prelu(per_channel=False)")
    ]
    assert counts[1] - counts[0] == 13


@pytest.mark.parametrize("name", ["he_net14", "he_net22"])
def test_the_maps_of_he_net(name):
    sizes = {
        shape[0]
        for shape in models.sites(models.create_model(name, "relu"), (224, 224, 3)).values()
    }
    # Of the dense layers 4096; of the convolutions as the docstring says.
    assert sizes - {4096} == ({109, 36, 18} if name == "he_net14" else {112, 56, 28, 14})


@pytest.mark.sampled(7)
@pytest.mark.parametrize("text", FILES)
@pytest.mark.parametrize("act", ["crelu", "glu"])
def test_activations_that_change_the_width(text, act):
    """At equal width the maps stay as published, around skips too; else the number of parameters does."""
    shape = models.input_shape(text)
    relu = models.create_model(text, "relu")
    assert models.sites(models.create_model(text, act), shape) == models.sites(relu, shape)
    last = {"act9": "relu"} if text in ("network_in_network", "all_cnn_c") else {}
    by_size = models.create_model(text, last | {"*": act}, matched="parameters")
    ratio = models.parameters(by_size, shape) / models.parameters(relu, shape)
    assert ratio == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("text", "acts", "arguments", "said"),
    [
        (
            "squeezenet_bn",
            {"act3*": "crelu", "*": "relu"},
            {"matched": "parameters"},
            r"cannot add the skip past fire module 3: it has 128 channels, and act3_expand1 .* give \d+",
        ),
        (
            "network_in_network",
            "crelu",
            {"num_classes": 3},
            "cannot have crelu at act9: 3 classes need",
        ),
        ("all_cnn_c", "crelu", {"num_classes": 5}, "cannot have crelu at act9: 5 classes need"),
        ("vgg(depth=12)", "relu", {}, "vgg has no depth 12; allowed: 11, 13, 16, 19"),
        ("elu_net(depth=15)", "relu", {}, "elu_net has no depth 15"),
        ("network_in_network(second_pool=mean)", "relu", {}, "unknown second_pool"),
        ("cifar_full(responses=3)", "relu", {}, "True or False"),
    ],
)
def test_refusals(text, acts, arguments, said):
    with pytest.raises(fa.InputError, match=said):
        models.sites(models.create_model(text, acts, **arguments), (32, 32, 3))


def test_normalisation_is_where_it_is_published():
    """Of VGG, in the convolutions only; of ConvPool-CNN-C, of the logits too."""
    for text, there, not_there in (
        ("vgg11_bn", "norm5_2", "norm6"),
        ("conv_pool_cnn_c(norm=batch)", "norm_logits", "norm10"),
        ("conv_pool_cnn_c(norm=weight_mean_only_batch)", "norm_logits", "norm10"),
        ("cifar_full_sigmoid_bn", "norm1", "norm4"),
    ):
        model = models.create_model(text, "relu")
        x = jnp.zeros((2, *models.input_shape(text)), jnp.uint8)
        actual = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
        assert there in actual
        assert not_there not in actual


@pytest.mark.thorough
def test_noise_and_dropout_are_of_training_only():
    x = images(4, 9, 9, 3)
    keys = {"dropout": jax.random.key(1)}

    def logits(text, train):
        model = models.create_model(text, "relu")
        apply = jit(functools.partial(model.apply, train=train))
        return apply(filled(model, x), x, rngs=keys)

    text = "conv_pool_cnn_c(width=0.1, dropout=0, noise={})"
    testing = logits(text.format("True"), train=False)
    chex.assert_trees_all_close(logits(text.format("False"), train=True), testing, rtol=1e-5)
    assert not np.allclose(logits(text.format("True"), train=True), testing, rtol=1e-3)


@pytest.mark.thorough
def test_fitnet4_starts_by_lsuv():
    """Outputs of variance 1, layer by layer, whatever the depth."""
    x = images(64, 8, 8, 3)
    model = models.create_model("fitnet4(width=0.25)", "tanh")

    @jit
    def variances(key):
        variables = model.init(key, x)
        _, state = model.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])
        layers = state["intermediates"]
        return [
            layers[name]["__call__"][0].var() for name in ("conv1_1", "conv2_6", "conv3_6", "clf")
        ]

    assert np.asarray(variances(jax.random.key(0))) == pytest.approx(1, abs=0.02)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("shape", [(18, 18), (13, 20), (4, 5)])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_adaptive_pooling(size, shape, kind):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    ours = {"avg": adaptive_avg_pool, "max": adaptive_max_pool}[kind](x, size)
    pool = getattr(torch.nn.functional, f"adaptive_{kind}_pool2d")
    theirs = pool(torch.tensor(x).permute(0, 3, 1, 2), size).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_spatial_pyramid_pooling():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 18, 17, 5)).astype(np.float32)
    levels = [
        torch.nn.functional.adaptive_max_pool2d(torch.tensor(x).permute(0, 3, 1, 2), n)
        for n in (6, 3, 2, 1)
    ]
    theirs = [level.permute(0, 2, 3, 1).reshape(2, -1).numpy() for level in levels]
    ours = he_net.spatial_pyramid_pool(jnp.asarray(x), (6, 3, 2, 1))
    np.testing.assert_array_equal(ours, np.concatenate(theirs, 1))


# --- PyTorch, layer by layer ---------------------------------------------------------------------------


class Torch:
    """The layers of ``torch.nn.functional`` with a Flax model's weights, on images (batch, height, width,
    channels) as PyTorch wants them."""

    def __init__(self, variables):
        self.torch = pytest.importorskip("torch")
        self.variables = variables

    def weights(self, name, *order):
        layer = self.variables["params"][name]
        kernel = self.torch.tensor(np.asarray(layer["kernel"])).permute(*order)
        bias = self.torch.tensor(np.asarray(layer["bias"])) if "bias" in layer else None
        return kernel, bias

    def conv(self, x, name, **shape):
        return self.torch.nn.functional.conv2d(x, *self.weights(name, 3, 2, 0, 1), **shape)

    def dense(self, x, name):
        # Flattened with the channels last, as Flax does.
        x = x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
        return self.torch.nn.functional.linear(x, *self.weights(name, 1, 0))

    def norm(self, x, name):
        params = self.variables["params"][name]
        state = self.variables["batch_stats"][name]
        values = (state["mean"], state["var"], params["scale"], params["bias"])
        return self.torch.nn.functional.batch_norm(
            x, *(self.torch.tensor(np.asarray(v)) for v in values)
        )

    def pool(self, x, kind, size, stride):
        if kind == "max":
            return self.torch.nn.functional.max_pool2d(x, size, stride, ceil_mode=True)
        return self.torch.nn.functional.avg_pool2d(x, size, stride, ceil_mode=True)


def agree(text, act, reference, shape, inputs=None):
    """The logits of a model, and of the reference with its weights."""
    x = images(2, *shape)
    model = models.create_model(text, act, num_classes=6)
    variables = filled(model, x)
    t = Torch(variables)
    t.act = getattr(t.torch.nn.functional, act)
    if inputs:
        scaled = inputs(x)
    else:
        seen = variables["inputs"]
        scaled = (x - np.asarray(seen["mean"])) / np.asarray(seen.get("std", 1.0))
    theirs = reference(t, t.torch.tensor(scaled.astype(np.float32)).permute(0, 3, 1, 2)).numpy()
    ours = jit(model.apply)(variables, x)
    assert (
        np.std(theirs - theirs.mean(0)) > 1e-3 * np.abs(theirs).max()
    )  # the images are told apart
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def vgg11(t, x, *, norm):
    for place in ("1_1", "M", "2_1", "M", "3_1", "3_2", "M", "4_1", "4_2", "M", "5_1", "5_2", "M"):
        if place == "M":
            x = t.torch.nn.functional.max_pool2d(x, 2)
            continue
        x = t.conv(x, f"conv{place}", padding=1)
        x = t.act(t.norm(x, f"norm{place}") if norm else x)
    x = t.torch.nn.functional.adaptive_avg_pool2d(x, 7)
    return t.dense(t.act(t.dense(t.act(t.dense(x, "fc6")), "fc7")), "fc8")


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg11(name):
    agree(f"{name}(width=0.0625)", "relu", functools.partial(vgg11, norm="bn" in name), (64, 32, 3))


@pytest.mark.parametrize("second_pool", ["avg", "max"])
def test_network_in_network(second_pool):
    def reference(t, x):
        for place in range(1, 10):
            padding = {1: 2, 4: 2, 7: 1}.get(place, 0)
            x = t.act(t.conv(x, f"conv{place}", padding=padding))
            x = t.pool(x, "max" if place == 3 else second_pool, 3, 2) if place in (3, 6) else x
        return x.mean((2, 3))

    agree(
        f"network_in_network(width=0.125, second_pool={second_pool})", "elu", reference, (32, 32, 3)
    )


def test_squeezenet():
    def layer(t, x, place, **shape):
        return t.act(t.norm(t.conv(x, f"conv{place}", **shape), f"norm{place}"))

    def fire(t, x, place):
        x = layer(t, x, f"{place}_squeeze")
        return t.torch.cat(
            [layer(t, x, f"{place}_expand1"), layer(t, x, f"{place}_expand3", padding=1)], 1
        )

    def reference(t, x):
        x = t.torch.nn.functional.max_pool2d(layer(t, x, "1", padding=1), 2)
        f2 = fire(t, x, 2)
        f4 = t.torch.nn.functional.max_pool2d(fire(t, fire(t, f2, 3) + f2, 4), 2)
        f6 = fire(t, fire(t, f4, 5) + f4, 6)
        f8 = t.torch.nn.functional.max_pool2d(fire(t, fire(t, f6, 7) + f6, 8), 2)
        return t.conv(fire(t, f8, 9), "conv10").mean((2, 3))

    agree(
        "squeezenet_bn(width=0.125)", "mish", reference, (32, 32, 3), inputs=lambda x: x / 127.5 - 1
    )


def test_all_cnn_c():
    def reference(t, x):
        for place in range(1, 10):
            stride = 2 if place in (3, 6) else 1
            padding = 1 if place < 7 else 0
            x = t.act(t.conv(x, f"conv{place}", stride=stride, padding=padding))
        return x.mean((2, 3))

    agree("all_cnn_c(width=0.125)", "relu", reference, (32, 32, 3))


@pytest.mark.parametrize("responses", [True, False])
def test_cifar_full(responses):
    """With Caffe's response normalization: 1 + α · the mean of squares over 3 × 3, zeros included."""

    def respond(t, x):
        means = t.torch.nn.functional.avg_pool2d(x * x, 3, 1, padding=1)
        return x * (1 + 5e-5 * means) ** -0.75 if responses else x

    def reference(t, x):
        x = respond(t, t.act(t.pool(t.conv(x, "conv1", padding=2), "max", 3, 2)))
        x = respond(t, t.pool(t.act(t.conv(x, "conv2", padding=2)), "avg", 3, 2))
        x = t.pool(t.act(t.conv(x, "conv3", padding=2)), "avg", 3, 2)
        return t.dense(x, "ip1")

    agree(f"cifar_full(responses={responses})", "silu", reference, (32, 32, 3))


def test_lenet5():
    def reference(t, x):
        x = t.pool(t.act(t.conv(x, "c1", padding=2)), "avg", 2, 2)
        x = t.pool(t.act(t.conv(x, "c3")), "avg", 2, 2)
        return t.dense(t.act(t.dense(t.act(t.dense(x, "c5")), "f6")), "output")

    agree("lenet5", "tanh", reference, (28, 28, 1), inputs=lambda x: 1.275 * x / 255 - 0.1)


def test_he_net14():
    def reference(t, x):
        x = t.torch.nn.functional.max_pool2d(t.act(t.conv(x, "conv1", stride=2)), 3)
        for stage, layers in ((2, 4), (3, 6)):
            x = x if stage == 2 else t.torch.nn.functional.max_pool2d(x, 2)
            for layer in range(layers):
                x = t.torch.nn.functional.pad(x, (0, 1, 0, 1))
                x = t.act(t.conv(x, f"conv{stage}_{layer + 1}"))
        levels = [t.torch.nn.functional.adaptive_max_pool2d(x, n) for n in (6, 3, 2, 1)]
        x = t.torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in levels], 1)
        return t.dense(t.act(t.dense(t.act(t.dense(x, "fc1")), "fc2")), "fc3")

    agree("he_net14(width=0.0625)", "relu", reference, (65, 65, 3))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # By layer: what the standard deviation is, of window × inputs and window × outputs.
        (
            "he_net14(width=0.2)",
            {
                "conv2_2": lambda n, m: math.sqrt(2 / n),
                "fc1": lambda n, m: 0.01,
                "fc3": lambda n, m: 0.001,
            },
        ),
        (
            "small_net",
            {"conv2": lambda n, m: math.sqrt(2 / m), "fc4": lambda n, m: 1 / math.sqrt(3 * n)},
        ),
        ("squeezenet_bn", {"conv4_expand3": lambda n, m: 1 / math.sqrt(3 * n)}),
        ("cifar_full", {"conv1": lambda n, m: 1e-4, "conv3": lambda n, m: 0.01}),
        ("lenet5", {"c5": lambda n, m: 2.4 / (n * math.sqrt(3))}),
        ("vgg11(width=0.2)", {"conv2_1": lambda n, m: math.sqrt(2 / m), "fc7": lambda n, m: 0.01}),
    ],
)
def test_weights_start_as_published(text, expected):
    model = models.create_model(text, "relu", num_classes=200)
    x = jnp.zeros((1, 32, 32, 3), jnp.uint8)

    @jit
    def kernels(key):
        params = model.init(key, x)["params"]
        return {name: params[name]["kernel"] for name in expected}

    for name, kernel in kernels(jax.random.key(0)).items():
        *window, inputs, outputs = kernel.shape
        std = expected[name](math.prod(window) * inputs, math.prod(window) * outputs)
        assert float(kernel.std()) == pytest.approx(std, rel=0.05), name
