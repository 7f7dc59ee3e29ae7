"""The controls: perceptrons, residual nets with and without normalization, a transformer, a mixer."""

import functools
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import flaxact as fa
from flaxact import models
from flaxact.layers import Act, Conv
from flaxact.models.nf_resnet import gain
from tests.quick import jit

CIFAR = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)


def images(*shape):
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def initialized(model, x):
    return jit(model.init)(jax.random.key(0), x)


def applied(model, variables, x):
    return jit(model.apply)(variables, x)


def randomised(variables):
    """Variables of which none has the special value that it starts with."""
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(2)
    drawn = [leaf * rng.uniform(0.7, 1.3, leaf.shape) for leaf in leaves]
    drawn = [
        leaf if leaf.any() else jnp.asarray(rng.normal(0, 0.1, leaf.shape), jnp.float32)
        for leaf in drawn
    ]
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree.unflatten(drawn))


class Torch:
    """A net's variables as PyTorch's layers, by the layers' names."""

    def __init__(self, variables):
        self.torch = pytest.importorskip("torch")
        self.functional = self.torch.nn.functional
        self.params = jax.tree.map(self.tensor, variables["params"])
        self.stats = jax.tree.map(self.tensor, variables.get("batch_stats", {}))
        self.inputs = jax.tree.map(self.tensor, variables.get("inputs", {}))

    def tensor(self, x):
        return self.torch.tensor(np.asarray(x, np.float64))

    def standardize_channels(self, x):
        x = (self.tensor(x) - self.inputs["mean"]) / self.inputs["std"]
        return x.permute(0, 3, 1, 2)

    def conv(self, x, name, stride=1, padding=0):
        layer = self.params[name]
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        return self.functional.conv2d(x, kernel, layer.get("bias"), stride, padding)

    def dense(self, x, name):
        layer = self.params[name]
        return self.functional.linear(x, layer["kernel"].T, layer["bias"])

    def batch_norm(self, x, name):
        stats = self.stats[name]
        layer = self.params[name]
        return self.functional.batch_norm(
            x, stats["mean"], stats["var"], layer["scale"], layer["bias"], eps=1e-5
        )

    def layer_norm(self, x, name):
        layer = self.params[name]
        return self.functional.layer_norm(x, x.shape[-1:], layer["scale"], layer["bias"], eps=1e-6)


def resnet_in_torch(variables, x, blocks, shortcut, bottleneck):
    net = Torch(variables)
    relu = net.functional.relu
    pad = net.functional.pad
    large = len(blocks) == 4

    def unit(x, place, stride=1, padding=0):
        return net.batch_norm(net.conv(x, f"conv{place}", stride, padding), f"norm{place}")

    x = relu(unit(net.standardize_channels(x), "_stem", *((2, 3) if large else (1, 1))))
    x = net.functional.max_pool2d(x, 3, 2, 1) if large else x
    for stage, count in enumerate(blocks, 1):
        for block in range(1, count + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            place = f"{stage}_{block}"
            if bottleneck:
                y = relu(unit(x, f"{place}_a"))
                y = unit(relu(unit(y, f"{place}_b", stride, 1)), f"{place}_out")
            else:
                y = unit(relu(unit(x, f"{place}_a", stride, 1)), f"{place}_out", 1, 1)
            if y.shape != x.shape and shortcut == "projected":
                x = unit(x, f"{place}_skip", stride)
            elif y.shape != x.shape:
                x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = relu(x + y)
    return net.dense(x.mean((2, 3)), "logits")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("text", "blocks", "shortcut", "size"),
    [
        ("resnet20", (3, 3, 3), "padded", (16, 16)),
        pytest.param(
            "resnet18(width=0.125)", (2, 2, 2, 2), "projected", (39, 48), marks=pytest.mark.slow
        ),
        pytest.param(
            "resnet50(width=0.0625)", (3, 4, 6, 3), "projected", (32, 33), marks=pytest.mark.slow
        ),
    ],
)
def test_resnet_is_pytorchs(text, blocks, shortcut, size):
    x = images(3, *size, 3)
    model = models.create_model(text, "relu", num_classes=7)
    variables = randomised(initialized(model, x))
    want = resnet_in_torch(variables, x, blocks, shortcut, bottleneck="50" in text)
    got = applied(model, variables, x)
    assert float(want.abs().max()) > 0.1
    chex.assert_trees_all_close(got, want.numpy(), rtol=1e-4, atol=1e-4)


