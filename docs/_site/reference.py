"""Pages of the reference that are made from the library: what it offers decides what they have."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import re
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import flaxact
from flaxact import models
from flaxact.activations._spec import catalogue
from flaxact.cli import arguments, main
from flaxact.diagnostics import measures
from flaxact.training import Recipe

ROOT = Path(__file__).parents[2]
EXPLORER = (
    '<p><a href="explorer/index.html">Explore the activations</a>: curves with a slider per '
    "hyperparameter, overlays, a table to sort and filter.</p>"
)


def made() -> tuple[dict[str, str], dict[str, str]]:
    """What stands for ``<!-- made: NAME -->`` in pages, by name; and whole pages, by their place."""
    texts = {
        "command line": _command_line(),
        "measures": _measures(),
        "recipe": _recipe(),
        "kinks": _kinks(),
        "explorer": EXPLORER if "FLAXACT_DOCS_EXPLORER" in os.environ else "",
    }
    pages = {}
    for name, (text, more) in {
        "modules": _modules(),
        "activations": _activations(),
        "models": _models(),
    }.items():
        texts[name] = text
        pages |= more
    return texts, pages


# What a module offers


def parts() -> list[str]:
    """Public modules: those that ``flaxact`` offers, and those that these offer."""
    found = []
    for part in sorted(_inner(flaxact)):
        module = importlib.import_module(f"flaxact.{part}")
        found.append(module.__name__)
        found += [f"{module.__name__}.{name}" for name in sorted(_inner(module))]
    return found


def _inner(module) -> list[str]:
    return [n for n in dir(module) if inspect.ismodule(getattr(module, n)) and n != "flaxact"]


def _modules() -> tuple[str, dict[str, str]]:
    names = [name for name in parts() if name != "flaxact.activations"]
    pages = {f"reference/api/{name}.rst": _module(name) for name in names}
    pages["reference/api/flaxact.rst"] = _own_page()
    rows = [("flaxact", "Get an activation by its name, list and describe them, define one.")]
    rows += [(name, _summary(importlib.import_module(name))) for name in names]
    table = "\n".join(f"| [{name}]({name}.rst) | {_markdown(text)} |" for name, text in rows)
    return f"| module | what |\n| --- | --- |\n{table}\n{_tree(['flaxact', *names])}", pages


def _own_page() -> str:
    """What ``flaxact`` offers besides its modules and the activations."""
    activations = [a for s in set(catalogue.values()) for a in (s.name, *s.aliases)]
    elsewhere = {n for part in parts() if part != "flaxact.activations" for n in _names(part)}
    names = [n for n in _names("flaxact") if n not in activations and n not in elsewhere]
    return _page("flaxact", inspect.getdoc(flaxact) or "", "flaxact", names)


def _module(name: str) -> str:
    text = inspect.getdoc(importlib.import_module(name)) or ""
    return _page(name, text, name, _names(name))


def _names(module: str) -> list[str]:
    """What a module offers, except for modules."""
    found = importlib.import_module(module)
    return [name for name in dir(found) if not inspect.ismodule(getattr(found, name))]


def _page(title: str, text: str, module: str, names: list[str]) -> str:
    found = importlib.import_module(module)
    callables = [name for name in names if callable(getattr(found, name))]
    table = "\n".join(f"   {name}" for name in callables)
    entries = "\n".join(_entry(module, name, getattr(found, name)) for name in names)
    return (
        f"{_title(title)}\n{text}\n\n.. currentmodule:: {module}\n\n"
        f".. autosummary::\n   :nosignatures:\n\n{table}\n\n{entries}"
    )


def _entry(module: str, name: str, value: object) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {module}.{name}\n   :members:\n"
    if callable(value):
        return f".. autofunction:: {module}.{name}\n"
    items = ", ".join(f"``{item}``" for item in value) if _is_many(value) else f"``{value!r}``"
    return f".. py:data:: {module}.{name}\n\n   {items}\n"


def _is_many(value: object) -> bool:
    return isinstance(value, dict | list | tuple | set | frozenset) and bool(value)


# The activations, a page per shape


def _activations() -> tuple[str, dict[str, str]]:
    families: dict[str, list] = {}
    for name, spec in catalogue.items():
        if name == spec.name and spec.ours:
            families.setdefault(spec.function.__module__, []).append(spec)
    pages = {}
    rows = []
    for module, specs in sorted(families.items()):
        short = module.rsplit(".", 1)[-1]
        title = _plain(_summary(importlib.import_module(module)))
        entries = "\n".join(map(_activation, specs))
        table = "\n".join(f"   {spec.name}" for spec in specs)
        pages[f"reference/activations/{short}.rst"] = (
            f"{_title(title)}\n.. currentmodule:: flaxact\n\n.. autosummary::\n   :nosignatures:\n\n"
            f"{table}\n\n{entries}"
        )
        names = ", ".join(f"[{spec.name}](#flaxact.{spec.name})" for spec in specs)
        rows.append(f"| [{_markdown(title)}]({short}.rst) | {names} |")
    shorts = [module.rsplit(".", 1)[-1] for module in sorted(families)]
    table = "\n".join(rows)
    return f"| shape | functions |\n| --- | --- |\n{table}\n{_tree(shorts)}", pages


def _activation(spec) -> str:
    also = (
        f"\n   Also called {', '.join(f'``{a}``' for a in spec.aliases)}.\n" if spec.aliases else ""
    )
    note = f"\n   {spec.note}\n" if spec.note else ""
    return f".. autofunction:: flaxact.{spec.name}\n\n   .. math:: {spec.formula}\n{also}{note}"


# The zoo, a page per file


def _models() -> tuple[str, dict[str, str]]:
    """A page per file of the zoo: what ``flaxact models describe`` prints, and the published counts."""
    from flaxact.models._catalogue import entry

    published = runpy.run_path(str(ROOT / "tests" / "published.py"))["PUBLISHED"]
    files: dict[str, list[str]] = {}
    for name in models.list_models():
        files.setdefault(entry(name).loaded().__module__.rsplit(".", 1)[-1], []).append(name)
    pages = {}
    rows = []
    for file, names in sorted(files.items()):
        text = models.describe(file)
        counts = {t: c for t, c in published.items() if re.split(r"\W", t)[0] in names}
        table = "\n".join(f"| `{t}` | {n:,} | {sites} |" for t, (n, sites) in counts.items())
        pages[f"reference/models/{file}.md"] = (
            f"# {file}\n\n```text\n{text}\n```\n\n## Published parameters\n\nFrom the publication, or "
            "counted layer by layer from its description. The tests compare them with the models.\n\n"
            f"| model | parameters | activation sites |\n| --- | --- | --- |\n{table}\n"
        )
        summary = text.split("\n")[0].partition(": ")[2]
        rows.append(f"| [{file}]({file}.md) | {summary} | {', '.join(f'`{n}`' for n in names)} |")
    table = "\n".join(rows)
    return f"| file | what | names |\n| --- | --- | --- |\n{table}\n{_tree(sorted(files))}", pages


# The command line, measures, recipe


def _command_line() -> str:
    return "\n".join(
        f"## {name}\n\n```text\n{_help(name)}\n```\n" for name in sorted(arguments.COMMANDS)
    )


def _help(command: str) -> str:
    out = io.StringIO()
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).strip()


def _measures() -> str:
    rows = "\n".join(
        f"| `{name}` | {measures.summary(name)} |" for name in sorted(measures.catalogue)
    )
    return f"| name | what |\n| --- | --- |\n{rows}\n"


def _kinks() -> str:
    """The derivative at each kink of each activation, from both sides and at it."""
    rows = []
    for name, spec in sorted(catalogue.items()):
        if name != spec.name or not spec.ours or spec.is_transform or spec.coupled:
            continue
        act = flaxact.get(name)
        points = np.asarray(act.kinks, np.float32)
        if not points.size or not np.isfinite(points).all():
            continue
        sides = [_slopes(act, points + step) for step in (-1e-3, 1e-3)]
        at = _slopes(act, points)
        theirs = getattr(jax.nn, name, None)
        other = _slopes(theirs, points) if callable(theirs) else ["–"] * points.size
        rows += [
            f"| `{name}` | {point:g} | {left} | {right} | **{here}** | {jaxs} |"
            for point, left, right, here, jaxs in zip(points, *sides, at, other, strict=True)
        ]
    head = "| activation | kink at | from the left | from the right | flaxact | `jax.nn` |"
    lines = "\n".join(rows)
    return f"{head}\n| --- | --- | --- | --- | --- | --- |\n{lines}\n"


def _slopes(function, points) -> list[str]:
    """Derivatives, to three digits."""
    ones = jnp.ones(points.shape, points.dtype)
    return [f"{float(s):.3g}" for s in jax.jvp(function, (jnp.asarray(points),), (ones,))[1]]


def _recipe() -> str:
    said = dict(
        re.findall(r"^  (\w+): (.*?)(?=^  \w+: |^\S|\Z)", inspect.getdoc(Recipe), re.M | re.S)
    )
    rows = "\n".join(
        f"| `{field.name}` | `{field.default!r}` | {_in_a_line(said[field.name])} |"
        for field in dataclasses.fields(Recipe)
    )
    return f"| field | default | what |\n| --- | --- | --- |\n{rows}\n"


def _in_a_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("``", "`").replace("|", r"\|")


def _summary(module) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")


def _markdown(text: str) -> str:
    """A sentence of a docstring in Markdown."""
    return text.replace("``", "`").replace("|", r"\|")


def _tree(pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def _plain(text: str) -> str:
    """A summary as a title."""
    return text.partition(";")[0].rstrip(".")


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"
