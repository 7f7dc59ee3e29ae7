"""The choice of each activation's learning rate, or point of several values, before the evaluation.

It uses a separate seed and separate images.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxact import models
from flaxact.data import Dataset, Split
from flaxact.net import from_linen
from flaxact.stored.files import (
    DIGEST,
    DamagedError,
    check_seal,
    make_folder,
    read_json,
    sealed,
    write_json,
)
from flaxact.studies._times import add_times
from flaxact.studies.points import PointSearch, SearchPoint, search_points
from flaxact.studies.search import TUNING_SEED, Score, Tuned, error_score, search
from flaxact.studies.study import Config, Study, identity
from flaxact.training.loop import Epoch, Start, updates
from flaxact.training.members import Member

HELD_OUT = 0.2  # share of the training images that rates are validated on
FORMAT = 1


@functools.lru_cache(maxsize=1)  # asked for by every activation
def validation_set(data: Dataset) -> Dataset:
    """The data set for the search: a fifth of the training images replaces the test images.

    The other training images are trained on. Some of them occur twice, so that an epoch has as many
    steps as in the evaluation and both use the same compiled programs. No test image is used.

    >>> from flaxact.data import load
    >>> data = validation_set(load("mnist5k"))
    >>> len(data.train.labels), len(data.test.labels)
    (4000, 800)
    """
    count = len(data.train.labels)
    held = max(1, round(HELD_OUT * count))
    rng = np.random.default_rng(TUNING_SEED)
    order = rng.permutation(count)
    rest = order[held:] if held < count else order
    again = rng.permutation(rest)[:held]
    training_rows = np.concatenate([rest, again])[:count]

    def split(rows: np.ndarray) -> Split:
        return Split(data.train.images[rows], data.train.labels[rows])

    return replace(data, train=split(training_rows), test=split(order[:held]))


def tuning_config(study: Study, activation: str, digest: str) -> Config:
    """Everything that the outcome of an activation's search depends on."""
    assert study.search is not None
    space = study.search_of(activation)
    config = replace(study, best_values=()).config(activation, 0.0, TUNING_SEED, digest)
    for name in ("learning_rate", *(space.names if isinstance(space, PointSearch) else ())):
        config.pop(name, None)
    return config | {
        "search": asdict(space),
        "held_out": HELD_OUT,
        "tuning": FORMAT,
    }


def _path(folder: Path, config: Config) -> Path:
    return folder / "tuning" / f"{identity(config)}.json"


def stored_search(study: Study, activation: str, digest: str, folder: Path) -> dict[str, Any]:
    """The stored search: its ``scores`` so far, and ``tuned`` at the end; empty without one.

    A damaged file counts as none.
    """
    config = tuning_config(study, activation, digest)
    path = _path(folder, config)
    try:
        value = read_json(path)
        check_seal(value, path)
    except (FileNotFoundError, DamagedError):
        return {}
    same = isinstance(value, dict) and DIGEST in value and value.get("id") == identity(config)
    return value if same else {}


def resolved(study: Study, data: Dataset, folder: Path) -> Study:
    """The study with the best values of the finished searches; unchanged without a search."""
    space = study.search
    if space is None:
        return study
    rates = {}
    values = {}
    for activation in study.activations:
        tuned = stored_search(study, activation, data.digest, folder).get("tuned")
        if tuned:
            rates[activation] = tuned["best"]
            if isinstance(space, PointSearch):
                values[activation] = tuple(space.values(tuned["point"]).items())
    return replace(study, best_rates=tuple(rates.items()), best_values=tuple(values.items()))


Scores = dict[tuple[float | SearchPoint, int], Score]  # by rate or point, and epochs


def scores_of(stored: dict[str, Any]) -> Scores:
    """The scores of a stored search; a point is a list in the file."""
    return {
        (tuple(candidate) if isinstance(candidate, list) else candidate, epochs): tuple(score)
        for candidate, epochs, score in stored.get("scores", [])
    }


class _UntrainedError(Exception):
    """A search asks for rates or points that are not trained for so many epochs yet."""

    def __init__(self, candidates: Sequence[float | SearchPoint], epochs: int):
        super().__init__()
        self.candidates, self.epochs = list(candidates), epochs


