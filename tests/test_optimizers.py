"""Optimizers against their papers' equations, schedules by hand, and what decays in every net."""

from dataclasses import dataclass

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

import flaxact as fa
from flaxact import models
from flaxact import nnx as fnnx
from flaxact.layers import LEARNED, decay_mask
from flaxact.net import from_linen, from_nnx
from flaxact.training.optimizers import labels, make_optimizer, make_schedule
from flaxact.training.recipe import OPTIMIZERS, Recipe

RNG = np.random.default_rng(0)
PARAMS = {
    "layer": {"kernel": RNG.normal(size=(3, 2)), "bias": RNG.normal(size=2)},
    "norm": {"scale": RNG.normal(size=2), "bias": RNG.normal(size=2)},
    "act1": {"activation": {"negative_slope": RNG.normal(size=2)}},
}
LABELS = {
    "layer": {"kernel": "kernel", "bias": "bias"},
    "norm": {"scale": "norm", "bias": "norm"},
    "act1": {"activation": {"negative_slope": "activation"}},
}
RATES = (0.1, 0.1, 0.05, 0.002, 0.02, 0.02)
GRADIENTS = [jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape), PARAMS) for _ in RATES]
DECAY = 0.03
MOMENTUM = 0.8


def single(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


@dataclass
class Options:
    """What a paper's equations need besides: the decay that one parameter is due, and its kind."""

    mu: float  # or beta1
    beta2: float
    decay: float
    is_bias: bool


# What each paper writes, in float64, for one parameter ``w``, its gradients and the rates.


def sgd(w, gradients, rates, o):
    v = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        v = o.mu * v + g + o.decay * w
        w = w - rate * v
    return w


def nesterov(w, gradients, rates, o):
    v = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        v = o.mu * v + (g + o.decay * w)
        w = w - rate * (g + o.decay * w + o.mu * v)
    return w


def cuda_convnet(w, gradients, rates, o):
    """Krizhevsky et al. 2012, §5; epsB is twice epsW in the layer files."""
    v = 0.0
    for g, eps_w in zip(gradients, rates, strict=True):
        rate = 2 * eps_w if o.is_bias else eps_w
        v = o.mu * v - o.decay * rate * w - rate * g
        w = w + v
    return w


def adam(w, gradients, rates, o):
    """Kingma & Ba 2015, algorithm 1, with the decay in the gradient."""
    m = 0.0
    v = 0.0
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g = gradient + o.decay * w
        m = o.mu * m + (1 - o.mu) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        w = w - rate * (m / (1 - o.mu**t)) / (np.sqrt(v / (1 - o.beta2**t)) + 1e-8)
    return w


def adamw(w, gradients, rates, o):
    """Loshchilov & Hutter 2019, algorithm 2, lines 6 to 12."""
    m = 0.0
    v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m = o.mu * m + (1 - o.mu) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        m_hat = m / (1 - o.mu**t)
        v_hat = v / (1 - o.beta2**t)
        w = w - rate * (m_hat / (np.sqrt(v_hat) + 1e-8) + o.decay * w)
    return w


def lion(w, gradients, rates, o):
    """Chen et al. 2023, algorithm 2."""
    m = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        c = o.mu * m + (1 - o.mu) * g
        w = w - rate * (np.sign(c) + o.decay * w)
        m = o.beta2 * m + (1 - o.beta2) * g
    return w


PAPERS = {f.__name__: f for f in (sgd, nesterov, cuda_convnet, adam, adamw, lion)}
BETA2 = {"adam": 0.999, "adamw": 0.999, "lion": 0.99}  # as published


def expected(name, rates, *, momentum=MOMENTUM, beta2=None, decay=DECAY):
    beta2 = BETA2.get(name) if beta2 is None else beta2

    def trained(label, w, *gradients):
        due = decay if label == "kernel" else 0.0
        return PAPERS[name](w, gradients, rates, Options(momentum, beta2, due, label == "bias"))

    return jax.tree.map(trained, LABELS, PARAMS, *GRADIENTS)


def steps(recipe, rates, momentum=MOMENTUM, gradients=GRADIENTS, step=None):
    """Parameters after a step with each rate and gradient."""
    step = step or make_one(recipe)
    params = single(PARAMS)
    state = make_optimizer(recipe, 1, learning_rate=0.0, momentum=momentum).init(params)
    for rate, gradient in zip(rates, gradients, strict=True):
        params, state = step(params, state, single(gradient), rate, momentum=momentum)
    return params


def make_one(recipe):
    def step(params, state, gradient, rate, momentum):
        optimizer = make_optimizer(recipe, 1, learning_rate=rate, momentum=momentum)
        updates, state = optimizer.update(gradient, state, params, value=jnp.float32(1))
        return optax.apply_updates(params, updates), state

    return step


def test_there_is_an_equation_for_each():
    assert PAPERS.keys() == set(OPTIMIZERS)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_the_papers(name):
    recipe = Recipe(optimizer=name, weight_decay=DECAY)
    updates = steps(recipe, RATES)
    chex.assert_trees_all_close(updates, single(expected(name, RATES)), rtol=2e-5, atol=1e-6)
    # The same where rate and momentum are traced; and for members of a sweep, from one trace.
    traced = steps(recipe, RATES, step=jax.jit(make_one(recipe)))
    chex.assert_trees_all_close(traced, updates, rtol=1e-5, atol=1e-6)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_sweep_over_rate_and_momentum_is_one_trace(name):
    recipe = Recipe(optimizer=name, weight_decay=DECAY, momentum=0.0)
    traces = []

    def run(rates, momentum):
        traces.append(name)
        return steps(recipe, rates, momentum)

    factors = jnp.array([1.0, 0.3, 2.0])
    momenta = jnp.array([0.0, 0.5, 0.9])
    together = jax.jit(jax.vmap(run))(factors[:, None] * jnp.array(RATES), momenta)
    for i, (factor, momentum) in enumerate(zip(factors, momenta, strict=True)):
        alone = expected(name, float(factor) * np.array(RATES), momentum=float(momentum))
        member = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        chex.assert_trees_all_close(member, single(alone), rtol=5e-5, atol=2e-6)
    assert traces == [name]


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_momentum_is_a_momentum_of_zero(name):
    recipe = Recipe(optimizer=name)
    none = steps(recipe, RATES, None)
    zero = steps(recipe, RATES, 0.0)
    chex.assert_trees_all_close(none, zero, rtol=1e-6)
    wanted = expected(name, RATES, momentum=0.0, decay=0.0)
    chex.assert_trees_all_close(none, single(wanted), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", BETA2)
def test_beta2_is_the_recipes(name):
    updates = steps(Recipe(optimizer=name, beta2=0.6), RATES)
    wanted = expected(name, RATES, beta2=0.6, decay=0.0)
    chex.assert_trees_all_close(updates, single(wanted), rtol=2e-5, atol=1e-6)


def test_cuda_convnet_is_sgd_until_the_rate_changes():
    """For kernels; the velocity of cuda-convnet holds the rate, so it goes on at the old one."""
    recipes = [Recipe(optimizer=name, weight_decay=DECAY) for name in ("sgd", "cuda_convnet")]
    for rates, same in ((RATES[:1] * 6, True), (RATES, False)):
        one, other = (steps(recipe, rates)["layer"]["kernel"] for recipe in recipes)
        assert np.allclose(one, other, rtol=1e-4, atol=1e-6) == same
    # One step at a rate of 1, one at a rate of (nearly) 0: sgd stands still, cuda-convnet rolls on.
    zero = jax.tree.map(np.zeros_like, PARAMS)
    plain = [Recipe(optimizer=name) for name in ("sgd", "cuda_convnet")]
    start = PARAMS["layer"]["kernel"]
    gradient = GRADIENTS[0]["layer"]["kernel"]
    sgd_end, cuda_end = (
        steps(recipe, (1.0, 0.0), 0.5, [GRADIENTS[0], zero])["layer"]["kernel"] for recipe in plain
    )
    np.testing.assert_allclose(sgd_end, start - gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cuda_end, start - 1.5 * gradient, rtol=1e-5, atol=1e-6)


def test_nesterov_takes_the_gradient_where_sutskever_does():
    """Sutskever et al. 2013, eq. 3 and 4, on a quadratic: ours are their look-ahead points."""
    curvature = np.array([1.0, 3.0])
    mu = 0.9
    rate = 0.1
    theta = np.array([1.0, -2.0])
    v = 0.0
    params = {"kernel": jnp.array([[1.0], [-2.0]])}
    optimizer = make_optimizer(Recipe(optimizer="nesterov"), 1, learning_rate=rate, momentum=mu)
    state = optimizer.init(params)
    for _ in range(6):
        v = mu * v - rate * curvature * (theta + mu * v)
        theta = theta + v
        gradient = {"kernel": curvature[:, None].astype(np.float32) * params["kernel"]}
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params["kernel"][:, 0], theta + mu * v, rtol=1e-5)


def factors(recipe, steps_per_epoch, at):
    return [float(make_schedule(recipe, steps_per_epoch)(step)) for step in at]


@pytest.mark.parametrize(
    ("options", "at", "wanted"),
    [
        ({}, (0, 50, 99), (1, 1, 1)),
        ({"schedule": "plateau"}, (0, 99), (1, 1)),
        # (1 + cos(pi t)) / 2
        ({"schedule": "cosine"}, (0, 25, 50, 90, 100), (1, 0.853553, 0.5, 0.024472, 0)),
        ({"schedule": "steps"}, (0, 79, 80, 89, 90, 99), (1, 1, 0.1, 0.1, 0.01, 0.01)),
        (
            {"schedule": "steps", "milestones": (2, 2.5, 7), "decay_factor": 0.5},
            (19, 20, 24, 25, 69, 70),
            (1, 0.5, 0.5, 0.25, 0.25, 0.125),
        ),
        ({"warmup_epochs": 2}, (0, 9, 18, 19, 20, 99), (0.05, 0.5, 0.95, 1, 1, 1)),
        ({"schedule": "cosine", "warmup_epochs": 5}, (0, 24, 50), (0.02, 0.432242, 0.5)),
        ({"schedule": "steps", "milestones": (1,), "warmup_epochs": 2}, (9, 10), (0.5, 0.055)),
        ({"schedule": "constant", "milestones": (1,), "decay_factor": 0.5}, (0, 99), (1, 1)),
    ],
)
def test_schedules_by_hand(options, at, wanted):
    """Ten epochs of ten steps."""
    recipe = Recipe(epochs=10, **options)
    np.testing.assert_allclose(factors(recipe, 10, at), wanted, rtol=1e-5, atol=1e-6)
    traced = jax.jit(jax.vmap(make_schedule(recipe, 10)))(jnp.array(at))
    np.testing.assert_allclose(traced, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "cuda_convnet", "adam", "lion"])
