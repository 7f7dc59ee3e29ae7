"""The error curve of one training run, recorded several times per epoch, and the loop that does so."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaxact.data import Dataset
from flaxact.net import Net
from flaxact.reproduction.tuning import TUNING_SEED, Score, Search, Tuned, tune
from flaxact.reproduction.workspace import Workspace
from flaxact.stored.files import Json, finite
from flaxact.stored.schema import decode
from flaxact.training.folder.checkpoints import Checkpoints, restore
from flaxact.training.folder.interrupt import STOPPED, stopping
from flaxact.training.loop import Start, Update, updates
from flaxact.training.members import Member
from flaxact.training.recipe import Recipe

SAVE_SECONDS = 120.0  # between checkpoints
Point = tuple[float, float | None]  # a time in epochs, and the error at that time


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The errors of one run. Errors are fractions; None from the step on at which the run diverged.

    Attributes:
      steps_per_epoch: optimizer steps in an epoch.
      window_ends: the step at which each window ends, counted from 1.
      window_errors: the training error of each window: the mean over its batches, before each update.
      clean_errors: the error on fixed training images after each epoch, without updates in between.
      diverged_at: the step at which the run diverged, from 0; -1 if it did not.
      observed: what ``observe`` returned before training and after each epoch.
      seconds: wall-clock time of the training, compilation included.
    """

    steps_per_epoch: int
    window_ends: tuple[int, ...] = ()
    window_errors: tuple[float | None, ...] = ()
    clean_errors: tuple[float | None, ...] = ()
    diverged_at: int = -1
    observed: tuple[Any, ...] = ()
    seconds: float = 0.0

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Curve:
        """The curve that ``dataclasses.asdict`` and JSON have stored."""
        return decode(cls, value, "a stored curve")

    @property
    def epochs(self) -> float:
        """How many epochs were trained."""
        return self.window_ends[-1] / self.steps_per_epoch if self.window_ends else 0.0

    @property
    def has_diverged(self) -> bool:
        """Whether the run diverged."""
        return self.diverged_at >= 0

    def running(self) -> list[Point]:
        """The running mean over one epoch of steps, dated at the middle of that epoch.

        The first point is the mean of the whole first epoch, at 0.5.

        >>> Curve(steps_per_epoch=4, window_ends=(2, 4, 6), window_errors=(0.8, 0.6, 0.2)).running()
        [(0.5, 0.7), (1.0, 0.4)]
        """
        ends = np.array([0, *self.window_ends])
        errors = np.array([np.nan if e is None else e for e in self.window_errors], float)
        sums = np.concatenate([[0.0], np.cumsum(errors * np.diff(ends))])
        points = []
        for last, end in enumerate(ends):
            start = end - self.steps_per_epoch
            if start < 0:
                continue
            first = int(np.argmin(np.abs(ends - start)))
            middle = (ends[first] + end) / 2 / self.steps_per_epoch
            error = (sums[last] - sums[first]) / (end - ends[first])
            points.append((round(float(middle), 6), _rounded(finite(error))))
        return points

    def clean(self) -> list[Point]:
        """The error on fixed training images, dated at the end of each epoch."""
        return [(float(epoch), error) for epoch, error in enumerate(self.clean_errors, 1)]


