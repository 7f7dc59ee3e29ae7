"""What the library offers under its names: nothing private, nothing missing, after one import."""

import importlib
import importlib.metadata
import inspect
import subprocess
import sys

import pytest

import flaxact as fa

PARTS = [f"flaxact.{name}" for name in fa.__all__ if inspect.ismodule(getattr(fa, name))]


def modules(name):
    """A public module and those that it offers."""
    module = importlib.import_module(name)
    inner = [n for n in dir(module) if inspect.ismodule(getattr(module, n))]
    return [name, *(f"{name}.{n}" for n in inner if name != "flaxact")]


PUBLIC = ["flaxact", *(name for part in PARTS for name in modules(part))]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_offers_what_is_its_own_and_public(name):
    module = importlib.import_module(name)
    assert dir(module)
    for attribute in dir(module):
        value = getattr(module, attribute)
        assert not attribute.startswith("_")
        home = getattr(value, "__module__", None) or getattr(value, "__name__", name)
        assert home.startswith("flaxact"), f"{attribute} is of {home}"
    assert set(getattr(module, "__all__", dir(module))) == set(dir(module))


def test_modules_are_there_after_one_import():
    script = """import flaxact as fa
assert fa.diagnostics.nnx.probe and fa.nnx.Act and fa.training.folder.checkpoints.restore
assert callable(fa.diagnostics.capture) and callable(fa.data.preprocess)"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("module", "wrong", "said"),
    [
        ("flaxact", "rleu", "module 'flaxact' has no attribute 'rleu'; did you mean 'relu'"),
        ("flaxact", "train", "module 'flaxact' has no attribute 'train'; did you mean 'training'"),
        ("flaxact.training", "recipe_", "module 'flaxact.training' has no.*did you mean 'Recipe'"),
        ("flaxact.diagnostics", "nxn", "module 'flaxact.diagnostics' has no.*did you mean 'nnx'"),
        (
            "flaxact.models",
            "create",
            "'flaxact.models' has no attribute 'create'; did you mean 'cr",
        ),
        ("flaxact.activations", "rleu", "'flaxact.activations' has no.*did you mean 'relu'"),
        ("flaxact.data", "_load", "module 'flaxact.data' has no attribute '_load'$"),
    ],
)
def test_what_is_missing_is_said_of_the_module_it_was_asked_of(module, wrong, said):
    with pytest.raises(AttributeError, match=said):
        getattr(importlib.import_module(module), wrong)


def test_one_version():
    assert fa.__version__ == importlib.metadata.version("flaxact")
