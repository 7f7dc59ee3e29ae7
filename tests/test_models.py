"""Properties of every model: a new one is tested by being there."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact import models
from flaxact.activations._describe import references
from flaxact.diagnostics import probe
from flaxact.models._catalogue import entries
from flaxact.models._describe import _documented
from flaxact.net import from_linen
from flaxact.training import Recipe, make_init, make_step
from tests.published import PUBLISHED, SMALL
from tests.quick import jit

NAMES = models.list_models()
# One of each kind: a threshold, saturating, exponential, gated by itself, learned, random, made by a
# transform, over an axis, and two that change the width.
TEN = ("relu", "tanh", "elu(alpha=0.5)", "gelu", "prelu", "rrelu", "centered(relu)", "softmax", "crelu",
       "glu")  # fmt: skip
NONLINEAR = {"custom_jvp_call", "custom_vjp_call", "tanh", "logistic", "exp", "exp2", "expm1", "log1p",
             "erf", "erfc", "select_n", "abs", "sign", "min", "clamp", "gt", "ge", "lt", "le", "sin",
             "cos", "atan", "integer_pow", "sqrt", "cbrt"}  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


def shape(name):
    """Of the images to try a model on: small, where it can be."""
    file = entries()[name].file
    return SMALL.get(name, SMALL.get(file, {})).get("input", models.input_shape(name))


def small(name):
    """A model's text with as few filters as will do."""
    file = entries()[name].file
    return f"{name}({SMALL.get(name, SMALL.get(file, {})).get('arguments', 'width=0.1')})"


def created(name, act, **arguments):
    """A small model with an activation, at the sites that can have it."""
    try:
        return made(small(name), act, **arguments), act
    except fa.InputError as error:  # where it changes the width before an addition
        assert "channels, and" in str(error)  # noqa: PT017
        inner = models.sites(models.create_model(small(name), "relu"), shape(name))
        rules = {}
        for site in inner:
            try:
                made(small(name), {site: act, "*": "relu"}, **arguments)
            except fa.InputError:
                continue
            rules[site] = act
        assert rules, f"{name} has no site for {act}"
        rules["*"] = "relu"
        return made(small(name), rules, **arguments), rules


def made(text, act, **arguments):
    """A model that has been traced, so that what it cannot do has been said."""
    model = models.create_model(text, act, num_classes=3, **arguments)
    name = models.parse(text).name
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, *shape(name)), jnp.uint8))
    return model


def step_of(model, batch=4):
    """A training step as a function of the state, its state, and how often it was traced."""
    net = from_linen(model)
    recipe = Recipe(epochs=1, batch_size=batch, learning_rate=0.01)
    traces = []

    def step(state, batch):
        traces.append(1)
        return make_step(net, recipe, 10)(state, batch)

    return step, make_init(net, recipe), traces


@functools.cache
def sizes(text):
    """Parameters and sites of a model for the images that it was published for."""
    model = models.create_model(text, "relu")
    images = models.input_shape(text)
    return models.parameters(model, images), len(models.sites(model, images))


FAMILIES = ("alexnet", "attention", "convolutional", "dense", "residual")


def test_published_counts_are_of_models():
    assert {models.parse(text).name for text in PUBLISHED} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_a_count_a_source_and_a_family(name):
    counted = name in PUBLISHED  # pytest would print them all
    assert counted, f"add {name} to PUBLISHED in tests/published.py, counted by hand or published"
    source = models.source(name)
    known = source in references()
    assert known, f"SOURCE of {name}: add {source} to flaxact/activations/references.bib"
    family = models.family(name)
    assert family in FAMILIES, f"FAMILY of {name}: one of {FAMILIES}"
    assert name in models.list_models(family=family)


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_parameter_and_site_counts(text):
    assert sizes(text) == PUBLISHED[text], (
        "(parameters, sites): the model's, and tests/published.py's"
    )