def test_the_schedule_multiplies_the_rate(name):
    """Six epochs of one step: warm-up over two, times 0.1 from the fourth."""
    recipe = Recipe(
        epochs=6,
        optimizer=name,
        schedule="steps",
        milestones=(3,),
        warmup_epochs=2,
        weight_decay=DECAY,
    )
    updates = steps(recipe, [0.2] * 6)
    wanted = expected(name, 0.2 * np.array([0.5, 1, 1, 0.1, 0.1, 0.1]))
    chex.assert_trees_all_close(updates, single(wanted), rtol=5e-5, atol=2e-6)


def plateau_sizes(losses, momentum=None, **options):
    """The size of each step with a gradient of one, with two steps an epoch."""
    recipe = Recipe(schedule="plateau", patience=2, decay_factor=0.5, **options)
    optimizer = make_optimizer(recipe, 2, learning_rate=1.0, momentum=momentum)
    params = {"kernel": jnp.zeros((1, 1))}

    def step(state, loss):
        updates, state = optimizer.update({"kernel": jnp.ones((1, 1))}, state, params, value=loss)
        return state, -updates["kernel"][0, 0]

    def run(losses):
        return jax.lax.scan(step, optimizer.init(params), losses)[1]

    return run, jnp.asarray(losses, jnp.float32)


