"""How activations, initializations and normalizations shape a net's signals before training."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaxact import models
from flaxact.activations import get
from flaxact.data import Dataset, few
from flaxact.errors import InputError
from flaxact.stored.files import finite, write_json, write_whole
from flaxact.studies._page import inline, page
from flaxact.studies.study import check_folder

if TYPE_CHECKING:
    import numpy as np
    from flax import linen as nn
    from matplotlib.figure import Figure

    from flaxact.net import Variables

MEASURES = (
    "pre_mean", "pre_variance", "mean", "variance", "mean_to_std", "zeros", "dead", "saturated_low",
    "saturated_high", "slope_second_moment", "gradient_norm",
)  # fmt: skip
SHOWN = (
    "pre_variance",
    "mean",
    "variance",
    "mean_to_std",
    "zeros",
    "gradient_norm",
)  # on a terminal
DRAWN = ("pre_variance", "mean_to_std", "zeros", "gradient_norm")
NAMES = ("activation", "init", "norm")  # of what a cell is
CellFigures = dict[str, Any]


@dataclass(frozen=True)
class Probing:
    """What to probe: every activation with every initialization and normalization, on one batch.

    Attributes:
      activations: names or spec texts.
      model: name or spec text.
      inits: values of ``kernel_init``; "paper" is the model's own.
      norms: values of ``norm``; "paper" leaves the model's own.
      seeds: initializations over which values are averaged.
      images: number of training images.

    Raises:
      InputError: an unknown name, or nothing to probe.
    """

    activations: tuple[str, ...]
    model: str = "cuda_convnet"
    inits: tuple[str, ...] = ("paper",)
    norms: tuple[str, ...] = ("paper",)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 256

    def __post_init__(self):
        if not (self.activations and self.inits and self.norms and self.seeds):
            raise InputError(
                "nothing to probe: give one or more activations, inits, norms and seeds"
            )
        if self.images < 2:
            raise InputError(f"a probe needs at least 2 images, not {self.images}")
        object.__setattr__(self, "activations", tuple(str(get(a)) for a in self.activations))
        object.__setattr__(self, "model", str(models.parse(self.model)))

    def cells(self) -> Iterator[tuple[str, str, str]]:
        """Every combination of activation, initialization and normalization."""
        for activation in self.activations:
            for init in self.inits:
                for norm in self.norms:
                    yield activation, init, norm


def build(probing: Probing, activation: str, init: str, norm: str, num_classes: int) -> nn.Module:
    """The model of a combination of activation, initialization and normalization.

    Raises:
      InputError: the model does not allow these arguments.
    """
    create = functools.partial(
        models.create_model, probing.model, activation, num_classes=num_classes, kernel_init=init
    )
    return create() if norm == "paper" else create(norm=norm)


def measure(
    probing: Probing,
    data: Dataset,
    started: Callable[[int, int, str], object] = lambda number, total, text: None,
) -> Iterator[CellFigures]:
    """Measure every combination of activation, initialization and normalization, averaged over seeds.

    Args:
      probing: what to measure.
      data: the source of the images.
      started: called before each combination with the number done, the number of all, and a label.

    Raises:
      InputError: the model does not allow these arguments; raised before any measurement.
    """
    import jax
    import numpy as np

    from flaxact.diagnostics import capture, probe
    from flaxact.diagnostics.predict import predict_layer_moments
    from flaxact.net import from_linen

    split = few(data.train, probing.images)
    images, labels = jax.device_put((split.images, split.labels))
    modules = {}
    for cell in probing.cells():
        modules[cell] = build(probing, *cell, data.num_classes)
        key = jax.eval_shape(lambda: jax.random.key(0))
        jax.eval_shape(from_linen(modules[cell]).init, key, images)

    @jax.transfer_guard("allow")  # which is for what happens in every step of a training
    def figures_of(cell: tuple[str, str, str], module: nn.Module) -> CellFigures:
        figures = []
        variables: Variables = {}
        start = jax.jit(from_linen(module).init)
        for seed in probing.seeds:
            variables = start(jax.random.key(seed), images)
            figures.append(probe(module, variables, images, labels, measures=MEASURES, train=True))
        key = jax.random.key(0)
        sites = capture(module, variables, images[:64], train=True, key=key).sites
        expected, measured = predict_layer_moments(module, variables, images[:64])
        return {
            **dict(zip(NAMES, cell, strict=True)),
            "sites": {site: _averaged([f[site] for f in figures]) for site in figures[0]},
            "expected": _finite(expected),
            "measured": _finite(measured),
            "inputs": {name: _sample(np.asarray(site.pre)) for name, site in sites.items()},
        }

    for number, (cell, module) in enumerate(modules.items()):
        started(number, len(modules), title(dict(zip(NAMES, cell, strict=True))))
        yield figures_of(cell, module)
    started(len(modules), len(modules), "done")


def write(
    probing: Probing, data: Dataset, cells: Sequence[CellFigures], folder: Path, command: str
) -> Path:
    """Write probe.json and probe.html.

    Raises:
      InputError: the folder is not writable.
    """
    from flaxact.diagnostics.measures import label
    from flaxact.figures import rendered

    check_folder(folder)
    described = {"probing": asdict(probing), "dataset": data.name, "command": command}
    without_inputs = [{k: v for k, v in cell.items() if k != "inputs"} for cell in cells]
    write_json(folder / "probe.json", {**described, "cells": without_inputs})
    pictures = [(inline(rendered(figure, "svg").decode()), text) for figure, text in _drawn(cells)]
    filled = page(
        "probe.html.jinja",
        heading=f"{probing.model} on {data.name}, before training",
        measures=[label(name) for name in MEASURES],
        tables=[(title(cell), table(cell)) for cell in cells],
        pictures=pictures,
        command=command,
        seeds=len(probing.seeds),
        images=probing.images,
        meanings=_meanings(),
    )
    write_whole(folder / "probe.html", filled.encode())
    return folder / "probe.html"


def title(cell: CellFigures) -> str:
    """The title of a combination: activation, initialization and normalization."""
    return f"{cell['activation']}, init {cell['init']}, norm {cell['norm']}"


def table(cell: CellFigures, measures: Sequence[str] = MEASURES) -> list[tuple[str, list[str]]]:
    """One row per site: its name and its values."""
    return [
        (site, ["–" if row[m] is None else f"{row[m]:.3g}" for m in measures])
        for site, row in cell["sites"].items()
    ]


def _meanings() -> list[tuple[str, str]]:
    from flaxact.diagnostics.measures import label, summary

    return [(f"{label(name)} ({name})", summary(name)) for name in MEASURES]


def _averaged(rows: Sequence[dict[str, float]]) -> dict[str, float | None]:
    means = {name: statistics.fmean(row[name] for row in rows) for name in MEASURES}
    return {name: mean if abs(mean) < float("inf") else None for name, mean in means.items()}


def _finite(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    return {
        site: {k: finite(v) for k, v in by_measure.items()} for site, by_measure in figures.items()
    }


def _sample(values: np.ndarray) -> np.ndarray:
    """At most 20,000 of them, at equal distances."""
    flat = values.ravel()
    return flat[:: max(1, len(flat) // 20_000)]


def _drawn(cells: Sequence[CellFigures]) -> Iterator[tuple[Figure, str]]:
    from flaxact.diagnostics import pictures
    from flaxact.diagnostics.measures import summary

    for name in DRAWN:
        curves = {title(cell): cell["sites"] for cell in cells}
        if any(row[name] is not None for sites in curves.values() for row in sites.values()):
            yield pictures.over_depth(curves, name), summary(name)
    for cell in cells:
        yield (
            pictures.ridgelines(cell["inputs"]),
            f"Inputs of every activation: {title(cell)}, one seed.",
        )
        yield (
            pictures.predicted_and_measured(
                cell["expected"], cell["measured"], "pre_second_moment"
            ),
            "Second moment of the inputs, as theory expects it of wide random layers, and as measured "
            f"(as in testing): {title(cell)}, one seed.",
        )
