"""Run the missing parts of a study and store them: one folder per run, its result written last."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flaxact.data import Dataset
from flaxact.errors import InputError
from flaxact.stored.files import DIGEST, read_json
from flaxact.studies._cell import run_cell
from flaxact.studies._epoch_texts import epoch_text, rates_text
from flaxact.studies._folder import StoredRuns, held, is_config
from flaxact.studies._records import PATH, Results, read_results
from flaxact.studies._results import (
    check_options,
    described,
    grid,
    reported,
    write_results,
)
from flaxact.studies.budgets import with_budget
from flaxact.studies.contrasts import decided
from flaxact.studies.search import TUNING_SEED, budget
from flaxact.studies.study import Study, identity
from flaxact.studies.tuning import resolved, tune
from flaxact.training import Member

LOOK = 2  # seeds that are added between looks at the sequential test
REPORTS = ("report.html", "results.csv", "epochs.csv", "results.md", "plots")  # beside results.json
_log = logging.getLogger("flaxact")


@dataclass(frozen=True)
class Progress:
    """The progress of a study: epochs done, epochs in all, and what was trained last."""

    done: int
    total: int
    text: str


def _stored(study: Study, folder: Path) -> StoredRuns:
    return StoredRuns(folder, with_variables=study.keep_params)


def missing(study: Study, data: Dataset, folder: Path) -> dict[str, list[Member]]:
    """The seeds and learning rates without a stored result, by activation.

    An activation whose learning rate is not chosen yet has the tuning seed.
    """
    absent: dict[str, list[Member]] = {}
    stored = _stored(study, folder)
    study = resolved(study, data, folder)
    if study.search is not None:
        searched = dict(study.best_rates)
        absent = {name: [Member(TUNING_SEED)] for name in study.activations if name not in searched}
    for activation, member, config in grid(study, data):
        if stored.run(config) is None:
            absent.setdefault(activation, []).append(member)
    return absent


@dataclass(frozen=True)
class Cell:
    """Runs of an activation that are trained together, and which of them will be stored.

    Usually all are stored. If only some results were lost, the whole group is trained again, because
    the last bits depend on it, and only the lost results are stored.
    """

    activation: str
    members: tuple[Member, ...]
    stored: tuple[Member, ...]


def missing_cells(study: Study, data: Dataset, folder: Path, only: str | None = None) -> list[Cell]:
    """The groups of runs to train; warns of every stored result that is lost or damaged.

    Args:
      study: the study, with the best learning rates known so far.
      data: the data set that the study names.
      folder: where runs are stored.
      only: the only activation to look at; None for all.
    """
    stored = _stored(study, folder)
    known = reported(folder)
    together: dict[tuple[str, Member], tuple[Member, ...]] = {}
    absent = []
    runs = [run for run in grid(study, data) if only in (None, run[0])]
    for activation, member, config in runs:
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
    """Whether every run is stored and the folder's report is this study's."""
    path = folder / PATH
    study = resolved(grown(study, folder), data, folder)
    if study.search is not None and len(study.best_rates) < len(study.activations):
        return False
    try:
        results = read_results(path)
        value = read_json(path)
    except (FileNotFoundError, InputError):
        return False
    if value["study"] != json.loads(json.dumps(described(study))) or DIGEST not in value:
        return False
    if not all((folder / name).exists() for name in REPORTS):
        return False
    if missing(study, data, folder) or _wants_more_seeds(study, results):
        return False
    configs = [config for _, _, config in grid(study, data)]
    stored = StoredRuns(folder)
    as_stored = value["runs"] == [stored.fields(config) for config in configs]
    return as_stored and all(is_config(folder, config) for config in configs)


def run(study: Study, data: Dataset, folder: Path, *, command: str = "") -> Iterator[Progress]:
    """Train and store the missing runs; ``results.json`` is updated after each activation.

    Args:
      study: the study whose missing runs are trained.
      data: the data set that the study names.
      folder: where runs are stored; runs of the study that it already holds are kept.
      command: the command line, for the report.

    Yields:
      The progress after every epoch of every activation, and at the end.

    Raises:
      InputError: another process is at work in the folder, it holds a study with other options, or
        nothing can be written there.
    """
    with held(folder):
        yield from run_held(study, data, folder, command=command)


def run_held(study: Study, data: Dataset, folder: Path, *, command: str = "") -> Iterator[Progress]:
    """As ``run``, in a folder that the caller has locked."""
    check_options(study, folder)
    study = with_budget(study, data, folder)
    while True:
        yield from _train_missing(study, data, folder, command)
        if study.until_decided is None or not _wants_more_seeds(study, read_results(folder / PATH)):
            return
        study = study.with_more_seeds(LOOK)


def resumption(study: Study, data: Dataset, folder: Path) -> str:
    """A message about the runs that the folder already holds; empty if there are none."""
    known = resolved(study, data, folder)
    stored = _stored(study, folder)
    runs = [config for _, _, config in grid(known, data)]
    count = sum(stored.run(config) is not None for config in runs)
    cells = len(list(folder.glob("cells/*/checkpoints")))
    parts = [f"{count} runs"] * bool(count)
    if known.search is not None and known.best_rates:
        what = "best values" if known.best_values else "learning rates"
        parts.append(f"the {what} of {len(known.best_rates)} activations")
    parts += [f"checkpoints of {cells} unfinished trainings"] * bool(cells)
    return f"resuming: {folder} has {', '.join(parts)}" if parts else ""


def grown(study: Study, folder: Path) -> Study:
    """The study with the seeds that ``until_decided`` has added in a folder, if any."""
    if study.until_decided is None:
        return study
    try:
        seeds = read_results(folder / PATH).study.seeds
    except (FileNotFoundError, InputError):
        return study
    more = len(seeds) - len(study.seeds)
    larger = study.with_more_seeds(more) if more > 0 else study
    return larger if larger.seeds == seeds else study


def _wants_more_seeds(study: Study, results: Results) -> bool:
    most = study.until_decided
    return most is not None and len(study.seeds) < most and not decided(results)


def _train_missing(study: Study, data: Dataset, folder: Path, command: str) -> Iterator[Progress]:
    known = resolved(study, data, folder)
    cells: dict[str, list[Cell]] = {name: [] for name in study.activations}
    for cell in missing_cells(known, data, folder):
        cells[cell.activation].append(cell)
    write_results(known, data, folder, command)
    todo = {name: _epochs_left(known, name, cells[name]) for name in study.activations}
    total = sum(todo.values())
    epochs_done = 0
    for activation in study.activations:
        if not todo[activation]:
            continue
        at = epochs_done
        for epochs, text in train_activation(
            study, data, folder, activation, cells=cells[activation]
        ):
            at = min(at + epochs, epochs_done + todo[activation])
            yield Progress(at, total, text)
        epochs_done += todo[activation]
        write_results(resolved(study, data, folder), data, folder, command)
    yield Progress(epochs_done, total, "done")


def _searches(known: Study, activation: str) -> bool:
    """Whether an activation's learning rate is still to be chosen."""
    return known.search is not None and activation not in dict(known.best_rates)


