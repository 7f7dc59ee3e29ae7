"""The explorer: one offline page with every activation, its sliders, curves, moments and facts."""

from __future__ import annotations

import base64
import functools
import gzip
import importlib
import importlib.resources
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import flaxact
from flaxact import _packages
from flaxact._lazy import np
from flaxact.activations import Activation, cite, get
from flaxact.activations import names as all_names
from flaxact.activations._describe import known
from flaxact.activations._libraries import names_elsewhere
from flaxact.errors import InputError
from flaxact.facts import NUMBERS, YES_OR_NO, computed
from flaxact.facts.filter import fact
from flaxact.gallery.card import plain
from flaxact.gallery.measured import measured
from flaxact.gallery.plots import plots
from flaxact.gallery.sampling import CORRELATIONS, LIMIT, Sampled, sample
from flaxact.stored.files import Json

MARK = "<!-- Made by flaxact.gallery.explorer; replaced without asking. -->"
FILE = "index.html"
RESULTS = Path(flaxact.__file__).parents[1] / "docs" / "results"
# A fact by name, its column in the page's table, and what the column is.
COLUMNS = (
    ("mean", "mean", "E f(z) for a standard Gaussian z"),
    ("variance", "variance", "of f(z) for a standard Gaussian z"),
    ("gain", "gain", "the factor that gives f(z) the second moment 1"),
    ("slope_at_one", "C′(1)", "the slope of the C-map at correlation 1"),
    ("lipschitz", "Lipschitz", "the largest slope in size"),
    ("smoothness", "smooth", "how many derivatives are continuous; −1: the value jumps"),
    ("transcendentals", "cost", "exponentials, logarithms, roots and the like in a forward value"),
    ("arrays_kept", "memory", "arrays of a layer's size that a training step keeps per layer"),
)
_SNAP = 0.2  # with a larger error of interpolation, sliders move between computed values
_PROSE = ("formula", "also called", "note", "source")


def write_explorer(
    folder: Path, names: Iterable[str] | None = None, results: Path | None = None
) -> Path:
    """Write ``index.html`` into a folder; returns its path. The page works offline.

    Args:
      folder: created if it does not exist.
      names: names of activations; None for all.
      results: a folder with the tables of measured errors and times that the page shows; None for
        ``docs/results`` of the checkout, if there is one.

    Raises:
      InputError: an unknown name, a package that is not installed, a folder that cannot be written, or
        one with an ``index.html`` that is not of the explorer.
    """
    _packages.check("bokeh", "latex2mathml")
    entry_names = sorted(
        {get(name).spec.name for name in (all_names() if names is None else names)}
    )
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)  # first: the rest takes minutes
        if path.exists() and not (path.is_file() and MARK in path.read_text("utf-8", "replace")):
            raise InputError(f"{str(path)!r} is not a page of the explorer; choose another folder")
        path.write_text(page([get(name) for name in entry_names], results or RESULTS), "utf-8")
    except OSError as error:
        raise InputError(f"cannot write to the folder {str(folder)!r}: {error.strerror}") from None
    return path


def page(entries: Iterable[Activation], results: Path | None = None) -> str:
    """The explorer's page of these activations, as HTML."""
    columns, cells = measured(results)
    records = []
    parts: list[bytes] = []
    for entry in entries:
        record = _entry(entry) | {"cells": _cells(entry) | cells.get(entry.spec.name, {})}
        if not entry.spec.coupled:
            numbers, data = encoded(sample(entry))
            record["record"] = numbers | {"at": sum(map(len, parts))}
            parts.append(data)
        records.append(record)
    data = {
        "entries": records,
        "columns": [{"name": c, "title": t} for _, c, t in COLUMNS] + columns,
        "yes_or_no": list(YES_OR_NO),
        "numbers": list(NUMBERS),
        "limit": LIMIT,
        "plots": plots(),
    }
    import jinja2

    files = importlib.resources.files("flaxact.gallery") / "explorer_page"
    packed = base64.b64encode(gzip.compress(b"".join(parts), 9, mtime=0)).decode()
    return jinja2.Template(files.joinpath("page.html").read_text("utf-8")).render(
        mark=MARK,
        version=flaxact.__version__,
        css=files.joinpath("page.css").read_text("utf-8"),
        logic=files.joinpath("logic.js").read_text("utf-8"),
        script=files.joinpath("page.js").read_text("utf-8"),
        library=_library(),
        data=json.dumps(data, ensure_ascii=False, allow_nan=False).replace("</", "<\\/"),
        blob=packed,
    )