def record_curve(
    net: Net,
    recipe: Recipe,
    data: Dataset,
    *,
    member: Member,
    folder: Path,
    windows: int = 4,
    until: Callable[[Curve], bool] = lambda curve: False,
    observe: Callable[[Update], object] | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> Curve:
    """Train one net and record its error several times per epoch.

    The folder holds checkpoints. Called again, the training resumes from the newest one; this includes
    a call with more epochs than the last, so a run can be extended. The learning rate schedule must
    then not depend on the number of epochs, as ``constant`` does not.

    Args:
      net: the network.
      recipe: how it is trained, for at most ``recipe.epochs``.
      data: the data set; after each epoch the error is also measured on its test images.
      member: the seed and the learning rate.
      folder: for the checkpoints of this run alone.
      windows: how often per epoch the training error is recorded.
      until: called with the curve after each epoch; True ends the training.
      observe: called before training and after each epoch; what it returns must be JSON.
      save_seconds: between checkpoints.

    Returns:
      The curve from the first step on. A diverged run ends at once.

    Raises:
      SystemExit: with code 143 after SIGTERM, once the state is saved.
    """
    curve, start, before = _resumed(folder, data, recipe)
    resumed_at = start.step if start else -1
    already = curve.seconds
    began = time.perf_counter()
    last_save = time.monotonic()
    with Checkpoints(folder / "checkpoints") as checkpoints, stopping() as stop:

        def save(update: Update) -> None:
            facts = {
                "curve": dataclasses.asdict(curve),
                "before": before,
                "seconds": update.seconds,
                "elapsed": update.elapsed,
            }
            checkpoints.save(update.step, update.arrays(), facts)

        if start and (curve.has_diverged or until(curve)):
            return curve
        window = -(-curve.steps_per_epoch // windows)  # steps, but for the last one of an epoch
        options = {"start": start, "steps_per_update": window}
        for update in updates(net, recipe, data, [member], **options):
            if update.step % update.steps_per_epoch % window:
                continue  # within a window
            if update.step and update.step > resumed_at:
                total = float(np.asarray(update.groups[0].totals["error"]).reshape(()))
                curve, before = _extended(curve, update, total, before)
            if update.epoch is not None and update.step > resumed_at:
                curve = _after_epoch(curve, update, observe)
            seconds = round(already + time.perf_counter() - began, 1)
            curve = dataclasses.replace(curve, seconds=seconds)
            is_over = update.epoch is not None and update.step > 0
            is_over = is_over and (curve.has_diverged or until(curve))
            if is_over or stop(update.step):
                save(update)
                checkpoints.wait()
                if not is_over:
                    raise SystemExit(STOPPED)
                return curve
            if time.monotonic() - last_save > save_seconds:
                save(update)
                last_save = time.monotonic()
        save(update)
        checkpoints.wait()
    return curve


def tune_by_curves(
    workspace: Workspace,
    label: str,
    space: Search,
    value: Callable[[Curve], object],
    *,
    net: Net,
    recipe: Recipe,
    load: Callable[[], Dataset],
    score: Callable[[Any], Score],
    seed: int = TUNING_SEED,
) -> Tuned:
    """Search a learning rate by training curves, stored as pieces ``label/rate-RATE-to-EPOCHS``.

    Args:
      workspace: stores the pieces.
      label: label of the pieces.
      space: the rates, and the epochs after which rates are dropped.
      value: maps a curve to the value that is stored.
      net: the network.
      recipe: how it is trained; the rung (a stage of the search) replaces its epochs.
      load: returns the data set; after each epoch the error is also measured on its test images.
      score: maps a stored value to a score.
      seed: seed of the search; it must not be an evaluation seed.

    Raises:
      UnavailableError: as ``Workspace.cached_all``.
    """

    def validate(member: Member, epochs: int) -> object:
        folder = workspace.scratch / f"{label}/rate-{member.learning_rate:g}"
        shorter = dataclasses.replace(recipe, epochs=epochs)
        return value(record_curve(net, shorter, load(), member=member, folder=folder, windows=1))

    piece = f"{label}/rate-{{rate:g}}-to-{{epochs}}"
    return tune(workspace, piece, space, validate, score=score, seed=seed)


def _resumed(folder: Path, data: Dataset, recipe: Recipe) -> tuple[Curve, Start | None, float]:
    restored = restore(folder / "checkpoints")
    if restored is None:
        return Curve(steps_per_epoch=len(data.train.labels) // recipe.batch_size), None, 0.0
    facts = restored.facts
    start = Start(restored.arrays, restored.step, facts["seconds"], facts["elapsed"])
    return Curve.from_json(facts["curve"]), start, facts["before"]


def _extended(curve: Curve, update: Update, total: float, before: float) -> tuple[Curve, float]:
    """The curve with one window more, and the sum of errors that the next window starts from."""
    steps = update.step - (curve.window_ends[-1] if curve.window_ends else 0)
    error = _rounded(finite((total - before) / steps))
    curve = dataclasses.replace(
        curve,
        window_ends=(*curve.window_ends, update.step),
        window_errors=(*curve.window_errors, error),
    )
    return curve, 0.0 if update.epoch is not None else total


def _after_epoch(curve: Curve, update: Update, observe: Callable[[Update], object] | None) -> Curve:
    assert update.epoch is not None
    if observe is not None:
        curve = dataclasses.replace(curve, observed=(*curve.observed, observe(update)))
    if not update.step:
        return curve
    return dataclasses.replace(
        curve,
        clean_errors=(*curve.clean_errors, _rounded(finite(update.epoch.test_error[0]))),
        diverged_at=int(update.epoch.diverged_at[0]),
    )


def _rounded(error: float | None) -> float | None:
    return None if error is None else round(error, 5)
