"""The options of the commands that compare activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from flaxact.cli.reading import rank
from flaxact.cli.train import begin, read_recipe
from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.data import Dataset
    from flaxact.studies.search import Search
    from flaxact.studies.study import Study

DEFAULTS = {"epochs": 6, "batch_size": 32, "momentum": 0.9, "schedule": "constant"}
RATES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)


@dataclass(frozen=True)
class Loaded:
    """A study, its data set and the folder of its results."""

    study: Study
    data: Dataset
    folder: Path

    def __str__(self) -> str:
        return f"{self.study.model} on {self.study.dataset}"


@dataclass(frozen=True)
class Comparison:
    """The options of a comparison.

    Attributes:
      activations: Names or spec texts, such as relu "elu(alpha=0.5)" "centered(relu)". Ranges stand for
        several: "elu(alpha=0..2:5)" for five values, "elu(alpha=0.01..10:4log)" for equal factors, and
        "elu(alpha=0.5|1|2)" for these.
      model: Name or spec text, such as "cuda_convnet(variant=18pct, width=0.5)", or package.module:Net
        for a Linen module of your own. With several models or data sets, each pair is compared in a
        folder of its own, and activations are ranked over them.
      dataset: mnist5k, the name of a TFDS image classification set, a folder with a subfolder of images
        per class, or an npz file; one or several.
      seeds: Number of runs of each activation, with seeds 0, 1, 2, ...
      reference: The activation that the others are compared with; the first by default.
      until_decided: Largest number of seeds; seeds are added until a sequential test finds every other
        activation different from the reference.
      recipe: TOML file of the training recipe; omitted fields take their defaults.
      option: Fields of the recipe, as "optimizer='adam'" "precision='bfloat16'" "augment=['flip']";
        they override the recipe file.
      epochs: Passes over the training images; default: the recipe's value, or 6.
      batch_size: Images per step; default: the recipe's value, or 32.
      learning_rate: One rate, or several of which each activation uses its best; default: the
        recipe's value, or 0.001 0.002 0.004 0.008 0.016 0.032.
      search: How the best of several rates is found. halving: successive halving on a separate seed and
        validation images, then all seeds at the best rate; if the best rate is at an edge, rates beyond
        it are tried. grid: every seed at every rate, compared by training error.
      tune: What to choose instead, over ranges: learning_rate=1e-4..1e-1, momentum=0.5..0.99 or both. The
        same points for every activation, from a Sobol sequence on log scales (for the momentum, of 1 -
        momentum); the best is found by halving.
      trials: Number of points that --tune starts with; 16 by default.
      budget: What is equal for all activations. epochs: the same number of epochs and steps. flops or
        time: the reference is trained for the given epochs, and the others for the number of epochs
        that cost the same.
      momentum: Momentum of SGD; default: the recipe's value, or 0.9.
      schedule: Learning rate schedule: constant, cosine, plateau or steps (divides by 10 after 80% and
        again after 90%); default: the recipe's value, or constant.
      target_error: Training error, as a fraction, for the column "epochs to".
      image_size: Height and width in pixels to which images are resized.
      keep_params: Keep each run's trained variables; flaxact.studies.load_trained reads them.
      data_dir: Folder of the TFDS data sets; default: the environment variable FLAXACT_DATA_DIR.
      out: Folder of the results. It can hold several comparisons with the same options; runs that it
        already holds are not repeated.
      on_finish: A shell command to run at the end, with the environment variables FLAXACT_OUTCOME
        (done, stopped or failed) and FLAXACT_FOLDER.
    """

    activations: tyro.conf.Positional[tuple[str, ...]]
    model: tuple[str, ...] = ("cuda_convnet(width=0.25)",)
    dataset: tuple[str, ...] = ("mnist5k",)
    seeds: int = 5
    reference: str | None = None
    until_decided: int | None = None
    recipe: Path | None = None
    option: tuple[str, ...] = ()
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: tuple[float, ...] = ()
    search: Literal["halving", "grid"] = "halving"
    tune: tuple[str, ...] = ()
    trials: int | None = None
    budget: Literal["epochs", "flops", "time"] = "epochs"
    momentum: float | None = None
    schedule: str | None = None
    target_error: float = 0.1
    image_size: int | None = None
    keep_params: bool = False
    data_dir: Path | None = None
    out: Path = Path("flaxact-results")
    on_finish: str | None = None

    def studies(self) -> list[Study]:
        """The checked studies, one per model and data set.

        Raises:
          InputError: an unknown name or field, a value out of its range, or a field that is given both
            by an option of its own and by ``--option``.
        """
        from flaxact.studies.study import Study
        from flaxact.training.recipe import Recipe, fields_in

        if not self.activations:
            raise InputError(
                "no activations to compare: name one or more before the options, as in compare relu tanh"
            )
        options = fields_in("\n".join(self.option))
        flags = {name: getattr(self, name) for name in DEFAULTS if getattr(self, name) is not None}
        by_option = [(name, f"--{name.replace('_', '-')}") for name in flags]
        by_option += [("learning_rate", "--learning-rate")] * bool(self.learning_rate)
        by_option += [(name, "--tune") for name in self._tuned()]
        _check_once([*by_option, *((name, "--option") for name in options)])
        fields = DEFAULTS | fields_in(read_recipe(self.recipe)) | options | flags
        rate = fields.pop("learning_rate", None)
        recipe = Recipe(**fields)
        rates = self.learning_rate or (RATES if rate is None else (rate,))
        search = self._search(rates, recipe.epochs)
        return [
            Study(
                activations=self.activations,
                model=model,
                dataset=dataset,
                seeds=tuple(range(self.seeds)),
                learning_rates=rates,
                search=search,
                recipe=recipe,
                target_error=self.target_error,
                image_size=self.image_size,
                keep_params=self.keep_params,
                reference=self.reference,
                until_decided=self.until_decided,
                budget=self.budget,
            )
            for model in _named("model", self.model)
            for dataset in _named("data set", self.dataset)
        ]

    def _tuned(self) -> list[str]:
        """The names that ``--tune`` gives, each once."""
        from flaxact.studies.points import range_name

        return list(dict.fromkeys(map(range_name, self.tune)))

    def _search(self, rates: Sequence[float], epochs: int) -> Search | None:
        """The search for each activation's learning rate, or for points of several values."""
        from flaxact.studies.points import TRIALS, sobol_search
        from flaxact.studies.search import halving

        if not self.tune:
            if self.trials is not None:
                raise InputError("--trials is the number of points of --tune, which is not given")
            is_searched = self.search == "halving" and len(rates) > 1
            return halving(sorted(rates), epochs) if is_searched else None
        if self.search == "grid":
            raise InputError("--tune searches by halving: leave out --search grid")
        is_fixed = len(rates) == 1 and "learning_rate" not in self._tuned()
        return sobol_search(
            self.tune,
            epochs,
            trials=TRIALS if self.trials is None else self.trials,
            learning_rate=rates[0] if is_fixed else None,
        )

    def loaded(self) -> list[Loaded]:
        """The studies with their loaded data and folders; all are checked before any training."""
        from flaxact import data as datasets
        from flaxact.progress import console
        from flaxact.studies.several import task_folders
        from flaxact.studies.study import check_folder

        studies = self.studies()
        for name in self.dataset:
            datasets.check(name, data_dir=self.data_dir)
        folders = task_folders(studies, self.out)
        check_folder(self.out)
        begin(None, None, None)
        loaded = {}
        for name in self.dataset:
            with console.status(f"loading {name}"):
                loaded[name] = datasets.load(
                    name, data_dir=self.data_dir, image_size=self.image_size
                )
        from flaxact.studies import check

        tasks = [
            Loaded(study, loaded[study.dataset], folder)
            for study, folder in zip(studies, folders, strict=True)
        ]
        for task in tasks:
            check(task.study, task.data)
        return tasks

    def rank(self, tasks: Sequence[Loaded]) -> None:
        """Write the page of ranks over several comparisons, if there are several."""
        if len(tasks) > 1 and len(tasks[0].study.activations) > 1:
            rank([task.folder for task in tasks], self.reference, self.out)


def _check_once(given: Iterable[tuple[str, str]]) -> None:
    """Raise for the first name that two options give; pairs of a name and its option."""
    by_option: dict[str, str] = {}
    for name, option in given:
        if name in by_option:
            raise InputError(f"{name} is given by {by_option[name]} and by {option}: give it once")
        by_option[name] = option


def _named(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise InputError(f"no {kind} given: name one or more, or leave the option out")
    return names


Options = Annotated[Comparison, tyro.conf.arg(name="")]
