"""Mishkin et al. 2016: activations ranked by accuracy on ImageNet; batch normalisation evens them out.

Systematic Evaluation of CNN Advances on the ImageNet (CVIU 2017) trains one net, CaffeNet at 128 pixels
(``caffenet128``), with one activation after another. ReLU gets 47.1% top-1, tanh 40.1%, ELU 48.8%, and a
net without any activation but its max pooling 38.9%. With batch normalisation after the activation
ReLU, RReLU, PReLU and ELU differ by half a point only, where they differed by 1.7 without.

Protocol (the authors' caffenet-benchmark): images whose short side is 144 pixels, crops of 128 and mirror
images; LSUV initialisation; batches of 256, momentum 0.9, weight decay 5e-4, twice the rate and no decay
for biases; rate 0.01, a tenth after every 100,000 of 320,000 steps; dropout 0.5 in both dense layers;
tested on the centre. Where a figure of their table and their files differ, the files count: scaled tanh
has the factor 1.759, PReLU starts at 0.3, FReLU's shift at -0.2, one a channel. Their RReLU draws
divisors from 10 to 30 by its file, whose meaning we do not know: ours is Xu et al.'s, from 3 to 8.
Maxout is the narrower one, by our rule for equal parameters. They trained each net once, so that their
ranking has an uncertainty of its own that nobody knows.

Intervals: differences of accuracy are paired by seed, as seeds share batches. Spearman's correlation of
our mean accuracies with theirs, over the twelve rows, and the ratio of spreads (largest less smallest
mean of four rows) have 95% percentile intervals of 10,000 bootstrap samples of the seeds; they tell what
our seeds leave open and not what other activations would do. Noise makes a spread larger, so the ratio
is drawn towards 1.

Scales: reduced trains small nets on part of CIFAR-10. Full streams ImageNet, or any other set of images:
a TFDS name, or a folder, given as the setting ``dataset``:

    flaxact reproduce mishkin2016 --scale reduced

In Python ``study(replace(SCALES["full"], dataset="caltech101", epochs=1), Work(Path("folder")))`` of
this file runs the full protocol on another set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from flaxact._figures import COLOURS, figure, percent
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, mean_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.training import Recipe

SOURCE = "mishkin2016systematic"
TABLE = "caffenet-benchmark, Activations"
SAMPLES = 10_000  # of the bootstrap
NORM = "norm=batch, norm_place=after"
# Activation, options of the model, and the published top-1 accuracy.
ROWS = {
    "relu": ("relu", "", 0.471), "tanh": ("tanh", "", 0.401),
    "scaled tanh": ("lecun_tanh(scale=1.759)", "", 0.423), "asinh": ("asinh", "", 0.417),
    "very_leaky_relu": ("very_leaky_relu", "", 0.469), "rrelu": ("rrelu", "", 0.478),
    "maxout": ("maxout", "matched=parameters", 0.482),
    "prelu": ("prelu(negative_slope=0.3)", "", 0.485), "elu": ("elu", "", 0.488),
    "shifted_softplus": ("shifted_softplus", "", 0.486), "selu": ("selu", "", 0.470),
    "frelu": ("flexible_relu(bias=-0.2, per_channel=True)", "", 0.488),
    "identity": ("identity", "", 0.389),
    "identity, no pooling": ("identity", "pooling=stride", 0.035),
    "relu, batch norm": ("relu", NORM, 0.499), "rrelu, batch norm": ("rrelu", NORM, 0.500),
    "prelu, batch norm": ("prelu(negative_slope=0.3)", NORM, 0.503),
    "elu, batch norm": ("elu", NORM, 0.498), "tanh, batch norm": ("tanh", NORM, 0.448),
    "sigmoid, batch norm": ("sigmoid", NORM, 0.475), "identity, batch norm": ("identity", NORM, 0.384),
}  # fmt: skip
MAIN = tuple(ROWS)[:12]
NORMED = tuple(ROWS)[14:18]  # and the same without:
PLAIN = tuple(row.split(",")[0] for row in NORMED)

# Of differences of accuracy: the greater, the less, the range and the claim.
DIFFERENCES = {
    "scaled": ("scaled tanh", "tanh", 0.0, math.inf, "Scaling tanh helps."),
    "tanh": ("relu", "scaled tanh", 0.0, math.inf, "ReLU is better than scaled tanh."),
    "prelu": ("prelu", "relu", 0.0, math.inf, "PReLU is better than ReLU."),
    "elu": ("elu", "relu", 0.0, math.inf, "ELU is better than ReLU."),
    "softplus": ("shifted_softplus", "relu", 0.0, math.inf, "So is shifted softplus."),
    "frelu": ("frelu", "relu", 0.0, math.inf, "So is ReLU with a learned shift."),
    "identity": (
        "tanh", "identity", -math.inf, 0.03,
        "Max pooling alone, without activations, is at most 3 points below tanh.",
    ),
    "pooling": (
        "identity", "identity, no pooling", 0.1, math.inf,
        "Without max pooling it loses 10 points or more.",
    ),
    "norm": ("relu, batch norm", "relu", 0.0, math.inf, "Batch normalisation helps ReLU."),
}  # fmt: skip


def _published(one: str, other: str) -> Published:
    return Published(f"{100 * (ROWS[one][2] - ROWS[other][2]):.1f} points", TABLE)


CLAIMS = (
    Claim(
        "ranking", "Twelve activations rank as they do on ImageNet.",
        "Spearman correlation of accuracies with the published", low=0.7,
    ),
    *(
        Claim(
            key, text, f"accuracy of {one} - of {other}, as a fraction", low, high,
            published=_published(one, other),
        )
        for key, (one, other, low, high, text) in DIFFERENCES.items()
    ),
    Claim(
        "even", "With batch normalisation ReLU, RReLU, PReLU and ELU are alike.",
        "spread of the four with it / without", high=1 / 3,
        published=Published("0.5 points / 1.7 points", TABLE),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what was.
      model: arguments of ``caffenet128``.
      rows: of ROWS.
      dataset: a name, or where it is streamed a folder of images.
      images: of training and of test, at most, of a data set in memory; None to stream all.
      side: of streamed images, in pixels.
      augment: of the recipe, and
      view: of test images.
      batch_size: images a step.
      epochs: of training.
      seeds: for each row.
    """

    reduced: str
    model: str
    rows: tuple[str, ...]
    dataset: str
    images: tuple[int, int] | None
    side: int
    augment: tuple[str, ...]
    view: str
    batch_size: int
    epochs: int
    seeds: int
    workers: int = 8