def test_mlp_is_pytorchs():
    x = images(5, 6, 6, 1)
    model = models.create_model("mlp_elu(hidden=20)", "elu")
    variables = randomised(initialized(model, x))
    net = Torch(variables)
    want = net.tensor(x).reshape(5, -1) / 255
    for layer in range(1, 9):
        want = net.functional.elu(net.dense(want, f"dense{layer}"))
    want = net.dense(want, "logits").numpy()
    assert abs(want).max() > 0.1
    chex.assert_trees_all_close(applied(model, variables, x), want, rtol=1e-4, atol=1e-4)


def vit_in_torch(variables, x, depth):
    net = Torch(variables)
    p = net.params
    x = net.conv(net.standardize_channels(x), "patches", stride=4).flatten(2).transpose(1, 2)
    x = net.torch.cat([p["class_token"].expand(len(x), -1, -1), x], 1) + p["positions"]
    for block in range(1, depth + 1):
        attention = net.torch.nn.MultiheadAttention(192, 3, batch_first=True, dtype=x.dtype)
        parts = [p[f"{part}{block}"] for part in ("query", "key", "value")]
        state = {
            "in_proj_weight": net.torch.cat([part["kernel"].T for part in parts]),
            "in_proj_bias": net.torch.cat([part["bias"] for part in parts]),
            "out_proj.weight": p[f"projection{block}"]["kernel"].T,
            "out_proj.bias": p[f"projection{block}"]["bias"],
        }
        attention.load_state_dict(state)
        y = net.layer_norm(x, f"norm{block}_attention")
        x = x + attention(y, y, y)[0].detach()
        y = net.dense(net.layer_norm(x, f"norm{block}_mlp"), f"expand{block}")
        x = x + net.dense(net.functional.gelu(y), f"contract{block}")
    return net.dense(net.layer_norm(x, "norm")[:, 0], "logits")


@pytest.mark.thorough
def test_vit_is_pytorchs():
    model = models.create_model("vit_tiny(depth=2)", "gelu(approximate=False)")
    variables = randomised(initialized(model, CIFAR))
    # Weights large enough for attention to prefer some tokens, and logits to differ.
    variables["params"] = jax.tree.map(lambda leaf: 2 * leaf, variables["params"])
    want = vit_in_torch(variables, CIFAR, 2).numpy()
    assert abs(want).max() > 0.1
    chex.assert_trees_all_close(applied(model, variables, CIFAR), want, rtol=1e-4, atol=1e-4)


@pytest.mark.thorough
def test_mixer_is_pytorchs():
    model = models.create_model("mlp_mixer_tiny(depth=2)", "tanh")
    variables = randomised(initialized(model, CIFAR))
    net = Torch(variables)
    x = net.conv(net.standardize_channels(CIFAR), "patches", stride=4).flatten(2).transpose(1, 2)
    for block in (1, 2):
        y = net.layer_norm(x, f"norm{block}_token").transpose(1, 2)
        y = net.dense(
            net.torch.tanh(net.dense(y, f"expand{block}_token")), f"contract{block}_token"
        )
        x = x + y.transpose(1, 2)
        y = net.layer_norm(x, f"norm{block}_channel")
        y = net.torch.tanh(net.dense(y, f"expand{block}_channel"))
        x = x + net.dense(y, f"contract{block}_channel")
    want = net.dense(net.layer_norm(x, "norm").mean(1), "logits").numpy()
    assert abs(want).max() > 0.1
    chex.assert_trees_all_close(applied(model, variables, CIFAR), want, rtol=1e-4, atol=1e-4)


