"""An activation's facts as text, and the paper it comes from."""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import re
from collections.abc import Callable
from typing import Any

from flaxact.activations._spec import Activation, get, is_transform


def describe(activation: str | Activation | Callable[..., Any]) -> str:
    r"""What is known of an activation, or of a transform by its bare name, as lines of text.

    Raises:
      InputError: as ``get``.

    >>> print(describe("leaky_relu(0.2)"))
    leaky_relu(negative_slope=0.2): Leaky rectified linear unit.
      formula          x \text{ if } x > 0 \text{ else } s\,x
      hyperparameters  negative_slope=0.2
      range            (-inf, inf)
      monotonic        yes
      kinks at         0
      source           Maas, Hannun, Ng 2013: Rectifier Nonlinearities Improve ... Models
    """
    if isinstance(activation, str) and is_transform(activation):
        activation = get(f"{activation}(identity)")
        name, facts = activation.spec.name, _signature(activation)
    else:
        activation = get(activation)
        name, facts = str(activation), _facts(activation)
    spec = activation.spec
    rows = {"formula": spec.formula, **facts}
    if spec.aliases:
        rows["also called"] = ", ".join(spec.aliases)
    if spec.source:
        rows["source"] = _citation(spec.source)
    lines = [f"{name}: {spec.summary}"]
    return "\n".join(lines + [f"  {key:<16} {value}" for key, value in rows.items()])


def cite(activation: str | Activation | Callable[..., Any]) -> str:
    """The BibTeX entry of the paper that defines an activation; empty where none does.

    >>> print(cite("elu").splitlines()[0])
    @inproceedings{clevert2015elu,
    """
    if isinstance(activation, str) and is_transform(activation):
        activation = get(f"{activation}(identity)")
    return references().get(get(activation).spec.source, "")


@functools.cache
def references() -> dict[str, str]:
    """Every entry of ``references.bib`` by its key."""
    text = (
        importlib.resources.files("flaxact.activations")
        .joinpath("references.bib")
        .read_text("utf-8")
    )
    return {m[1]: m[0].strip() for m in re.finditer(r"^@\w+\{(\S+),\n.*?^\}", text, re.M | re.S)}


def _facts(activation: Activation) -> dict[str, str]:
    low, high = activation.range
    chosen = ", ".join(f"{k}={v}" for k, v in activation.hyperparameters.items())
    facts = {"hyperparameters": chosen} if chosen else {}
    return facts | {
        "range": f"({low:.7g}, {high:.7g})",
        "monotonic": "yes" if activation.monotonic else "no",
        "kinks at": ", ".join(f"{k:g}" for k in activation.kinks) or "none",
    }


def _signature(transform: Activation) -> dict[str, str]:
    parameters = transform.spec.hyperparameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return {"takes": ", ".join(map(str, bare))}


def _citation(key: str) -> str:
    entry = references()[key]
    author, year, title = (
        re.sub(r"[{}]", "", found[1]) if (found := re.search(rf"{f} = \{{(.*)\}}", entry)) else ""
        for f in ("author", "year", "title")
    )
    surnames = ", ".join(person.split(",")[0] for person in author.split(" and "))
    return f"{surnames} {year}: {title}"