def _epochs_left(known: Study, activation: str, cells: Sequence[Cell]) -> int:
    """How many epochs are to be trained for an activation; a grid that is widened takes more."""
    epochs = known.recipe_of(activation).epochs
    if _searches(known, activation):
        return budget(known.search_of(activation)) + len(known.seeds) * epochs
    return sum(len(cell.members) for cell in cells) * epochs


def train_activation(
    study: Study, data: Dataset, folder: Path, activation: str, cells: Sequence[Cell] | None = None
) -> Iterator[tuple[int, str]]:
    """Search an activation's learning rate if the study asks for it, and train its missing runs.

    Args:
      study: the study whose missing runs are trained.
      data: the data set that the study names.
      folder: where runs are stored.
      activation: one of the study's.
      cells: its missing cells; None to determine them.

    Yields:
      The number of epochs trained since the last yield, and what was trained.
    """
    known = resolved(study, data, folder)
    if _searches(known, activation):
        yield 0, f"{activation}: compiling"
        for epoch in tune(study, data, folder, activation):
            yield len(epoch.members), f"{activation}, {rates_text(epoch)}"
        known = resolved(study, data, folder)
        cells = None
    if cells is None:
        cells = missing_cells(known, data, folder, activation)
    for cell in cells:
        yield 0, f"{activation}: compiling"
        before = 0
        for epoch in run_cell(
            known, data, folder, activation, members=cell.members, stored=cell.stored
        ):
            epochs = (epoch.number - before) * len(cell.members)
            yield epochs, epoch_text(activation, cell.members, epoch)
            before = epoch.number
