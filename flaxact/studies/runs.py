"""Run what of a study is not there yet, and store it: a folder a run, its result written last."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaxact.data import Dataset
from flaxact.errors import InputError
from flaxact.stored.files import DIGEST, read_json
from flaxact.studies._cell import run_cell
from flaxact.studies._folder import StoredRuns, held, is_config
from flaxact.studies._records import read_results
from flaxact.studies._results import (
    PATH,
    check_options,
    described,
    grid,
    reported,
    sizes_of,
    write_results,
)
from flaxact.studies.study import Study, identity
from flaxact.training import Epoch, Member

REPORTS = ("report.html", "results.csv", "results.md", "plots")  # beside results.json
_log = logging.getLogger("flaxact")


@dataclass(frozen=True)
class Progress:
    """How far a study is: epochs done, of how many, and what was trained last."""

    done: int
    total: int
    text: str


def check(study: Study, data: Dataset) -> None:
    """Whether a study can run on this data, found out before any training.

    Raises:
      InputError: a batch larger than the training set, or a model that cannot be built.
    """
    count = len(data.train.labels)
    if study.recipe.batch_size > count:
        raise InputError(
            f"a batch of {study.recipe.batch_size} is larger than the {count} training images of "
            f"{data.name}; give at most {count}"
        )
    sizes_of(study, data)


def _stored(study: Study, folder: Path) -> StoredRuns:
    return StoredRuns(folder, with_variables=study.keep_params)


def missing(study: Study, data: Dataset, folder: Path) -> dict[str, list[Member]]:
    """For each activation the seeds and learning rates that have no stored result; none left out."""
    absent: dict[str, list[Member]] = {}
    stored = _stored(study, folder)
    for activation, member, config in grid(study, data):
        if stored.run(config) is None:
            absent.setdefault(activation, []).append(member)
    return absent


@dataclass(frozen=True)
class Cell:
    """Runs of an activation that are trained together, and which of them are stored.

    All of them, unless some are stored already: those whose results were lost are trained again among
    those that they were trained with, because the last bits depend on that.
    """

    activation: str
    members: tuple[Member, ...]
    stored: tuple[Member, ...]


def missing_cells(study: Study, data: Dataset, folder: Path) -> list[Cell]:
    """What is to be trained; warns of every result that was stored and is not there, or not as it was."""
    stored = _stored(study, folder)
    known = reported(folder)
    together: dict[tuple[str, Member], tuple[Member, ...]] = {}
    absent = []
    for activation, member, config in grid(study, data):
        among = tuple(Member(m.seed, m.learning_rate) for m in stored.together(config))
        together |= {(activation, one): among for one in among}
        if stored.run(config) is None:
            absent.append((activation, member, config))
    for loss in stored.losses:
        _log.warning("%s: trained again", loss)
    new: dict[str, list[Member]] = {}
    again: dict[tuple[str, tuple[Member, ...]], list[Member]] = {}
    for activation, member, config in absent:
        among = together.get((activation, member))
        if among is None:
            new.setdefault(activation, []).append(member)
        else:
            again.setdefault((activation, among), []).append(member)
        path = folder / "runs" / identity(config) / "result.json"
        if (among or identity(config) in known) and not path.exists():
            _log.warning("%s is lost: trained again", path)
    cells = [Cell(activation, among, tuple(lost)) for (activation, among), lost in again.items()]
    return cells + [Cell(name, tuple(members), tuple(members)) for name, members in new.items()]


def finished(study: Study, data: Dataset, folder: Path) -> bool:
    """Whether every run is stored, and the report that is there is this study's."""
    path = folder / PATH
    try:
        read_results(path)
        value = read_json(path)
    except (FileNotFoundError, InputError):
        return False
    if value["study"] != json.loads(json.dumps(described(study))) or DIGEST not in value:
        return False
    if not all((folder / name).exists() for name in REPORTS):
        return False
    if missing(study, data, folder):
        return False
    configs = [config for _, _, config in grid(study, data)]
    stored = StoredRuns(folder)
    as_stored = value["runs"] == [stored.fields(config) for config in configs]
    return as_stored and all(is_config(folder, config) for config in configs)


def run(study: Study, data: Dataset, folder: Path, *, command: str = "") -> Iterator[Progress]:
    """Train what is missing and store it; ``results.json`` is brought up to date after each activation.

    Args:
      study: what to compare.
      data: the data set it names.
      folder: where runs are stored; those of the study that it holds already are kept.
      command: how to do this again, for the report.

    Yields:
      After every epoch of every activation, and at the end.

    Raises:
      InputError: another process is at work in the folder, it holds a study with other options, or
        nothing can be written there.
    """
    with held(folder):
        yield from run_held(study, data, folder, command=command)


def run_held(study: Study, data: Dataset, folder: Path, *, command: str = "") -> Iterator[Progress]:
    """As ``run``, in a folder that the caller holds."""
    check_options(study, folder)
    todo = missing_cells(study, data, folder)
    total = sum(len(cell.members) for cell in todo) * study.recipe.epochs
    done = 0
    for cell in todo:
        yield Progress(done, total, f"{cell.activation}: compiling")
        for epoch in run_cell(
            study, data, folder, cell.activation, members=cell.members, stored=cell.stored
        ):
            yield Progress(
                done + epoch.number * len(cell.members),
                total,
                epoch_text(cell.activation, cell.members, epoch),
            )
        done += study.recipe.epochs * len(cell.members)
        write_results(study, data, folder, command)
    write_results(study, data, folder, command)
    yield Progress(done, total, "done")


def epoch_text(activation: str, members: Sequence[Member], epoch: Epoch) -> str:
    """What is said of an epoch while it trains: the errors of the member with the lowest test error."""
    best = int(np.argmin(np.nan_to_num(epoch.test_error, nan=np.inf)))
    of = f"{len(members)} run{'s' * (len(members) > 1)}"
    if not epoch.number:
        return f"{activation}, {of}, compiled in {epoch.compile_seconds:.0f} s"
    errors = (
        f"training error {epoch.train_error[best]:.1%}, test error {epoch.test_error[best]:.1%}"
    )
    return f"{activation}, epoch {epoch.number}, best of {of}: {errors}"
