"""Programs for other platforms, and stored ones: activations, and a training step of the zoo's nets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import flaxact as fa
from flaxact.models import create_model, input_shape, list_models
from flaxact.net import from_linen
from flaxact.training import Recipe, make_init, make_step

PLATFORMS = ("cpu", "cuda", "tpu")
INPUTS = jnp.linspace(-3, 3, 32).reshape(4, 8)
# One of each family whose step has something of its own; the others are slow tests.
QUICK = ("mlp_bn", "cuda_convnet", "resnet20", "vit_tiny")


def value_and_gradient(name):
    act = fa.get(name)
    learned = act.parameters(INPUTS.shape[-1], jax.random.key(0)) if act.spec.learned else {}
    return jax.jit(
        lambda x: (act(x, **learned), jax.grad(lambda x: jnp.sum(act(x, **learned) ** 2))(x))
    )


@pytest.mark.sampled(17)
@pytest.mark.parametrize("name", fa.names())
def test_an_activation_is_lowered_for_each_platform_stored_and_read(name):
    function = value_and_gradient(name)
    stored = export.export(function, platforms=PLATFORMS)(INPUTS).serialize()
    read = export.deserialize(stored)
    assert read.platforms == PLATFORMS
    wanted = function(INPUTS)
    for got, want in zip(jax.jit(read.call)(INPUTS), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
    ],
)
def test_a_training_step_is_lowered_for_each_platform(name):
    net = from_linen(create_model(name, "relu"))
    recipe = Recipe(epochs=1, batch_size=4)
    images = jax.ShapeDtypeStruct((4, *input_shape(name)), jnp.uint8)
    labels = jax.ShapeDtypeStruct((4,), jnp.int32)
    init = functools.partial(make_init(net, recipe), 0)
    state = jax.eval_shape(init, images)
    step = jax.jit(make_step(net, recipe, steps_per_epoch=1))
    exported = export.export(step, platforms=("cuda", "tpu"))(state, (images, labels))
    assert "stablehlo.dot_general" in str(exported.mlir_module())
