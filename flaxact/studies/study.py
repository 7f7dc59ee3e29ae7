"""The description of a study, checked before any training; does not import jax."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from flaxact import _own_code, models
from flaxact.activations import Activation, get
from flaxact.errors import InputError, unknown
from flaxact.models._catalogue import entry
from flaxact.studies.ranges import expanded
from flaxact.studies.search import TUNING_SEED, Search, with_epochs
from flaxact.training.recipe import Recipe

Config = dict[str, Any]
Budget = Literal["epochs", "flops", "time"]
BUDGETS = get_args(Budget)
FORMAT = 2  # part of a run's identity; another where runs of old are not to be kept


@dataclass(frozen=True)
class Study:
    """Activations on the same model, data and seeds.

    Attributes:
      activations: names or spec texts; one with ranges, such as ``elu(alpha=0..1:5)``, stands for many.
      model: name or spec text.
      dataset: name.
      seeds: one run each; the same for every activation, so that differences are paired.
      learning_rates: without a search, each activation is trained at all of them and compared at its
        best.
      recipe: all other settings of the training; its learning rate is not used.
      target_error: training error, as a fraction, for "epochs to".
      image_size: height and width to which images are resized, in pixels.
      keep_params: whether each run's trained variables are kept, for ``load_trained``.
      reference: the activation that the others are compared with; None for the first.
      until_decided: the largest number of seeds; seeds are added until every other activation differs
        significantly from the reference. None for ``seeds`` only.
      search: how each activation's learning rate is chosen before the seeds are trained, on a separate
        seed and validation images; None to train every seed at all ``learning_rates``. ``sobol_search``
        tunes the momentum too: ``search=sobol_search(["learning_rate=1e-4..1e-1", "momentum=0.5..0.99"],
        epochs=6)``.
      best_rates: best rates of activations whose search has ended; ``flaxact.studies.run`` fills it in.
      best_values: by activation, the names and values of the best point if the search is over points;
        filled in likewise.
      budget: what is equal for all activations: ``epochs``, ``flops`` or ``time`` of training. With the
        last two, the reference is trained for the recipe's epochs and the others for the number of
        epochs that cost the same, also in the search.
      epochs_of: the epochs of each activation; ``flaxact.studies.run`` fills it in.
      costs: the cost of a training step relative to the reference's, by activation; filled in by
        ``run``.

    Raises:
      InputError: an unknown name, a repeated activation, or a value out of its range.
    """

    activations: tuple[str, ...]
    model: str = "cuda_convnet"
    dataset: str = "mnist5k"
    seeds: tuple[int, ...] = (0, 1, 2)
    learning_rates: tuple[float, ...] = (0.001,)
    recipe: Recipe = field(default_factory=Recipe)
    target_error: float = 0.05
    image_size: int | None = None
    keep_params: bool = False
    reference: str | None = None
    until_decided: int | None = None
    search: Search | None = None
    best_rates: tuple[tuple[str, float], ...] = ()
    best_values: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    budget: Budget = "epochs"
    epochs_of: tuple[tuple[str, int], ...] = ()
    costs: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        if not self.activations:
            raise InputError("no activations to compare: name one or more, such as relu tanh")
        if self.search is not None:
            object.__setattr__(self, "learning_rates", tuple(sorted(self.search.rates)))
        if not self.seeds:
            raise InputError("the number of seeds must be 1 or more")
        if not self.learning_rates:
            raise InputError("no learning rate given: give one or more")
        names = tuple(str(get(a)) for text in self.activations for a in _each(text))
        for kind, values in (("activation", names), ("learning rate", self.learning_rates)):
            for value in values:
                if values.count(value) > 1:
                    raise InputError(f"the {kind} {value} is given twice")
        object.__setattr__(self, "activations", names)
        object.__setattr__(self, "model", str(models.parse(self.model)))
        self._check_comparisons()
        self._check_search(self.search)
        if self.budget not in BUDGETS:
            raise unknown("budget", self.budget, BUDGETS)
        for rate in self.learning_rates:
            replace(self.recipe, learning_rate=rate)

    def _check_comparisons(self) -> None:
        if not 0 < self.target_error < 1:
            raise InputError(f"the target error must lie between 0 and 1, not {self.target_error}")
        if self.image_size is not None and self.image_size < 1:
            raise InputError(f"the image size must be 1 or more, not {self.image_size}")
        if self.reference is not None:
            name = str(get(self.reference))
            if name not in self.activations:
                raise InputError(
                    f"the reference {name} is not among the activations: {', '.join(self.activations)}"
                )
            object.__setattr__(self, "reference", name)
        most = self.until_decided
        if most is not None and most < len(self.seeds):
            raise InputError(
                f"until_decided must be {len(self.seeds)} or more, not {most}: it counts all seeds"
            )
        if most is not None and len(self.activations) < 2:
            raise InputError("until_decided needs two or more activations")

    def _check_search(self, space: Search | None) -> None:
        if space is None:
            return
        if space.epochs != self.recipe.epochs:
            raise InputError(
                f"the search ends after {space.epochs} epochs and the recipe after "
                f"{self.recipe.epochs}: give both the same"
            )
        if TUNING_SEED in self.seeds:
            raise InputError(
                f"seed {TUNING_SEED} chooses the learning rate and is not evaluated: leave it out"
            )

    def recipe_of(self, activation: str) -> Recipe:
        """The recipe with the best values of an activation's search, and its number of epochs.

        Other fields in epochs are scaled.
        """
        values = dict(dict(self.best_values).get(activation, ()))
        recipe = replace(self.recipe, **values) if values else self.recipe
        epochs = dict(self.epochs_of).get(activation, recipe.epochs)
        if epochs == recipe.epochs:
            return recipe
        factor = epochs / recipe.epochs
        return replace(
            recipe,
            epochs=epochs,
            milestones=tuple(factor * milestone for milestone in recipe.milestones),
            warmup_epochs=factor * recipe.warmup_epochs,
        )

    def search_of(self, activation: str) -> Search:
        """The search for an activation's learning rate, with its number of epochs."""
        assert self.search is not None
        epochs = self.recipe_of(activation).epochs
        return self.search if epochs == self.search.epochs else with_epochs(self.search, epochs)

    def with_more_seeds(self, count: int) -> Study:
        """The study with further seeds, at most ``until_decided`` in all."""
        most = len(self.seeds) + count
        if self.until_decided is not None:
            most = min(most, self.until_decided)
        first = max(self.seeds) + 1
        added = tuple(range(first, first + most - len(self.seeds)))
        return replace(self, seeds=self.seeds + added)

    def cells(self) -> Iterator[tuple[str, float]]:
        """Every activation with its learning rates; after a search, the best one only."""
        if self.search is not None:
            yield from self.best_rates
            return
        for activation in self.activations:
            for learning_rate in self.learning_rates:
                yield activation, learning_rate

    def config(self, activation: str, learning_rate: float, seed: int, digest: str) -> Config:
        """The resolved configuration of one run; ``digest`` is the data set's.

        If an activation or the model is a user's own, its source is part of the configuration, so a
        changed one is trained again.
        """
        recipe = self.recipe_of(activation).changed() | {"learning_rate": learning_rate}
        own = list(own_definitions(activation, self.model))
        code = {"own_code": _own_code.digest(own)} if own else {}
        return {
            "activation": activation,
            "model": self.model,
            "dataset": self.dataset,
            "data": digest[:12],
            "image_size": self.image_size,
            "seed": seed,
            **recipe,
            **code,
        }


def _each(activation: str | Activation) -> list[str] | list[Activation]:
    return expanded(activation) if isinstance(activation, str) else [activation]


def own_definitions(activation: str | Activation, model: str) -> Iterator[Callable[..., object]]:
    """A user's own definitions of an activation, its inner activations and a model."""
    resolved = get(activation)
    if not resolved.spec.ours:
        yield resolved.spec.function
    for inner in resolved.inner.values():
        yield from own_definitions(inner, "")
    if model and (make := entry(model).make):
        yield make


def identity(config: Config) -> str:
    """The name of a run's folder: a hash of its configuration, and of ``FORMAT``.

    >>> identity({"seed": 0, "activation": "relu"}) == identity({"activation": "relu", "seed": 0})
    True
    """
    text = json.dumps([FORMAT, config], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_folder(folder: Path) -> None:
    """Create the folder if it does not exist.

    Raises:
      InputError: the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"cannot write to the folder {str(folder)!r}: {error.strerror}; choose another with --out"
        ) from None