SCALES = {
    "smoke": Settings(
        "Two small nets.", "first=3x3, width=0.03", ("tanh", "scaled tanh"), "mnist5k", (64, 64), 28,
        (), "", 32, 1, 2,
    ),
    "reduced": Settings(
        "3,200 images of CIFAR-10 for 8 epochs, 800 steps of 32, in place of 320,000 steps of 256 on "
        "ImageNet; 3 × 3 windows with stride 1 in the first layer, as in the authors' row for images of "
        "32 × 32, and an eighth of the filters and units; crops of 32 after padding by 2. Four of the "
        "rows with batch normalisation.",
        "first=3x3, width=0.125", tuple(ROWS)[:18], "cifar10", (3200, 5000), 32,
        ("crop(padding=2)", "flip"), "", 32, 8, 4,
    ),
    "full": Settings(
        "The published protocol, but for three seeds, and crops from the middle 144 × 144 pixels of "
        "images whose short side has 144.",
        "", tuple(ROWS), "imagenet2012", None, 144, ("random_crop(size=128)", "flip"),
        "centre(size=128)", 256, 64, 3,
    ),
}  # fmt: skip


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """By row, the test accuracy of every seed by epoch."""
    recipe = Recipe(
        settings.epochs, settings.batch_size, 0.01, 0.9, 5e-4, "steps", "cuda_convnet",
        milestones=tuple(share * settings.epochs for share in (100 / 320, 200 / 320, 300 / 320)),
        augment=settings.augment, views=settings.view,
    )  # fmt: skip
    accuracy = {}
    for row in settings.rows:
        act, options, _ = ROWS[row]
        data = _data(settings, work)  # a stream each, from its start
        arguments = ", ".join(text for text in (settings.model, options) if text)
        module = create_model(f"caffenet128({arguments})", act, num_classes=data.num_classes)
        rows = work.train(
            row.replace(", ", "-").replace(" ", "-"), from_linen(module), recipe, data,
            range(settings.seeds), **({} if settings.images else {"save_seconds": 600.0}),
        )  # fmt: skip
        # A net that has diverged knows nothing.
        found = [[1.0 if e is None else e for e in line["test_error"]] for line in rows]
        accuracy[row] = [
            [round(1 - error, 5) for error in seed] for seed in zip(*found, strict=True)
        ]
    return {"accuracy": accuracy}


