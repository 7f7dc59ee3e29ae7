"""What a run's folder says of it: its configuration, a line an epoch, its result."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact.data import Dataset
from flaxact.data import shape as shape_of
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.stored import files
from flaxact.stored.environment import environment
from flaxact.stored.files import DamagedError, finite
from flaxact.stored.schema import Count, Number, Positive, read_record, unexpected
from flaxact.training.loop import Update
from flaxact.training.members import Member
from flaxact.training.recipe import Recipe

METRICS = ("train_loss", "train_error", "test_loss", "test_error")
_log = logging.getLogger("flaxact")


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """A line of ``metrics.jsonl``: lists over members, None for what is not finite."""

    epoch: Count
    step: Count
    train_loss: tuple[Number | None, ...]
    train_error: tuple[Number | None, ...]
    test_loss: tuple[Number | None, ...]
    test_error: tuple[Number | None, ...]
    diverged_at: tuple[int, ...]
    seconds: Positive
    elapsed: Positive
    compile_seconds: Positive


@dataclass(frozen=True, kw_only=True)
class Result:
    """What ``result.json`` holds of a finished run.

    Attributes:
      config: what the outcome depends on.
      epochs: from before training to the last.
      steps: of the optimizer.
      diverged_at: by member, the step; -1 for none.
      environment: versions, devices and date.
      files: by name the SHA-256 of the other records of the folder; those of old runs have none.
    """

    config: dict[str, Any]
    epochs: tuple[EpochRow, ...]
    steps: Count
    diverged_at: tuple[int, ...]
    environment: dict[str, Any]
    files: dict[str, str | None] = field(default_factory=dict)


def read_result(folder: Path) -> Result:
    """What a finished run's folder holds as its result.

    Raises:
      FileNotFoundError: it is not finished.
      DamagedError: it does not hold what was stored.
    """
    path = folder / "result.json"
    found = read_record(Result, path)
    members = len(found.diverged_at)
    if not found.epochs or not members:
        raise DamagedError(f"{path}: expected an epoch and a member or more")
    for i, row in enumerate(found.epochs):
        for name in (*METRICS, "diverged_at"):
            if len(getattr(row, name)) != members:
                place = f"epochs[{i}].{name}"
                raise unexpected(path, place, f"{members} values", list(getattr(row, name)))
    return found


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a finished run, from before training on, as JSON has them.

    Raises:
      DamagedError: the run's ``result.json`` does not hold what was stored.
    """
    read_result(folder)
    return files.read_json(folder / "result.json")["epochs"]


def configuration(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: list[Member],
    model: str,
    own_code: Mapping[str, str],
) -> dict[str, Any]:
    """What the outcome depends on, as JSON gives it back."""
    if isinstance(data, Dataset):
        shape = data.train.images.shape[1:]
        dtype = data.train.images.dtype
    else:
        shape = data.train.image_shape
        dtype = np.uint8
    shape = shape_of(recipe.augment, recipe.views, shape)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.dtype(dtype))
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(net.init, key, images)
    leaves = jax.tree_util.tree_flatten_with_path(variables)[0]
    text = " ".join(f"{jax.tree_util.keystr(p)} {x.shape} {x.dtype}" for p, x in leaves)
    config = {
        "format": 1,
        "model": model,
        "variables": hashlib.sha256(text.encode()).hexdigest()[:12],
        "dataset": data.name,
        "data": data.digest[:12],
        "members": [member.described() for member in members],
        **recipe.changed(),
        **({"own_code": {**own_code}} if own_code else {}),
    }
    return json.loads(json.dumps(config))


def check_configuration(folder: Path, config: dict[str, Any]) -> None:
    """Whether a folder is new, or holds a run of this configuration.

    Raises:
      InputError: it holds another run; says in what they differ.
    """
    try:
        there = files.read_json(folder / "config.json")
        if not isinstance(there, dict):
            raise unexpected(folder / "config.json", "", "names with values", there)
    except FileNotFoundError:
        return
    except DamagedError as error:
        raise InputError(
            f"config.json cannot be read ({error}): choose another folder, or delete the file if the "
            "run is this one"
        ) from None
    own_code = _changed(there.get("own_code"), config.get("own_code"))
    if own_code and all(name.endswith(".py") for name in own_code):
        _log.warning(
            "%s: changed since the run began; what the run uses of it has not, and the run is resumed",
            ", ".join(own_code),
        )
        there["own_code"] = config["own_code"]
    names = _changed(there, config)
    if names:
        differences = "; ".join(
            f"the code of {', '.join(n for n in own_code if not n.endswith('.py'))} has changed"
            if name == "own_code"
            else f"{name} was {_said(there, name)}, is {_said(config, name)}"
            for name in names
        )
        raise InputError(
            f"{folder} holds another run: {differences}. Choose another folder, or give what it was "
            "begun with"
        )


