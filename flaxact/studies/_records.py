"""Records of a study: of one run, and of all runs. Does not import jax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flaxact.errors import InputError
from flaxact.stored import files
from flaxact.stored.files import DIGEST
from flaxact.stored.schema import Count, Number, Positive, Share, decode, unexpected
from flaxact.studies import _frames
from flaxact.studies._lifted import lifted
from flaxact.studies._origin_records import Data, Environment, Model
from flaxact.studies._search_records import Chosen, Searched

if TYPE_CHECKING:
    from pandas import DataFrame

PATH = "results.json"
FORMAT = 3  # sealed with a digest
READ = (1, 2, FORMAT)  # 1: layers before and after training in place of probes of every epoch
UNNUMBERED = 2  # the format of a run's first record, which had no number
LEVELS = 33  # quantiles of the inputs of a site
# Of these the report speaks; more may be stored.
MEASURES = (
    "mean", "variance", "mean_to_std", "zeros", "saturated_high", "slope_second_moment",
    "gradient_norm",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """An epoch of one run; errors are fractions, None where the run has diverged."""

    epoch: Count
    train_error: Positive | None
    train_loss: Number | None
    test_error: Positive | None
    test_loss: Number | None
    seconds: Positive


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The metrics of a test pass; None if not finite."""

    test_error: Positive | None
    test_loss: Number | None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The mean, minimum and maximum of a learned parameter over the channels of a site."""

    mean: Number | None
    min: Number | None
    max: Number | None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The measures and the learned parameters, each by site and name; epoch 0 is before training."""

    epoch: Count
    sites: dict[str, dict[str, Number | None]]
    learned: dict[str, dict[str, Spread]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """One member of a group of runs that were trained together."""

    seed: int
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """The record of a run.

    Attributes:
      config: everything that the outcome depends on.
      epochs: the metrics of each epoch.
      compile_seconds: compile time, in seconds, of the program that trained it.
      runs_at_once: how many runs that program trained.
      diverged_at: the epoch in which it diverged; None if it did not.
      probes: probes of every epoch, from before training on.
      inputs: the quantiles of the activation's inputs after training, by site.
      members: the runs that were trained together; empty for runs of older versions.
      untrained: the test before training; None for runs of older versions.
      variables: SHA-256 of the file of trained variables; None if they were not kept.
      id: the name of its folder, in ``results.json``.
    """

    config: dict[str, Any]
    epochs: tuple[EpochRecord, ...]
    compile_seconds: Positive
    runs_at_once: Count
    diverged_at: Count | None
    probes: tuple[Probe, ...]
    inputs: dict[str, tuple[Number | None, ...]]
    members: tuple[Trained, ...] = ()
    untrained: Tested | None = None
    variables: str | None = None
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Described:
    """The description of a study in ``results.json``."""

    activations: tuple[str, ...]
    model: str
    dataset: str
    seeds: tuple[int, ...]
    learning_rates: tuple[Positive, ...]
    target_error: Share
    epochs: Count
    batch_size: Count
    momentum: Number
    schedule: str
    image_size: Count | None = None
    recipe: dict[str, Any] = field(default_factory=dict)  # all of it but the learning rate
    keep_params: bool = False
    reference: str | None = None
    until_decided: Count | None = None
    search: Searched | None = None
    best_rates: dict[str, Positive] = field(default_factory=dict)
    best_values: dict[str, dict[str, Number]] = field(default_factory=dict)
    budget: str = "epochs"
    epochs_of: dict[str, Count] = field(default_factory=dict)
    costs: dict[str, Positive] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, repr=False)
class Results:
    """The contents of ``results.json``."""

    format: int
    study: Described
    environment: Environment
    dataset: Data
    model: Model
    runs: tuple[Run, ...]
    activations: dict[str, dict[str, Any]] = field(default_factory=dict)
    tuned: dict[str, Chosen] = field(default_factory=dict)
    times: dict[str, Positive] = field(
        default_factory=dict
    )  # in seconds, by what they were spent on

    def to_pandas(self, *, sites: bool = False) -> DataFrame:
        """The runs as a data frame in tidy form, one row per run and epoch.

        The columns are run, activation, learning_rate, seed, epoch, train_error, train_loss, test_error,
        test_loss, seconds and diverged. Errors are fractions. A metric that is not known is nan. Epoch 0
        is the test before training.

        Args:
          sites: give one row per run, epoch and site instead, with a column per measure.

        Raises:
          InputError: pandas is not installed.
        """
        return _frames.by_site(self) if sites else _frames.by_epoch(self)

    def __repr__(self) -> str:
        names = ", ".join(self.study.activations)
        return f"Results({len(self.runs)} runs of {names} on {self.dataset.name})"


