"""Run what of a study is not there yet, and store it: a folder a run, its result written last."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxact import diagnostics, models
from flaxact.activations import get
from flaxact.data import Dataset
from flaxact.errors import InputError
from flaxact.net import from_linen
from flaxact.studies.study import Study, identity
from flaxact.training import Epoch, train

PROBE_IMAGES = 512  # of the training set, the same for every run


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


def missing(study: Study, data: Dataset, folder: Path) -> dict[tuple[str, float], list[int]]:
    """The seeds of each cell that have no stored result; cells without any are left out."""
    absent = {}
    for cell in study.cells():
        seeds = [s for s in study.seeds if not _result(study, data, folder, *cell, s).exists()]
        if seeds:
            absent[cell] = seeds
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
    """Train what is missing and store it; ``results.json`` is brought up to date after each cell.

    Args:
      study: what to compare.
      data: the data set it names.
      folder: where runs are stored; those of the study that it holds already are kept.
      command: how to do this again, for the report.

    Yields:
      After every epoch of every cell, and at the end.
    """
    todo = missing(study, data, folder)
    total, done = sum(map(len, todo.values())) * study.recipe.epochs, 0
    sizes = _sizes(study, data)
    for (activation, rate), seeds in todo.items():
        yield Progress(done, total, f"{activation}, learning rate {rate:g}: compiling")
        at_start = done
        for epoch in _cell(study, data, folder, activation, rate, seeds):
            done = at_start + epoch.number * len(seeds)
            yield Progress(done, total, _text(activation, rate, epoch))
        done = at_start + study.recipe.epochs * len(seeds)
        _write_results(study, data, folder, sizes, command)
    _write_results(study, data, folder, sizes, command)
    yield Progress(done, total, "done")


def _text(activation: str, rate: float, epoch: Epoch) -> str:
    errors = f"test error {np.mean(epoch.test_error):.1%}"
    if epoch.number:
        errors = f"training error {np.mean(epoch.train_error):.1%}, {errors}"
    return f"{activation}, learning rate {rate:g}, epoch {epoch.number}: {errors}"


def _result(
    study: Study, data: Dataset, folder: Path, activation: str, rate: float, seed: int
) -> Path:
    config = study.config(activation, rate, seed, data.digest)
    return folder / "runs" / identity(config) / "result.json"


def _cell(
    study: Study, data: Dataset, folder: Path, activation: str, rate: float, seeds: Sequence[int]
) -> Iterator[Epoch]:
    """Train the seeds of a cell together; their folders are complete when it ends."""
    module = models.create_model(study.model, activation, num_classes=data.num_classes)
    recipe = replace(study.recipe, learning_rate=rate)
    results = [_result(study, data, folder, activation, rate, seed) for seed in seeds]
    epochs: list[list[dict[str, Any]]] = [[] for _ in seeds]
    layers: list[list[dict[str, Any]]] = [[] for _ in seeds]
    for result, seed in zip(results, seeds, strict=True):
        result.parent.mkdir(parents=True, exist_ok=True)
        config = study.config(activation, rate, seed, data.digest)
        _write(result.with_name("config.json"), config)
        result.with_name("metrics.jsonl").write_text("")
    epoch = None
    for epoch in train(from_linen(module), recipe, data, seeds):
        if epoch.number == 0:
            _probe(module, epoch, data, "initial", layers)
        else:
            for i, result in enumerate(results):
                epochs[i].append(_row(epoch, i))
                with result.with_name("metrics.jsonl").open("a") as file:
                    file.write(json.dumps(epochs[i][-1]) + "\n")
        yield epoch
    assert epoch is not None
    _probe(module, epoch, data, "final", layers)
    for i, result in enumerate(results):
        diverged = [row["epoch"] for row in epochs[i] if row["train_loss"] is None]
        _write(result, {
            "epochs": epochs[i], "compile_seconds": epoch.compile_seconds,
            "seeds_at_once": len(seeds), "diverged_at": diverged[0] if diverged else None,
            "layers": layers[i],
        })  # fmt: skip


def _row(epoch: Epoch, i: int) -> dict[str, Any]:
    metrics = ("train_error", "train_loss", "test_error", "test_loss")
    row = {name: _finite(getattr(epoch, name)[i]) for name in metrics}
    return {"epoch": epoch.number, **row, "seconds": epoch.seconds / len(epoch.train_error)}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _probe(module: Any, epoch: Epoch, data: Dataset, when: str, layers: list[list]) -> None:
    images = _spread(data.train.images)
    for i, rows in enumerate(layers):
        variables = jax.tree.map(lambda leaf, i=i: leaf[i], epoch.states.variables)
        for site, figures in diagnostics.probe(module, variables, images).items():
            finite = {k: _finite(v) for k, v in figures.items()}
            rows.append({"site": site, "when": when, **finite})


def _spread(images: np.ndarray) -> np.ndarray:
    """Images taken at equal distances: a set may be sorted by class."""
    chosen = np.linspace(0, len(images) - 1, min(PROBE_IMAGES, len(images))).astype(int)
    return images[chosen]


def _write_results(
    study: Study, data: Dataset, folder: Path, sizes: dict[str, int], command: str
) -> None:
    runs = []
    for activation, rate in study.cells():
        for seed in study.seeds:
            path = _result(study, data, folder, activation, rate, seed)
            if path.exists():
                config = study.config(activation, rate, seed, data.digest)
                runs.append(
                    {"id": path.parent.name, "config": config, **json.loads(path.read_text())}
                )
    _write(folder / "results.json", {
        "format": 1,
        "study": _described(study),
        "environment": _environment(command),
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
        "range": [_finite(end) for end in activation.range],
    }  # fmt: skip


def _environment(command: str) -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("flaxact", "jax", "flax")}
    device = jax.devices()[0]
    return {
        **versions, "python": platform.python_version(), "device": device.device_kind,
        "date": datetime.now(UTC).date().isoformat(), "command": command,
    }  # fmt: skip


def _write(path: Path, value: Any) -> None:
    """Whole or not at all: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(partial, path)
