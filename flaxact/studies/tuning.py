"""The choice of each activation's learning rate before the evaluation, on a separate seed and images."""

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
    """Everything that the choice of an activation's learning rate depends on."""
    assert study.search is not None
    config = study.config(activation, 0.0, TUNING_SEED, digest)
    del config["learning_rate"]
    return config | {
        "search": asdict(study.search_of(activation)),
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
    """The study with the best rates of the finished searches; unchanged without a search."""
    if study.search is None:
        return study
    best = {}
    for activation in study.activations:
        tuned = stored_search(study, activation, data.digest, folder).get("tuned")
        if tuned:
            best[activation] = tuned["best"]
    return replace(study, best_rates=tuple(best.items()))


class _UntrainedError(Exception):
    """A search asks for rates that are not trained for so many epochs yet."""

    def __init__(self, rates: Sequence[float], epochs: int):
        super().__init__()
        self.rates, self.epochs = list(rates), epochs


def tune(study: Study, data: Dataset, folder: Path, activation: str) -> Iterator[Epoch]:
    """Search an activation's learning rate; the scores are stored after every rung.

    Remaining rates continue from their current state. After an interruption they are trained again from
    the start.

    Yields:
      Each trained epoch, of all rates of a rung.
    """
    assert study.search is not None
    config = tuning_config(study, activation, data.digest)
    space = study.search_of(activation)
    scores = {
        (rate, epochs): tuple(score)
        for rate, epochs, score in stored_search(study, activation, data.digest, folder).get(
            "scores", []
        )
    }
    trainer = _Trainer(study, validation_set(data), activation, scores)

    def known(rates: Sequence[float], epochs: int) -> list[Score]:
        if any((rate, epochs) not in scores for rate in rates):
            raise _UntrainedError(rates, epochs)
        return [scores[rate, epochs] for rate in rates]

    began = time.perf_counter()
    starting = None
    tuned = None
    while tuned is None:
        try:
            tuned = search(space, known)
        except _UntrainedError as asked:
            for epoch in trainer.train(asked.rates, asked.epochs):
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
    scores: dict[tuple[float, int], Score],
    tuned: Tuned | None,
    seconds: float,
) -> None:
    rows = [[rate, epochs, list(score)] for (rate, epochs), score in scores.items()]
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
    """Trains rates on, from where each was, and fills in their ``scores`` by rate and epochs.

    On an accelerator it trains as many rates at once as there are seeds, and repeats the last one where
    there are fewer. So the search and the seeds share one compiled program.
    """

    def __init__(
        self, study: Study, data: Dataset, activation: str, scores: dict[tuple[float, int], Score]
    ):
        module = models.create_model(study.model, activation, num_classes=data.num_classes)
        self.net = from_linen(module)
        self.recipe = study.recipe_of(activation)
        self.data = data
        self.scores = scores
        self.states: dict[
            float, tuple[int, int, dict[str, np.ndarray]]
        ] = {}  # epochs, step, arrays
        self.seconds = 0.0
        self.at_once = None if jax.default_backend() == "cpu" else len(study.seeds)

    def train(self, rates: Sequence[float], epochs: int) -> Iterator[Epoch]:
        """Train the rates without a score to a total number of epochs."""
        by_start: dict[int, list[float]] = {}
        for rate in rates:
            if (rate, epochs) not in self.scores:
                by_start.setdefault(self.states.get(rate, (0,))[0], []).append(rate)
        for start, group in by_start.items():
            size = self.at_once or len(group)
            for first in range(0, len(group), size):
                part = group[first : first + size]
                part += part[-1:] * (size - len(part))
                yield from self._train_from(start, part, epochs)

    def _train_from(self, start: int, rates: list[float], epochs: int) -> Iterator[Epoch]:
        members = [Member(TUNING_SEED, rate) for rate in rates]
        begin = None
        if start:
            step = self.states[rates[0]][1]
            arrays = [self.states[rate][2] for rate in rates]
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
                for i, rate in enumerate(rates):
                    own = {name: np.array(values[i]) for name, values in arrays.items()}
                    self.states[rate] = (epochs, update.step, own)
                break
        assert last is not None
        for i, rate in enumerate(rates):
            self.scores[rate, epochs] = _score(last, i)


def _score(epoch: Epoch, i: int) -> Score:
    """The error and then the loss on the validation images; behind all others if it has diverged."""
    error, loss = float(epoch.test_error[i]), float(epoch.test_loss[i])
    if epoch.diverged_at[i] >= 0 or not (math.isfinite(error) and math.isfinite(loss)):
        return error_score(None)
    return (*error_score(error), loss)