def test_plateau_reduces_after_so_many_epochs_without_improvement():
    flat = [1.0] * 12
    falling = list(np.linspace(2, 1, 12))
    noisy = [0.0, 2.0] * 6  # the mean of an epoch is what counts
    late = [2.0, 2.0, 1.0, 1.0, *[1.0] * 8]
    run, losses = plateau_sizes([flat, falling, noisy, late])
    sizes = np.asarray(jax.jit(jax.vmap(run))(losses))
    # The first epoch is the best; the second and the third are no better: half from step 6 on.
    by_hand = [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    np.testing.assert_allclose(sizes[0], by_hand)
    np.testing.assert_allclose(sizes[1], 1)
    np.testing.assert_allclose(sizes[2], by_hand)
    np.testing.assert_allclose(sizes[3], [1] * 7 + [0.5] * 4 + [0.25])


def test_plateau_reduces_the_rate_within_cuda_convnets_velocity():
    run, losses = plateau_sizes([1.0] * 7, momentum=0.5, optimizer="cuda_convnet")
    velocity = 0.0
    by_hand = []
    for rate in (1, 1, 1, 1, 1, 0.5, 0.5):
        velocity = 0.5 * velocity + rate
        by_hand.append(velocity)
    np.testing.assert_allclose(run(losses), by_hand, rtol=1e-6)


def test_clipping_is_by_the_length_of_all_gradients_together():
    gradient = jax.tree.map(np.zeros_like, PARAMS)
    gradient["layer"]["kernel"][0, 0] = 3.0
    gradient["norm"]["bias"][1] = 4.0
    for largest, factor in ((10.0, 1.0), (1.0, 0.2)):
        # The decay is not part of what is clipped.
        recipe = Recipe(gradient_clip=largest, weight_decay=DECAY)
        updates = steps(recipe, [0.1], None, [gradient])
        due = jax.tree.map(lambda label: DECAY * (label == "kernel"), LABELS)
        wanted = jax.tree.map(
            lambda w, g, decay, factor=factor: w - 0.1 * (factor * g + decay * w),
            PARAMS,
            gradient,
            due,
        )
        chex.assert_trees_all_close(updates, single(wanted), rtol=1e-5, atol=1e-6)


# By module and name, what each parameter of the zoo is. Written by hand: no rule is shared with labels().
WEIGHTED = {"kernel": "kernel", "bias": "bias", "scale": "norm"}
NORMALISING = {"scale": "norm", "bias": "norm"}
KNOWN = {
    **dict.fromkeys(("Conv", "Dense", "LocalConv"), WEIGHTED),
    **dict.fromkeys(("BatchNorm", "LayerNorm", "GroupNorm", "MeanOnlyBatchNorm"), NORMALISING),
    "VisionTransformer": {"class_token": "bias", "positions": "bias"},
}


def shapes_and_labels(text, act="prelu"):
    """Shapes of a net's parameters, and what each is by the table above."""
    module = models.create_model(text, act)
    classes = {}

    def note(call, args, kwargs, context):
        classes[context.module.path] = type(context.module).__name__
        return call(*args, **kwargs)

    images = jax.ShapeDtypeStruct((2, *models.input_shape(text)), jnp.uint8)
    with nn.intercept_methods(note):
        # A function of its own: one that was traced before would not be called again.
        init = lambda key, images: from_linen(module).init(key, images)["params"]  # noqa: E731
        shapes = jax.eval_shape(init, jax.random.key(0), images)

    def known(path, _):
        keys = tuple(key.key for key in path)
        if LEARNED in keys:
            assert classes[keys[: keys.index(LEARNED)]] == "Act"
            return "activation"
        if classes[keys[:-1]] == "NFResNet" and keys[-1].startswith("gain"):
            return "norm"
        return KNOWN[classes[keys[:-1]]][keys[-1]]

    return shapes, jax.tree_util.tree_map_with_path(known, shapes)


VARIED = [
    f"{name}(norm={norm})"
    for name in ("small_net", "vit_tiny(depth=1)", "mlp")
    for norm in ("none", "batch", "layer", "group", "weight", "weight_mean_only_batch")
]


@pytest.mark.sampled(11)
@pytest.mark.parametrize("text", [*models.list_models(), *VARIED])
def test_labels_and_decay_of_every_parameter_of_every_model(text):
    shapes, wanted = shapes_and_labels(text.replace(")(", ", "))
    assert labels(shapes) == wanted
    assert {"kernel", "activation"} <= set(jax.tree.leaves(wanted))
    # Without a gradient what moves is what decays; one entry is enough of a parameter.
    ones = jax.tree.map(lambda leaf: np.ones((1,) * leaf.ndim, np.float32), shapes)
    zeros = jax.tree.map(np.zeros_like, ones)
    optimizer = make_optimizer(Recipe(weight_decay=0.1), 1, learning_rate=1.0, momentum=None)
    updates, _ = optimizer.update(zeros, optimizer.init(ones), ones)
    moved = jax.tree.map(lambda update: bool(np.any(update)), updates)
    assert moved == jax.tree.map(lambda label: label == "kernel", wanted)
    assert decay_mask(shapes) == moved


@pytest.mark.sampled(7)
@pytest.mark.parametrize("act", fa.names("learned"))
def test_nothing_that_an_activation_learns_decays(act):
    shapes, wanted = shapes_and_labels("small_net", act)
    assert labels(shapes) == wanted


def test_a_plain_optimizer_of_optax_takes_the_mask():
    params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "act": jnp.ones(())}
    params["act1"] = {"activation": {"negative_slope": jnp.ones(2)}}
    optimizer = optax.adamw(1.0, weight_decay=0.5, mask=decay_mask)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert (updates["dense"]["kernel"] == -0.5).all()
    updates["dense"].pop("kernel")
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(updates))