@pytest.mark.thorough
def test_nf_resnet_is_pytorchs():
    model = models.create_model("nf_resnet(depth=8)", "tanh")
    variables = randomised(initialized(model, CIFAR))
    net = Torch(variables)
    p = net.params

    def tanh(x):
        return net.torch.tanh(x) * gain(fa.get("tanh"))

    def conv(x, place, stride=1):
        layer = p[f"conv{place}"]
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        var, mean = net.torch.var_mean(kernel, (1, 2, 3), keepdim=True, unbiased=False)
        kernel = (
            (kernel - mean) / (var * kernel[0].numel()).sqrt() * layer["scale"][:, None, None, None]
        )
        edge = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)  # "SAME" of an even size
        x = net.functional.pad(x, edge) if kernel.shape[-1] == 3 else x
        return net.functional.conv2d(x, kernel, layer["bias"], stride)

    x = conv(net.standardize_channels(CIFAR), "_stem")
    var = 1.0
    for stage in (1, 2, 3):
        place = f"{stage}_1"
        stride = 1 if stage == 1 else 2
        y = tanh(x / math.sqrt(var))
        x = x if stage == 1 else conv(y, f"{place}_skip", stride)
        y = conv(tanh(conv(y, f"{place}_a", stride)), f"{place}_out")
        x = x + 0.2 * p[f"gain{place}"] * y
        var = 1.04
    want = net.dense(tanh(x).mean((2, 3)), "logits").numpy()
    assert abs(want).max() > 0.01
    chex.assert_trees_all_close(applied(model, variables, CIFAR), want, rtol=1e-4, atol=1e-4)


def test_batch_statistics_change_in_training_only():
    model = models.create_model("resnet(depth=8, width=0.25)", "tanh")
    variables = initialized(model, CIFAR)
    run = jit(
        functools.partial(model.apply, mutable=["batch_stats", "intermediates"]),
        static_argnames=("train", "capture_intermediates"),
    )
    _, tested = run(variables, CIFAR, train=False)
    chex.assert_trees_all_equal(tested["batch_stats"], variables["batch_stats"])
    _, trained = run(variables, CIFAR, train=True, capture_intermediates=True)
    for name, stats in trained["batch_stats"].items():
        (seen,) = trained["intermediates"][name.replace("norm", "conv")]["__call__"]
        mean = seen.mean((0, 1, 2))
        var = seen.var((0, 1, 2))
        chex.assert_trees_all_close(
            stats, {"mean": 0.1 * mean, "var": 0.9 + 0.1 * var}, rtol=1e-4, atol=1e-5
        )


def stream_variances(model, x):
    """The variance of what each block gets, over what it is expected to be, and of the last output.

    Images are continued at their borders, where zeros would take a share of the variance that the
    paper's calculation leaves out: a third at the edges, for a convolution of 3 × 3.
    """
    collected = {}

    def watch(next_fun, args, kwargs, context):
        module = context.module
        if isinstance(module, Act) and (module.name.endswith("_in") or module.name == "act_final"):
            collected[module.name] = args[0].var((0, 1, 2)).mean()
        if not isinstance(module, Conv) or context.method_name != "__call__":
            return next_fun(*args, **kwargs)
        y = next_fun(jnp.pad(args[0], ((0, 0), (2, 2), (2, 2), (0, 0)), mode="wrap"))
        cut = 2 // module.stride
        return y[:, cut:-cut, cut:-cut]

    @jit
    def run(key, x):
        with nn.intercept_methods(watch):
            model.init_with_output(key, x)
        return dict(collected)

    return {k: float(v) for k, v in run(jax.random.key(3), x).items()}


@pytest.mark.thorough
@pytest.mark.parametrize(("act", "blocks"), [("relu", 3), ("gelu", 1), ("tanh", 1)])
def test_variances_of_nf_resnet_are_those_expected(act, blocks):
    """β² is the variance of each block's input, within what 32 to 128 channels leave to chance (6 % was
    the most in three draws); with α = 1/2 a stage of three blocks ends 75 % above its start."""
    text = f"nf_resnet(depth={6 * blocks + 2}, width=2)"
    model = models.create_model(text, act, alpha=0.5, skip_init=False)
    x = np.random.default_rng(4).normal(size=(8, 16, 16, 3)) * 50 + 120
    actual = stream_variances(model, x.astype(np.float32))
    final = actual.pop("act_final") / (1 + blocks / 4)
    assert len(actual) == 3 * blocks
    for variance in (*actual.values(), final):
        assert variance == pytest.approx(1, abs=0.1)


# Brock et al.'s constants, measured by them on random numbers; papers give relu's in closed form.
GAINS = {
    "relu": 1.7139588594436646,
    "gelu": 1.7015043497085571,
    "silu": 1.7881293296813965,
    "elu": 1.2716004848480225,
    "selu": 1.0008515119552612,
    "tanh": 1.5939117670059204,
    "sigmoid": 4.803835391998291,
    "softplus": 1.9203323125839233,
    "relu6": 1.7131484746932983,
    "identity": 1.0,
    # Of what is over channels: the halves of each relu vary alike; a product of two has variance 1.
    "crelu": math.sqrt(2 / (1 - 1 / math.pi)),
    "bilinear": 1.0,
}