def encoded(sampled: Sampled) -> tuple[dict[str, Json], bytes]:
    """The input of ``decode`` in logic.js: a description of the arrays, and the arrays as bytes.

    Edges and moments are float32. Curves and C-maps are whole numbers of 16 bits, -32768 for nan, as
    differences along a row, the lower bytes of all of them first: gzip compresses these better.
    """
    nodes, _, panels, points = sampled.curves.shape
    sizes = np.nanmax(abs(sampled.curves), axis=(0, 2, 3), initial=1e-9)
    scales = np.minimum(sizes, LIMIT) / 32000
    curves = sampled.curves / scales[:, None, None]
    numbers = {
        "axes": [
            {"name": a.name, "values": a.values, "scale": a.scale, "default": a.default}
            for a in sampled.axes
        ],
        "fixed": sampled.fixed,
        "nodes": nodes,
        "panels": panels,
        "points": points,
        "correlations": CORRELATIONS,
        "scales": scales.tolist(),
        "error": sampled.error,
        "snap": sampled.error > _SNAP,
    }
    floats = [v.astype("<f4").tobytes() for v in (sampled.edges, sampled.moments)]
    rows = [_planes(v) for v in (curves, sampled.c_map * 32000)]
    return numbers, b"".join([*floats, *rows])


def _planes(values: np.ndarray) -> bytes:
    whole = np.where(np.isnan(values), -32768, np.rint(np.nan_to_num(values))).astype(np.int64)
    steps = np.diff(whole, axis=-1, prepend=0).astype("<u2")
    return (steps & 255).astype(np.uint8).tobytes() + (steps >> 8).astype(np.uint8).tobytes()


def _entry(entry: Activation) -> dict[str, Json]:
    converter = importlib.import_module("latex2mathml.converter")
    spec = entry.spec
    facts = known(entry)
    source = facts.get("source", "")
    return {
        "name": spec.name,
        "aliases": [*dict.fromkeys((*spec.aliases, *names_elsewhere(spec.name)))],
        "summary": plain(spec.summary),
        "formula": converter.convert(spec.formula, display="block"),
        "note": plain(spec.note),
        "source": source,
        "bibtex": cite(entry),
        "reason": _reason(entry),
        "shown": {k: v for k, v in (facts | computed(entry)).items() if k not in _PROSE},
        "facts": {name: _as_json(fact(entry, name)) for name in (*YES_OR_NO, *NUMBERS)},
    }


def _cells(entry: Activation) -> dict[str, Json]:
    return {column: _as_json(fact(entry, name)) for name, column, _ in COLUMNS}


def _reason(entry: Activation) -> str:
    """Why there are no curves, or what those of a random activation are."""
    if entry.spec.width is not None:
        return "No curve: it changes the width, and its outputs depend on several channels."
    if entry.spec.coupled:
        return "No curve: each output depends on more than the input at its place."
    if entry.stochastic:
        return "It draws at random in training; the curves are of testing, without a key."
    return ""


def _as_json(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


@functools.cache
def _library() -> str:
    script = importlib.resources.files("bokeh") / "server" / "static" / "js" / "bokeh.min.js"
    return script.read_text("utf-8").replace("</script", "<\\/script")
