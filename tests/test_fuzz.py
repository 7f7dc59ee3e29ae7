"""Thousands of random specs, recipes, conditions and command lines: taken, or refused in one line."""

import contextlib
import io
import random
from pathlib import Path

import fuzzing
import jax
import jax.numpy as jnp
import pytest
from trainings import SMALL

import flaxact as fa
from flaxact import cli, doctor, models, studies
from flaxact.cli import compare as comparing
from flaxact.cli import comparison
from flaxact.cli import reproduce as reproducing
from flaxact.cli import train as commands
from flaxact.errors import LONGEST, InputError
from flaxact.facts import conditions
from flaxact.facts.filter import NUMBERS, YES_OR_NO
from flaxact.reproduction import run as reproduction_run
from flaxact.reproduction import summary
from flaxact.studies import probing
from flaxact.training import Recipe

X = jax.ShapeDtypeStruct((2, 12), jnp.float32)


def assert_one_line(text):
    assert 0 < len(text) <= LONGEST, text
    assert text.isprintable(), ascii(text)


def count(kind, number, seed, take):
    """How many inputs are refused; anything but a value or an InputError of one line fails."""
    rng = random.Random(seed)
    refused = 0
    for i in range(number):
        text = getattr(fuzzing, kind)(rng)
        try:
            take(text)
        except InputError as error:
            assert_one_line(str(error))
            refused += 1
        except BaseException as error:
            raise AssertionError(f"{kind} {i} of seed {seed}: {text!r:.500}") from error
    assert 0 < refused < number
    return f"{kind}: {refused} of {number} refused"


def take_activation(text):
    activation = fa.get(text)
    assert fa.get(str(activation)) == activation
    if len(text) % 8 == 0 and not activation.learned:
        jax.eval_shape(activation, X)


def take_model(text):
    call = models.parse(text)
    assert models.parse(str(call)) == call
    models.create_model(text, "relu")


def take_recipe(text):
    recipe = Recipe.from_toml(text)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def take_condition(text):
    conditions.parse(text, YES_OR_NO, NUMBERS)


@pytest.fixture
def nothing_long(tmp_path, monkeypatch):
    """The commands up to where they would train, measure or write pages."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("x")
    Path("recipe.toml").write_text("epochs = 2\n")
    for module in (commands, comparison, reproducing):
        monkeypatch.setattr(module, "begin", lambda *_, **__: None)
    monkeypatch.setattr(comparing, "report", lambda *_, **__: None)
    monkeypatch.setattr(comparison, "rank", lambda *_, **__: None)
    monkeypatch.setattr(fa.training, "run", lambda *_, **__: iter(()))
    monkeypatch.setattr(studies, "run_held", lambda *_, **__: iter(()))
    monkeypatch.setattr(studies, "check", lambda *_, **__: None)
    monkeypatch.setattr(probing, "measure", lambda *_, **__: iter(()))
    monkeypatch.setattr(probing, "write", lambda *_, **__: "page")
    monkeypatch.setattr(reproduction_run, "reproduce", lambda *_, **__: "page")
    monkeypatch.setattr(fa.data, "load", lambda *_, **__: SMALL)
    monkeypatch.setattr(fa.data, "check", lambda *_, **__: None)
    monkeypatch.setattr(fa.data, "open_stream", lambda *_, **__: None)
    monkeypatch.setattr(models, "describe", lambda *a: str(models.create_model(*a)) and "")
    monkeypatch.setattr(fa.facts, "select", lambda text: take_condition(text) or [])
    monkeypatch.setattr(fa.facts, "computed", lambda _: {})
    monkeypatch.setattr(doctor, "doctor", lambda: None)
    monkeypatch.setattr(summary, "write_summary", lambda *_, **__: "page")

    def take(words):
        output = io.StringIO()
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = cli.main(words)
            except SystemExit as stop:  # --help
                code = stop.code or 0
        lines = output.getvalue().removesuffix("\n")
        if code == 2:
            assert lines.startswith("flaxact: ")
            raise InputError(lines.removeprefix("flaxact: "))
        assert code == 0, (code, lines)

    return take


TAKE = {
    "activation": (take_activation, 0.3),
    "model": (take_model, 0.1),
    "condition": (take_condition, 0.05),
    "recipe": (take_recipe, 0.15),
}


@pytest.mark.parametrize("kind", TAKE)
def test_random_texts_are_taken_or_refused_in_one_line(kind):
    print(count(kind, 200, 1, TAKE[kind][0]))


def test_random_command_lines_are_run_or_refused_in_one_line(nothing_long):
    print(count("arguments", 200, 1, nothing_long))


def new_seed():
    """Other inputs in each slow run; a failure names its seed."""
    return random.SystemRandom().randrange(10**6)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", TAKE)
def test_fuzz_of_texts(kind):
    take, share = TAKE[kind]
    print(count(kind, int(share * fuzzing.INPUTS), new_seed(), take))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fuzz_of_command_lines(nothing_long):
    print(count("arguments", int(0.1 * fuzzing.INPUTS), new_seed(), nothing_long))
