"""Batch normalization before or after the activation, with and without scale and bias.

Claim: caffenet-benchmark (batchnorm.md, the code and log repository of Mishkin et al. 2016) prints for
CaffeNet with ReLU on ImageNet of 128 pixels these accuracies: 0.474 with the normalization before ReLU,
0.478 with "scale&bias" as well, 0.499 after ReLU, 0.493 after it with "scale&bias"; one run each. Our
own claims are that the place matters less or in the other direction for activations that saturate, as a
normalization before them keeps their inputs where they are steep.

Protocol (written before the run): the net ``80sec`` of cuda-convnet with half of its filters, batch
normalization at each of its four activations (none on the logits); relu, tanh, sigmoid and elu; before
and after; with and without scale and bias. 3,000 images of CIFAR-10, the middle 24 × 24 pixels, batches
of 32, momentum 0.9, no weight decay, no augmentation, a cosine schedule to zero. Every seed draws its own
training images; all 16 rows share a seed's images and batch order. Rates are chosen on seed 100, which is
not evaluated, by the error on 2,000 images that are not trained on: four rates at factors of 3, widened
by two where the best is at an edge. Evaluation seeds are 1 to 6, on all 10,000 test images after the
last epoch. Effects are differences in points of test error, paired by seed, with Student's t. The
primary effect is ReLU's, as the mean over with and without scale and bias. A diverged run is counted and
makes its effect unknown.

Differences: another net, data set and size, without dropout. So the published figures are re-tested
only: the run gives estimates of the same differences.

Result: not run yet.

Time: about 40 minutes of one core at reduced (expected).

Command: ``flaxact reproduce norm_place --scale reduced``
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flaxact.data import few
from flaxact.figures import COLORS, INK, figure
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.reproduction.cells import errors_by_rate, rate_cell, share_cell
from flaxact.reproduction.claim import Claim, Published, Table, format_interval
from flaxact.reproduction.comparisons import paired_points
from flaxact.reproduction.images import DrawnImages, drawn_by_seed
from flaxact.reproduction.trained import FinalErrors, error_on, only_variables, rounded
from flaxact.reproduction.tuning import TUNING_SEED, Search, Tuned, error_score, tune_then_repeat
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = tuple[str, str, str]  # activation, place, affine
SOURCE = "mishkin2016systematic"
ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu")
PLACES = ("before", "after")
AFFINE = {"plain": False, "affine": True}  # with scale and bias
ACCURACY = {  # published, of ReLU
    ("before", "plain"): 0.474,
    ("before", "affine"): 0.478,
    ("after", "plain"): 0.499,
    ("after", "affine"): 0.493,
}
TITLES = {"plain": "no scale and bias", "affine": "scale and bias"}
_WHERE = "caffenet-benchmark, batchnorm.md, one run each"
_PAIRED = "points of test error, paired by seed"
CLAIMS = (
    Claim(
        "published_plain",
        "Batch norm without scale and bias errs 1 to 5 points less after ReLU.",
        f"before less after, {_PAIRED}",
        low=1.0,
        high=5.0,
        published=Published("2.5 points: accuracy 0.474 before, 0.499 after", _WHERE),
        other_size=True,
    ),
    Claim(
        "published_affine",
        "Batch norm with scale and bias errs 0.5 to 4 points less after ReLU.",
        f"before less after, {_PAIRED}",
        low=0.5,
        high=4.0,
        published=Published("1.5 points: accuracy 0.478 before, 0.493 after", _WHERE),
        other_size=True,
    ),
    Claim(
        "after",
        "Batch norm after ReLU gives a lower test error than before it.",
        f"before less after, {_PAIRED}, mean over with and without scale and bias",
        low=0.0,
    ),
    *(
        Claim(
            f"saturating_{name}",
            f"Moving batch norm behind the activation helps {name} less than ReLU.",
            f"(before less after) of ReLU, less that of {name}, {_PAIRED}",
            low=0.0,
            family="saturating",
        )
        for name in ("tanh", "sigmoid")
    ),
    Claim(
        "affine",
        "For ReLU, scale and bias change the test error by less than 1 point.",
        f"without less with, {_PAIRED}, mean over both places",
        low=-1.0,
        high=1.0,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings(DrawnImages):
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      width: share of the net's filters and units.
      seeds: that are evaluated, from 1.
    """

    reduced: str
    images: int = 3000
    validation: int = 2000
    side: int = 24
    width: float = 0.5
    epochs: int = 10
    batch_size: int = 32
    seeds: int = 6
    rates: tuple[float, ...] = (0.01, 0.03, 0.09, 0.27)
    widenings: int = 2
    activations: tuple[str, ...] = ACTIVATIONS


