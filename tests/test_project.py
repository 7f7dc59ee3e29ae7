"""Rules of the project that no other tool holds."""

import ast
import importlib
import importlib.metadata
import inspect
import re
import tomllib
from pathlib import Path

import jax
import pytest

import flaxact as fa
from flaxact.activations._spec import catalogue

ROOT = Path(__file__).parents[1]
FILES = sorted(path for part in ("flaxact", "paper_repro") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    a_paper_with_its_protocol = path.parent.name == "paper_repro"
    lines = text.count("\n")
    limit = 480 if a_paper_with_its_protocol else 300
    assert lines <= limit, (
        f"{lines} lines, limit {limit}: put what you add in another file or a new one"
    )
    assert path.stem not in ("utils", "helpers", "base", "common", "misc")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            body = node.body[documented:]
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_are_read_and_written_in_a_named_encoding(path):
    place = {"read_text": 0, "write_text": 1, "open": 2}  # of the encoding among the arguments
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
        if name not in place or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and a.value in MODES]
        if name != "open" or modes:
            assert len(node.args) > place[name], f"{path.name}:{node.lineno}"


MODES = ("r", "w", "a", "x", "rt", "wt", "r+", "w+", "a+")


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
    assert not families & set(catalogue)  # a module of that name would hide the function


def test_what_is_listed_as_long_is_there():
    for name in (ROOT / "tests" / "long_tests.txt").read_text().splitlines():
        module, _, test = name.partition("::")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert test.partition("[")[0].split(".")[-1] in source, name


def test_the_lock_file_is_of_the_public_index():
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 120


def test_counts_are_in_tens():
    """So that an addition seldom changes them."""
    activations = f"more than {(len(fa.names()) - 1) // 10 * 10} activations"
    models = (len(fa.models.list_models()) - 1) // 10 * 10
    texts = {
        "README.md": (activations, f"more than {models} nets"),
        "docs/features.md": (activations, f"more than {models} models"),
    }
    for name, counts in texts.items():
        text = (ROOT / name).read_text("utf-8").lower()
        for count in counts:
            assert count in text, f"write {count!r} in {name}"


ACTIVATIONS = {
    name for name in {*dir(jax.nn), "PReLU", "activation", "logistic"} if not name.startswith("_")
} - {
    "softmax",
    "log_softmax",
    "standardize",
    "one_hot",
    "logsumexp",
    "logmeanexp",
    "log1mexp",
    "dot_product_attention",
    "scaled_dot_general",
    "scaled_matmul",
    "get_scaled_dot_general_config",
    "initializers",
}
OFFER = {
    "nn",
    "linen",
    "nnx",
    "jnp",
    "numpy",
    "lax",
}  # modules that offer activations, by their last name


def applied_past_act(source):
    """The activations of jax and flax that a program names: attributes of their modules, and imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ACTIVATIONS:
            module = node.value
            if getattr(module, "attr", getattr(module, "id", "")) in OFFER:
                yield node.attr
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] in OFFER:
            yield from (alias.name for alias in node.names if alias.name in ACTIVATIONS)


@pytest.mark.parametrize(
    "path",
    [
        p
        for part in ("flaxact/models", "flaxact/layers", "paper_repro")
        for p in (ROOT / part).glob("*.py")
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_activations_are_applied_through_act_only(path):
    """So that none is hard-coded in a net."""
    assert not list(applied_past_act(path.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        "import jax\ny = jax.nn.relu(x)", "from flax import linen as nn\ny = nn.leaky_relu(x)",
        "from jax.nn import gelu as g", "y = jnp.tanh(x)", "y = jax.lax.logistic(x)",
        "from flax.linen import PReLU",
    ],
)  # fmt: skip
def test_an_activation_past_act_is_seen(source):
    assert list(applied_past_act(source))


def test_what_the_oldest_jax_calls_otherwise_is_in_one_module():
    for path in FILES:
        if path.name != "_packages.py":
            assert "jax.enable_x64(" not in path.read_text(), path
