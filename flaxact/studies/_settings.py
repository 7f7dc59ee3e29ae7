"""The settings of a comparison as flat names and values, to compare two. Does not import jax."""

from __future__ import annotations

import json

from flaxact.stored.files import Json
from flaxact.studies._records import Results
from flaxact.training.recipe import Recipe

UNKNOWN = "unknown"
OF_RECIPE = ("epochs", "batch_size", "momentum", "schedule")


def settings(results: Results) -> dict[str, Json]:
    """Everything besides activations and seeds that the outcome depends on, as JSON values.

    ``images`` is a digest of the data. ``learning_rates`` are those of the grid, and ``search`` is how
    the best is found.
    """
    study = results.study
    recipe = vars(Recipe()) | {name: getattr(study, name) for name in OF_RECIPE} | study.recipe
    del recipe["learning_rate"]
    values = {
        "model": study.model,
        "dataset": study.dataset,
        "images": next(
            (run.config["data"] for run in results.runs if "data" in run.config), UNKNOWN
        ),
        "image_size": study.image_size,
        "learning_rates": study.learning_rates,
        "budget": study.budget,
        "search": None if study.search is None else study.search.described(),
        **recipe,
    }
    return json.loads(json.dumps(values))


def differing(one: Results, other: Results) -> dict[str, tuple[Json, Json]]:
    """The settings that differ between two comparisons, with both values; unknown ones are left out."""
    was = settings(one)
    now = settings(other)
    names = [name for name in was if was[name] != now[name]]
    return {name: (was[name], now[name]) for name in names if UNKNOWN not in (was[name], now[name])}


def as_text(value: Json) -> str:
    """A value of a setting as text.

    >>> as_text({"rates": [0.1, 0.2], "epochs": 3}), as_text(None)
    ('rates 0.1 0.2, epochs 3', 'none')
    """
    if isinstance(value, dict):
        return ", ".join(f"{name} {as_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " ".join(map(as_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)
