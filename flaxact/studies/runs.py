"""Run what of a study is not there yet, and store it: a folder a run, its result written last."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxact import models
from flaxact._environment import environment
from flaxact._files import finite, write_json
from flaxact.activations import get
from flaxact.data import Dataset, few
from flaxact.diagnostics.measures import input_quantiles
from flaxact.diagnostics.probe import DEFAULT
from flaxact.diagnostics.record import Recorder, read
from flaxact.errors import InputError
from flaxact.net import from_linen
from flaxact.studies.study import FORMAT, Study, identity
from flaxact.training import Epoch, Member
from flaxact.training import run as train_in_folder

METRICS = ("train_error", "train_loss", "test_error", "test_loss")
PROBE_IMAGES = 256  # of the training set, the same for every run, at every epoch


@dataclass(frozen=True)
class Progress:
    """How far a study is: epochs done, of how many, and what was trained last."""

    done: int
    total: int
    text: str


def check(study: Study, data: Dataset) -> None:
    """Whether a study can run on this data, found out before any training.

    Raises:
      InputError: a batch larger than the training set, or a model that cannot be built.
    """
    count = len(data.train.labels)
    if study.recipe.batch_size > count:
        raise InputError(
            f"a batch of {study.recipe.batch_size} is larger than the {count} training images of "
            f"{data.name}; give at most {count}"
        )
    _sizes(study, data)


def missing(study: Study, data: Dataset, folder: Path) -> dict[str, list[Member]]:
    """For each activation the seeds and learning rates that have no stored result; none left out."""
    absent: dict[str, list[Member]] = {}
    for activation, rate in study.cells():
        for seed in study.seeds:
            if not _result(study, data, folder, activation, rate, seed).exists():
                absent.setdefault(activation, []).append(Member(seed, rate))
    return absent


def finished(study: Study, data: Dataset, folder: Path) -> bool:
    """Whether every run is stored, and the report that is there is this study's."""
    try:
        reported = json.loads((folder / "results.json").read_text())["study"]
    except (OSError, ValueError, KeyError):
        return False
    same = reported == json.loads(json.dumps(_described(study)))
    return same and (folder / "report.html").exists() and not missing(study, data, folder)


def run(study: Study, data: Dataset, folder: Path, *, command: str = "") -> Iterator[Progress]:
    """Train what is missing and store it; ``results.json`` is brought up to date after each activation.

    Args:
      study: what to compare.
      data: the data set it names.
      folder: where runs are stored; those of the study that it holds already are kept.
      command: how to do this again, for the report.

    Yields:
      After every epoch of every activation, and at the end.
    """
    todo = missing(study, data, folder)
    total, done = sum(map(len, todo.values())) * study.recipe.epochs, 0
    for activation, members in todo.items():
        yield Progress(done, total, f"{activation}: compiling")
        for epoch in run_cell(study, data, folder, activation, members):
            yield Progress(
                done + epoch.number * len(members), total, _text(activation, members, epoch)
            )
        done += study.recipe.epochs * len(members)
        write_results(study, data, folder, command)
    write_results(study, data, folder, command)
    yield Progress(done, total, "done")


def _text(activation: str, members: Sequence[Member], epoch: Epoch) -> str:
    best = int(np.argmin(np.nan_to_num(epoch.test_error, nan=np.inf)))
    of = f"{len(members)} run{'s' * (len(members) > 1)}"
    if not epoch.number:
        return f"{activation}, {of}, compiled in {epoch.compile_seconds:.0f} s"
    errors = (
        f"training error {epoch.train_error[best]:.1%}, test error {epoch.test_error[best]:.1%}"
    )
    return f"{activation}, epoch {epoch.number}, best of {of}: {errors}"


def _result(
    study: Study, data: Dataset, folder: Path, activation: str, rate: float, seed: int
) -> Path:
    config = study.config(activation, rate, seed, data.digest)
    return folder / "runs" / identity(config) / "result.json"