SCALES = {
    "smoke": Settings(
        reduced="Few small images of digits, a net with few filters, two activations.",
        dataset="mnist5k",
        images=200,
        validation=50,
        test=50,
        side=12,
        width=0.25,
        epochs=2,
        batch_size=20,
        seeds=2,
        rates=(0.03, 0.09),
        widenings=0,
        activations=("relu", "tanh"),
    ),
    "reduced": Settings(
        reduced="A small net on 3,000 images of CIFAR-10 for 10 epochs, in place of CaffeNet on ImageNet."
    ),
    "full": Settings(
        reduced="A small net on 45,000 images of CIFAR-10 for 30 epochs, not CaffeNet on ImageNet. "
        "This is not the published size: what is published is not judged.",
        images=45_000,
        validation=5000,
        side=32,
        width=1.0,
        epochs=30,
        batch_size=128,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The results of an activation with one norm: its search (None until complete) and its runs."""

    tuned: Tuned | None = None
    runs: tuple[FinalErrors, ...] = ()

    @property
    def errors(self) -> list[float | None]:
        """The test error, by seed."""
        return [run.error for run in self.runs]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Rows by "activation, place, affine", and their numbers of images and epochs."""

    images: int
    epochs: int
    rows: dict[str, Row]

    def row(self, key: Key) -> Row:
        """The row of a name; empty if it is not part of the study."""
        return self.rows.get(", ".join(key), Row())


def study(settings: Settings, workspace: Workspace) -> Results:
    """Search the rate and train the seeds of each row."""
    keys = itertools.product(settings.activations, PLACES, AFFINE)
    rows = {", ".join(key): _row(settings, workspace, key) for key in keys}
    return Results(images=settings.images, epochs=settings.epochs, rows=rows)


def _row(settings: Settings, workspace: Workspace, key: Key) -> Row:
    activation, place, affine = key
    module = create_model(
        "cuda_convnet(variant=80sec, norm=batch)",
        activation,
        width=settings.width,
        norm_place=place,
        norm_affine=AFFINE[affine],
    )
    run = functools.partial(_run, settings, workspace, from_linen(module))
    tuned, runs = tune_then_repeat(
        workspace,
        "-".join(key),
        Search(rates=settings.rates, epochs=settings.epochs, widenings=settings.widenings),
        range(1, settings.seeds + 1),
        validate=lambda member, epochs: run(member),
        evaluate=run,
        score=lambda stored: error_score(stored["error"]),
    )
    return Row(tuned=tuned, runs=tuple(decode(FinalErrors, stored) for stored in runs))


def _run(settings: Settings, workspace: Workspace, net: Net, member: Member) -> dict[str, object]:
    """One training, as ``FinalErrors``."""
    data, validation = drawn_by_seed(workspace, settings, member.seed)
    recipe = Recipe(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer="cuda_convnet",
        schedule="cosine",
    )
    tested = validation if member.seed == TUNING_SEED else few(data.test, settings.test)
    watched = replace(data, test=few(data.train, 100))  # after every epoch; decides nothing
    *_, last = train(net, recipe, watched, [member])
    diverged_at = int(last.diverged_at[0])
    has_diverged = diverged_at >= 0
    variables = only_variables(last.states)
    errors = FinalErrors(
        error=None if has_diverged else error_on(net, variables, tested),
        train_error=None if has_diverged else rounded(last.train_error[0]),
        diverged_at=diverged_at,
    )
    return asdict(errors)


def _effect(results: Results, weights: Mapping[Key, float]) -> Interval:
    """A weighted sum of rows' errors."""
    return paired_points([results.row(key).errors for key in weights], list(weights.values()))


def _gain(
    activation: str, factor: float = 1.0, affines: Sequence[str] = tuple(AFFINE)
) -> dict[Key, float]:
    """The weights of (before less after), as the mean over rows with and without scale and bias."""
    signs = {"before": factor / len(affines), "after": -factor / len(affines)}
    return {(activation, place, affine): signs[place] for place in PLACES for affine in affines}


def measured(results: Results) -> dict[str, Interval]:
    """Differences in points of test error."""
    signs = {"plain": 0.5, "affine": -0.5}
    affine = {("relu", place, name): signs[name] for place in PLACES for name in AFFINE}
    retests = {
        f"published_{name}": _effect(results, _gain("relu", affines=[name])) for name in AFFINE
    }
    saturating = {
        f"saturating_{name}": _effect(results, _gain("relu") | _gain(name, -1.0))
        for name in ("tanh", "sigmoid")
    }
    return {
        **retests,
        "after": _effect(results, _gain("relu")),
        **saturating,
        "affine": _effect(results, affine),
    }


def tables(results: Results) -> list[Table]:
    """The errors of every row; the effect of the place by activation; the search for the rates."""
    lines = []
    searches = []
    for label, row in results.rows.items():
        activation, place, affine = label.split(", ")
        train_errors = [run.train_error for run in row.runs]
        errors = (share_cell(row.errors), share_cell(train_errors))
        accuracy = f"accuracy {ACCURACY[place, affine]}" if activation == "relu" else "–"
        norm = f"{place}, {TITLES[affine]}"
        lines.append((activation, norm, rate_cell(row.tuned), *errors, accuracy))
        searches.append((label, errors_by_rate(row.tuned)))
    header = ("activation", "norm", "rate", "test error", "training error", "published")
    places = []
    for name in _activations(results):
        weights = [*(_gain(name, affines=[affine]) for affine in AFFINE), _gain(name)]
        cells = (format_interval(_effect(results, each)) for each in weights)
        places.append((name, *cells))
    return [
        Table("Errors after the last epoch (published: CaffeNet, ImageNet)", header, tuple(lines)),
        Table(
            "Points of test error that the place after the activation saves",
            ("activation", *TITLES.values(), "mean of both"),
            tuple(places),
        ),
        Table(
            "The search for the rates",
            ("row", f"validation error by rate, seed {TUNING_SEED}"),
            tuple(searches),
        ),
    ]


def _activations(results: Results) -> list[str]:
    return [name for name in ACTIVATIONS if f"{name}, before, plain" in results.rows]


def figures(results: Results) -> dict[str, Figure]:
    """The effect of normalizing after the activation, by activation, and the search for the rates."""
    if not any(row.runs for row in results.rows.values()):
        return {}
    return {"Place of the norm": _places(results), "Search": _search(results)}


def _places(results: Results) -> Figure:
    drawing, axes = figure(7.5, 4.2)
    names = [name for name in _activations(results) if results.row((name, "before", "plain")).runs]
    for number, affine in enumerate(AFFINE):
        color = COLORS[number]
        shift = 0.12 * (2 * number - 1)
        for position, name in enumerate(names):
            effect = _effect(results, _gain(name, affines=[affine]))
            label = None if position else TITLES[affine]
            x = position + shift
            axes.plot([x, x], [effect.low, effect.high], color=color, lw=2)
            axes.plot([x], [effect.mean], "o", color=color, label=label)
        saved = 100 * (ACCURACY["after", affine] - ACCURACY["before", affine])
        label = "published: CaffeNet, ImageNet, one run each" if number else None
        axes.plot([shift * 2], [saved], "D", color=color, fillstyle="none", label=label)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set(xlim=(-0.6, len(names) - 0.4))
    axes.set_ylabel("points of test error saved by\nnormalizing after the activation")
    seeds = max(len(row.runs) for row in results.rows.values())
    about = f"{results.images:,} images, {results.epochs} epochs, {seeds} seeds"
    axes.set_title(f"{about}; lines: 95%; no line: a run diverged", fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=8)
    return drawing


def _search(results: Results) -> Figure:
    names = _activations(results)
    drawing, panels = figure(3 * len(names) + 0.5, 3.4, len(names))
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        for place, color in zip(PLACES, COLORS, strict=False):
            for affine, style in zip(AFFINE, ("o-", "s--"), strict=True):
                tuned = results.row((name, place, affine)).tuned
                tried = [each for each in tuned.rates if not each.score[0]] if tuned else []
                rates = [each.rate for each in tried]
                errors = [100 * each.score[1] for each in tried]
                if tried:
                    label = f"{place}, {TITLES[affine]}"
                    axes.plot(rates, errors, style, color=color, ms=4, label=label)
        axes.set(xscale="log", xlabel="learning rate", title=name)
    first = np.atleast_1d(panels)[0]
    first.set_ylabel(f"validation error, %, seed {TUNING_SEED}")
    if first.get_legend_handles_labels()[0]:
        first.legend(frameon=False, fontsize=7)
    drawing.suptitle("diverged runs are not drawn", fontsize=9, color=INK)
    return drawing
