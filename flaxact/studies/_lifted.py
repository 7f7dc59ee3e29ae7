"""Converts ``results.json`` of format 1 to the current form; measures that it lacks are None."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flaxact.stored.files import Json
from flaxact.stored.schema import Number, Share, decode, unexpected

MEASURED = ("mean", "variance", "zeros")


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """What an activation gave out, "initial" or "final"."""

    site: str
    when: str
    mean: Number | None
    variance: Number | None
    zeros: Share | None


@dataclass(frozen=True)
class _Epoch:
    epoch: int


@dataclass(frozen=True)
class _Run:
    layers: tuple[_Layer, ...]
    epochs: tuple[_Epoch, ...]


@dataclass(frozen=True)
class _Results:
    runs: tuple[_Run, ...]


def lifted(value: dict[str, Any], path: Path, measures: tuple[str, ...]) -> dict[str, Any]:
    """Results of format 1, with probes before the first epoch and after the last one.

    Args:
      value: as JSON gives it.
      path: path of the file, for messages.
      measures: the names that a probe has in the current form.

    Raises:
      DamagedError: the layers of a run are damaged.
    """
    old = decode(_Results, value, path)
    runs = [
        {**run, "probes": _probes(stored, f"runs[{i}].layers", path, measures), "inputs": {}}
        for i, (run, stored) in enumerate(zip(value["runs"], old.runs, strict=True))
    ]
    return {**value, "runs": runs}


def _probes(run: _Run, place: str, path: Path, measures: tuple[str, ...]) -> list[dict[str, Json]]:
    by_time: dict[str, dict[str, Json]] = {"initial": {}, "final": {}}
    for layer in run.layers:
        if layer.when not in by_time:
            raise unexpected(path, place, "initial or final layers", layer.when)
        figures = {name: asdict(layer)[name] for name in MEASURED}
        by_time[layer.when][layer.site] = dict.fromkeys(measures) | figures
    last = len(run.epochs)
    return [
        {"epoch": epoch, "sites": sites}
        for epoch, sites in zip((0, last), by_time.values(), strict=True)
    ]
