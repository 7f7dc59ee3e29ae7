"""Rules of the project that no other tool holds."""

import ast
import functools
import importlib
import importlib.metadata
import inspect
import re
import tomllib
from pathlib import Path

import jax
import pytest

import flaxact as fa
from flaxact.activations import _spec

ROOT = Path(__file__).parents[1]
FILES = sorted(path for part in ("flaxact", "paper_repro") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= 300
    assert path.stem not in ("utils", "helpers", "base", "common", "misc")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            body = node.body[documented:]
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{node.name} has {length} lines"


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("flaxact") == project["version"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in citation
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", fa.names())
def test_docstrings_have_args_returns_and_an_example(name):
    function = getattr(fa, name)
    text = inspect.getdoc(function)
    for part in ("Args:", "Returns:", ">>> "):
        assert part in text
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^\s+{parameter}: ", text, re.M)


def test_every_family_is_known_to_type_checkers():
    package = ROOT / "flaxact" / "activations"
    families = {path.stem for path in package.glob("[a-z]*.py")}
    imported = set(
        re.findall(
            r"from flaxact\.activations\.(\w+) import \*", (package / "__init__.py").read_text()
        )
    )
    assert imported == families


def test_the_lock_file_is_of_the_public_index():
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}


LESS = {
    "epochs=3": "epochs=1",
    "[0, 1]": "[0]",
    "[0, 1, 2]": "[0]",
    "[0.001, 0.003, 0.01]": "[0.001]",
}


def test_the_readmes_examples_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    assert all(text in blocks[1] for text in LESS)
    before = dict(_spec.catalogue)
    try:
        for block in blocks:
            exec(functools.reduce(lambda text, pair: text.replace(*pair), LESS.items(), block), {})
    finally:
        _spec.catalogue.clear()
        _spec.catalogue.update(before)
    assert capsys.readouterr().out.startswith("0 [nan]")


@pytest.mark.parametrize("module", ["jax.nn", "flax.linen", "flax.nnx"])
def test_ruff_bans_every_activation_that_a_model_could_apply_past_act(module):
    """What jax.nn offers under a name is banned wherever else it is offered, too."""
    banned = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    banned = banned["flake8-tidy-imports"]["banned-api"]
    not_activations = {
        "softmax", "log_softmax", "standardize", "one_hot", "logsumexp", "logmeanexp",
        "dot_product_attention", "scaled_dot_general", "scaled_matmul", "get_scaled_dot_general_config",
        "initializers", "log1mexp",
    }  # fmt: skip
    known = {name for name in dir(jax.nn) if not name.startswith("_")} - not_activations
    offered = known & set(dir(importlib.import_module(module)))
    assert {f"{module}.{name}" for name in offered} <= set(banned)
