"""``results.json``: all stored results of a study, from which its report is made."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxact import models
from flaxact.activations import get
from flaxact.data import Dataset
from flaxact.data import shape as shape_of
from flaxact.errors import InputError
from flaxact.net import from_linen
from flaxact.stored.environment import environment
from flaxact.stored.files import DamagedError, Json, finite, read_json, sealed, write_json
from flaxact.studies._folder import StoredRuns, is_config
from flaxact.studies._records import FORMAT, PATH, read_results
from flaxact.studies._times import REPORT, read_times
from flaxact.studies.points import SearchPoint
from flaxact.studies.study import Config, Study, identity
from flaxact.studies.tuning import scores_of, stored_search
from flaxact.training import Member, Recipe

_log = logging.getLogger("flaxact")


def grid(study: Study, data: Dataset) -> Iterator[tuple[str, Member, Config]]:
    """Every run of a study: its activation, its seed and learning rate, and its full configuration."""
    for activation, rate in study.cells():
        for seed in study.seeds:
            yield activation, Member(seed, rate), study.config(activation, rate, seed, data.digest)


def reported(folder: Path) -> set[str]:
    """The identities of the runs that ``results.json`` lists."""
    try:
        return {run.id for run in read_results(folder / PATH).runs}
    except (FileNotFoundError, InputError):
        return set()


def write_results(study: Study, data: Dataset, folder: Path, command: str) -> None:
    """Update ``results.json`` from the stored runs."""
    sizes = sizes_of(study, data)
    stored = StoredRuns(folder)
    runs = []
    for _, _, config in grid(study, data):
        if stored.run(config) is not None:
            runs.append(stored.fields(config))
            path = folder / "runs" / identity(config)
            if path.exists() and not is_config(folder, config):
                write_json(path / "config.json", config)
    write_json(
        folder / PATH,
        sealed(
            {
                "format": FORMAT,
                "study": described(study),
                "environment": {**environment("flaxact", "jax", "flax"), "command": command},
                "dataset": {
                    "name": data.name,
                    "train_images": len(data.train.labels),
                    "test_images": len(data.test.labels),
                    "image_shape": data.train.images.shape[1:],
                    "num_classes": data.num_classes,
                    "note": data.note,
                },
                "model": {
                    "name": study.model,
                    "parameters": sizes[study.activations[0]],
                    "source": models.source(study.model),
                },
                "activations": {name: _facts(name) for name in study.activations},
                "tuned": _tuned(study, data, folder),
                "times": {k: v for k, v in read_times(folder).items() if k != REPORT},
                "runs": runs,
            }
        ),
    )


def described(study: Study) -> dict[str, Any]:
    """The description of a study for ``results.json``: flat fields, and the recipe as one value."""
    described = asdict(study)
    del described["best_values"]
    best_values = {name: dict(values) for name, values in study.best_values}
    recipe = study.recipe.changed()
    del recipe["learning_rate"]
    return (
        recipe
        | described
        | {
            "recipe": recipe,
            "best_rates": dict(study.best_rates),
            "epochs_of": dict(study.epochs_of),
            "costs": dict(study.costs),
            **({"best_values": best_values} if best_values else {}),
        }
    )


def _tuned(study: Study, data: Dataset, folder: Path) -> dict[str, Json]:
    """The outcome of each search that has ended."""
    tuned = {}
    for activation, _ in study.best_rates:
        stored = stored_search(study, activation, data.digest, folder)
        reached: dict[float | SearchPoint, int] = {}
        for candidate, epochs in scores_of(stored):
            reached[candidate] = max(epochs, reached.get(candidate, 0))
        tuned[activation] = stored["tuned"] | {
            "epochs": sum(reached.values()),
            "seconds": stored["seconds"],
        }
    return tuned


# In these the studies of one folder may differ: the runs of all are kept.
MAY_DIFFER = (
    "activations", "seeds", "learning_rates", "target_error", "keep_params", "reference",
    "until_decided", "search", "best_rates", "best_values", "epochs_of", "costs",
)  # fmt: skip


def check_options(study: Study, folder: Path) -> None:
    """Check that a folder's report has the same options; warn if it shows other activations.

    Raises:
      InputError: the options differ; the message lists the differences.
    """
    try:
        stored = read_json(folder / PATH)["study"]
        named = list(map(str, stored["activations"]))
    except (FileNotFoundError, DamagedError, LookupError, TypeError):
        return
    was, now = (_options(described) for described in (stored, described(study)))
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if names:
        differences = "; ".join(f"{n} was {_said(was, n)}, is {_said(now, n)}" for n in names)
        raise InputError(
            f"{folder} holds a comparison with other options: {differences}. Choose another folder "
            "with --out, or use the options it was started with"
        )
    if {*named} - {*study.activations}:
        _log.warning(
            "the report in %s showed %s: the new report shows only the activations named now; the other "
            "runs are kept",
            folder,
            ", ".join(named),
        )


def _options(described: Mapping[str, Any]) -> dict[str, Json]:
    """Of a study's description what has to be the same in a folder, without what is as by default."""
    flat = {k: v for k, v in described.items() if k not in (*MAY_DIFFER, "recipe")}
    options = json.loads(json.dumps(flat | dict(described.get("recipe", {}))))
    defaults = json.loads(json.dumps({"image_size": None, "budget": "epochs"} | vars(Recipe())))
    return {k: v for k, v in options.items() if k not in defaults or v != defaults[k]}


def _said(options: Mapping[str, Json], name: str) -> str:
    return json.dumps(options.get(name, getattr(Recipe(), name, None)))


@functools.lru_cache(maxsize=1)  # asked for after each activation
def sizes_of(study: Study, data: Dataset) -> dict[str, int]:
    """The number of trained parameters by activation."""
    recipe = study.recipe
    shape = shape_of(recipe.augment, recipe.views, data.train.images.shape[1:])
    images = jax.ShapeDtypeStruct((1, *shape), np.uint8)
    sizes = {}
    for name in study.activations:
        module = models.create_model(study.model, name, num_classes=data.num_classes)
        key = jax.eval_shape(lambda: jax.random.key(0))
        shapes = jax.eval_shape(from_linen(module).init, key, images)
        sizes[name] = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    return sizes


def _facts(name: str) -> dict[str, Json]:
    activation = get(name)
    return {
        "formula": activation.spec.formula,
        "source": activation.spec.source,
        "range": [finite(end) for end in activation.range],
    }
