"""Record measures while a net trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact.diagnostics.measures import Measure
from flaxact.diagnostics.probe import DEFAULT, ByMeasure, batch, make_probe
from flaxact.errors import InputError
from flaxact.layers import LEARNED
from flaxact.net import Variables
from flaxact.stored.files import (
    append_line,
    finite,
    from_json,
    make_folder,
    read_bytes,
    write_whole,
)
from flaxact.stored.schema import Count, Positive, decode
from flaxact.training.loop import Update
from flaxact.training.state import over_members

__dir__ = listing(__name__)


class Recorder:
    """Measure every net of a training on fixed images; a ``watch`` for ``flaxact.training.run``.

    Each line of the file is one probe: "step"; "seconds", the time that the probe took; "sites", by
    site and measure a list over the nets that train together (members), with None for values that
    are not finite; and, if activations learn, "learned", by site and parameter its "mean", "min"
    and "max" over channels. A run that resumes rewrites the lines after its checkpoint.

    Args:
      file: usually ``folder / "probes.jsonl"``.
      module: the Linen model that is trained.
      images: (batch, height, width, channels) to probe on.
      labels: (batch,), for measures of gradients.
      measures: names in ``flaxact.diagnostics.measures.catalogue``, or functions of a ``Site``,
        whose arrays are written as lists.
      steps: number of steps between probes; None for one probe before the first epoch and one after
        each epoch.

    Raises:
      InputError: an unknown measure.
    """

    def __init__(
        self,
        file: Path,
        module: nn.Module,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        measures: Sequence[str | Measure] = DEFAULT,
        steps: int | None = None,
    ):
        self.file = file
        self.steps = steps
        self.seconds = 0.0
        self.begun = False
        self._images, self._labels = batch(images, labels)
        measure = make_probe(module, measures)
        self._order: list[str] = []

        def measure_member(
            variables: Variables, images: jax.Array, labels: jax.Array | None
        ) -> tuple[ByMeasure, dict[str, ByMeasure]]:
            by_site = measure(variables, images, labels)
            self._order[:] = by_site
            return by_site, learned(variables.get("params", {}))

        self._measure = jax.jit(over_members(measure_member))

    def __call__(self, update: Update) -> None:
        """Probe if a probe is due."""
        if not self.begun:
            self._begin(update.step)
        if update.epoch is None if self.steps is None else update.step % self.steps:
            return
        if update.step in self.done:
            return
        groups = [state.variables for state in update.groups]
        jax.block_until_ready(groups)
        start = time.perf_counter()
        by_site, learned_by_site = self._measured(groups)
        seconds = time.perf_counter() - start
        self.seconds += seconds if self.done else 0.0  # the first one's compilation left out
        sites = {site: {k: _listed(v) for k, v in by_site[site].items()} for site in self._order}
        row = {"step": update.step, "seconds": round(seconds, 6), "sites": sites}
        if learned_by_site:
            in_order = {
                site: learned_by_site[site] for site in self._order if site in learned_by_site
            }
            row["learned"] = jax.tree.map(_listed, in_order)
        append_line(self.file, row)
        self.done.add(update.step)

    def _measured(self, groups: list[Variables]) -> tuple[ByMeasure, dict[str, ByMeasure]]:
        """By site and measure, (members, ...), where the first group is: compiled once."""
        with jax.transfer_guard("allow"):
            if len(groups) > 1:
                first = jax.tree.leaves(groups[0])[0].sharding
                groups = jax.device_put(groups, first)
            measured = [self._measure(group, self._images, self._labels) for group in groups]
            measured = jax.device_get(measured)
        return jax.tree.map(lambda *values: np.concatenate(values), *measured)

    def _begin(self, step: int) -> None:
        """Keep only the lines up to the step at which a run resumes."""
        self.begun = True
        make_folder(self.file.parent)
        lines = read_bytes(self.file).splitlines(True) if self.file.exists() and step else []
        complete = [line for line in lines if line.endswith(b"\n")]
        rows = zip(_rows(complete, self.file), complete, strict=True)
        earlier = [(row["step"], line) for row, line in rows if row["step"] <= step]
        write_whole(self.file, b"".join(line for _, line in earlier))
        self.done = {at for at, _ in earlier}


class ProbeRow(TypedDict):
    """A probe as JSON: by site and measure a list over members (the nets that train together)."""

    step: int
    seconds: float
    sites: dict[str, dict[str, list]]
    learned: NotRequired[dict[str, dict[str, dict[str, list[float | None]]]]]


@dataclass(frozen=True)
class Probed:
    """A probe of a recording: by site and measure a list over members (nets that train together)."""

    step: Count
    seconds: Positive
    sites: dict[str, dict[str, tuple[object, ...]]]
    learned: dict[str, dict[str, dict[str, tuple[object, ...]]]] = field(default_factory=dict)


def learned(params: Variables) -> dict[str, dict[str, dict[str, jax.Array]]]:
    """The "mean", "min" and "max" over channels of every learned activation parameter, by site and name.

    >>> statistics = learned({"act1": {"activation": {"alpha": jax.numpy.array([1.0, 3.0])}}})
    >>> {name: float(value) for name, value in statistics["act1"]["alpha"].items()}
    {'mean': 2.0, 'min': 1.0, 'max': 3.0}
    """
    by_site: dict[str, dict[str, dict[str, jax.Array]]] = {}
    leaves = cast("dict[tuple[str, ...], jax.Array]", flatten_dict(params))
    for path, values in leaves.items():
        if LEARNED in path[:-1] and values.size:
            at = path.index(LEARNED)
            site = "/".join(path[:at])
            name = "/".join(path[at + 1 :])
            spread = {"mean": values.mean(), "min": values.min(), "max": values.max()}
            by_site.setdefault(site, {})[name] = spread
    return by_site


def read(file: Path) -> list[ProbeRow]:
    """Read the rows that a ``Recorder`` has written.

    Raises:
      InputError: the file does not exist, or a line of the file is not a probe.
    """
    try:
        return _rows(read_bytes(file).splitlines(), file)
    except FileNotFoundError:
        raise InputError(f"there is no recording {file}") from None


def _rows(lines: Sequence[bytes], file: Path) -> list[ProbeRow]:
    rows = []
    for number, line in enumerate(lines, 1):
        rows.append(from_json(line, f"{file}, line {number}"))
        decode(Probed, rows[-1], f"{file}, line {number}")
    return rows


def _listed(values: ArrayLike) -> list:
    return [_listed(v) if np.ndim(v) else finite(v) for v in np.asarray(values)]