@pytest.mark.parametrize("act", GAINS)
def test_gains_are_the_papers(act):
    assert gain(fa.get(act)) == pytest.approx(GAINS[act], rel=0.01 if act == "bilinear" else 2e-3)


def test_no_gain_for_a_constant():
    with pytest.raises(fa.InputError, match=r"scaled\(relu, output=0.0\) has no gain"):
        models.sites(
            models.create_model("nf_resnet(depth=8)", "scaled(relu, output=0.0)"), (8, 8, 3)
        )


def shapes(text, act, shape=(32, 32, 3), **arguments):
    return models.sites(models.create_model(text, act, **arguments), shape)


@functools.cache
def published_size(text):
    return size(text, "relu")


def size(text, act, **arguments):
    return models.parameters(models.create_model(text, act, **arguments), (32, 32, 3))


WIDE = ("glu", "crelu", "maxout(pieces=3)")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("text", "kept", "act"),
    [
        *itertools.product(["resnet(depth=8)"], ["*_out"], WIDE),
        *itertools.product(["nf_resnet(depth=8)"], ["*_in"], WIDE),
        ("resnet50", "*_out", "glu"),  # bottlenecks
    ],
)
def test_sites_of_additions_refuse_other_widths(text, kept, act):
    """The rest keeps the published widths after the activation."""
    with pytest.raises(fa.InputError, match="channels, and"):
        shapes(text, act)
    acts = {kept: "relu", "*": act}
    if text.startswith("nf"):
        acts = {"act_final": "relu", **acts}
    assert shapes(text, acts) == shapes(text, "relu")


def test_a_padded_shortcut_takes_no_wider_stem():
    acts = {"act_stem": "crelu", "*": "relu"}
    with pytest.raises(fa.InputError, match="the stem outputs 2"):
        shapes("resnet(depth=8)", acts, matched="parameters")
    assert shapes("resnet(depth=8, shortcut=projected)", acts, matched="parameters")


@pytest.mark.sampled(5)
@pytest.mark.parametrize("act", WIDE)
@pytest.mark.parametrize("text", ["mlp", "vit_tiny(depth=2)", "mlp_mixer_tiny(depth=2)"])
def test_dense_nets_take_other_widths(text, act):
    assert shapes(text, act) == shapes(text, "relu")


@pytest.mark.sampled(5)
@pytest.mark.parametrize("act", WIDE)
@pytest.mark.parametrize(
    ("text", "others", "tolerance"),
    [
        ("vit_tiny(depth=1)", (), 0.003),
        ("mlp_mixer_tiny(depth=1)", (), 0.003),
        ("resnet20", ("*_out", "act_stem"), 0.05),
        ("nf_resnet26", ("*_in", "act_final"), 0.05),
    ],
)
def test_parameters_stay_where_they_are_matched(text, others, tolerance, act):
    acts = {**dict.fromkeys(others, "relu"), "*": act}
    published = published_size(text)
    assert size(text, acts, matched="parameters") == pytest.approx(published, rel=tolerance)
    assert size(text, acts) != pytest.approx(published, rel=0.1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("text", "layer", "std"),
    [
        ("mlp_glorot", "dense2", math.sqrt(2 / 2000)),
        ("mlp_elu", "dense1", math.sqrt(2 / 784)),
        ("mlp_bn", "dense1", 0.05),
        ("mlp_bn(std=0.2)", "dense2", 0.2),
        ("mlp_gelu", "dense3", math.sqrt(1 / 128)),
        ("mlp_selu8", "dense8", math.sqrt(1 / 784)),
        ("mlp_selu8(kernel_init=he)", "dense8", math.sqrt(2 / 784)),
    ],
)
def test_weights_of_the_perceptrons(text, layer, std):
    x = images(2, 28, 28, 1)
    kernel = initialized(models.create_model(text, "tanh"), x)["params"][layer]["kernel"]
    assert float(kernel.std()) == pytest.approx(std, rel=0.03)
    if text == "mlp_gelu":
        np.testing.assert_allclose(jnp.linalg.norm(kernel, axis=0), 1, rtol=1e-5)