FILES = sorted({entries()[name].file for name in NAMES})


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("name", "act"), list(zip(FILES, itertools.cycle(TEN), strict=False)))
def test_a_training_step_is_traced_once(name, act):
    model, acts = created(name, act)
    images = jnp.zeros((4, *shape(name)), jnp.uint8)
    labels = jnp.zeros(4, jnp.int32)
    for again in (model, models.create_model(small(name), acts, num_classes=3)):
        step, init, traces = step_of(again)
        assert from_linen(again) is from_linen(model)
    state = jax.eval_shape(init, 0, images)
    jitted = jax.jit(step)
    for _ in range(2):
        jitted.trace(state, (images, labels))
    assert len(traces) == 1


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name", [*FILES, *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES if n not in FILES)]
)
def test_no_rank_is_promoted_and_a_batch_may_be_empty(name):
    """In a training step; and in the gradient of an empty batch."""
    model, _ = created(name, "prelu")
    images = jnp.zeros((4, *shape(name)), jnp.uint8)
    labels = jnp.zeros(4, jnp.int32)
    step, init, _ = step_of(model)
    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(step, jax.eval_shape(init, 0, images), (images, labels))

    def gradient(variables, images):
        def total(params):
            return model.apply(variables | {"params": params}, images).sum()

        return jax.grad(total)(variables["params"])

    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    actual = jax.eval_shape(gradient, variables, images[:0])
    assert jax.tree.map(jnp.shape, actual) == jax.tree.map(jnp.shape, variables["params"])


def trained(name, act, **arguments):
    model, _ = created(name, act, **arguments)
    step, init, traces = step_of(model)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (4, *shape(name))), jnp.uint8)
    labels = jnp.arange(4) % 3
    state = jit(init)(0, images)
    jitted = jit(step)
    for _ in range(2):
        state, metrics = jitted(state, (images, labels))
        assert jnp.isfinite(metrics["loss"])
    assert len(traces) == 1


# Half of the families, each with another kind; the slow tests run every model with all ten.
RUN = list(zip(FILES[::2], itertools.cycle(TEN[::-1]), strict=False))


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("name", "act"), RUN)
def test_a_training_step_runs(name, act):
    trained(name, act)


@pytest.mark.slow
@pytest.mark.parametrize("act", TEN)
@pytest.mark.parametrize("name", NAMES)
def test_every_model_trains_with_ten_activations(name, act):
    trained(name, act)


@pytest.mark.sampled(11)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (i % 2)) for i, n in enumerate(FILES)]
)
@pytest.mark.parametrize(
    "arguments",
    [
        {"norm": "none"},
        {"norm": "batch", "norm_place": "after"},
        {"norm": "batch", "norm_affine": False},
        {"norm": "layer", "kernel_init": "he"},
        {"norm": "group", "kernel_init": "xavier"},
        {"norm": "weight", "kernel_init": "orthogonal"},
        {"norm": "weight_mean_only_batch", "kernel_init": "variance_preserving"},
        {"kernel_init": "lsuv", "dropout": 0.3},
        {"kernel_init": "lecun", "dropout": 0},
    ],
    ids=str,
)
def test_normalisation_and_initialisation_are_arguments(name, arguments):
    try:
        made(small(name), "relu", **arguments)
    except fa.InputError as error:
        assert "norm" in str(error)  # noqa: PT017  (a net that is about its normalization says so)
        assert name == "nf_resnet"


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_normalization_without_scale_and_bias(norm):
    """It learns nothing, keeps the layers' biases, and gives mean 0 and variance 1."""
    text = f"mlp(depth=2, width=0.033, norm={norm}, norm_affine=False)"
    model = models.create_model(text, "identity")
    variables = jit(model.init)(jax.random.key(0), IMAGES)
    assert set(variables["params"]) == {"dense1", "dense2", "logits"}
    assert set(variables["params"]["dense1"]) == {"kernel", "bias"}
    apply = functools.partial(
        model.apply,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=True,
        train=True,
    )
    _, state = jit(apply)(variables, IMAGES)
    y = state["intermediates"]["norm1"]["__call__"][0]
    axis = 0 if norm == "batch" else 1
    np.testing.assert_allclose(y.mean(axis), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis), 1, atol=0.02)


@pytest.mark.parametrize("name", FILES)
def test_every_site_takes_the_activation(name):
    """With the identity no nonlinear operation is left but pooling, normalization and attention."""
    model = models.create_model(small(name), "identity")
    images = jnp.zeros((2, *shape(name)))
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    program = jax.make_jaxpr(model.apply)(variables, images)
    assert nonlinear(program) <= set(SMALL.get(name, {}).get("operations", ()))


def nonlinear(program):
    """The operations of a program that an activation could be made of; a pooling's and so on left out."""
    used = [e for e in primitives(program.jaxpr) if not states_its_own_derivative(e)]
    names = {e.primitive.name for e in used} & NONLINEAR
    # A pooling takes the maximum of arrays; a rectifier would take it with a number.
    maxima = [e for e in used if e.primitive.name == "max"]
    with_numbers = any(operand.aval.ndim < 4 for e in maxima for operand in e.invars)
    return names | ({"max"} if with_numbers else set())


