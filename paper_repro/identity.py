"""The identity is no alternative to ReLU: a stack of linear layers is one linear layer.

Claim: ours, not a paper's. A deep net without activations computes a linear function of its input (plus a
constant), so it cannot fit its training images better than the best linear model does. With ReLU the same
net can. Max pooling is a nonlinearity as well: a net whose only nonlinearity is max pooling is no linear
model. (Mishkin et al. 2016 print a top-1 accuracy of 38.9% on ImageNet for this net without activations,
and 3.5% where strides replace its max pooling: caffenet-benchmark, Activations.)

Protocol: CaffeNet (``caffenet128``, five convolutions and three dense layers) with 3 × 3 windows in the
first layer, an eighth of the filters and units, LSUV initialization, and no dropout. Three nets: the
identity with strides, ReLU with strides, and the identity with max pooling. Cross-entropy, batches of
100, momentum 0.9, a constant rate, no weight decay, no augmentation. After each epoch the training loss
is measured in a pass over all training images, without updates. What counts is the lowest of these.

The linear model is multinomial logistic regression on the same pixels, without a penalty. Its training
loss is convex, so its minimum can be computed: by L-BFGS in double precision on whitened pixels (an
invertible linear map, which leaves the minimum as it is), until no entry of the gradient is above 1e-7.
The loss where L-BFGS stops is never below the minimum, which works against the first claim.

The rate of each net is chosen with seed 100, which is not evaluated, from 0.003, 0.009 and 0.027, by the
lowest training loss of the first 3 epochs; a grid whose best is at an edge is widened once, by two rates.
Evaluation seeds are 1 to 5. Intervals are Student's t over seeds; the three claims are judged together
with Holm's correction. A run that diverged is counted and left out.

The ranges were written before the run, after a pilot with seed 100 that chose the size of the images and
the number of epochs.
They were committed together with the results.

Differences: none, as no paper is reproduced. Reduced has 10,000 images of 12 × 12 pixels (the middle
24 × 24, averaged over 2 × 2), so that the linear model has 4,330 weights; full has all images of CIFAR-10
as they are.

Result (reduced, 5 seeds, 2026-11-28): the linear minimum is 1.557 nats. The identity with strides stays
0.209 [0.199, 0.218] nats above it, ReLU gets 0.231 [0.175, 0.288] below it, and the identity with max
pooling 0.328 [0.302, 0.354] below it, in all 5 seeds each. Full has not been run.

Time: 6.2 core-minutes for reduced, about 2 of them compilation (31 minutes of wall time on a busy
machine). Full takes about 3 to 6 core-hours and 5 GB of memory (an estimate by pixels and images).

Command: ``flaxact reproduce identity --scale reduced``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flaxact.data import Dataset, Split
from flaxact.figures import COLORS, INK, MARKERS, Style, figure
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.cells import rate_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Table, format_interval
from flaxact.reproduction.drawing import draw_search
from flaxact.reproduction.images import cropped
from flaxact.reproduction.tuning import TUNING_SEED, Score, Search, Tuned, search
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "mishkin2016systematic"
GRADIENT = 1e-7  # the largest entry that the minimum of the linear model may have


@dataclass(frozen=True, kw_only=True)
class Net:
    """An activation at every site, and ``pooling`` of ``caffenet128``."""

    activation: str
    pooling: str
    label: str


NETS = {
    "identity": Net(activation="identity", pooling="stride", label="identity, strides"),
    "relu": Net(activation="relu", pooling="stride", label="ReLU, strides"),
    "pooling": Net(activation="identity", pooling="max", label="identity, max pooling"),
}
FAMILY = "training loss"
CLAIMS = (
    Claim(
        "never_below",
        "A deep net without activations never fits its training images better than a linear model.",
        "lowest training loss of the identity with strides - minimum of the linear model, nats",
        low=0.0,
        family=FAMILY,
    ),
    Claim(
        "relu",
        "With ReLU the same net fits its training images better than any linear model.",
        "minimum of the linear model - lowest training loss of ReLU with strides, nats",
        low=0.01,
        family=FAMILY,
    ),
    Claim(
        "pooling",
        "With max pooling and no activations a net fits training images better than any linear model.",
        "minimum of the linear model - lowest training loss of the identity with max pooling, nats",
        low=0.01,
        family=FAMILY,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      dataset: a name.
      images: for training; None for all.
      crop: pixels on a side of the middle of an image.
      block: pixels on a side that are averaged.
      width: share of the published filters and units.
      batch_size: images per step.
      search: for the rate, with seed 100.
      epochs: number of epochs of the evaluation.
      seeds: number of seeds of the evaluation.
    """

    reduced: str
    dataset: str = "cifar10"
    images: int | None
    crop: int
    block: int
    width: float = 0.125
    batch_size: int = 100
    search: Search
    epochs: int
    seeds: int = 5


