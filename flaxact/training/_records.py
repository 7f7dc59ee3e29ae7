"""What a run's folder says of it: its configuration, a line an epoch, its result."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._environment import environment
from flaxact._files import finite
from flaxact.data import Dataset
from flaxact.data import shape as shape_of
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.training.engine import Update
from flaxact.training.members import Member
from flaxact.training.recipe import Recipe

METRICS = ("train_loss", "train_error", "test_loss", "test_error")


def configuration(
    net: Net, recipe: Recipe, data: Dataset | Streamed, members: list[Member], model: str
) -> dict[str, Any]:
    """What the outcome depends on, as JSON gives it back."""
    if isinstance(data, Dataset):
        shape, dtype = data.train.images.shape[1:], data.train.images.dtype
    else:
        shape, dtype = data.train.image_shape, np.uint8
    shape = shape_of(recipe.augment, recipe.views, shape)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.dtype(dtype))
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    leaves = jax.tree_util.tree_flatten_with_path(variables)[0]
    text = " ".join(f"{jax.tree_util.keystr(p)} {x.shape} {x.dtype}" for p, x in leaves)
    config = {
        "format": 1, "model": model, "variables": hashlib.sha256(text.encode()).hexdigest()[:12],
        "dataset": data.name, "data": data.digest[:12],
        "members": [member.described() for member in members], **recipe.changed(),
    }  # fmt: skip
    return json.loads(json.dumps(config))


def check_configuration(folder: Path, config: dict[str, Any]) -> None:
    """Whether a folder is new, or holds a run of this configuration.

    Raises:
      InputError: it holds another run; says in what they differ.
    """
    try:
        there = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        return
    except ValueError as error:
        raise InputError(
            f"{folder / 'config.json'} cannot be read ({error}): choose another folder"
        ) from None
    names = [name for name in {**there, **config} if there.get(name) != config.get(name)]
    if names:
        differences = "; ".join(f"{n} was {_said(there, n)}, is {_said(config, n)}" for n in names)
        raise InputError(
            f"{folder} holds another run: {differences}. Choose another folder, or give what it was "
            "begun with"
        )


def _said(config: dict[str, Any], name: str) -> str:
    return json.dumps(config[name]) if name in config else "the default"


def row(update: Update) -> dict[str, Any]:
    """A line of ``metrics.jsonl``: lists over members, None for what is not finite."""
    epoch = update.epoch
    assert epoch is not None
    metrics = {name: [finite(value) for value in getattr(epoch, name)] for name in METRICS}
    return {
        "epoch": epoch.number, "step": update.step, **metrics,
        "diverged_at": [int(step) for step in epoch.diverged_at], "seconds": round(epoch.seconds, 6),
        "elapsed": round(update.elapsed, 6), "compile_seconds": round(update.compile_seconds, 6),
    }  # fmt: skip


def mean(values: np.ndarray) -> float:
    """Of the finite ones; infinite where there are none."""
    going = values[np.isfinite(values)]
    return float(going.mean()) if len(going) else math.inf


def result(config: dict[str, Any], rows: list[dict[str, Any]], update: Update) -> dict[str, Any]:
    """What ``result.json`` holds."""
    return {
        "config": config,
        "epochs": rows,
        "steps": update.step,
        "diverged_at": rows[-1]["diverged_at"],
        "environment": {
            **environment("flaxact", "jax", "flax", "optax"),
            "devices": jax.device_count(), "processes": jax.process_count(),
        },
    }  # fmt: skip


def append(path: Path, row: dict[str, Any]) -> None:
    """A line more."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