def run_cell(
    study: Study, data: Dataset, folder: Path, activation: str, members: Sequence[Member]
) -> Iterator[Epoch]:
    """Train an activation's members together; their results are there when it ends.

    Until then they have a folder under ``cells/``, in which they go on after a stop.
    """
    module = _module(study, data, activation)
    net = from_linen(module)
    configs = [
        study.config(activation, m.learning_rate or 0.0, m.seed, data.digest) for m in members
    ]
    cell = folder / "cells" / identity({"runs": [identity(config) for config in configs]})
    name = f"{study.model} with {activation}"
    measures = (*DEFAULT, input_quantiles)
    probed = few(data.train, PROBE_IMAGES)
    recorder = Recorder(
        cell / "probes.jsonl", module, probed.images, probed.labels, measures=measures
    )
    yield from train_in_folder(net, study.recipe, data, members, cell, model=name, watch=recorder)
    found, probes = json.loads((cell / "result.json").read_text()), read(cell / "probes.jsonl")
    for i, config in enumerate(configs):
        path = folder / "runs" / identity(config)
        path.mkdir(parents=True, exist_ok=True)
        rows = [_row(row, i) for row in found["epochs"][1:]]
        diverged = [row["epoch"] for row in rows if row["train_loss"] is None]
        write_json(path / "config.json", config)
        write_json(path / "result.json", {
            "epochs": rows, "compile_seconds": found["epochs"][0]["compile_seconds"],
            "runs_at_once": len(members), "diverged_at": diverged[0] if diverged else None,
            "probes": [_probe(row, epoch, i) for epoch, row in enumerate(probes)],
            "inputs": {
                site: [_short(v) for v in measures[input_quantiles.__name__][i]]
                for site, measures in probes[-1]["sites"].items()
            },
        })  # fmt: skip
    shutil.rmtree(cell)


def _module(study: Study, data: Dataset, activation: str) -> Any:
    return models.create_model(study.model, activation, num_classes=data.num_classes)


def _row(row: dict[str, Any], i: int) -> dict[str, Any]:
    """An epoch of one member."""
    metrics = {name: row[name][i] for name in METRICS}
    return {"epoch": row["epoch"], **metrics, "seconds": row["seconds"] / len(row["test_loss"])}


def _probe(row: dict[str, Any], epoch: int, i: int) -> dict[str, Any]:
    """A probe of one member."""
    sites = {
        site: {name: _short(measures[name][i]) for name in DEFAULT}
        for site, measures in row["sites"].items()
    }
    return {"epoch": epoch, "sites": sites}


def _short(value: float | None) -> float | None:
    """To six digits, which float32 has."""
    return None if value is None else float(f"{value:.6g}")


def write_results(study: Study, data: Dataset, folder: Path, command: str) -> None:
    """Bring ``results.json`` up to date with the runs that are stored."""
    sizes, runs = _sizes(study, data), []
    for activation, rate in study.cells():
        for seed in study.seeds:
            path = _result(study, data, folder, activation, rate, seed)
            if path.exists():
                config = study.config(activation, rate, seed, data.digest)
                runs.append(
                    {"id": path.parent.name, "config": config, **json.loads(path.read_text())}
                )
    write_json(folder / "results.json", {
        "format": FORMAT,
        "study": _described(study),
        "environment": {**environment("flaxact", "jax", "flax"), "command": command},
        "dataset": {
            "name": data.name, "train_images": len(data.train.labels),
            "test_images": len(data.test.labels), "image_shape": data.train.images.shape[1:],
            "num_classes": data.num_classes, "note": data.note,
        },
        "model": {
            "name": study.model, "parameters": sizes[study.activations[0]],
            "source": models.source(study.model),
        },
        "activations": {name: _facts(name) for name in study.activations},
        "runs": runs,
    })  # fmt: skip


def _described(study: Study) -> dict[str, Any]:
    described = asdict(study)
    del described["recipe"]
    recipe = study.recipe.changed()
    del recipe["learning_rate"]
    return recipe | described


@functools.lru_cache(maxsize=1)  # asked for after each activation
def _sizes(study: Study, data: Dataset) -> dict[str, int]:
    """The number of trained parameters by activation."""
    images = jax.ShapeDtypeStruct((1, *data.train.images.shape[1:]), np.uint8)
    sizes = {}
    for name in study.activations:
        module = models.create_model(study.model, name, num_classes=data.num_classes)
        shapes = jax.eval_shape(from_linen(module).init, jax.random.key(0), images)
        sizes[name] = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    return sizes


def _facts(name: str) -> dict[str, Any]:
    activation = get(name)
    return {
        "formula": activation.spec.formula, "source": activation.spec.source,
        "range": [finite(end) for end in activation.range],
    }  # fmt: skip
