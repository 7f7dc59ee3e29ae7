"""The nets of benchmarks/models.py are the zoo's, whatever they are written in."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from benchmarks import models
from flaxact.layers import Conv, Dense
from flaxact.models import create_model

WEIGHTED = (Conv, Dense, nn.Conv, nn.Dense, nn.BatchNorm)
WIDTHS = {"cuda_convnet": 0.25, "alexnet_one_weird_trick": 0.03, "resnet20": 0.25}


def order(module, images):
    """The paths of layers with weights, in the order of the data."""
    collected = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, WEIGHTED) and context.method_name == "__call__":
            collected.append(context.module.path)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    return collected


def narrow(name, width):
    """A net of the zoo with fewer filters, and the layers of its twins likewise."""
    side, classes, layers = models.NETS[name]
    kinds = {"conv", "conv_norm", "block", "dense"}
    thin = [(k, max(1, round(width * n[0])), *n[1:]) if k in kinds else (k, *n) for k, *n in layers]
    thin[-1] = ("dense", classes)
    return create_model(name, "relu", width=width), tuple(thin), side


def drawn(module, images):
    """Random variables, without a compiled initialization."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        normal = rng.standard_normal(leaf.shape, np.float32)
        if path[-1].key == "kernel":
            return normal / math.sqrt(leaf.size / leaf.shape[-1])
        return 0.5 + 0.1 * normal  # variances and scales among them

    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def copy_to_torch(layer, held):
    """A layer's weights and statistics, by their names in Flax."""
    torch = pytest.importorskip("torch")
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    names = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    for key, value in held.items():
        copied = torch.from_numpy(value.transpose(axes[value.ndim]).copy())
        getattr(layer, names.get(key, key)).data.copy_(copied)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", models.NETS)
def test_twins_of_the_benchmark_give_the_same_logits(name):
    torch = pytest.importorskip("torch")
    module, layers, side = narrow(name, WIDTHS[name])
    images = np.float32(np.random.default_rng(0).integers(0, 256, (4, side, side, 3)))
    variables = drawn(module, images)
    plainly = models.Plain(layers)
    mean, std = models.shifted(variables)
    x = (images - mean) / std
    twin = models.torch_net(layers, side).eval()
    weighted = [m for m in twin.modules() if next(m.parameters(recurse=False), None) is not None]
    theirs = {"params": {}, "batch_stats": {}}
    places = zip(order(module, images), order(plainly, images), weighted, strict=True)
    for (mine,), (plain_one,), layer in places:
        for kind, copies in theirs.items():
            held = variables.get(kind, {}).get(mine, {})
            if held:
                copies[plain_one] = held
            copy_to_torch(layer, held)
    logits = module.apply(variables, images)
    scale = 1 + np.abs(logits).max()
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5 * scale)
    close(plainly.apply(theirs, x), logits)
    with torch.no_grad():
        close(twin(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy(), logits)


@pytest.mark.parametrize("name", models.NETS)
def test_twins_of_the_benchmark_have_the_same_number_of_parameters(name):
    side, _, layers = models.NETS[name]
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    ours, plainly = (
        jax.eval_shape(module.init, jax.random.key(0), images)["params"]
        for module in (create_model(name, "relu"), models.Plain(layers))
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(ours))
    assert count == sum(leaf.size for leaf in jax.tree.leaves(plainly))
    pytest.importorskip("torch")
    assert count == sum(p.numel() for p in models.torch_net(layers, side).parameters())


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('f32[8] fusion(%x), metadata={op_name="jit(step)/jvp(A)/A.conv/conv2/conv_general_dilated"}',
         "convolution conv2"),
        ('f32[8] dot(%x), metadata={op_name="jit(step)/A._measured/fc6/dot_general"}', "dense fc6"),
        ('f32[8] fusion(%x), metadata={op_name="jit(step)/A/norm1_a/mul"}',
         "batch normalization (and what is fused with it)"),
        ("f32[8] fusion(%x)", "pooling, activations, biases, update"),
    ],
)  # fmt: skip
def test_what_an_operation_is_for(source, wanted):
    assert models.spending("fusion.1", source) == wanted


def test_a_ratio_of_speeds_is_that_of_times_upside_down(monkeypatch):
    monkeypatch.setattr(models, "ratios", lambda *_: models.Ratio(0.5, 0.25, 1.0, 3.0))
    assert models.faster(print, print, 1) == models.Ratio(2.0, 1.0, 4.0, 3.0)


@pytest.mark.thorough
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="profiles of the CPU")
def test_the_benchmark_prints_its_tables(monkeypatch, capsys):
    layers = (("conv", 2, 5, 1, 2), ("relu",), ("flat",), ("dense", 10))
    monkeypatch.setattr(models, "NETS", {"cuda_convnet": (8, 10, layers)})
    monkeypatch.setattr(models, "BATCH", 4)
    monkeypatch.setattr(
        models, "create_model", lambda *_: create_model("cuda_convnet", "relu", width=0.1)
    )
    models.main(["--pairs", "1"])
    printed = capsys.readouterr().out
    assert "| cuda_convnet |" in printed
    assert "convolution conv1" in printed