def _data(settings: Settings, work: Work) -> Any:
    if settings.images:
        return work.data(settings.dataset, *settings.images)
    from flaxact.data import open_stream
    from flaxact.data.streamed import Streamed

    work.notes[settings.dataset] = "streamed"
    train, test = (
        open_stream(
            settings.dataset, split=split, batch_size=settings.batch_size, scale=None,
            image_size=settings.side, workers=settings.workers, data_dir=work.data_dir,
        )
        for split in ("train", "test")
    )  # fmt: skip
    return Streamed(settings.dataset, train, test)


def _last(results: dict[str, Any], rows: tuple[str, ...]) -> np.ndarray:
    """Accuracy after the last epoch, (rows, seeds)."""
    return np.array([[seed[-1] for seed in results["accuracy"][row]] for row in rows])


def _difference(results: dict[str, Any], one: str, other: str) -> Interval:
    if not {one, other} <= set(results["accuracy"]):
        return Interval(math.nan, math.nan, math.nan)
    first, second = _last(results, (one, other))
    return mean_interval([float(difference) for difference in first - second])


def _bootstrapped(
    results: dict[str, Any], rows: tuple[str, ...], statistic: Callable[[np.ndarray], float]
) -> Interval:
    """A statistic of the rows' mean accuracies, with its percentile interval over seeds."""
    if not set(rows) <= set(results["accuracy"]):
        return Interval(math.nan, math.nan, math.nan)
    found = _last(results, rows)
    seeds = found.shape[1]
    drawn = np.random.default_rng(0).integers(seeds, size=(SAMPLES, seeds))
    sampled = [statistic(found[:, chosen].mean(1)) for chosen in drawn]
    value = float(statistic(found.mean(1)))
    low, high = np.percentile(sampled, [2.5, 97.5])
    return Interval(value, min(float(low), value), max(float(high), value))


def _correlation(means: np.ndarray) -> float:
    published = rankdata([ROWS[row][2] for row in MAIN])
    return float(np.corrcoef(rankdata(means), published)[0, 1])


def _evenness(means: np.ndarray) -> float:
    normed, plain = np.ptp(means[: len(NORMED)]), np.ptp(means[len(NORMED) :])
    return float(normed / plain) if plain else math.inf


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    return {
        "ranking": _bootstrapped(results, MAIN, _correlation),
        "even": _bootstrapped(results, NORMED + PLAIN, _evenness),
        **{key: _difference(results, *rows[:2]) for key, rows in DIFFERENCES.items()},
    }


def tables(results: dict[str, Any]) -> list[Table]:
    """Accuracies, and differences from ReLU."""
    rows = []
    for row in results["accuracy"]:
        found, theirs = _last(results, (row,))[0], ROWS[row][2]
        rows.append((
            row, f"{theirs:.1%}", f"{100 * (theirs - ROWS['relu'][2]):+.1f}",
            shown(mean_interval([float(value) for value in found]), percent=True),
            shown(_difference(results, row, "relu"), percent=True),
        ))  # fmt: skip
    header = ("row", "published", "less ReLU's, points", "ours", "less ReLU's")
    return [Table("Top-1 accuracy", header, tuple(rows))]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Our accuracies, a point a seed and a bar the mean, and the published, whose order it is."""
    rows = sorted(results["accuracy"], key=lambda row: ROWS[row][2])
    made, axes = figure(7.5, 1.0 + 0.26 * len(rows))
    for place, row in enumerate(rows):
        found = _last(results, (row,))[0]
        axes.plot(found, [place] * len(found), "o", color=COLOURS[0], markersize=3, alpha=0.6)
        axes.plot([found.mean()], [place], "|", color=COLOURS[0], markersize=11)
        axes.plot([ROWS[row][2]], [place], "D", color=COLOURS[1], markersize=4, fillstyle="none")
    axes.plot([], [], "o", color=COLOURS[0], markersize=3, label="ours")
    axes.plot(
        [], [], "D", color=COLOURS[1], markersize=4, fillstyle="none", label="published, ImageNet"
    )
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("top-1 accuracy")
    axes.xaxis.set_major_formatter(percent())
    axes.legend(frameon=False, fontsize=8, loc="lower center")
    return {"Accuracy": made}