def tune(study: Study, data: Dataset, folder: Path, activation: str) -> Iterator[Epoch]:
    """Search an activation's learning rate, or its point of several hyperparameters.

    Scores are stored each time that candidates are dropped; the others continue from their current
    state. After an interruption they are trained again from the start.

    Yields:
      Each trained epoch, of all candidates that train together.
    """
    assert study.search is not None
    config = tuning_config(study, activation, data.digest)
    space = study.search_of(activation)
    scores = scores_of(stored_search(study, activation, data.digest, folder))
    trainer = _Trainer(study, validation_set(data), activation, scores)

    def known(candidates: Sequence[float | SearchPoint], epochs: int) -> list[Score]:
        if any((candidate, epochs) not in scores for candidate in candidates):
            raise _UntrainedError(candidates, epochs)
        return [scores[candidate, epochs] for candidate in candidates]

    began = time.perf_counter()
    starting = None
    tuned = None
    while tuned is None:
        try:
            over_points = isinstance(space, PointSearch)
            tuned = search_points(space, known) if over_points else search(space, known)
        except _UntrainedError as asked:
            for epoch in trainer.train(asked.candidates, asked.epochs):
                if starting is None:
                    starting = time.perf_counter() - began - epoch.seconds
                yield epoch
        _store(folder, config, scores, tuned, seconds=trainer.seconds)
    starting = starting or 0.0
    choosing = time.perf_counter() - began - starting
    add_times(folder, {"compiling and starting": starting, "choosing rates": choosing})


def _store(
    folder: Path,
    config: Config,
    scores: Scores,
    tuned: Tuned | None,
    seconds: float,
) -> None:
    rows = [[candidate, epochs, list(score)] for (candidate, epochs), score in scores.items()]
    value = {
        "id": identity(config),
        "config": config,
        "scores": rows,
        "seconds": seconds,
        "tuned": None if tuned is None else asdict(tuned),
    }
    make_folder(folder / "tuning")
    write_json(_path(folder, config), sealed(value))


class _Trainer:
    """Trains rates or points on, from where each was, and fills in their ``scores``.

    On an accelerator it trains as many at once as there are seeds, and repeats the last one where there
    are fewer. So the search and the seeds share one compiled program.
    """

    def __init__(self, study: Study, data: Dataset, activation: str, scores: Scores):
        module = models.create_model(study.model, activation, num_classes=data.num_classes)
        self.net = from_linen(module)
        self.space = study.search
        self.recipe = study.recipe_of(activation)
        if isinstance(self.space, PointSearch) and "momentum" in self.space.names:
            at = self.space.names.index("momentum")
            self.recipe = replace(self.recipe, momentum=self.space.highs[at])  # any but 0
        self.data = data
        self.scores = scores
        self.states: dict[
            float | SearchPoint, tuple[int, int, dict[str, np.ndarray]]
        ] = {}  # epochs, step, arrays
        self.seconds = 0.0
        self.at_once = None if jax.default_backend() == "cpu" else len(study.seeds)

    def train(self, candidates: Sequence[float | SearchPoint], epochs: int) -> Iterator[Epoch]:
        """Train the candidates without a score to a total number of epochs."""
        by_start: dict[int, list[float | SearchPoint]] = {}
        for candidate in candidates:
            if (candidate, epochs) not in self.scores:
                start = self.states.get(candidate, (0,))[0]
                by_start.setdefault(start, []).append(candidate)
        for start, group in by_start.items():
            size = self.at_once or len(group)
            for first in range(0, len(group), size):
                part = group[first : first + size]
                part += part[-1:] * (size - len(part))
                yield from self._train_from(start, part, epochs)

    def _member(self, candidate: float | SearchPoint) -> Member:
        if isinstance(candidate, tuple):
            assert isinstance(self.space, PointSearch)
            values = self.space.values(candidate)
            return Member(TUNING_SEED, values["learning_rate"], values.get("momentum"))
        return Member(TUNING_SEED, candidate)

    def _train_from(
        self, start: int, candidates: list[float | SearchPoint], epochs: int
    ) -> Iterator[Epoch]:
        members = [self._member(candidate) for candidate in candidates]
        begin = None
        if start:
            step = self.states[candidates[0]][1]
            arrays = [self.states[candidate][2] for candidate in candidates]
            stacked = {name: np.stack([each[name] for each in arrays]) for name in arrays[0]}
            begin = Start(stacked, step)
        last = None
        for update in updates(self.net, self.recipe, self.data, members, start=begin):
            last = update.epoch or last
            if update.epoch is None or update.epoch.number <= start:
                continue
            self.seconds += update.epoch.seconds
            yield update.epoch
            if update.epoch.number == epochs:
                arrays = update.arrays()
                for i, candidate in enumerate(candidates):
                    own = {name: np.array(values[i]) for name, values in arrays.items()}
                    self.states[candidate] = (epochs, update.step, own)
                break
        assert last is not None
        for i, candidate in enumerate(candidates):
            self.scores[candidate, epochs] = _score(last, i)


def _score(epoch: Epoch, i: int) -> Score:
    """The error and then the loss on the validation images; behind all others if it has diverged."""
    error, loss = float(epoch.test_error[i]), float(epoch.test_loss[i])
    if epoch.diverged_at[i] >= 0 or not (math.isfinite(error) and math.isfinite(loss)):
        return error_score(None)
    return (*error_score(error), loss)
