"""Several comparisons with the same settings as one. Does not import jax."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from flaxact.errors import InputError
from flaxact.studies._origin_records import Environment
from flaxact.studies._records import Results, Run, read_folder
from flaxact.studies._settings import as_text, differing
from flaxact.studies.summary import values_text


def read_together(folders: Sequence[Path]) -> Results:
    """The results of one or several folders as one.

    The folders may differ only in activations, seeds, target error and versions. A run that is in two
    folders counts once.

    Raises:
      InputError: as ``read_folder``; or they differ in other settings, or have other results for a run.
    """
    results = read_folder(folders[0])
    for folder in folders[1:]:
        results = _joined(results, read_folder(folder), (folders[0], folder))
    return results


def _joined(one: Results, other: Results, names: tuple[Path, Path]) -> Results:
    differences = differing(one, other)
    for name, (was, now) in differences.items():
        more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise InputError(
            f"{names[0]} and {names[1]} are not one comparison: {name.replace('_', ' ')} "
            f"{as_text(was)} and {as_text(now)}{more}. flaxact diff shows all; flaxact ranks compares "
            "over several models and data sets"
        )
    _check_rates(one, other, names)
    most = [r.study.until_decided for r in (one, other) if r.study.until_decided is not None]
    study = replace(
        one.study,
        activations=_union(one.study.activations, other.study.activations),
        seeds=tuple(sorted({*one.study.seeds, *other.study.seeds})),
        reference=one.study.reference or other.study.reference,
        until_decided=max(most, default=None),
        best_rates={**other.study.best_rates, **one.study.best_rates},
        best_values={**other.study.best_values, **one.study.best_values},
        epochs_of={**other.study.epochs_of, **one.study.epochs_of},
        costs={**other.study.costs, **one.study.costs},
    )
    return replace(
        one,
        study=study,
        environment=_environment(one.environment, other.environment),
        runs=_runs(one, other, names),
        activations={**other.activations, **one.activations},
        tuned={**other.tuned, **one.tuned},
        times=_sums(one.times, other.times),
    )


def _check_rates(one: Results, other: Results, names: tuple[Path, Path]) -> None:
    best = one.study.best_rates
    best_values = one.study.best_values
    for activation, rate in other.study.best_rates.items():
        values = other.study.best_values.get(activation)
        same_values = best_values.get(activation, values) == values
        if best.get(activation, rate) != rate or not same_values:
            here, there = (
                values_text(results, activation, results.study.best_rates[activation])
                for results in (one, other)
            )
            raise InputError(
                f"the best learning rate of {activation} is {here} in {names[0]} and {there} in "
                f"{names[1]}: give one of the two"
            )


def _runs(one: Results, other: Results, names: tuple[Path, Path]) -> tuple[Run, ...]:
    runs = {run_key(run): run for run in one.runs}
    for run in other.runs:
        same = runs.setdefault(run_key(run), run)
        if errors(same) != errors(run):
            activation, rate, seed = run_key(run)
            raise InputError(
                f"{activation} at {rate:g} with seed {seed} has other errors in {names[0]} than in "
                f"{names[1]}: give one of the two; flaxact diff compares them"
            )
    return tuple(runs.values())


def run_key(run: Run) -> tuple[str, float, int]:
    """The activation, learning rate and seed of a run, which tell it from the others of its study."""
    return run.config["activation"], run.config["learning_rate"], run.config["seed"]


def errors(run: Run) -> list[tuple[float | None, float | None]]:
    """The (training, test) errors of every epoch."""
    return [(epoch.train_error, epoch.test_error) for epoch in run.epochs]


Item = TypeVar("Item")


def _union(one: Iterable[Item], other: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _environment(one: Environment, other: Environment) -> Environment:
    """Of both; where they differ, each value once."""
    values = {}
    for field in fields(Environment):
        both = [getattr(environment, field.name) for environment in (one, other)]
        separator = "; " if field.name == "command" else " and "
        values[field.name] = separator.join(filter(None, dict.fromkeys(both)))
    return Environment(**values)


def _sums(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in _union(one, other)}
