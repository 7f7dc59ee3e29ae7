"""Mishkin et al. 2016: activations ranked by accuracy on ImageNet; batch normalization evens them out.

Claim: of one net, CaffeNet at 128 pixels, ReLU reaches a top-1 accuracy of 47.1%, tanh 40.1%, ELU 48.8%,
and max pooling without activations 38.9%. "BN makes difference between ReLU, ELU and PReLU negligable."
(Systematic Evaluation of CNN Advances on the ImageNet, CVIU 2017, and the authors' repository
caffenet-benchmark, Activations.md and batchnorm.md.)

Protocol: as in the authors' repository. Images whose short side is 144 pixels, crops of 128 and mirror
images; LSUV initialization; batches of 256, momentum 0.9, weight decay 5e-4, twice the rate and no decay
for biases; rate 0.01 for every row, divided by 10 after every 100,000 of 320,000 steps; dropout 0.5 in
the dense layers; tested on the center crop. Where their table and their files differ, the files count:
scaled tanh has the factor 1.759, PReLU starts at 0.3, FReLU's shift at -0.2, learned per channel.
Their rows with batch normalization have it after the activation and without scale and bias ("results are
obtained without mentioned in paper y=kx+b additional layer"): these are named "no affine" here. For ReLU
they also print batch normalization with scale and bias, and before the activation.

A claim about a difference holds if the difference is half to twice the published one. Differences are
paired by seed, since seeds share batches, and have Student's t intervals. Spearman's correlation and the
ratio of two spreads are functions of mean accuracies; their intervals come from leaving out one seed at a
time (jackknife) with Student's t. Noise makes a spread larger, so it draws the ratio toward 1. A run that
diverged is counted and left out of means. All claims are judged together with Holm's correction.

Differences: each published row is one run, so the published ranking has an error that nobody knows. Their
RReLU draws divisors from 10 to 30 by its file, whose meaning we do not know; ours is Xu et al.'s, from 3
to 8. Maxout is the narrower one, by our rule for equal parameters. The ranges were one-sided until
2026-11-28; they were changed after the reduced run and before any full run.

Result: full has not been run. The reduced run of 2026-11-25 (4 seeds) tests no published claim. With one
rate for all rows and 800 steps it ranks how soon a net starts to learn: the identity and ELU lead, ReLU
is among the last, and 2 of 4 SELU nets diverged. Its batch normalization has scale and bias.

Time: the stored reduced run took 39 minutes on 2 CPU cores for 18 rows. The 22 rows that reduced has now
take about 50. One full run is 64 epochs of ImageNet, about 98 PFLOP.

Command: ``flaxact reproduce mishkin2016 --scale reduced``. Full streams ImageNet, or another set (a TFDS
name, or a folder of images) that is given as the setting ``dataset``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from flaxact.data import Dataset
from flaxact.data.streamed import Streamed
from flaxact.figures import COLORS, INK, figure
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table, format_interval
from flaxact.reproduction.comparisons import Curves, jackknife_interval
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval
from flaxact.training import Recipe
from flaxact.training.folder.run import RunOptions

from . import _earlier_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE = "mishkin2016systematic"
upgraded = _earlier_runs.mishkin2016
TABLE = "caffenet-benchmark, Activations"
NORM_TABLE = "caffenet-benchmark, batchnorm"
EDGE = -12.0  # of the figure, in points: what is lower is written there


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the table: what is trained.

    Attributes:
      activation: at every site.
      options: arguments of the model.
      norm: the normalization, in words; empty for none.
      published: top-1 accuracy on ImageNet in percent; nan where none is printed.
    """

    activation: str
    options: str = ""
    norm: str = ""
    published: float = math.nan


def _plain(activation: str, published: float, options: str = "") -> Entry:
    return Entry(activation=activation, options=options, published=published)


def _normalized(activation: str, published: float, place: str, *, affine: bool) -> Entry:
    return Entry(
        activation=activation,
        options=f"norm=batch, norm_place={place}, norm_affine={affine}",
        norm=f"batch, {place}, {'with' if affine else 'without'} scale and bias",
        published=published,
    )