RATES = (0.003, 0.009, 0.027)
SCALES = {
    "smoke": Settings(
        reduced="200 images of MNIST and tiny nets.",
        dataset="mnist5k",
        images=200,
        crop=24,
        block=2,
        width=0.03,
        batch_size=20,
        search=Search(rates=(0.003, 0.009), epochs=1, widenings=0),
        epochs=2,
        seeds=2,
    ),
    "reduced": Settings(
        reduced="10,000 images of CIFAR-10, 12 × 12 pixels: the middle 24 × 24, averaged over 2 × 2.",
        images=10_000,
        crop=24,
        block=2,
        search=Search(rates=RATES, epochs=3, widenings=1),
        epochs=8,
    ),
    "full": Settings(
        reduced="All 50,000 training images of CIFAR-10, as they are.",
        images=None,
        crop=32,
        block=1,
        search=Search(rates=RATES, epochs=3, widenings=1),
        epochs=8,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Linear:
    """The best linear model: its loss, the largest entry of the gradient, steps of L-BFGS, and size."""

    loss: float
    gradient: float
    steps: int
    weights: int
    error: float


@dataclass(frozen=True, kw_only=True)
class Row(Tuned):
    """The results of a net: its search, and the loss over all training images by seed and epoch."""

    losses: tuple[tuple[float | None, ...], ...]

    @property
    def lowest(self) -> list[float]:
        """The lowest training losses of the runs that did not diverge."""
        return [loss for loss in map(_lowest, self.losses) if math.isfinite(loss)]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The linear model, and the nets by name."""

    linear: Linear
    nets: dict[str, Row]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Find the minimum of the linear model; search rates and train every seed of each net."""
    minimum = workspace.cached("linear", lambda: _linear(_data(settings, workspace).train))
    nets = {name: _evaluated(name, settings, workspace) for name in NETS}
    return Results(linear=minimum, nets=nets)


def _evaluated(name: str, settings: Settings, workspace: Workspace) -> Row:
    """The best rate of a net, and the losses of the evaluation seeds."""
    known: dict[float, Score] = {}

    def losses(piece: str, members: Sequence[Member], epochs: int) -> list[list[float | None]]:
        net = NETS[name]
        module = create_model(
            f"caffenet128(first=3x3, width={settings.width:g}, pooling={net.pooling}, dropout=0)",
            net.activation,
            num_classes=10,
        )
        recipe = Recipe(epochs=epochs, batch_size=settings.batch_size)
        data = _data(settings, workspace)
        lines = workspace.train(
            f"{name}/{piece}", from_linen(module), recipe, data, members=members
        )
        return [
            [None if loss is None else round(loss, 6) for loss in run]
            for run in zip(*(line["test_loss"] for line in lines), strict=True)
        ]

    def scores(rates: Sequence[float], epochs: int) -> list[Score]:
        new = [rate for rate in rates if rate not in known]
        members = [Member(TUNING_SEED, rate) for rate in new]
        piece = f"rates-{'-'.join(f'{rate:g}' for rate in new)}"
        known.update(zip(new, map(_score, losses(piece, members, epochs)), strict=True))
        return [known[rate] for rate in rates]

    tuned = search(settings.search, scores)
    members = [Member(seed, tuned.best) for seed in range(1, settings.seeds + 1)]
    runs = losses("seeds", members, settings.epochs)
    return decode(Row, {**asdict(tuned), "losses": runs})


def _score(losses: Sequence[float | None]) -> Score:
    """(0, lowest loss), or (1,) for a run that diverged."""
    lowest = _lowest(losses)
    return (0, lowest) if math.isfinite(lowest) else (1,)


def _lowest(losses: Sequence[float | None]) -> float:
    """The lowest training loss of a run; nan if the run diverged."""
    known = [loss for loss in losses if loss is not None]
    return min(known) if len(known) == len(losses) else math.nan


def _data(settings: Settings, workspace: Workspace) -> Dataset:
    """The training images, which are the test images as well: the clean pass is over them."""
    data = workspace.data(settings.dataset, settings.images, 1)
    images = cropped(data.train, settings.crop).images
    block = settings.block
    size = settings.crop // block
    blocks = images.reshape((-1, size, block, size, block, images.shape[-1]))
    train = Split(blocks.mean((2, 4)).round().astype(np.uint8), data.train.labels)
    return replace(data, train=train, test=train)


def _linear(train: Split) -> dict[str, object]:
    """The minimum of the cross-entropy of multinomial logistic regression.

    Raises:
      ArithmeticError: L-BFGS stops before the gradient is small enough.
    """
    from scipy.optimize import minimize

    pixels = train.images.reshape(len(train.labels), -1).astype(float)
    pixels -= pixels.mean(axis=0)
    variances, directions = np.linalg.eigh(pixels.T @ pixels / len(pixels))
    varies = variances > 1e-9 * variances[-1]  # of MNIST some pixels are always black
    whitened = pixels @ (directions[:, varies] / np.sqrt(variances[varies]))
    inputs = np.column_stack([np.ones(len(whitened)), whitened])
    targets = np.eye(10)[train.labels]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = inputs @ weights.reshape(-1, 10)
        logits -= logits.max(axis=1, keepdims=True)
        sums = np.exp(logits).sum(axis=1, keepdims=True)
        value = (np.log(sums).sum() - (logits * targets).sum()) / len(inputs)
        gradient = inputs.T @ (np.exp(logits) / sums - targets) / len(inputs)
        return float(value), gradient.ravel()

    start = np.zeros(10 * inputs.shape[1])
    options = {"gtol": GRADIENT / 10, "ftol": 0, "maxiter": 10_000, "maxfun": 20_000, "maxcor": 30}
    minimum = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    gradient = float(np.abs(minimum.jac).max())
    if gradient > GRADIENT:
        raise ArithmeticError(f"the gradient is still {gradient:.2g} after {minimum.nit} steps")
    return {
        "loss": float(minimum.fun),
        "gradient": gradient,
        "steps": int(minimum.nit),
        "weights": len(start),
        "error": float(
            (np.argmax(inputs @ minimum.x.reshape(-1, 10), axis=1) != train.labels).mean()
        ),
    }


def _below(results: Results, name: str) -> Interval:
    """The minimum of the linear model less the lowest loss, over the seeds that did not diverge."""
    gains = [results.linear.loss - loss for loss in results.nets[name].lowest]
    return mean_interval(gains) if gains else UNKNOWN


def _negative(interval: Interval) -> Interval:
    again = interval.at_level
    return Interval(
        mean=-interval.mean,
        low=-interval.high,
        high=-interval.low,
        level=interval.level,
        at_level=None if again is None else lambda level: _negative(again(level)),
    )


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    return {
        "never_below": _negative(_below(results, "identity")),
        "relu": _below(results, "relu"),
        "pooling": _below(results, "pooling"),
    }


def tables(results: Results) -> list[Table]:
    """The losses, the linear model, and the search."""
    linear = results.linear
    losses = []
    rates = []
    for name, row in results.nets.items():
        lowest = row.lowest
        runs = len(row.losses)
        cells = {
            "net": NETS[name].label,
            "rate": rate_cell(row),
            "lowest training loss, nats": format_interval(mean_interval(lowest)) if lowest else "–",
            "lowest of all seeds": f"{min(lowest):.4f}" if lowest else "–",
            "less the linear minimum": format_interval(_negative(_below(results, name))),
            "below it": f"{sum(loss < linear.loss for loss in lowest)} of {runs}",
            "diverged": f"{runs - len(lowest)} of {runs}",
        }
        losses.append(cells)
        for tried in row.rates:
            loss = f"{tried.score[1]:.4f}" if len(tried.score) > 1 else "diverged"
            rates.append((NETS[name].label, f"{tried.rate:g}", loss))
    best = {
        "minimum of the training loss, nats": f"{linear.loss:.6f}",
        "largest gradient": f"{linear.gradient:.1e}",
        "steps of L-BFGS": f"{linear.steps}",
        "weights": f"{linear.weights:,}",
        "training error": f"{linear.error:.1%}",
    }
    return [
        Table.of_cells("Training loss", losses),
        Table.of_cells("The best linear model", [best]),
        Table("Search for the rate, seed 100", ("net", "rate", "lowest loss, nats"), tuple(rates)),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """Training loss by epoch, one line per seed; and the search's loss by rate."""
    drawing, (left, right) = figure(9.5, 3.8, 2)
    for place, (name, row) in enumerate(results.nets.items()):
        style: Style = {"color": COLORS[place], "linewidth": 1, "marker": MARKERS[place]}
        for seed, losses in enumerate(row.losses):
            known = [math.nan if loss is None else loss for loss in losses[1:]]
            label = NETS[name].label if seed == 0 else None
            epochs = range(1, len(losses))
            left.plot(epochs, known, alpha=0.8, markersize=3, label=label, **style)
        draw_search(right, row, "-", markersize=4, **style)
    for axes in (left, right):
        axes.axhline(results.linear.loss, color=INK, linewidth=1.2, linestyle="--")
        axes.set_ylabel("loss over all training images, nats")
    left.plot([], [], color=INK, linewidth=1.2, linestyle="--", label="best linear model")
    seeds = len(next(iter(results.nets.values())).losses)
    left.set_title(f"evaluation: a line per seed (n = {seeds})", fontsize=9)
    left.set_xlabel("epoch")
    left.legend(frameon=False, fontsize=8)
    right.set_title("search for the rate: lowest loss of seed 100", fontsize=9)
    right.set_xscale("log")
    right.set_xlabel("learning rate")
    return {"Training loss": drawing}
