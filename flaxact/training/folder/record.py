"""The records in a run's folder: its configuration, one line per epoch, its result."""

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
from flaxact.stored.files import DamagedError, Json, finite
from flaxact.stored.schema import Count, read_record, unexpected
from flaxact.training.folder.rows import METRICS, EpochRow, MetricsRow
from flaxact.training.loop import Update
from flaxact.training.members import Member
from flaxact.training.recipe import Recipe

_log = logging.getLogger("flaxact")


@dataclass(frozen=True, kw_only=True)
class Result:
    """The contents of ``result.json`` of a finished run.

    Attributes:
      config: everything that the result depends on.
      epochs: one row per epoch, from epoch 0 (before training) to the last.
      steps: steps of the optimizer.
      diverged_at: the step at which each member diverged; -1 for none.
      environment: versions, devices and date.
      files: SHA-256 of the other records in the folder, by name; empty for runs of older versions.
    """

    config: dict[str, Any]
    epochs: tuple[EpochRow, ...]
    steps: Count
    diverged_at: tuple[int, ...]
    environment: dict[str, object]
    files: dict[str, str | None] = field(default_factory=dict)


def read_result(folder: Path) -> Result:
    """Read the result of a finished run.

    Raises:
      FileNotFoundError: the run is not finished.
      DamagedError: the file has changed since it was written.
    """
    path = folder / "result.json"
    result = read_record(Result, path)
    members = len(result.diverged_at)
    if not result.epochs or not members:
        raise DamagedError(f"{path}: expected at least one epoch and one member")
    for i, row in enumerate(result.epochs):
        for name in (*METRICS, "diverged_at"):
            if len(getattr(row, name)) != members:
                place = f"epochs[{i}].{name}"
                raise unexpected(path, place, f"{members} values", list(getattr(row, name)))
    return result


def rows_of(folder: Path) -> list[MetricsRow]:
    """The epochs of a finished run as JSON values, from epoch 0 on.

    Raises:
      DamagedError: the run's ``result.json`` has changed since it was written.
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
) -> dict[str, Json]:
    """Everything that the result of a run depends on, as JSON values."""
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


def check_configuration(folder: Path, config: Mapping[str, Json]) -> None:
    """Raise if a folder holds a run of another configuration.

    Raises:
      InputError: the folder holds another run; the message lists the differences.
    """
    try:
        stored = files.read_json(folder / "config.json")
        if not isinstance(stored, dict):
            raise unexpected(folder / "config.json", "", "names with values", stored)
    except FileNotFoundError:
        return
    except DamagedError as error:
        raise InputError(
            f"config.json cannot be read ({error}): choose another folder, or delete the file if it "
            "belongs to this run"
        ) from None
    own_code = _changed(stored.get("own_code"), config.get("own_code"))
    if own_code and all(name.endswith(".py") for name in own_code):
        _log.warning(
            "%s: changed since the run began; what the run uses of it has not, and the run is resumed",
            ", ".join(own_code),
        )
        stored["own_code"] = config["own_code"]
    names = _changed(stored, config)
    if names:
        differences = "; ".join(
            f"the code of {', '.join(n for n in own_code if not n.endswith('.py'))} has changed"
            if name == "own_code"
            else f"{name} was {_value_text(stored, name)}, is {_value_text(config, name)}"
            for name in names
        )
        raise InputError(
            f"{folder} holds another run: {differences}. Choose another folder, or use the options "
            "that the run was started with"
        )


def _changed(stored: object, current: object) -> list[str]:
    """The names under which two mappings differ."""
    old = stored if isinstance(stored, dict) else {}
    new = current if isinstance(current, dict) else {}
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _value_text(config: Mapping[str, Json], name: str) -> str:
    return json.dumps(config[name]) if name in config else "the default"


def row(update: Update) -> MetricsRow:
    """An epoch as a line of ``metrics.jsonl``: lists over members, None for non-finite values."""
    epoch = update.epoch
    assert epoch is not None
    columns = {name: [finite(value) for value in getattr(epoch, name)] for name in METRICS}
    return MetricsRow(
        epoch=epoch.number,
        step=update.step,
        train_loss=columns["train_loss"],
        train_error=columns["train_error"],
        test_loss=columns["test_loss"],
        test_error=columns["test_error"],
        diverged_at=[int(step) for step in epoch.diverged_at],
        seconds=round(epoch.seconds, 6),
        elapsed=round(update.elapsed, 6),
        compile_seconds=round(update.compile_seconds, 6),
    )


def mean(values: np.ndarray) -> float:
    """The mean of the finite values; infinity if no value is finite."""
    finite_values = values[np.isfinite(values)]
    return float(finite_values.mean()) if len(finite_values) else math.inf


def write_result(
    folder: Path,
    config: Mapping[str, Json],
    rows: Sequence[MetricsRow],
    update: Update,
    recorded: Sequence[str],
) -> None:
    """Write ``result.json`` with a digest of itself and of the records beside it."""
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


def write_begin(folder: Path, config: Mapping[str, Json], recipe: Recipe) -> None:
    """Write the files that identify the run, before it starts."""
    files.write_json(folder / "config.json", config)
    files.write_whole(folder / "recipe.toml", recipe.to_toml().encode())


def write_rows(folder: Path, rows: Sequence[MetricsRow]) -> None:
    """Write ``metrics.jsonl``, replacing an earlier one."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    files.write_whole(folder / "metrics.jsonl", lines.encode())


def is_finished(folder: Path, config: Mapping[str, Json], recipe: Recipe) -> bool:
    """Whether a run has a result and all records that it was stored with.

    A warning names each record that was lost or changed. Records that follow from the result are
    written again. If the result or a recording is lost, the run is trained again from its last
    intact checkpoint.
    """
    try:
        result = read_result(folder)
    except FileNotFoundError:
        return False
    except DamagedError as error:
        _log.warning("%s: the missing part is trained again", error)
        return False
    stored = result.files.items()
    lost = [name for name, digest in stored if files.digest_of_file(folder / name) != digest]
    for name in lost:
        _log.warning("%s differs from what the run stored", folder / name)
    if {"config.json", "recipe.toml"} & {*lost}:
        write_begin(folder, config, recipe)
    if "metrics.jsonl" in lost:
        write_rows(folder, rows_of(folder))
    return not {*lost} - {"config.json", "recipe.toml", "metrics.jsonl"}


def recorded_by(watch: object, folder: Path) -> list[str]:
    """The names of the files in a run's folder to which the ``watch`` of ``run`` appends."""
    file = getattr(watch, "file", None)
    if isinstance(file, Path) and file.parent.absolute() == folder.absolute():
        return [file.name]
    return []


def measured(folder: Path, recorded: Sequence[str]) -> dict[str, tuple[int, str | None]]:
    """The length in bytes and the digest of each recorded file, by name, for a checkpoint."""
    contents = {name: folder / name for name in recorded if (folder / name).exists()}
    return {
        name: (path.stat().st_size, files.digest_of_file(path)) for name, path in contents.items()
    }


def cut(folder: Path, recorded: dict[str, tuple[int, str | None]]) -> bool:
    """Truncate recorded files to their length at a checkpoint; returns whether all were intact."""
    for name, (size, stored) in recorded.items():
        try:
            content = files.read_bytes(folder / name)[:size]
        except (FileNotFoundError, DamagedError):
            content = b""
        if len(content) != size or hashlib.sha256(content).hexdigest() != stored:
            _log.warning("%s is not as the run recorded it: the run starts over", folder / name)
            return False
        files.write_whole(folder / name, content)
    return True