PRELU = "prelu(negative_slope=0.3)"
FRELU = "flexible_relu(bias=-0.2, per_channel=True)"
ROWS = {
    "relu": _plain("relu", 47.1),
    "tanh": _plain("tanh", 40.1),
    "scaled tanh": _plain("lecun_tanh(scale=1.759)", 42.3),
    "asinh": _plain("asinh", 41.7),
    "very_leaky_relu": _plain("very_leaky_relu", 46.9),
    "rrelu": _plain("rrelu", 47.8),
    "maxout": _plain("maxout", 48.2, "matched=parameters"),
    "prelu": _plain(PRELU, 48.5),
    "elu": _plain("elu", 48.8),
    "shifted_softplus": _plain("shifted_softplus", 48.6),
    "selu": _plain("selu", 47.0),
    "frelu": _plain(FRELU, 48.8),
    "identity": _plain("identity", 38.9),
    "identity, no pooling": _plain("identity", 3.5, "pooling=stride"),
    "relu, batch norm": _normalized("relu", 49.3, "after", affine=True),
    "rrelu, batch norm": _normalized("rrelu", math.nan, "after", affine=True),
    "prelu, batch norm": _normalized(PRELU, math.nan, "after", affine=True),
    "elu, batch norm": _normalized("elu", math.nan, "after", affine=True),
    "relu, batch norm, no affine": _normalized("relu", 49.9, "after", affine=False),
    "rrelu, batch norm, no affine": _normalized("rrelu", 50.0, "after", affine=False),
    "prelu, batch norm, no affine": _normalized(PRELU, 50.3, "after", affine=False),
    "elu, batch norm, no affine": _normalized("elu", 49.8, "after", affine=False),
    "tanh, batch norm, no affine": _normalized("tanh", 44.8, "after", affine=False),
    "sigmoid, batch norm, no affine": _normalized("sigmoid", 47.5, "after", affine=False),
    "identity, batch norm, no affine": _normalized("identity", 38.4, "after", affine=False),
    "relu, batch norm before": _normalized("relu", 47.8, "before", affine=True),
    "relu, batch norm before, no affine": _normalized("relu", 47.4, "before", affine=False),
}
MAIN = tuple(ROWS)[:12]
FOUR = ("relu", "rrelu", "prelu", "elu")
AFFINE = tuple(f"{name}, batch norm" for name in FOUR)
NO_AFFINE = tuple(f"{name}, batch norm, no affine" for name in FOUR)
# By key: the better row, the other row, and what is claimed.
DIFFERENCES = {
    "scaled": ("scaled tanh", "tanh", "Scaled tanh is more accurate than tanh"),
    "tanh": ("relu", "scaled tanh", "ReLU is more accurate than scaled tanh"),
    "prelu": ("prelu", "relu", "PReLU is more accurate than ReLU"),
    "elu": ("elu", "relu", "ELU is more accurate than ReLU"),
    "softplus": ("shifted_softplus", "relu", "Shifted softplus is more accurate than ReLU"),
    "frelu": ("frelu", "relu", "ReLU with a learned shift is more accurate than ReLU"),
    "identity": ("tanh", "identity", "Tanh is more accurate than max pooling alone"),
    "pooling": (
        "identity", "identity, no pooling", "Without activations, max pooling makes a net more accurate",
    ),
    "norm": (
        "relu, batch norm, no affine", "relu",
        "Batch normalization after ReLU, without scale and bias, makes the net more accurate",
    ),
    "norm_affine": (
        "relu, batch norm", "relu",
        "Batch normalization after ReLU, with scale and bias, makes the net more accurate",
    ),
    "norm_before": (
        "relu, batch norm before", "relu",
        "Batch normalization before ReLU, with scale and bias, makes the net more accurate",
    ),
}  # fmt: skip
FAMILY = "accuracy"
SPREAD, SPREAD_NORMED = (
    float(np.ptp([ROWS[row].published for row in rows])) for rows in (FOUR, NO_AFFINE)
)


def _claim(key: str, better: str, other: str, text: str) -> Claim:
    """A difference in points; it holds from half to twice the published one."""
    points = round(ROWS[better].published - ROWS[other].published, 1)
    return Claim(
        key,
        f"{text}, by about {points:g} points.",
        f"accuracy of {better} - accuracy of {other}, points",
        low=round(points / 2, 2),
        high=2 * points,
        family=FAMILY,
        published=Published(f"{points:g} points", NORM_TABLE if "norm" in better else TABLE),
    )