def _changed(there: Any, config: Any) -> list[str]:
    """The names under which two mappings differ."""
    there = there if isinstance(there, dict) else {}
    config = config or {}
    return [name for name in {**there, **config} if there.get(name) != config.get(name)]


def _said(config: dict[str, Any], name: str) -> str:
    return json.dumps(config[name]) if name in config else "the default"


def row(update: Update) -> dict[str, Any]:
    """A line of ``metrics.jsonl``: lists over members, None for what is not finite."""
    epoch = update.epoch
    assert epoch is not None
    metrics = {name: [finite(value) for value in getattr(epoch, name)] for name in METRICS}
    return {
        "epoch": epoch.number,
        "step": update.step,
        **metrics,
        "diverged_at": [int(step) for step in epoch.diverged_at],
        "seconds": round(epoch.seconds, 6),
        "elapsed": round(update.elapsed, 6),
        "compile_seconds": round(update.compile_seconds, 6),
    }


def mean(values: np.ndarray) -> float:
    """Of the finite ones; infinite where there are none."""
    going = values[np.isfinite(values)]
    return float(going.mean()) if len(going) else math.inf


def write_result(
    folder: Path,
    config: dict[str, Any],
    rows: list[dict[str, Any]],
    update: Update,
    recorded: Sequence[str],
) -> None:
    """Write ``result.json``, with digests of the records beside it and of itself."""
    names = ("config.json", "recipe.toml", "metrics.jsonl", *recorded)
    files.write_json(
        folder / "result.json",
        files.sealed(
            {
                "config": config,
                "epochs": rows,
                "steps": update.step,
                "diverged_at": rows[-1]["diverged_at"],
                "environment": {
                    **environment("flaxact", "jax", "flax", "optax"),
                    "devices": jax.device_count(),
                    "processes": jax.process_count(),
                },
                "files": files.digests(folder, names),
            }
        ),
    )


def write_begin(folder: Path, config: dict[str, Any], recipe: Recipe) -> None:
    """Write what says which run it is."""
    files.write_json(folder / "config.json", config)
    files.write_whole(folder / "recipe.toml", recipe.to_toml().encode())


def write_rows(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``metrics.jsonl`` anew."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    files.write_whole(folder / "metrics.jsonl", lines.encode())


def is_finished(folder: Path, config: dict[str, Any], recipe: Recipe) -> bool:
    """Whether a run's result is there, and all that it was stored with.

    What was lost or changed is named in a warning. What follows from the result is written again; where
    the result or a recording is lost the run is to be trained again, from its last whole checkpoint.
    """
    try:
        found = read_result(folder)
    except FileNotFoundError:
        return False
    except DamagedError as error:
        _log.warning("%s: what is missing is trained again", error)
        return False
    lost = [name for name, of in found.files.items() if files.digest_of_file(folder / name) != of]
    for name in lost:
        _log.warning("%s is not what the run stored", folder / name)
    if {"config.json", "recipe.toml"} & {*lost}:
        write_begin(folder, config, recipe)
    if "metrics.jsonl" in lost:
        write_rows(folder, rows_of(folder))
    return not {*lost} - {"config.json", "recipe.toml", "metrics.jsonl"}


def recorded_by(watch: Any, folder: Path) -> list[str]:
    """The names of the files of a run's folder that a watch appends to."""
    file = getattr(watch, "file", None)
    if isinstance(file, Path) and file.parent.absolute() == folder.absolute():
        return [file.name]
    return []


def measured(folder: Path, recorded: Sequence[str]) -> dict[str, list[Any]]:
    """By name of a recording its length in bytes and their digest, for a checkpoint."""
    contents = {name: folder / name for name in recorded if (folder / name).exists()}
    return {
        name: [path.stat().st_size, files.digest_of_file(path)] for name, path in contents.items()
    }


def cut(folder: Path, recorded: dict[str, list[Any]]) -> bool:
    """Bring recordings back to what they were at a checkpoint; whether all were still whole."""
    for name, (size, stored) in recorded.items():
        try:
            content = files.read_bytes(folder / name)[:size]
        except (FileNotFoundError, DamagedError):
            content = b""
        if len(content) != size or hashlib.sha256(content).hexdigest() != stored:
            _log.warning("%s is not what the run recorded: the run begins anew", folder / name)
            return False
        files.write_whole(folder / name, content)
    return True
