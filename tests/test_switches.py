"""A training and a probe under the switches of JAX that users set, and nets that are not of the zoo."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from trainings import RECIPE, SMALL, Perceptron, quick_compilation

import flaxact as fa
from flaxact.diagnostics import probe
from flaxact.layers import Act
from flaxact.models import create_model, input_shape, list_models
from flaxact.net import from_linen
from flaxact.training import Recipe, train
from flaxact.training.programs import compiled

SWITCHES = {
    "float64": lambda: jax.enable_x64(True),
    "strict dtypes": lambda: jax.numpy_dtype_promotion("strict"),
    "strict ranks": lambda: jax.numpy_rank_promotion("raise"),
    "transfer guard": lambda: jax.transfer_guard("disallow"),
    "nan": lambda: jax.debug_nans(True),
    "infinities": lambda: jax.debug_infs(True),
    "leaks": jax.checking_leaks,
}
MODULE = Perceptron(fa.get("tanh"))
IMAGES = SMALL.train.images[:8]
LABELS = SMALL.train.labels[:8]
# Everything that has code of its own in a step, in few programs.
RECIPES = (
    Recipe(
        epochs=1,
        batch_size=16,
        optimizer="adamw",
        schedule="cosine",
        warmup_epochs=0.5,
        gradient_clip=1.0,
        weight_decay=1e-3,
        label_smoothing=0.1,
        activation_l1=1e-3,
        augment=("crop(1)", "flip", "rotate", "cutout(2)", "pca_noise"),
        views="mirror",
    ),
    Recipe(
        epochs=1,
        batch_size=16,
        optimizer="lion",
        schedule="steps",
        precision="bfloat16",
        preprocess=("standardize",),
        augment=("random_crop(6)",),
        views="ten(6)",
    ),
    Recipe(epochs=1, batch_size=16, optimizer="cuda_convnet", schedule="plateau"),
)


@pytest.fixture(autouse=True)
def _quick():
    with quick_compilation():
        yield


def trained(module, recipe, seeds=(0,)):
    last = list(train(from_linen(module), recipe, SMALL, seeds))[-1]
    assert np.isfinite([*last.train_loss, *last.test_loss]).all()
    return last


@pytest.mark.sampled(7)
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_training_and_a_probe_under_a_switch(switch):
    variables = MODULE.init(jax.random.key(0), IMAGES, train=False)
    expected = probe(MODULE, variables, IMAGES, LABELS)
    with SWITCHES[switch]():
        trained(MODULE, RECIPES[0])
        actual = probe(MODULE, variables, IMAGES, LABELS)
        without = probe(MODULE, variables, IMAGES)  # whose gradient_norm is nan
    for site, figures in expected.items():
        assert actual[site] == pytest.approx(figures, rel=1e-5, nan_ok=True)
        assert np.isnan(without[site]["gradient_norm"])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", range(len(RECIPES)))
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_recipe_under_a_switch(switch, recipe):
    compiled.cache_clear()  # so that it is traced under the switch
    with SWITCHES[switch]():
        trained(MODULE, RECIPES[recipe], (0, 1))


@pytest.mark.thorough
def test_programs_are_compiled_anew_under_another_switch():
    """And what one has compiled is not used under the other."""
    plain = trained(MODULE, RECIPE)
    with jax.enable_x64(True):
        assert trained(MODULE, RECIPE).compile_seconds != plain.compile_seconds
    assert trained(MODULE, RECIPE).compile_seconds == plain.compile_seconds


def test_a_training_without_jit_is_refused_in_a_line():
    with jax.disable_jit(), pytest.raises(fa.InputError, match="JAX_DISABLE_JIT") as caught:
        trained(MODULE, RECIPE)
    assert "\n" not in str(caught.value)


ENVIRONMENTS = {
    "JAX_ENABLE_X64=1": 0, "JAX_TRANSFER_GUARD=disallow": 0, "JAX_DEBUG_NANS=1": 0,
    "JAX_CHECK_TRACER_LEAKS=1": 0, "JAX_NUMPY_DTYPE_PROMOTION=strict": 0, "JAX_DISABLE_JIT=1": 2,
}  # fmt: skip
MODEL = ["--model", "mlp_bn(width=0.1)"]
COMMANDS = {
    "train": ["train", "relu", *MODEL, "--option", "epochs=1"],
    "compare": ["compare", "relu", *MODEL, "--epochs", "1", "--seeds", "1"],
    "probe": ["probe", "--activation", "relu", *MODEL, "--images", "16", "--seeds", "1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_command_under_a_switch_of_the_environment(environment, command, tmp_path):
    words = [
        sys.executable,
        "-m",
        "flaxact",
        *COMMANDS[command],
        "--out",
        str(tmp_path / "out"),
    ]
    name, value = environment.split("=")
    process = subprocess.run(
        words, env=os.environ | {name: value}, capture_output=True, text=True, check=False
    )
    expected = 0 if command == "probe" else ENVIRONMENTS[environment]
    assert process.returncode == expected, process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", list_models())
def test_a_model_is_of_float32_and_of_four_axes_in_every_mode(name):
    """By its shapes: with float64 allowed, and where no dtype is promoted."""
    module = create_model(name, "relu")
    shape = input_shape(name)
    key = jax.eval_shape(lambda: jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.uint8)

    def started(key, images):
        return module.init_with_output({"params": key, "dropout": key}, images, train=True)

    for mode in (jax.enable_x64(True), jax.numpy_dtype_promotion("strict")):
        with mode:
            dtypes = {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(started, key, images))}
        assert dtypes == {jnp.dtype("float32")}
    for wrong in (shape, shape[:2], (1, 2, *shape)):
        with pytest.raises(fa.InputError, match=r"needs images \(batch, height, width, channels\)"):
            jax.eval_shape(started, key, jax.ShapeDtypeStruct(wrong, jnp.uint8))


# Nets of others


def flat(x):
    return x.reshape(len(x), -1) / 255


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(6)(x))
        return Act("prelu", name="act")(x)


class Listed(nn.Module):
    """With lists and dictionaries of numbers and modules, one of them shared."""

    widths: list
    parts: dict
    blocks: tuple = ()

    @nn.compact
    def __call__(self, x):
        x = flat(x)
        for width in self.widths:
            x = self.parts["act"](nn.Dense(width)(x))
        for block in self.blocks:
            x = block(x)
        return nn.Dense(3)(x)


class Rematerialised(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = flat(x)
        for _ in range(2):
            x = nn.remat(Block, static_argnums=(2,))()(x, train)
        return nn.Dense(3)(x)


def sequential():
    return nn.Sequential(
        [flat, nn.Dense(6), Act("prelu"), nn.Sequential([nn.Dense(6), fa.relu]), nn.Dense(3)]
    )


def listed():
    shared = nn.Sequential([nn.Dense(6), Act("elu")])
    return Listed([6, 6], {"act": Act("tanh")}, (shared, shared))


OTHERS = {
    "sequential": (sequential, 1),
    "lists": (listed, 2),
    "remat inside": (Rematerialised, 2),
    "remat outside": (nn.remat(Rematerialised, static_argnums=(2,)), 2),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", OTHERS)
def test_a_net_of_others_trains_and_is_probed(case):
    make, sites = OTHERS[case]
    module = make()
    net = from_linen(module)
    assert from_linen(make()) is net  # equal modules share what is compiled
    trained(module, replace(RECIPE, epochs=1))
    variables = net.init(jax.random.key(0), IMAGES)
    flag = (False,) if case.startswith("remat") else ()
    direct = module.init(jax.random.key(0), IMAGES, *flag)
    assert jax.tree.structure(variables) == jax.tree.structure(direct)  # what is shared stays so
    figures = probe(module, variables, IMAGES, LABELS, train=case.startswith("remat"))
    assert len(figures) == sites
    assert all(np.isfinite(of["gradient_norm"]) for of in figures.values())


@pytest.mark.thorough
def test_a_probe_sees_the_same_through_remat():
    class Plain(nn.Module):
        remat: bool = False

        @nn.compact
        def __call__(self, x, train=False):
            block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
            return nn.Dense(3)(block(name="block")(flat(x), train))

    variables = Plain().init(jax.random.key(0), IMAGES)
    plain, through = (probe(Plain(remat), variables, IMAGES, LABELS) for remat in (False, True))
    assert list(plain) == list(through) == ["block/act"]
    assert through["block/act"] == pytest.approx(plain["block/act"], rel=1e-5, nan_ok=True)


def test_a_module_that_holds_an_array_is_known_by_itself():
    class Centred(nn.Module):
        mean: np.ndarray

        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(Act("relu")(flat(x - self.mean)))

    one, other = (Centred(np.full((8, 8, 1), 99.0, np.float32)) for _ in range(2))
    assert from_linen(one) is from_linen(one)
    assert from_linen(one) is not from_linen(other)
    assert len(probe(one, one.init(jax.random.key(0), IMAGES), IMAGES)) == 1


def test_a_site_that_a_loop_calls_is_refused_in_a_line():
    class Step(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return Act("tanh", name="act")(nn.Dense(6)(x)), None

    class Looped(nn.Module):
        @nn.compact
        def __call__(self, x):
            options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "length": 2}
            x, _ = nn.scan(Step, **options)(name="loop")(nn.Dense(6)(flat(x)), None)
            return nn.Dense(3)(x)

    variables = Looped().init(jax.random.key(0), IMAGES)
    with pytest.raises(
        fa.InputError, match=r"cannot probe loop/act: it is inside nn\.scan"
    ) as caught:
        probe(Looped(), variables, IMAGES, LABELS)
    assert "\n" not in str(caught.value)
    trained(Looped(), replace(RECIPE, epochs=1))
