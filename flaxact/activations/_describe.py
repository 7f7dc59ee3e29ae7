"""An activation's facts as text, and its paper."""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import re
import sys
import unicodedata
from collections.abc import Callable
from typing import TypeGuard

from flaxact._lazy import jax, np
from flaxact.activations._get import get
from flaxact.activations._libraries import names_elsewhere
from flaxact.activations._spec import Activation, Spec, catalogue
from flaxact.errors import InputError, hint, nearest
from flaxact.quadrature import evaluate


def describe(activation: str | Activation | Callable[..., jax.Array]) -> str:
    r"""A description of an activation, or of a transform by its bare name, as lines of text.

    Raises:
      InputError: as ``get``.

    >>> print(describe("leaky_relu(0.2)"))
    leaky_relu(negative_slope=0.2): Leaky rectified linear unit.
      formula              x \text{ if } x > 0 \text{ else } s\,x
      hyperparameters      negative_slope=0.2
      range                (-inf, inf)
      monotonic            yes
      kinks at             0
      jumps at             none
      note                 The default slope is 0.01 here, ...
      source               Maas, Hannun, Ng 2013: Rectifier Nonlinearities Improve ... Models
    """
    name = activation if is_bare_transform(activation) else str(get(activation))
    spec = _spec_of(activation)
    rows = known(activation)
    if spec.near:
        rows["differs by"] = _distances(get(activation))
    return "\n".join([f"{name}: {spec.summary}", *(f"  {k:<20} {v}" for k, v in rows.items())])


def known(activation: str | Activation | Callable[..., jax.Array]) -> dict[str, str]:
    """The declared facts of an activation as text, by name; nothing is computed.

    Raises:
      InputError: as ``get``.

    >>> known("relu")["range"]
    '(0, inf)'
    """
    if is_bare_transform(activation):
        spec = catalogue[activation]
        facts = _signature(catalogue[activation])
    else:
        spec = get(activation).spec
        facts = _facts(get(activation))
    rows = {"formula": spec.formula, **facts}
    if also := dict.fromkeys((*spec.aliases, *names_elsewhere(spec.name))):
        rows["also called"] = ", ".join(also)
    if spec.note:
        rows["note"] = spec.note
    if spec.source:
        rows["source"] = citation(spec.source)
    return rows


def is_bare_transform(activation: object) -> TypeGuard[str]:
    """Whether a text is the name of a transform without its activations."""
    return (
        isinstance(activation, str)
        and activation in catalogue
        and catalogue[activation].is_transform
    )


def cite(activation: str | Activation | Callable[..., jax.Array]) -> str:
    """The BibTeX entry of the paper that defines an activation; empty if there is none.

    >>> print(cite("elu").splitlines()[0])
    @inproceedings{clevert2015elu,
    """
    spec = _spec_of(activation)
    return references().get(spec.source, spec.source)


def _spec_of(activation: str | Activation | Callable[..., jax.Array]) -> Spec:
    return catalogue[activation] if is_bare_transform(activation) else get(activation).spec


def check_source(source: str) -> None:
    """Raise for a source that looks like a key and is not one.

    Valid sources are a key in ``references.bib``, a BibTeX entry, a text of several words, or "".

    Raises:
      InputError: the source is none of these.

    >>> check_source("smith2026")
    Traceback (most recent call last):
    flaxact.errors.InputError: unknown source 'smith2026'; did you mean ... Give a key of ...
    """
    if source and re.fullmatch(r"\S+", source) and source not in references():
        raise InputError(
            f"unknown source {source!r}{hint(nearest(source, references()))} Give a key of "
            "references.bib, a BibTeX entry, a text such as 'Smith 2026: A title', or ''"
        )


@functools.cache
def references() -> dict[str, str]:
    """Every entry of ``references.bib`` by key."""
    text = (
        importlib.resources.files("flaxact.activations")
        .joinpath("references.bib")
        .read_text("utf-8")
    )
    return {m[1]: m[0].strip() for m in re.finditer(r"^@\w+\{(\S+),\n.*?^\}", text, re.M | re.S)}


def families() -> dict[str, list[Spec]]:
    """The specs by family: its file's first line, and what it defines, by name. Transforms come last."""
    by_family: dict[str, list[Spec]] = {}
    specs = [spec for name, spec in sorted(catalogue.items()) if name == spec.name]
    for spec in sorted(specs, key=lambda s: (s.is_transform, s.coupled, s.function.__module__)):
        module = spec.function.__module__
        doc = sys.modules[module].__doc__ or "" if spec.ours else f"Your own, defined in {module}."
        by_family.setdefault(doc.split("\n")[0], []).append(spec)
    return by_family


def _facts(activation: Activation) -> dict[str, str]:
    low, high = activation.range
    learns = {"learns": ", ".join(activation.learned)} if activation.learned else {}
    draws = {"random": "while training, from a key"} if activation.stochastic else {}
    values = ", ".join(f"{k}={v}" for k, v in activation.hyperparameters.items())
    facts = {"hyperparameters": values} if values else {}
    if activation.spec.takes_complex:
        facts["input"] = "real or complex; the facts are those on the real numbers"
    facts |= learns | draws | {"range": f"({low:.7g}, {high:.7g})"}
    if activation.spec.coupled:
        return facts
    places = {"kinks at": activation.kinks, "jumps at": activation.jumps}
    facts["monotonic"] = "yes" if activation.monotonic else "no"
    return facts | {k: ", ".join(f"{p:g}" for p in v) or "none" for k, v in places.items()}


def _distances(activation: Activation) -> str:
    """The greatest difference from each function that is taken for it, between -10 and 10."""
    texts = []
    x = np.linspace(-10, 10, 40_001)
    for other in map(get, activation.spec.near):
        if other != activation:
            gap = abs(evaluate(activation, x) - evaluate(other, x))
            texts.append(f"{gap.max():.2g} from {other} (at {x[gap.argmax()]:.2f})")
    return f"at most {', '.join(texts)}"


def _signature(transform: Spec) -> dict[str, str]:
    parameters = transform.hyperparameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return {"takes": ", ".join(map(str, bare))}


def citation(key: str) -> str:
    """Authors, year and title of an entry of ``references.bib`` or of BibTeX; other texts unchanged."""
    entry = _letters(references().get(key, key))
    fields = [
        re.search(rf"^ *{f} = \{{(.*?)\}},?$", entry, re.M | re.S)
        for f in ("author", "year", "title")
    ]
    if not any(fields):
        return entry
    author, year, title = (
        re.sub(r"\s+", " ", re.sub(r"[{}]", "", match[1])) if match else "" for match in fields
    )
    surnames = ", ".join(person.split(",")[0] for person in author.split(" and "))
    return f"{surnames.replace(', others', ' et al.')} {year}: {title}"


_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", '"': "\u0308", "c": "\u0327",
            "v": "\u030c"}  # fmt: skip


def _letters(bibtex: str) -> str:
    r"""BibTeX accents as Unicode letters.

    >>> _letters(r"G{\"u}nter, Ji{\v{r}}{\'i}, N{\o}kland")
    'Günter, Jiří, Nøkland'
    """
    text = bibtex.replace(r"{\o}", "ø").replace(r"\&", "&")
    accented = re.compile(r"\{\\(['`^~\"]|[cv](?=\{))\{?\\?(\w)\}?\}")
    return accented.sub(lambda m: unicodedata.normalize("NFC", m[2] + _ACCENTS[m[1]]), text)