def first_inputs(text, x):
    """What the first dense layer sees: the identity with all else as it is."""
    model = models.create_model(text, "identity", depth=1, norm="none")
    variables = initialized(model, x)
    params = {"dense1": variables["params"]["dense1"] | {"kernel": jnp.eye(x[0].size)}}
    variables["params"] = variables["params"] | params
    _, state = model.apply(variables, x, mutable=["intermediates"])
    return state["intermediates"]["act1"]["output"][0]


def test_pixels_of_the_perceptrons():
    x = images(50, 4, 4, 1)
    x[:, 0, 0, 0] = 7  # a pixel that does not vary
    flat = x.reshape(50, 16).astype(np.float64)
    actual = {
        text: first_inputs(f"{text}(hidden=16)", x) for text in ("mlp_elu", "mlp_bn", "mlp_selu8")
    }
    np.testing.assert_allclose(actual["mlp_elu"], flat / 255, rtol=1e-5)
    np.testing.assert_array_equal(actual["mlp_bn"], flat >= 128)
    std = flat.std(0)
    std[0] = 1
    np.testing.assert_allclose(
        actual["mlp_selu8"], (flat - flat.mean(0)) / std, rtol=1e-4, atol=1e-5
    )


def test_batch_normalisation_takes_the_place_of_biases():
    x = images(3, 5, 5, 1)
    for text in ("mlp_bn", "resnet(depth=8)"):
        with_norm, without, after = (
            jax.eval_shape(models.create_model(text, "relu", **a).init, jax.random.key(0), x)[
                "params"
            ]
            for a in ({}, {"norm": "none"}, {"norm_place": "after"})
        )
        layers = [n for n in with_norm if n.startswith(("conv", "dense"))]
        assert layers
        assert not any("bias" in with_norm[layer] for layer in layers)
        assert all("bias" in without[layer] for layer in layers)
        assert all("bias" in after[layer] for layer in layers)
        assert not any(n.startswith("norm") for n in without)


def test_weights_of_the_residual_net():
    x = np.zeros((1, 8, 8, 3), np.uint8)
    params = initialized(models.create_model("resnet(depth=8)", "relu"), x)["params"]
    for layer, features in (("conv2_1_out", 32), ("conv3_1_a", 64), ("conv3_1_out", 64)):
        std = math.sqrt(2 / (9 * features))
        assert float(params[layer]["kernel"].std()) == pytest.approx(std, rel=0.03)
    assert float(abs(params["logits"]["kernel"]).max()) == pytest.approx(1 / 8, rel=0.02)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 40, 4)])
@pytest.mark.parametrize(
    "text",
    ["mlp", "resnet", "resnet18", "nf_resnet26", "vit_tiny(depth=1)", "mlp_mixer_tiny(depth=1)"],
)
def test_any_size_and_channels(text, shape):
    model = models.create_model(text, "tanh", num_classes=7)
    logits, _ = jax.eval_shape(
        model.init_with_output, jax.random.key(0), jnp.ones((3, *shape), jnp.uint8)
    )
    chex.assert_shape(logits, (3, 7))
    chex.assert_type(logits, jnp.float32)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("mlp_selu8(hidden=32)", "selu"),
        ("resnet(depth=8, width=0.5)", "gelu"),
        ("nf_resnet(depth=8, width=0.5)", "tanh"),
        ("vit_tiny(depth=1, width=0.5)", "swiglu"),
        ("mlp_mixer_tiny(depth=1, width=0.5)", "prelu"),
    ],
)
def test_training_steps_lower_the_loss_and_trace_once(text, act):
    model = models.create_model(text, act)
    labels = jnp.arange(4)
    traces = []
    variables = initialized(model, CIFAR)
    optimizer = optax.adam(5e-3)
    params = variables.pop("params")
    rest = variables

    @jit
    def step(params, rest, state):
        traces.append(1)

        def loss(params):
            all_variables = {"params": params, **rest}
            logits, new = model.apply(all_variables, CIFAR, train=True, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), new

        (value, new), slopes = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(slopes, state)
        return optax.apply_updates(params, updates), {**rest, **new}, state, value

    state = optimizer.init(params)
    losses = []
    for _ in range(20):
        params, rest, state, value = step(params, rest, state)
        losses.append(float(value))
    assert losses[-1] < 0.7 * losses[0]
    assert len(traces) == 1