@pytest.mark.parametrize("name", sorted({*fa.names("pointwise")} & {*dir(jax.nn)} - {"identity"}))
def test_an_activation_of_jax_would_be_seen_in_a_program(name):
    """A hard-coded leaky_relu, hard_tanh or soft_sign too, which are of comparisons and sizes only."""
    assert nonlinear(jax.make_jaxpr(getattr(jax.nn, name))(jnp.zeros((2, 4, 4, 3))))


def states_its_own_derivative(equation):
    """Whether it is a convolution or a pooling of flaxact's own."""
    program = equation.params.get("call_jaxpr")
    return program is not None and program.jaxpr.debug_info.func_name in ("_fast", "_max_pool")


def captured(model, variables, images, **what):
    """The logits, and what the model sows."""

    def apply(variables, images):
        return model.apply(variables, images, mutable=["intermediates"], **what)

    return jit(apply)(variables, images)


def primitives(jaxpr):
    """Every operation of a program, those of its inner programs too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


PLAIN = set(fa.names("pointwise")[5:])  # five are enough for each time, and all for the slow tests


@pytest.mark.sampled(13)
@pytest.mark.parametrize(
    "act", [pytest.param(n, marks=[pytest.mark.slow] * (n in PLAIN)) for n in fa.names()]
)
def test_finite_logits_with_every_activation(act):
    model = models.create_model("cuda_convnet(width=0.125)", act)
    # Beginning and logits in one program, which compiles in less time than two.
    logits = jit(lambda key, x: model.apply(model.init(key, x), x))(jax.random.key(0), IMAGES)
    assert logits.shape == (6, 10)
    assert jnp.isfinite(logits).all()


@pytest.mark.parametrize("act", ["crelu", "glu", "maxout(pieces=3)", "relu"])
def test_what_is_matched_when_the_width_changes(act):
    """The width after the activation, or the number of parameters, stays as published."""
    images = (32, 32, 3)
    published = models.create_model("cuda_convnet", "relu")
    by_width = models.create_model("cuda_convnet", act)
    assert models.sites(by_width, images) == models.sites(published, images)
    by_size = models.create_model("cuda_convnet", act, matched="parameters")
    ratio = models.parameters(by_size, images) / models.parameters(published, images)
    assert 0.97 < ratio < 1.03


def test_a_mapping_puts_activations_at_sites():
    model = models.create_model(
        "cuda_convnet", {"act1": "tanh", "act[23]": "relu6", "*": "identity"}
    )
    variables = jit(model.init)(jax.random.key(0), IMAGES)
    _, state = captured(model, variables, IMAGES)
    assert [str(model.activation_at(site)) for site in models.sites(model, (32, 32, 3))] == [
        "tanh",
        "relu6",
        "relu6",
        "identity",
    ]
    assert (abs(state["intermediates"]["act1"]["output"][0]) <= 1).all()
    assert list(probe(model, variables, IMAGES)) == ["act1", "act2", "act3", "act4"]
    assert model == models.create_model(
        "cuda_convnet", {"act1": fa.tanh, "act[23]": fa.get("relu6"), "*": "identity"}
    )


@pytest.mark.thorough
@pytest.mark.parametrize("init", ["lsuv", "variance_preserving", "he"])
def test_initialisations_keep_what_they_say(init):
    """Pre-activations of variance 1 layer by layer (lsuv); second moments kept (the other two)."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 16, 16, 3)).astype(np.uint8)
    model = models.create_model("cuda_convnet", "relu", kernel_init=init)
    variables = jit(model.init)(jax.random.key(0), images)
    kernels = {k: v["kernel"] for k, v in variables["params"].items()}
    if init == "lsuv":
        _, state = captured(model, variables, images[:256], capture_intermediates=True)
        for layer in kernels:
            output = state["intermediates"][layer]["__call__"][0]
            assert float(output.var()) == pytest.approx(1, abs=0.02)
        return
    for layer in ("conv2", "conv3", "fc64"):
        fan_in = kernels[layer].size // kernels[layer].shape[-1]
        assert float(kernels[layer].var()) * fan_in == pytest.approx(2, rel=0.1)


