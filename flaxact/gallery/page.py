"""A page of every activation: its formula, its facts, and a graph of it and its two derivatives."""

from __future__ import annotations

import html
import itertools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from flaxact.activations import Activation, get
from flaxact.activations import names as all_names
from flaxact.activations._describe import known
from flaxact.errors import InputError
from flaxact.facts import computed
from flaxact.gallery.svg import MARK, WIDTH, graph, window

INTRODUCTION = """\
Every activation of flaxact that is a function of one number, with its first two derivatives: f is the
solid blue line, f′ the dashed red one, f″ the dotted green one. Lines break where a value jumps, and end
below −2.5 and above 3.5 unless the function is bounded. Hyperparameters are the defaults; what draws at
random is shown as in testing. What depends on a whole axis, or changes its width, has no graph. Moments
and gain are for a standard Gaussian input."""
_SAID = ("formula", "also called")
_PROSE = ("hyperparameters", "learns", "random", "note", "source")


def write(folder: Path, names: Iterable[str] | None = None) -> Path:
    """Write ``README.md`` and a graph of each activation into a folder; returns the page's path.

    The output is deterministic. Graphs of activations that no longer exist are deleted; other files
    are kept.

    Args:
      folder: created if it does not exist.
      names: names of activations, at their default hyperparameters; None for all.

    Raises:
      InputError: an unknown name, a folder that is not writable, or an existing file of these names
        that is not part of the gallery.
    """
    names = {get(name).spec.name for name in (all_names() if names is None else names)}
    entries = [get(name) for name in sorted(names)]
    graphs = {f"{entry.spec.name}.svg": entry for entry in entries if not entry.spec.coupled}
    current = {f"{name}.svg" for name in all_names() if not get(name).spec.coupled} | graphs.keys()
    try:
        folder.mkdir(parents=True, exist_ok=True)  # first: the rest takes a minute
        for path in (folder / name for name in ("README.md", *graphs)):
            if path.exists() and not _is_ours(path):
                raise InputError(f"{str(path)!r} is not part of the gallery; choose another folder")
        for name, entry in graphs.items():
            (folder / name).write_bytes(graph(entry, **window(entry)).encode())
        (folder / "README.md").write_bytes(_page(entries).encode())
        for path in folder.glob("*.svg"):
            if path.name not in current and _is_ours(path):
                path.unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {str(folder)!r}: {error.strerror}") from None
    return folder / "README.md"


def _is_ours(path: Path) -> bool:
    return path.is_file() and MARK.encode() in path.read_bytes()


def _page(entries: list[Activation]) -> str:
    families: dict[str, list[Activation]] = {}
    for entry in entries:
        families.setdefault(entry.spec.function.__module__, []).append(entry)
    # Those without graphs last.
    order = sorted(families, key=lambda f: (all(e.spec.coupled for e in families[f]), f))
    contents = []
    sections = []
    for module in order:
        family = module.rpartition(".")[2]
        members = families[module]
        docstring = (sys.modules[module].__doc__ or family).strip()
        title = _markdown(docstring.split("\n")[0].rstrip("."))
        links = " · ".join(f"[{m.spec.name}](#{m.spec.name})" for m in members)
        contents.append(f"- **[{family}](#family-{family})**: {title}<br>\n  {links}")
        sections.append(f'\n<a id="family-{family}"></a>\n\n## {title}\n')
        sections += map(_section, members)
    return "\n".join([f"# Gallery\n\n{MARK}\n\n{INTRODUCTION}\n", *contents, *sections])


def _section(entry: Activation) -> str:
    spec = entry.spec
    anchor = f'<a id="{spec.name}"></a>\n\n' if spec.aliases else ""  # else the heading gives it
    called = f" ({', '.join(spec.aliases)})" if spec.aliases else ""
    # GitHub's mathematics does not know \\operatorname.
    formula = re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", spec.formula)
    facts = {k: v for k, v in (known(entry) | computed(entry)).items() if k not in _SAID}
    lines = [f"- {k}: {html.escape(facts.pop(k), False)}" for k in _PROSE if k in facts]
    cells = [f"<td>{k}</td><td>{html.escape(v, False)}</td>" for k, v in facts.items()]
    half = -(-len(cells) // 2)  # two facts a row, read down one side and then the other
    rows = [
        "".join(pair) for pair in itertools.zip_longest(cells[:half], cells[half:], fillvalue="")
    ]
    if not spec.coupled:
        image = f'<img src="{spec.name}.svg" width="{WIDTH}" alt="Graph of {spec.name}">'
        rows[0] = f'<td rowspan="{half}">{image}</td>{rows[0]}'
    table = "\n".join(f"<tr>{row}</tr>" for row in rows)
    items = "\n".join(lines)
    return (
        f"{anchor}### {spec.name}{called}\n\n{_markdown(spec.summary)}\n\n"
        f"```math\n{formula}\n```\n\n<table>\n{table}\n</table>\n\n{items}\n"
    )


def _markdown(text: str) -> str:
    r"""A docstring line in GitHub's Markdown.

    >>> _markdown(r"As ``relu``, but :math:`x\,g(x)`.")
    'As `relu`, but $`x\\,g(x)`$.'
    """
    return re.sub(r":math:`([^`]*)`", r"$`\1`$", text.replace("``", "`"))
