"""Properties of every model, and the published facts of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact import models
from flaxact.activations._describe import references
from flaxact.diagnostics import probe
from flaxact.net import from_linen

# Parameters on CIFAR-10, counted from the layer files; 145,578 and 89,578 are also what Caffe's
# cifar10_quick and cifar10_full, made after them, have.
PUBLISHED = {
    "cuda_convnet": 145_578,
    "cuda_convnet(variant=80sec)": 145_578,
    "cuda_convnet(variant=18pct)": 89_578,
    "cuda_convnet(variant=19pct)": 89_578,
}
SITES = {"cuda_convnet": 4, "cuda_convnet(variant=80sec)": 4}
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


@functools.cache
def initialised(text):
    """A model's variables, the same for every activation."""
    return jax.jit(from_linen(models.create_model(text, "relu")).init)(jax.random.key(0), IMAGES)


def built(text, act="relu"):
    return models.create_model(text, act), initialised(text)


def primitives(jaxpr):
    """Every operation of a program, those of its inner programs too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


def test_no_model_without_a_published_count():
    assert {models.parse(text).name for text in PUBLISHED} == set(models.list_models())
    for name in models.list_models():
        assert models.source(name) in references()


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_parameter_counts(text):
    _, variables = built(text)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == PUBLISHED[text]


@pytest.mark.parametrize("text", PUBLISHED)
def test_every_site_takes_the_activation(text):
    """With the identity no nonlinear operation is left but pooling and normalisation."""
    module, variables = built(text, "identity")
    assert len(probe(module, variables, IMAGES)) == SITES.get(text, 3)
    program = jax.make_jaxpr(module.apply)(variables, jnp.zeros((2, 32, 32, 3)))
    used = list(primitives(program.jaxpr))
    names = {equation.primitive.name for equation in used}
    forbidden = (
        "custom_jvp_call custom_vjp_call tanh logistic exp exp2 expm1 log1p erf erfc select_n"
    )
    assert not names & set(forbidden.split())
    # A pooling takes the maximum of arrays; a rectifier would take it with a number.
    maxima = [equation for equation in used if equation.primitive.name == "max"]
    assert len(maxima) == 4
    assert all(operand.aval.ndim == 4 for equation in maxima for operand in equation.invars)


@pytest.mark.parametrize("text", PUBLISHED)
@pytest.mark.parametrize("shape", [(1, 1, 1), (28, 28, 1), (17, 40, 4)])
def test_any_size_and_channels(text, shape):
    module = models.create_model(text, "tanh", num_classes=7)
    images = jnp.ones((3, *shape), jnp.uint8)
    logits, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), images)
    assert logits.shape == (3, 7)
    assert logits.dtype == jnp.float32


@pytest.mark.parametrize("text", PUBLISHED)
@pytest.mark.parametrize("act", fa.names())
def test_finite_logits_with_every_activation(text, act):
    module, variables = built(text, act)
    assert jnp.isfinite(module.apply(variables, jnp.asarray(IMAGES, jnp.float32))).all()


def test_weights_and_input_of_cuda_convnet():
    module, variables = built("cuda_convnet")
    stds = {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc64": 0.1, "fc10": 0.1}
    for layer, std in stds.items():
        kernel = variables["params"][layer]["kernel"]
        assert abs(float(kernel.std()) / std - 1) < 0.12
        assert not variables["params"][layer]["bias"].any()
    for variant in ("18pct", "19pct"):
        _, other = built(f"cuda_convnet(variant={variant})")
        assert abs(float(other["params"]["fc10"]["kernel"].std()) / 0.01 - 1) < 0.05
    mean = np.asarray(IMAGES, np.float32).mean(axis=0)
    np.testing.assert_allclose(variables["inputs"]["mean"], mean, rtol=1e-5)
    # Uniform grey differs from the mean image by what the mean is off: nothing else is divided.
    at_mean = module.apply(variables, mean[None])
    np.testing.assert_allclose(at_mean, 0, atol=1e-6)


def test_activation_follows_the_first_pooling():
    """The same for monotone activations, another function for the rest: here x² shows the order."""
    from flaxact.activations import _spec

    before = dict(_spec.catalogue)
    try:

        @fa.activation("x^2", source="", range=(0, float("inf")), monotonic=False)
        def square(x):
            return x * x

        module, variables = built("cuda_convnet", "square")
        _, state = module.apply(variables, IMAGES, mutable=["intermediates"])
        first = state["intermediates"]["act1"]["output"][0]
        linear, _ = built("cuda_convnet", "identity")
        _, state = linear.apply(variables, IMAGES, mutable=["intermediates"])
        np.testing.assert_allclose(first, state["intermediates"]["act1"]["output"][0] ** 2)
    finally:
        _spec.catalogue.clear()
        _spec.catalogue.update(before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuda_convet", "unknown model 'cuda_convet'; did you mean 'cuda_convnet'"),
        ("cuda_convnet(varint=80sec)", "did you mean 'variant'"),
        ("cuda_convnet(variant=17pct)", "did you mean '19pct'"),
        ("cuda_convnet(variant=3)", "a name as variant"),
        ("cuda_convnet(width=0)", "a number above 0 as width"),
        ("cuda_convnet(width=wide)", "a number above 0 as width"),
        ("cuda_convnet(80sec)", "name the arguments"),
        ("cuda_convnet(num_classes=3)", "has no argument 'num_classes'"),
    ],
)
def test_refusals(text, said):
    with pytest.raises(fa.InputError, match=said):
        models.create_model(text, "relu")


def test_width_scales_the_published_net():
    half = jax.eval_shape(
        models.create_model("cuda_convnet(width=0.5)", "relu").init, jax.random.key(0), IMAGES
    )
    assert half["params"]["conv3"]["kernel"].shape == (5, 5, 16, 32)
    assert half["params"]["fc64"]["kernel"].shape[1] == 32
