"""The progress of the comparison in a folder, read from its files. Does not import jax."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from flaxact.stored.files import DamagedError, read_json
from flaxact.studies import summary
from flaxact.studies._records import Results, read_folder
from flaxact.training.folder.lock import InUseError, locked


def status(folder: Path) -> list[str]:
    """The progress as lines: the folder, each activation, current trainings, working processes.

    Raises:
      InputError: there is no comparison in the folder.
    """
    results = read_folder(folder)
    study = results.study
    lines = [f"{folder}: {study.model} on {study.dataset}, {len(study.seeds)} seeds"]
    lines += [f"  {_activation(results, name)}" for name in study.activations]
    lines += [f"  in training: {line}" for line in _trainings(folder)]
    lines.append(_worker(folder, bool(summary.missing_runs(results))))
    return lines


def _activation(results: Results, name: str) -> str:
    study = results.study
    if study.search is not None and name not in study.best_rates:
        return f"{name}: learning rate not chosen yet"
    rates = [study.best_rates[name]] if name in study.best_rates else study.learning_rates
    runs = [run for rate in rates for run in summary.runs_of(results, name, rate)]
    text = f"{name}: {len(runs)} of {len(rates) * len(study.seeds)} runs"
    if name in study.best_rates:
        text += f" at rate {summary.values_text(results, name, study.best_rates[name])}"
    errors = [run.epochs[-1].test_error for run in runs if run.diverged_at is None]
    known = [error for error in errors if error is not None]
    if known:
        text += f", test error {min(known):.1%} to {max(known):.1%}"
    diverged = sum(run.diverged_at is not None for run in runs)
    return text + f", {diverged} diverged" * bool(diverged)


def _trainings(folder: Path) -> list[str]:
    """The cells and searches that are not finished, each with how far it is."""
    lines = []
    for path in sorted(folder.glob("cells/*/config.json")):
        with contextlib.suppress(DamagedError, FileNotFoundError, KeyError, TypeError):
            config = read_json(path)
            epoch = _last_epoch(path.parent / "metrics.jsonl")
            lines.append(
                f"{config['model']}, {len(config['members'])} runs, epoch {epoch} of "
                f"{config['epochs']}"
            )
    for path in sorted(folder.glob("tuning/*.json")):
        with contextlib.suppress(DamagedError, FileNotFoundError, KeyError, TypeError):
            value = read_json(path)
            if value["tuned"] is None:
                epochs = max(row[1] for row in value["scores"])
                activation = value["config"]["activation"]
                names = value["config"]["search"].get("names", ["learning_rate"])
                what = " and ".join(names).replace("_", " ")
                lines.append(f"search of {activation}'s {what}, after {epochs} epochs")
    return lines


def _last_epoch(path: Path) -> int:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return 0
    for line in reversed(lines):  # the last one may be half written
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)["epoch"])
    return 0


def _worker(folder: Path, is_missing: bool) -> str:
    try:
        with locked(folder):
            pass
    except InUseError as error:
        return str(error).split(":", maxsplit=1)[0]
    if is_missing:
        return "no process works there: the same compare command trains what is missing"
    return f"finished. The report: {folder}/report.html"