def read_results(path: Path) -> Results:
    """The results of a study.

    Raises:
      FileNotFoundError: there are no results.
      InputError: they were written by another version of flaxact, are of another kind, or are damaged.
    """
    value = files.read_json(path)
    fields = _checked_format(value, path)
    if fields.get("format") == 1:
        fields = lifted(fields, path, MEASURES)
    results = decode(Results, fields, path)
    _check_study(results, path)
    for i, run in enumerate(results.runs):
        _check_run(run, path, f"runs[{i}]", every_epoch=results.format > 1)
    return results


def read_folder(folder: Path) -> Results:
    """The results in a folder of ``flaxact compare``.

    Raises:
      InputError: there are none, or they are damaged.
    """
    try:
        return read_results(folder / PATH)
    except FileNotFoundError:
        within = sorted(str(path.parent) for path in folder.glob(f"*/{PATH}"))
        advice = "flaxact compare writes it"
        if within:
            advice = f"name one of its comparisons: {', '.join(within)}"
        raise InputError(f"no results.json in {str(folder)!r}: {advice}") from None


def decode_run(value: object, path: Path, config: Mapping[str, object]) -> Run:
    """A run's record.

    Args:
      value: the JSON value.
      path: path of the file, for messages.
      config: the configuration that the run must have.

    Raises:
      InputError: it was written by another version of flaxact, is of another kind, or is damaged.
    """
    fields = _checked_format(value, path)
    files.check_seal(fields, path)
    held = {"config": config, **fields}
    if files.digest(held["config"]) != files.digest(config):
        raise unexpected(path, "config", "that of its folder", held["config"])
    run = decode(Run, {name: of for name, of in held.items() if name != DIGEST}, path)
    _check_run(run, path, "")
    return run


def _checked_format(value: object, path: Path) -> dict[str, Any]:
    """Whether it is of a format that is read, with what that format has; a run's first had no number."""
    if not isinstance(value, dict):
        raise unexpected(path, "", "names with values", value)
    stored = value.get("format", UNNUMBERED)
    if isinstance(stored, bool) or stored not in READ:
        read = f"{', '.join(map(str, READ[:-1]))} and {READ[-1]}"
        raise InputError(
            f"{path} has format {stored!r}; this flaxact reads {read}: read it with the flaxact that "
            "wrote it, or a newer one"
        )
    if stored == FORMAT and DIGEST not in value:
        raise unexpected(path, "", f"a field {DIGEST!r}", value)
    return value


def _check_study(results: Results, path: Path) -> None:
    study = results.study
    for name in ("activations", "seeds", "learning_rates"):
        values = getattr(study, name)
        if not values or len({*values}) < len(values):
            raise unexpected(path, f"study.{name}", "one or more, none of them twice", list(values))
    keys = [
        (run.config.get("activation"), run.config.get("learning_rate"), run.config.get("seed"))
        for run in results.runs
    ]
    if len({*map(repr, keys)}) < len(keys):
        raise unexpected(path, "runs", "every run once", list(keys))


@dataclass(frozen=True)
class _Named:
    """What every configuration has."""

    activation: str
    learning_rate: Positive
    seed: Count


def _check_run(run: Run, path: Path, place: str, *, every_epoch: bool = True) -> None:
    """What the report takes for granted."""
    at = f"{place}." if place else ""
    decode(_Named, run.config, f"{path}, {at}config")
    if not run.epochs:
        raise unexpected(path, f"{at}epochs", "one or more", [])
    if [epoch.epoch for epoch in run.epochs] != list(range(1, len(run.epochs) + 1)):
        raise unexpected(path, f"{at}epochs", "the epochs 1, 2, ... in order", list(run.epochs))
    last = run.epochs[-1]
    if run.diverged_at is None and None in (last.train_error, last.train_loss, last.test_error):
        raise unexpected(path, f"{at}epochs[{len(run.epochs) - 1}]", "numbers", None)
    last = len(run.epochs)
    _check_probes(run, path, at, list(range(last + 1)) if every_epoch else [0, last])


def _check_probes(run: Run, path: Path, at: str, epochs: list[int]) -> None:
    if [probe.epoch for probe in run.probes] != epochs:
        raise unexpected(path, f"{at}probes", f"{len(epochs)} in order", list(run.probes))
    sites = list(run.probes[0].sites)
    for i, probe in enumerate(run.probes):
        if list(probe.sites) != sites:
            raise unexpected(path, f"{at}probes[{i}].sites", ", ".join(sites), list(probe.sites))
        for site, measures in probe.sites.items():
            absent = [name for name in MEASURES if name not in measures]
            if absent:
                raise unexpected(path, f"{at}probes[{i}].sites.{site}", absent[0], measures)
    for site, values in run.inputs.items():
        if len(values) != LEVELS or site not in sites:
            raise unexpected(path, f"{at}inputs.{site}", f"{LEVELS} values", list(values))
