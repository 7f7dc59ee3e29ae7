"""Measures written down while a net trains."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact._files import finite
from flaxact.diagnostics.measures import Measure
from flaxact.diagnostics.probe import DEFAULT, make_probe
from flaxact.training.engine import Update


class Recorder:
    """Probes every member of a training on the same images; the ``watch`` of ``flaxact.training.run``.

    Each line of the file is one probe: "step", "seconds" (that it took) and "sites", by site and measure
    a list over members, None for what is not finite. A run that goes on writes those after its
    checkpoint anew.

    Args:
      file: ``folder / "probes.jsonl"``, as a rule.
      module: the Linen model that is trained.
      images: (batch, height, width, channels) to probe on.
      labels: (batch,), for measures of gradients.
      measures: names of ``flaxact.diagnostics.measures.catalogue``, or functions of a ``Site``, whose
        arrays are written as lists.
      steps: between probes; None for every epoch, and before the first.

    Raises:
      InputError: an unknown measure.
    """

    def __init__(
        self,
        file: Path,
        module: nn.Module,
        images: Any,
        labels: Any = None,
        *,
        measures: Sequence[str | Measure] = DEFAULT,
        steps: int | None = None,
    ):
        self.file, self.steps, self.seconds, self.begun = file, steps, 0.0, False
        self._images = jnp.asarray(images)
        self._labels = None if labels is None else jnp.asarray(labels)
        measure = make_probe(module, measures)
        self._order: list[str] = []

        def one(variables: Any, images: Any, labels: Any) -> Any:
            found = measure(variables, images, labels)
            self._order[:] = found
            return found

        self._one, self._many = jax.jit(one), jax.jit(jax.vmap(one, (0, None, None)))

    def __call__(self, update: Update) -> None:
        """Probe, where it is time to."""
        if not self.begun:
            self._begin(update.step)
        if update.epoch is None if self.steps is None else update.step % self.steps:
            return
        if update.step in self.done:
            return
        groups = [state.variables for state in update.groups]
        jax.block_until_ready(groups)
        start = time.perf_counter()
        found = self._measured(groups, update.mapped)
        seconds = time.perf_counter() - start
        self.seconds += seconds if self.done else 0.0  # the first one's compilation left out
        sites = {site: {k: _listed(v) for k, v in found[site].items()} for site in self._order}
        row = {"step": update.step, "seconds": round(seconds, 6), "sites": sites}
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.done.add(update.step)

    def _measured(self, groups: list[Any], mapped: bool) -> Any:
        """By site and measure, (members, ...): each where it is trained, as it is trained."""
        program = self._many if mapped else self._one
        found = jax.device_get([program(group, self._images, self._labels) for group in groups])
        return jax.tree.map(lambda *v: (np.concatenate if mapped else np.stack)(v), *found)

    def _begin(self, step: int) -> None:
        """Keep what was written before the step at which a run goes on."""
        self.begun = True
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lines = self.file.read_text().splitlines(True) if self.file.exists() and step else []
        rows = [(json.loads(line)["step"], line) for line in lines if line.endswith("\n")]
        kept = [(at, line) for at, line in rows if at <= step]
        self.file.write_text("".join(line for _, line in kept))
        self.done = {at for at, _ in kept}


def read(file: Path) -> list[dict[str, Any]]:
    """The rows that a ``Recorder`` has written."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def _listed(values: Any) -> list[Any]:
    return [_listed(v) if np.ndim(v) else finite(v) for v in np.asarray(values)]
