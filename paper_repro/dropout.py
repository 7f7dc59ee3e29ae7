"""Does dropout mend ReLU? Its advantage over tanh and sigmoid, with and without dropout.

Claim: the usual answer to ReLU's weaknesses ends with "dropout mends it". If that is so, ReLU's advantage
over tanh grows with dropout. All claims here are ours.

Protocol: written before the run. ``small_net`` with a quarter of its width is trained on CIFAR-10 with
ReLU, tanh and sigmoid, and with dropout of 0, 0.25 and 0.5 at each of its four places (after three
poolings and after the dense layer): stochastic gradient descent with momentum 0.9, batches of 100, a
constant rate, no augmentation, the zoo's weights.

Each of the nine rows is trained at its own best of at least four rates at factors of 3. The best rate is
the one with the lowest error of seed 100, which is not evaluated, on validation images after the last
epoch. A grid whose best rate is at an edge is widened. Test errors are of the last epoch.

The primary quantity is an interaction, paired by seed: tanh's test error less ReLU's with dropout of
0.5, less the same difference without dropout. It is above 0 if ReLU's advantage grows.

After training, the net is probed without dropout on 500 validation images. A unit is dead if its output
is 0 for all of them; the share is of all hidden units. An input of an activation is saturated if the
slope is below 5% of the greatest slope at that layer; the share is the mean over the four layers.

After the run a rule was added: an activation whose nets without dropout stay within 2 points of chance
has learned nothing, and what dropout does to it is not measured. It applies to sigmoid. Before, two
claims on sigmoid held, at a difference of 0 [0, 0] between nets that all guess.

Differences: nothing is published that this follows. Published accuracies of another net by dropout rate
are printed for information and are not tested.

Result: reduced scale, 6 seeds, 2026-11-29. Dropout raises the test error of every net that learns, and
ReLU's more than tanh's: ReLU's advantage over tanh changes by -5.5 [-9.0, -2.0] points with dropout of
0.5, and by -0.9 [-2.7, 1.0] with 0.25. The nets are too small for dropout: with 0.5 the training error is
68% for ReLU and 63% for tanh after 10 epochs, against 31% and 33% without. The share of dead ReLU units
rises from 0.5% to 11%. So this run says nothing of large nets that fit their training images, where
dropout is meant to help; that is the scale ``full``, which was not run. Sigmoid nets do not leave chance
at any rate.

Time: 45 minutes of one busy core for the reduced scale.

Command: ``flaxact reproduce dropout --scale reduced``. Start it once per core (with
``JAX_NUM_CPU_DEVICES=1``): the processes share the pieces.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact.data import Dataset
from flaxact.diagnostics import Site
from flaxact.diagnostics.probe import make_probe
from flaxact.figures import COLORS, INK, MARKERS, Style, figure, percent
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.cells import errors_by_rate, rate_cell, share_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Table
from flaxact.reproduction.comparisons import paired_points
from flaxact.reproduction.drawing import draw_search
from flaxact.reproduction.images import with_validation
from flaxact.reproduction.trained import TrainedNet, rounded, train_one
from flaxact.reproduction.tuning import Search, Tuned, tune_then_repeat
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE = ""
NAMES = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
DROPOUTS = ("0", "0.25", "0.5")  # texts, as they are keys of JSON
RATES = Search(rates=(0.01, 0.03, 0.09, 0.27), epochs=10, widenings=2)
CHANCE = 0.9  # the test error of a guess: both data sets have ten classes of about the same size
PUBLISHED = {"0.1": "0.473", "0.2": "0.494", "0.3": "0.497", "0.5": "0.471"}


def _advantage(act: str, dropout: str) -> str:
    return f"points of test error, {act} less ReLU, with dropout of {dropout} less without, paired"


CLAIMS = (
    Claim(
        "interaction",
        "ReLU's advantage over tanh grows with dropout of 0.5.",
        _advantage("tanh", "0.5"),
        low=0.0,
    ),
    Claim(
        "interaction_quarter",
        "ReLU's advantage over tanh grows with dropout of 0.25.",
        _advantage("tanh", "0.25"),
        low=0.0,
        family="other interactions",
    ),
    Claim(
        "interaction_sigmoid",
        "ReLU's advantage over sigmoid grows with dropout of 0.5.",
        _advantage("sigmoid", "0.5"),
        low=0.0,
        family="other interactions",
    ),
    *(
        Claim(
            f"helps_{act}_{dropout}",
            f"Dropout of {dropout} lowers the test error of {NAMES[act]} nets.",
            f"points of test error, without less with dropout of {dropout}, paired by seed",
            low=0.0,
            family="errors with dropout",
        )
        for act in NAMES
        for dropout in DROPOUTS[1:]
    ),
    Claim(
        "dead_relu",
        "Dropout of 0.5 lowers the share of dead units by at least 1 point.",
        "points of dead units, without less with dropout of 0.5, paired by seed",
        low=1.0,
    ),
    *(
        Claim(
            f"saturated_{act}",
            f"Dropout of 0.5 lowers a {act} net's share of saturated inputs by 1 point.",
            "points of saturated inputs, without less with dropout of 0.5, paired by seed",
            low=1.0,
            family="saturation",
        )
        for act in ("tanh", "sigmoid")
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      model: without its dropout.
      dataset: that it is trained on.
      images: training images; None for all but the validation images.
      validation: images that rates are chosen on, taken from the training images.
      test: test images; None for all.
      probed: validation images that dead and saturated units are counted on.
      search: for the best rate.
      seeds: that are evaluated, 1, 2, ...
    """

    reduced: str
    model: str = "small_net(width=0.25, dropout={dropout})"
    dataset: str = "cifar10"
    images: int | None = 6000
    validation: int = 2000
    test: int | None = 4000
    probed: int = 500
    search: Search = RATES
    seeds: int = 6