CLAIMS = (
    Claim(
        "ranking",
        "Twelve activations rank as they do on ImageNet.",
        "Spearman correlation of mean accuracies with the published ones",
        low=0.7,
        high=1.0,
        published=Published("the order of twelve accuracies", TABLE),
        family=FAMILY,
    ),
    *(_claim(key, *texts) for key, texts in DIFFERENCES.items()),
    Claim(
        "even",
        "Batch normalization after the activation, without scale and bias, reduces the spread of ReLU, "
        f"RReLU, PReLU and ELU to about {SPREAD_NORMED / SPREAD:.2f} of what it is without.",
        "spread of the four accuracies with it / without it",
        low=round(SPREAD_NORMED / SPREAD / 2, 2),
        high=round(2 * SPREAD_NORMED / SPREAD, 2),
        family=FAMILY,
        published=Published(f"{SPREAD_NORMED:.1f} points / {SPREAD:.1f} points", NORM_TABLE),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      model: arguments of ``caffenet128``.
      rows: names of ROWS.
      dataset: a name, or where it is streamed a folder of images.
      images: largest numbers of training and test images in memory; None to stream all.
      side: width and height of streamed images, in pixels.
      augment: augmentation of the recipe.
      view: view of test images.
      batch_size: images per step.
      epochs: number of epochs of training.
      seeds: for each row.
      workers: processes that read streamed images.
    """

    reduced: str
    model: str = ""
    rows: tuple[str, ...] = tuple(ROWS)
    dataset: str = "cifar10"
    images: tuple[int, int] | None = (3200, 5000)
    side: int = 32
    augment: tuple[str, ...] = ()
    view: str = ""
    batch_size: int = 32
    epochs: int = 8
    seeds: int = 4
    workers: int = 8


SCALES = {
    "smoke": Settings(
        reduced="Two small nets.",
        model="first=3x3, width=0.03",
        rows=("relu", "relu, batch norm, no affine"),
        dataset="mnist5k",
        images=(64, 64),
        epochs=1,
        seeds=2,
    ),
    "reduced": Settings(
        reduced="3,200 images of CIFAR-10 for 8 epochs, 800 steps of 32, in place of 320,000 steps of "
        "256 on ImageNet; 3 × 3 windows with stride 1 in the first layer, as in the authors' row for "
        "images of 32 × 32, and an eighth of the filters and units; crops of 32 after padding by 2.",
        model="first=3x3, width=0.125",
        rows=tuple(ROWS)[:22],
        augment=("crop(padding=2)", "flip"),
    ),
    "full": Settings(
        reduced="The published protocol, except for five seeds, and crops from the middle 144 × 144 "
        "pixels of images whose short side has 144.",
        dataset="imagenet2012",
        images=None,
        side=144,
        augment=("random_crop(size=128)", "flip"),
        view="centre(size=128)",
        batch_size=256,
        epochs=64,
        seeds=5,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """Test accuracy by row, seed and epoch, as a fraction; None once a run has diverged."""

    accuracy: dict[str, Curves]

    def last(self, *rows: str) -> np.ndarray:
        """Accuracy after the last epoch in points, (rows, seeds); nan for runs that diverged."""
        last = [[seed[-1] for seed in self.accuracy[row]] for row in rows]
        return 100 * np.array(last, float)


def study(settings: Settings, workspace: Workspace) -> Results:
    """Every row is trained with all its seeds at once."""
    recipe = Recipe(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        optimizer="cuda_convnet",
        schedule="steps",
        milestones=tuple(share * settings.epochs for share in (100 / 320, 200 / 320, 300 / 320)),
        augment=settings.augment,
        views=settings.view,
    )
    accuracy = {}
    for name in settings.rows:
        row = ROWS[name]
        data = _data(settings, workspace)  # one stream per row, from its start
        arguments = ", ".join(text for text in (settings.model, row.options) if text)
        module = create_model(
            f"caffenet128({arguments})", row.activation, num_classes=data.num_classes
        )
        piece = name.replace(", ", "-").replace(" ", "-")
        options: RunOptions = {} if settings.images else {"save_seconds": 600.0}
        members = range(settings.seeds)
        net = from_linen(module)
        lines = workspace.train(piece, net, recipe, data, members=members, **options)
        by_seed = zip(*(line["test_error"] for line in lines), strict=True)
        accuracy[name] = tuple(
            tuple(None if error is None else round(1 - error, 5) for error in errors)
            for errors in by_seed
        )
    return Results(accuracy=accuracy)


def _data(settings: Settings, workspace: Workspace) -> Dataset | Streamed:
    if settings.images:
        return workspace.data(settings.dataset, *settings.images)
    return workspace.stream(
        settings.dataset,
        batch_size=settings.batch_size,
        image_size=settings.side,
        workers=settings.workers,
    )


def _mean(values: np.ndarray) -> Interval:
    """Of the runs that did not diverge."""
    known = [float(value) for value in values[~np.isnan(values)]]
    return mean_interval(known) if known else UNKNOWN


def _paired(results: Results, better: str, other: str) -> Interval:
    """The difference in points, over the seeds of which neither run diverged."""
    if not {better, other} <= set(results.accuracy):
        return UNKNOWN
    first, second = results.last(better, other)
    return _mean(first - second)


def _statistic(
    results: Results, rows: Sequence[str], statistic: Callable[[np.ndarray], float]
) -> Interval:
    """UNKNOWN where a row is missing, or where fewer than two of its runs did not diverge."""
    if not set(rows) <= set(results.accuracy):
        return UNKNOWN
    accuracies = results.last(*rows)
    if np.isfinite(accuracies).sum(axis=1).min() < 2:
        return UNKNOWN
    return jackknife_interval(accuracies, statistic)


def _correlation(means: np.ndarray) -> float:
    published = rankdata([ROWS[row].published for row in MAIN])
    return float(np.corrcoef(rankdata(means), published)[0, 1])


def _evenness(means: np.ndarray) -> float:
    normed = np.ptp(means[: len(FOUR)])
    plain = np.ptp(means[len(FOUR) :])
    return float(normed / plain) if plain else math.inf


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    return {
        "ranking": _statistic(results, MAIN, _correlation).clipped(-1, 1),
        "even": _statistic(results, NO_AFFINE + FOUR, _evenness).clipped(0, math.inf),
        **{key: _paired(results, *texts[:2]) for key, texts in DIFFERENCES.items()},
    }


def _diverged(values: np.ndarray) -> str:
    count = int(np.isnan(values).sum())
    return f"{count} of {len(values)}" if count else ""


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def tables(results: Results) -> list[Table]:
    """Accuracies, differences from ReLU, and the spread of four activations."""
    relu = ROWS["relu"].published
    rows = []
    for name in results.accuracy:
        row = ROWS[name]
        (values,) = results.last(name)
        published = (_number(row.published, ".1f"), _number(row.published - relu, "+.1f"))
        ours = format_interval(_mean(values).clipped(0, 100))
        gain = "–" if name == "relu" else format_interval(_paired(results, name, "relu"))
        label = name.split(", batch norm")[0]
        rows.append((label, row.norm or "none", *published, ours, gain, _diverged(values)))
    gain = "less ReLU's, points"
    header = ("row", "normalization", "published, %", gain, "ours, %", gain, "diverged")
    spreads = []
    for four in (FOUR, AFFINE, NO_AFFINE):
        published = float(np.ptp([ROWS[row].published for row in four]))
        spread = _statistic(results, four, lambda means: float(np.ptp(means))).clipped(0, 100)
        cells = {
            "normalization": ROWS[four[0]].norm or "none",
            "published": _number(published, ".1f"),
            "ours": format_interval(spread),
        }
        spreads.append(cells)
    return [
        Table("Top-1 accuracy of runs that did not diverge", header, tuple(rows)),
        Table.of_cells("Spread of ReLU, RReLU, PReLU and ELU, points", spreads),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """Differences from ReLU: published on the left, ours on the right, each with its own axis."""
    rows = [row for row in results.accuracy if row != "relu"]
    rows.sort(key=lambda row: (not math.isnan(ROWS[row].published), ROWS[row].published))
    drawing, (left, right) = figure(10, 1.4 + 0.26 * len(rows), 2)
    for place, row in enumerate(rows):
        published = ROWS[row].published - ROWS["relu"].published
        left.plot([published], [place], "D", color=COLORS[1], markersize=4)
        text = ""
        if not published >= EDGE:  # nan too
            text = "not published" if math.isnan(published) else f"◂ {published:.1f}"
        left.text(EDGE + 0.3, place, text, fontsize=8, color=INK, va="center")
        if "relu" in results.accuracy:
            _draw_ours(right, place, results, row)
    # Stored results name the place only where it is before the activation.
    labels = [row.replace("norm", "norm after") if "before" not in row else row for row in rows]
    for axes in (left, right):
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), labels if axes is left else [""] * len(rows))
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel("accuracy less ReLU's, points")
    left.set_xlim(EDGE, 5)
    left.set_title("published: ImageNet, one run each", fontsize=9)
    seeds = len(next(iter(results.accuracy.values())))
    right.set_title(f"ours: n = {seeds} seeds (dots), 95% intervals of the mean", fontsize=9)
    return {"Accuracy": drawing}


def _draw_ours(axes: Axes, place: int, results: Results, row: str) -> None:
    """Seeds, mean and interval; where runs diverged, how many, and no interval."""
    values, relu = results.last(row, "relu")
    known = (values - relu)[np.isfinite(values - relu)]
    axes.plot(known, [place] * len(known), "o", color=COLORS[0], markersize=3, alpha=0.5)
    diverged = _diverged(values)
    if diverged:
        x = float(known.max()) if len(known) else 0.0
        axes.text(x, place, f"  {diverged} diverged", fontsize=8, color=INK, va="center")
        return
    interval = _paired(results, row, "relu")
    axes.plot([interval.low, interval.high], [place] * 2, color=COLORS[0], linewidth=1)
    axes.plot([interval.mean], [place], "|", color=COLORS[0], markersize=11)
