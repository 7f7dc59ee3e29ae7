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


def slow_but(names, quick):
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]


def flat_step(name, batch):
    """A training step as a function of its leaves, the leaves' shapes, and what makes their values.

    A stored program takes no containers of Flax and Optax, which may differ where it is read.
    """
    net = from_linen(create_model(name, "relu"))
    recipe = Recipe(epochs=1, batch_size=batch)
    images = jax.ShapeDtypeStruct((batch, *input_shape(name)), jnp.uint8)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    init = functools.partial(make_init(net, recipe), 0)
    step = make_step(net, recipe, steps_per_epoch=1)
    shapes, tree = jax.tree.flatten((jax.eval_shape(init, images), (images, labels)))

    def flat(leaves):
        return jax.tree.leaves(step(*jax.tree.unflatten(tree, leaves)))

    return jax.jit(flat), shapes, jax.jit(init)


def stored_and_read(function, shapes):
    """What is read of the stored program, for all platforms."""
    exported = export.export(function, platforms=PLATFORMS)(shapes)
    read = export.deserialize(exported.serialize())
    assert read.platforms == PLATFORMS
    assert read.in_avals == exported.in_avals
    assert read.out_avals == exported.out_avals
    return read


@pytest.mark.parametrize("name", slow_but(list_models(), QUICK))
def test_a_training_step_is_lowered_for_each_platform_stored_and_read(name):
    function, shapes, _ = flat_step(name, 4)
    read = stored_and_read(function, shapes)
    assert "stablehlo.dot_general" in str(read.mlir_module())


# The first of each file of the zoo, which has the family's layers.
FAMILIES = list(
    {type(create_model(n, "relu")).__module__: n for n in reversed(list_models())}.values()
)


@pytest.mark.parametrize("name", slow_but(["mlp_bn", *FAMILIES], ["mlp_bn"]))
def test_a_stored_training_step_gives_the_same(name):
    function, shapes, init = flat_step(name, 2)
    read = stored_and_read(function, shapes)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shapes[-2].shape, np.uint8)
    leaves = [*jax.tree.leaves(init(images)), images, np.arange(2, dtype=np.int32)]
    for got, want in zip(jax.jit(read.call)(leaves), function(leaves), strict=True):
        if jnp.issubdtype(want.dtype, jax.dtypes.prng_key):
            assert (jax.random.key_data(got) == jax.random.key_data(want)).all()
        else:
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