SCALES = {
    "smoke": Settings(
        reduced="Small nets, few images and two seeds.",
        model="mlp_glorot(depth=1, hidden=8, dropout={dropout})",
        dataset="mnist5k",
        images=400,
        validation=100,
        test=100,
        probed=50,
        search=Search(rates=(0.03, 0.09), epochs=2, widenings=0),
        seeds=2,
    ),
    "reduced": Settings(
        reduced="Nets of a quarter of the width, 6,000 images of CIFAR-10, and 10 epochs."
    ),
    "full": Settings(
        reduced="All images of CIFAR-10 and nets of the published width, for 40 epochs.",
        model="small_net(dropout={dropout})",
        images=None,
        validation=5000,
        test=None,
        search=replace(RATES, epochs=40),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """An evaluated run.

    Attributes:
      train_error: by epoch, with dropout; None once it has diverged.
      test_error: by epoch, without.
      dead: share of the units.
      saturated: share of the inputs of activations.
    """

    train_error: tuple[float | None, ...]
    test_error: tuple[float | None, ...]
    dead: float | None
    saturated: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """The results of an activation with one dropout: its search (None until complete) and its runs."""

    tuned: Tuned | None
    runs: tuple[Run, ...]

    @property
    def errors(self) -> list[float | None]:
        """The test error after the last epoch, by seed."""
        return [run.test_error[-1] for run in self.runs]

    @property
    def has_learned(self) -> bool:
        """Whether the mean test error is more than 2 points below chance."""
        errors = [1.0 if error is None else error for error in self.errors]
        return bool(errors) and statistics.fmean(errors) < CHANCE - 0.02

    def shares(self, of: str) -> list[float | None]:
        """The share of "dead" units or of "saturated" inputs, by seed."""
        return [getattr(run, of) for run in self.runs]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Rows by "activation/dropout", and their number of epochs."""

    epochs: int
    rows: dict[str, Row]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Search rates and evaluate, for every activation and dropout."""
    trainer = Trainer(settings, workspace)
    rows = {f"{act}/{dropout}": trainer.row(act, dropout) for act in NAMES for dropout in DROPOUTS}
    return Results(epochs=settings.search.epochs, rows=rows)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the rows."""

    settings: Settings
    workspace: Workspace

    def row(self, act: str, dropout: str) -> Row:
        """The stored results of one activation with one dropout."""
        tuned, runs = tune_then_repeat(
            self.workspace,
            f"{act}/dropout-{dropout}",
            self.settings.search,
            range(1, self.settings.seeds + 1),
            validate=functools.partial(self.validate, act, dropout),
            evaluate=functools.partial(self.evaluate, act, dropout),
        )
        return Row(tuned=tuned, runs=tuple(decode(Run, run) for run in runs))

    def validate(self, act: str, dropout: str, member: Member, epochs: int) -> float | None:
        """The validation error after the last epoch; None for a run that has diverged."""
        error = self._train(act, dropout, member, epochs).test_error[-1]
        self.workspace.log(f"{act}, dropout {dropout}, rate {member.learning_rate:g}: {error}")
        return error

    def evaluate(self, act: str, dropout: str, member: Member) -> dict[str, object]:
        """Train and evaluate one seed; returns a ``Run`` as JSON."""
        trained = self._train(act, dropout, member, None)
        images = self._split(tuning=True).test.images[: self.settings.probed]
        measure = _probe(self._module(act, dropout))
        sites = jax.device_get(measure(trained.variables, images)).values()
        dead = np.average(
            [float(site["dead"]) for site in sites],
            weights=[float(site["units"]) for site in sites],
        )
        saturated = [float(site["saturated_low"] + site["saturated_high"]) for site in sites]
        error = trained.test_error[-1]
        self.workspace.log(f"{act}, dropout {dropout}, seed {member.seed}: {error}")
        return {
            "train_error": trained.train_error,
            "test_error": trained.test_error,
            "dead": rounded(dead),
            "saturated": rounded(statistics.fmean(saturated)),
        }

    def _train(
        self, act: str, dropout: str, member: Member, tuning_epochs: int | None
    ) -> TrainedNet:
        """Train for the search, with validation images for test images, or for the evaluation."""
        epochs = tuning_epochs or self.settings.search.epochs
        recipe = Recipe(epochs=epochs, batch_size=100, momentum=0.9)
        data = self._split(tuning=tuning_epochs is not None)
        return train_one(from_linen(self._module(act, dropout)), recipe, data, member)

    def _split(self, *, tuning: bool) -> Dataset:
        settings = self.settings
        return with_validation(self.data, settings.images, settings.validation, tuning=tuning)

    def _module(self, act: str, dropout: str) -> nn.Module:
        model = self.settings.model.format(dropout=f"{float(dropout):.2f}")
        return create_model(model, act, num_classes=self.data.num_classes)

    @functools.cached_property
    def data(self) -> Dataset:
        """All training and test images."""
        return self.workspace.data(self.settings.dataset, None, self.settings.test)


def units(site: Site) -> jax.Array:
    """The number of units."""
    return jnp.asarray(site.post.shape[-1])


@functools.cache
def _probe(module: nn.Module) -> jax.stages.Wrapped:
    return jax.jit(make_probe(module, ("dead", "saturated_low", "saturated_high", units)))


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim; unknown for an activation that learned nothing."""
    rows = results.rows
    errors = {label: row.errors for label, row in rows.items()}

    def interaction(act: str, dropout: str) -> Interval:
        labels = (f"{act}/{dropout}", f"relu/{dropout}", f"{act}/0", "relu/0")
        if not all(rows[label].has_learned for label in (f"{act}/0", "relu/0")):
            return UNKNOWN
        return paired_points([errors[label] for label in labels], [1, -1, -1, 1])

    def lowered(
        shares: Mapping[str, list[float | None]], act: str, dropout: str = "0.5"
    ) -> Interval:
        if not rows[f"{act}/0"].has_learned:
            return UNKNOWN
        return paired_points([shares[f"{act}/0"], shares[f"{act}/{dropout}"]], [1, -1])

    dead = {label: row.shares("dead") for label, row in rows.items()}
    saturated = {label: row.shares("saturated") for label, row in rows.items()}

    return {
        "interaction": interaction("tanh", "0.5"),
        "interaction_quarter": interaction("tanh", "0.25"),
        "interaction_sigmoid": interaction("sigmoid", "0.5"),
        **{
            f"helps_{act}_{dropout}": lowered(errors, act, dropout)
            for act in NAMES
            for dropout in DROPOUTS[1:]
        },
        "dead_relu": lowered(dead, "relu"),
        "saturated_tanh": lowered(saturated, "tanh"),
        "saturated_sigmoid": lowered(saturated, "sigmoid"),
    }


def tables(results: Results) -> list[Table]:
    """One row per activation and dropout; the searches; and what is published of another net."""
    rows = []
    searches = []
    for label, row in results.rows.items():
        act, dropout = label.split("/")
        train_error = [run.train_error[-1] for run in row.runs]
        shares = (row.errors, train_error, row.shares("dead"), row.shares("saturated"))
        rows.append((NAMES[act], dropout, rate_cell(row.tuned), *map(share_cell, shares)))
        searches.append((NAMES[act], dropout, errors_by_rate(row.tuned)))
    header = (
        "activation",
        "dropout",
        "best rate",
        "test error",
        "training error, with dropout",
        "dead units",
        "saturated inputs",
    )
    search_header = ("activation", "dropout", "validation error by rate")
    return [
        Table("Errors and units", header, tuple(rows)),
        Table("The search for the rate (seed 100)", search_header, tuple(searches)),
        Table(
            "Published, for information: CaffeNet with ReLU on ImageNet (caffenet-benchmark)",
            ("dropout of the dense layers", "top-1 accuracy"),
            tuple(PUBLISHED.items()),
        ),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """Test error over dropout by activation; validation error over the rate; shares of units."""
    drawing, (left, middle, right) = figure(12, 4, 3)
    for act, color, marker in zip(NAMES, COLORS, MARKERS, strict=False):
        rows = [results.rows[f"{act}/{dropout}"] for dropout in DROPOUTS]
        style = {"color": color, "marker": marker}
        _draw_seeds(left, [row.errors for row in rows], NAMES[act], style)
        of = "dead" if act == "relu" else "saturated"
        _draw_seeds(right, [row.shares(of) for row in rows], f"{NAMES[act]}, {of}", style)
        for row, dropout, line in zip(rows, DROPOUTS, ("-", "--", ":"), strict=True):
            label = f"{NAMES[act]}, {dropout}"
            draw_search(middle, row.tuned, line, ms=3.5, lw=1.2, label=label, **style)
    seeds = max(len(row.runs) for row in results.rows.values())
    epoch = f"epoch {results.epochs}"
    left.set(xlabel="dropout", ylabel=f"test error, {epoch}")
    middle.set(xscale="log", xlabel="learning rate", ylabel=f"validation error, {epoch}")
    right.set(xlabel="dropout", ylabel="share after training")
    titles = {
        left: f"n = {seeds} seeds and their mean",
        middle: "by dropout, one seed; no point: diverged",
        right: f"n = {seeds} seeds and their mean",
    }
    for axes, title in titles.items():
        axes.set_title(title, fontsize=9, color=INK)
        axes.yaxis.set_major_formatter(percent())
        axes.legend(frameon=False, fontsize=7)
    return {"Dropout": drawing}


def _draw_seeds(axes: Axes, by_dropout: list[list[float | None]], label: str, style: Style) -> None:
    """A point per seed and dropout, and the line of the means."""
    means = []
    for dropout, values in zip(DROPOUTS, by_dropout, strict=True):
        known = [value for value in values if value is not None]
        axes.plot([float(dropout)] * len(known), known, lw=0, ms=3.5, alpha=0.5, **style)
        means.append(statistics.fmean(known) if known else math.nan)
    axes.plot(list(map(float, DROPOUTS)), means, lw=1.4, color=style["color"], label=label)
