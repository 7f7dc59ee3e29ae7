"""Trains the runs of an activation together and stores the result of each."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from flaxact import models
from flaxact.data import Dataset, few
from flaxact.diagnostics.measures import input_quantiles
from flaxact.diagnostics.probe import DEFAULT
from flaxact.diagnostics.record import ProbeRow, Recorder, read
from flaxact.net import from_linen
from flaxact.stored.files import Json
from flaxact.studies._folder import publish_cell
from flaxact.studies._records import Trained
from flaxact.studies._times import add_times
from flaxact.studies.kept import packed
from flaxact.studies.study import Study, identity
from flaxact.training import Epoch, Member, final_states, rows_of
from flaxact.training import run as train_in_folder
from flaxact.training.folder.record import MetricsRow
from flaxact.training.prepare import preprocessed
from flaxact.training.state import as_seen

if TYPE_CHECKING:
    from flax import linen as nn

METRICS = ("train_error", "train_loss", "test_error", "test_loss")
PROBE_IMAGES = 256  # of the training set, the same for every run, at every epoch


def run_cell(
    study: Study,
    data: Dataset,
    folder: Path,
    activation: str,
    members: Sequence[Member],
    stored: Sequence[Member] | None = None,
) -> Iterator[Epoch]:
    """Train an activation's members together; all results appear at once, at the end.

    Until then the members have a folder under ``cells/``, from which an interrupted training resumes.
    Only the members in ``stored`` are stored; None for all.
    """
    module = _module(study, data, activation)
    recipe = study.recipe_of(activation)
    net = from_linen(module)
    configs = [
        study.config(activation, m.learning_rate or 0.0, m.seed, data.digest) for m in members
    ]
    cell = folder / "cells" / identity({"runs": [identity(config) for config in configs]})
    name = f"{study.model} with {activation}"
    measures = (*DEFAULT, input_quantiles)
    probed = few(preprocessed(recipe.preprocess, data).train, PROBE_IMAGES)
    images = as_seen(recipe, probed.images)
    recorder = Recorder(cell / "probes.jsonl", module, images, probed.labels, measures=measures)
    began = time.perf_counter()
    starting = None
    training = 0.0
    for epoch in train_in_folder(
        net, recipe, data, members, folder=cell, model=name, watch=recorder
    ):
        starting = time.perf_counter() - began if starting is None else starting
        training += epoch.seconds
        yield epoch
    times = {
        "compiling and starting": starting or 0.0,
        "training": training,
        "probing": recorder.seconds,
    }
    rest = time.perf_counter() - began - sum(times.values())
    add_times(folder, times | {"testing and storing": rest})
    rows = rows_of(cell)
    probes = read(recorder.file)
    together = [asdict(Trained(m.seed, m.learning_rate or 0.0)) for m in members]
    indices = {
        identity(config): i
        for i, config in enumerate(configs)
        if stored is None or members[i] in stored
    }
    runs = {
        name: {"config": configs[i], "members": together, **_run(rows, probes, i)}
        for name, i in indices.items()
    }
    files: Iterator[tuple[str, bytes]] = iter(())
    if study.keep_params:
        states = final_states(cell, net, recipe, data, members=members)
        trained = jax.device_get(states.variables)
        members_own = (
            (name, jax.tree.map(operator.itemgetter(i), trained)) for name, i in indices.items()
        )
        files = ((name, packed(variables)) for name, variables in members_own)
    publish_cell(folder, cell, runs, files)


def _run(rows: Sequence[MetricsRow], probes: Sequence[ProbeRow], i: int) -> dict[str, Json]:
    """What is stored of one member."""
    epochs = [_row(row, i) for row in rows[1:]]
    diverged = [row["epoch"] for row in epochs if row["train_loss"] is None]
    return {
        "epochs": epochs,
        "compile_seconds": rows[0]["compile_seconds"],
        "untrained": {name: rows[0][name][i] for name in ("test_error", "test_loss")},
        "runs_at_once": len(rows[0]["test_loss"]),
        "diverged_at": diverged[0] if diverged else None,
        "probes": [_probe(row, epoch, i) for epoch, row in enumerate(probes)],
        "inputs": {
            site: [_short(v) for v in measures[input_quantiles.__name__][i]]
            for site, measures in probes[-1]["sites"].items()
        },
    }


def _module(study: Study, data: Dataset, activation: str) -> nn.Module:
    return models.create_model(study.model, activation, num_classes=data.num_classes)


def _row(row: MetricsRow, i: int) -> dict[str, Json]:
    """An epoch of one member."""
    metrics = {name: row[name][i] for name in METRICS}
    return {"epoch": row["epoch"], **metrics, "seconds": row["seconds"] / len(row["test_loss"])}


def _probe(row: ProbeRow, epoch: int, i: int) -> dict[str, Json]:
    """A probe of one member."""
    sites = {
        site: {name: _short(measures[name][i]) for name in DEFAULT}
        for site, measures in row["sites"].items()
    }
    learned = {
        site: {
            name: {of: _short(values[i]) for of, values in spread.items()}
            for name, spread in parameters.items()
        }
        for site, parameters in row.get("learned", {}).items()
    }
    return {"epoch": epoch, "sites": sites, **({"learned": learned} if learned else {})}


def _short(value: float | None) -> float | None:
    """To six digits, which float32 has."""
    return None if value is None else float(f"{value:.6g}")
