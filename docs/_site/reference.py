"""Pages of the reference that are made from the library: what it offers decides what they have."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import re
from pathlib import Path

import flaxact
from flaxact import cli, models
from flaxact.activations._spec import catalogue
from flaxact.diagnostics import measures
from flaxact.training import Recipe


def write(folder: Path) -> None:
    """Write all of them into ``folder/reference``; remove what is no more."""
    pages = {
        **_modules(),
        **_activations(),
        **_models(),
        "command_line.md": _command_line(),
        "measures.md": _measures(),
        "recipe.md": _recipe(),
    }
    base = folder / "reference"
    for name, text in pages.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


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


def _modules() -> dict[str, str]:
    names = [name for name in parts() if name != "flaxact.activations"]
    pages = {f"api/{name}.rst": _module(name) for name in names}
    pages["api/flaxact.rst"] = _own_page()
    rows = [(name, _summary(importlib.import_module(name))) for name in names]
    lines = "\n".join(f"   * - :doc:`{name} <{name}>`\n     - {text}" for name, text in rows)
    tree = "\n".join(f"   {name}" for name in ["flaxact", *names])
    pages["api/index.rst"] = (
        f"{_title('Modules')}\nEvery public name, from the code. The activations have pages of their "
        "own: :doc:`by shape </reference/activations/index>`.\n\n"
        ".. list-table::\n   :widths: 30 70\n\n   * - :doc:`flaxact <flaxact>`\n"
        "     - Get an activation by its name, list and describe them, define one.\n"
        f"{lines}\n\n.. toctree::\n   :hidden:\n\n{tree}\n"
    )
    return pages


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


def _activations() -> dict[str, str]:
    families: dict[str, dict[str, object]] = {}
    for name, spec in catalogue.items():
        if name == spec.name and spec.ours:
            families.setdefault(spec.function.__module__, {})[name] = spec
    pages = {}
    rows = []
    for module in sorted(families):
        short = module.rsplit(".", 1)[-1]
        found = families[module]
        title = _plain(_summary(importlib.import_module(module)))
        entries = "\n".join(_activation(spec) for spec in found.values())
        table = "\n".join(f"   {name}" for name in found)
        pages[f"activations/{short}.rst"] = (
            f"{_title(title)}\n.. currentmodule:: flaxact\n\n.. autosummary::\n   :nosignatures:\n\n"
            f"{table}\n\n{entries}"
        )
        names = ", ".join(f":func:`~flaxact.{name}`" for name in found)
        rows.append(f"   * - :doc:`{short}`\n     - {names}")
    tree = "\n".join(f"   {m.rsplit('.', 1)[-1]}" for m in sorted(families))
    pages["activations/index.rst"] = (
        f"{_title('Activations and transforms')}\nEach is a function in ``flaxact``. The :doc:`gallery "
        "</gallery/index>` has their graphs and facts.\n\n.. list-table::\n   :widths: 35 65\n\n"
        + "\n".join(rows)
        + f"\n\n.. toctree::\n   :hidden:\n\n{tree}\n"
    )
    return pages


def _activation(spec) -> str:
    also = f"\n   Also called {', '.join(f'``{a}``' for a in spec.aliases)}.\n" if spec.aliases else ""
    note = f"\n   {spec.note}\n" if spec.note else ""
    return (
        f".. autofunction:: flaxact.{spec.name}\n\n   .. math:: {spec.formula}\n{also}{note}"
    )


# The zoo, a page per file


def _models() -> dict[str, str]:
    """A page per file of the zoo: what ``flaxact models describe`` prints, and the published counts."""
    from flaxact.models import list_models
    from flaxact.models._catalogue import entry
    from tests.published import PUBLISHED

    files: dict[str, list[str]] = {}
    for name in list_models():
        files.setdefault(entry(name).loaded().__module__.rsplit(".", 1)[-1], []).append(name)
    pages = {}
    rows = []
    for file, names in sorted(files.items()):
        text = models.describe(file)
        counts = {t: c for t, c in PUBLISHED.items() if re.split(r"\W", t)[0] in names}
        table = "\n".join(f"| `{t}` | {n:,} | {sites} |" for t, (n, sites) in counts.items())
        pages[f"models/{file}.md"] = (
            f"# {file}\n\n```text\n{text}\n```\n\n## Published parameters\n\nFrom the publication, or "
            "counted layer by layer from its description. The tests compare them with the models.\n\n"
            f"| model | parameters | activation sites |\n| --- | --- | --- |\n{table}\n"
        )
        summary = text.split("\n")[0].partition(": ")[2]
        rows.append(f"| [{file}]({file}.md) | {summary} | {', '.join(f'`{n}`' for n in names)} |")
    tree = "\n".join(sorted(files))
    pages["models/index.md"] = (
        "# Models\n\nEach takes any activation at any of its sites: "
        "`create_model(NAME, activation)`. A name takes arguments, as in "
        "`cuda_convnet(variant=18pct, width=0.25)`.\n\n"
        "| file | what | names |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        f"```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
    )
    return pages


# The command line, measures, recipe


def _command_line() -> str:
    text = [
        "# The command line\n\nThe help of each command, as `flaxact COMMAND --help` prints it. "
        "[Commands](../commands.md) says in a line what each is for.\n"
    ]
    for name in sorted(cli.COMMANDS):
        text.append(f"## {name}\n\n```text\n{_help(name)}\n```\n")
    return "\n".join(text)


def _help(command: str) -> str:
    out = io.StringIO()
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([command, "--help"])
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).strip()


def _measures() -> str:
    rows = "\n".join(
        f"| `{name}` | {measures.summary(name)} |" for name in sorted(measures.catalogue)
    )
    return (
        "# Measures\n\nWhat `flaxact.diagnostics` measures at each site of an activation. A function of "
        "a `Site` that returns a number is a measure as well: pass it in `probe(..., measures=[...])`. "
        "`pre` and `inputs` are what the activation gets, `outputs` what it gives.\n\n"
        f"| name | what |\n| --- | --- |\n{rows}\n"
    )


def _recipe() -> str:
    said = dict(
        re.findall(r"^  (\w+): (.*?)(?=^  \w+: |^\S|\Z)", inspect.getdoc(Recipe), re.M | re.S)
    )
    rows = "\n".join(
        f"| `{field.name}` | `{field.default!r}` | {_in_a_line(said[field.name])} |"
        for field in dataclasses.fields(Recipe)
    )
    return (
        "# Recipe options\n\nA `flaxact.training.Recipe` says how a net is trained. Each field can be "
        'given in Python, in a TOML file (`--recipe FILE`), or as `--option "NAME=VALUE"`.\n\n'
        f"| field | default | what |\n| --- | --- | --- |\n{rows}\n"
    )


def _in_a_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("``", "`").replace("|", r"\|")


def _summary(module) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")


def _plain(text: str) -> str:
    """A summary as a title."""
    return text.split(";")[0].rstrip(".")


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"