def test_weights_and_input_of_cuda_convnet():
    model = models.create_model("cuda_convnet", "relu")
    variables = jit(model.init)(jax.random.key(0), IMAGES)
    stds = {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc64": 0.1, "fc10": 0.1}
    for layer, std in stds.items():
        kernel = variables["params"][layer]["kernel"]
        assert abs(float(kernel.std()) / std - 1) < 0.12
        assert not variables["params"][layer]["bias"].any()
    mean = np.asarray(IMAGES, np.float32).mean(axis=0)
    np.testing.assert_allclose(variables["inputs"]["mean"], mean, rtol=1e-5)
    # Uniform gray differs from the mean image by what the mean is off: nothing else is divided.
    at_mean = jit(model.apply)(variables, mean[None])
    np.testing.assert_allclose(at_mean, 0, atol=1e-6)


def test_activation_follows_the_first_pooling():
    """The same for monotone activations, another function for the rest: here x² shows the order."""
    model = models.create_model("cuda_convnet", {"act1": "absolute", "*": "relu"})
    variables = jit(model.init)(jax.random.key(0), IMAGES)
    linear = models.create_model("cuda_convnet", {"act1": "identity", "*": "relu"})
    first, before = (
        m.apply(variables, IMAGES, mutable=["intermediates"])[1]["intermediates"]["act1"]["output"][
            0
        ]
        for m in (model, linear)
    )
    assert (before < 0).any()
    np.testing.assert_array_equal(first, abs(before))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuda_convet", "unknown model 'cuda_convet'; did you mean 'cuda_convnet'"),
        ("cuda_convnet(varint=80sec)", "did you mean 'variant'"),
        ("cuda_convnet(variant=17pct)", "did you mean '19pct'"),
        ("cuda_convnet(variant=3)", "a text as variant"),
        ("cuda_convnet(width=0)", "a number above 0 as width"),
        ("cuda_convnet(width=wide)", "a number above 0 as width"),
        ("cuda_convnet(80sec)", "write a model's arguments by name"),
        ("cuda_convnet(num_classes=3)", "has no argument 'num_classes'"),
        ("cuda_convnet(norm=bach)", "did you mean 'batch'"),
        ("cuda_convnet(norm_place=behind)", "unknown norm_place of cuda_convnet"),
        ("cuda_convnet(kernel_init=hee)", "did you mean 'he'"),
        ("cuda_convnet(dropout=1)", "a number from 0 to 1 as dropout"),
        ("cuda_convnet(matched=params)", "Allowed: parameters, width"),
    ],
)
def test_refusals(text, said):
    with pytest.raises(fa.InputError, match=said):
        models.create_model(text, "relu")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: models.create_model("cuda_convnet", {"act9": "relu", "*": "tanh"}),
            "did you mean 'act",
        ),
        (
            lambda: models.create_model("cuda_convnet", {"act1": "relu"}),
            "no pattern matches the site 'act2'",
        ),
        (lambda: models.create_model("cuda_convnet", {}), "needs at least one pattern"),
        (lambda: models.create_model("cuda_convnet", "rleu"), "did you mean 'relu'"),
        (lambda: models.create_model("cuda_convnet", "relu", api="nxn"), "did you mean 'nnx'"),
        (lambda: models.list_models("no*such"), "unknown model"),
        (lambda: models.list_models(family="alexnets"), "did you mean 'alexnet'"),
    ],
)
def test_more_refusals(call, said):
    with pytest.raises(fa.InputError, match=said):
        call()


def test_width_scales_the_published_net():
    half = jax.eval_shape(
        models.create_model("cuda_convnet(width=0.5)", "relu").init, jax.random.key(0), IMAGES
    )
    assert half["params"]["conv3"]["kernel"].shape == (5, 5, 16, 32)
    assert half["params"]["fc64"]["kernel"].shape[1] == 32


def test_norm_none_is_the_text_none():
    assert models.create_model("cuda_convnet", "relu", norm=None).norm == "none"


def test_description_of_a_model():
    text = models.describe("cuda_convnet(variant=80sec)", "prelu")
    # By hand: 1024·32·75 + 256·32·800 + 64·64·800 + 1024·64 + 640; and 32 + 32 + 64 + 64 slopes.
    assert "12,354,176 per image" in text
    assert f"{145_578 + 192:,}" in text
    assert "Krizhevsky" in text
    assert all(layer in text for layer in ("conv1", "act4", "fc10"))
    assert "variant=80sec" in text


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_documented(name):
    assert entries()[name].arguments().keys() <= _documented(entries()[name].loaded()).keys()


@pytest.mark.parametrize("name", ["lenet5", "mlp_mixer_tiny", "nf_resnet"])
def test_description_has_every_argument_and_a_whole_table(name):
    text = models.describe(small(name))
    assert "…" not in text
    for argument in entries()[name].arguments():
        assert re.search(rf"^    {argument}=\S+ +\w", text, re.MULTILINE), argument
    rows = [line.split() for line in text.partition("  layer ")[2].splitlines()[1:]]
    parameters, uses = (sum(int(row[i].replace(",", "")) for row in rows) for i in (-2, -1))
    assert f"  parameters            {parameters:,}\n" in text
    assert f"  multiply-accumulates  {uses:,} per image\n" in text