class NNXNet(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.acts = nnx.List([fnnx.Act("prelu", width=4), fnnx.Act("pelu", width=4)])
        self.out = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        for act in self.acts:
            x = act(x)
        return self.out(self.norm(self.conv(x)).mean((1, 2)))


NNX_LABELS = {
    ("conv", "kernel"): "kernel", ("conv", "bias"): "bias", ("norm", "scale"): "norm",
    ("norm", "bias"): "norm", ("acts", 0, "learned", "negative_slope"): "activation",
    ("acts", 1, "learned", "alpha"): "activation", ("acts", 1, "learned", "beta"): "activation",
    ("out", "kernel"): "kernel", ("out", "bias"): "bias",
}  # fmt: skip


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nnx_states_are_labelled_and_trained_like_linen_ones(name):
    params = from_nnx(NNXNet).init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)))["params"]
    kinds = dict(nnx.to_flat_state(labels(params)))
    assert {path: variable.get_raw_value() for path, variable in kinds.items()} == NNX_LABELS
    mask = dict(nnx.to_flat_state(decay_mask(params)))
    kernels = {path: label == "kernel" for path, label in NNX_LABELS.items()}
    assert {path: variable.get_raw_value() for path, variable in mask.items()} == kernels
    recipe = Recipe(optimizer=name, weight_decay=0.1)
    optimizer = make_optimizer(recipe, 1, learning_rate=0.5, momentum=0.9)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(optimizer.update)(zeros, optimizer.init(params), params)
    after = optax.apply_updates(params, updates)
    chex.assert_trees_all_equal_structs(after, params)
    for path, variable in nnx.to_flat_state(after):
        before = dict(nnx.to_flat_state(params))[path][...]
        if NNX_LABELS[path] != "kernel":
            chex.assert_trees_all_equal(variable[...], before)
        elif name not in ("adam", "lion"):  # where the decay itself is made as long as any gradient
            shrinks = 1.9 if name == "nesterov" else 1.0
            np.testing.assert_allclose(variable[...], (1 - 0.05 * shrinks) * before, rtol=1e-5)
