"""Shifted ReLU: does centering lower the error, or the place of the kink?

Claim: Clevert et al. (2016, §4.2) report that ReLU shifted to max(-1, x) errs less than ReLU. Their
explanation is a mean activation nearer to zero. But max(-1, x) = relu(x + 1) - 1 changes two things: the
output is 1 lower, and the kink is at -1, so that more inputs fall on the linear part. Our own claims ask
which of the two does it. A 2 × 2 design separates them: relu(x), relu(x + 1), relu(x) - 1 and
relu(x + 1) - 1. A fifth row centers what ReLU gives to the next layer, and leaves the kink where it is.

Protocol (written before the run): the net and the data of part two of ``clevert2015``. The net is
SmallNet with its dropout, at a quarter of its width; 6,000 images of CIFAR-10, batches of 100, momentum
0.9, weight decay 1e-4, the rate divided by 10 after two fifths and again after three fifths of the
epochs. Every seed draws its own training images; the five rows share a seed's images, initial weights
and batch order. Rates are chosen on seed 100, which is not evaluated, by the error on 2,000 images that
are not trained on: four rates at factors of 3, widened by two where the best is at an edge. Evaluation
seeds are 1 to 6, on all 10,000 test images after the last epoch. Effects are differences in points of
test error, paired by seed, with Student's t. A diverged run is counted and makes its effect unknown.

The convolutions of SmallNet have no biases. A lower output then also gives the next layer an offset that
it cannot learn. So every row is trained in a second net as well, where convolutions have biases and all
four functions give the same class of networks. Its claims are a family of their own.

The fifth row subtracts the mean of each channel after the pooling (or the dense layer's activation) and
before dropout: the batch's mean in training, with a gradient through it, a running mean in testing.
Nothing is scaled and no bias is learned. (Max pooling would undo a centering in the activation, and the
zoo's ``weight_mean_only_batch`` normalizes weights too.) This row replaces the claim ``centred`` of
``krizhevsky2012``, whose constant shift did not center. Manipulation check: the bias shift of what each
layer is given (root mean square of the units' means, over that of their standard deviations), on 1,000
training images, with the batch's means before and after training, and with running means after it.

Differences: none, as nothing is published of these rows on this net.

Result (reduced): both centerings lower the test error. A mean subtracted after the pooling lowers it by
6.4 [5.2, 7.7] points (7.0 [5.4, 8.6] with biases), an output that is 1 lower by 11.4 [8.6, 14.1]
points, mean over both kinks. Moving the kink to -1 does not lower it: it raises it by 5.9 [3.8, 8.0]
points, mean over both outputs. The effects do not add up: relu(x + 1), whose output is the farthest
from centered, has 12.7 [8.5, 17.0] points more than ReLU, and max(-1, x), lowered too, has 5.5 [3.6,
7.3] less, about as much less as relu(x) - 1 (4.5 [3.0, 6.1]). So on this net the gain of max(-1, x)
comes with its lower output, not with its kink. With biases the same differences have wider intervals,
as a run of relu(x + 1) fails, and the claims on the kink are undecided. Centering leaves 0.199 [0.185,
0.214] of the bias shift in testing, where at most 0.2 was asked: undecided.

Time: about 110 minutes of one core at reduced, on a machine with other work.

Command: ``flaxact reproduce kinks --scale reduced``
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact import get
from flaxact.data import few
from flaxact.diagnostics.probe import probe
from flaxact.figures import COLORS, INK, MARKERS, figure
from flaxact.layers import Act
from flaxact.models.small_net import SmallNet
from flaxact.net import Variables, from_linen
from flaxact.reproduction.cells import errors_by_rate, rate_cell, share_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Table, format_interval
from flaxact.reproduction.comparisons import paired_points
from flaxact.reproduction.images import DrawnImages, drawn_by_seed
from flaxact.reproduction.trained import FinalErrors, error_on, only_variables, rounded
from flaxact.reproduction.tuning import TUNING_SEED, Search, Tuned, error_score, tune_then_repeat
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "clevert2015elu"
ROWS = {
    "relu": "relu",
    "kink": "shifted(relu, input=1)",
    "output": "shifted(relu, output=-1)",
    "both": "shifted(relu, output=-1, input=1)",
    "centered": "relu",
}
FORMULAS = {
    "relu": "relu(x)",
    "kink": "relu(x + 1)",
    "output": "relu(x) - 1",
    "both": "max(-1, x)",
    "centered": "relu(x), then centered",
}
NETS = {"published": "SmallNet", "biases": "SmallNet with biases"}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A weighted sum of rows' test errors, in points; by default it is claimed to be above 0."""

    text: str
    quantity: str
    weights: Mapping[str, float]
    low: float = 0.0
    high: float = np.inf


EFFECTS = {
    "output": Effect(
        text="Lowering ReLU's output by 1 lowers the test error",
        quantity="output not lowered less lowered, mean over both kinks",
        weights={"relu": 0.5, "output": -0.5, "kink": 0.5, "both": -0.5},
    ),
    "kink": Effect(
        text="Moving ReLU's kink to -1 lowers the test error",
        quantity="kink at 0 less kink at -1, mean over both outputs",
        weights={"relu": 0.5, "kink": -0.5, "output": 0.5, "both": -0.5},
    ),
    "place": Effect(
        text="Moving the kink lowers the test error more than lowering the output",
        quantity="relu(x) - 1 less relu(x + 1)",
        weights={"output": 1.0, "kink": -1.0},
    ),
    "interaction": Effect(
        text="The two shifts add up, to within 2 points",
        quantity="what lowering the output adds at kink -1, less that at kink 0",
        weights={"both": 1.0, "kink": -1.0, "output": -1.0, "relu": 1.0},
        low=-2.0,
        high=2.0,
    ),
    "centering": Effect(
        text="Centering what ReLU gives to each layer lowers the test error",
        quantity="ReLU less centered ReLU",
        weights={"relu": 1.0, "centered": -1.0},
    ),
}
MOMENTS = ("start", "end", "end, running means")
LAYERS = ("conv2", "conv3", "fc4", "fc5")
CLAIMS = (
    *(
        Claim(
            f"{key}_{net}",
            f"{effect.text} ({title}).",
            f"points of test error, {effect.quantity}",
            low=effect.low,
            high=effect.high,
            family="" if key == "centering" else f"shifts, {title}",
        )
        for net, title in NETS.items()
        for key, effect in EFFECTS.items()
    ),
    Claim(
        "check",
        "Centering leaves at most a fifth of ReLU's bias shift, in testing after training.",
        "bias shift of layers' inputs, centered ReLU / ReLU, mean over layers",
        high=0.2,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings(DrawnImages):
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      probed: training images that the bias shift is measured on.
      width: share of the net's filters and units.
      seeds: that are evaluated, from 1.
    """

    reduced: str
    images: int = 6000
    validation: int = 2000
    side: int = 32
    probed: int = 1000
    width: float = 0.25
    epochs: int = 8
    batch_size: int = 100
    seeds: int = 6
    rates: tuple[float, ...] = (0.003, 0.009, 0.027, 0.081)
    widenings: int = 2
    nets: tuple[str, ...] = tuple(NETS)


SCALES = {
    "smoke": Settings(
        reduced="Few small images of digits, a net with few filters.",
        dataset="mnist5k",
        images=200,
        validation=50,
        test=50,
        probed=50,
        side=12,
        width=0.1,
        epochs=2,
        batch_size=20,
        seeds=2,
        rates=(0.009, 0.027),
        widenings=0,
        nets=("published",),
    ),
    "reduced": Settings(
        reduced="A quarter of SmallNet's width, 6,000 images of CIFAR-10, 8 epochs, no augmentation."
    ),
    "full": Settings(
        reduced="All of SmallNet, 45,000 images of CIFAR-10, 30 epochs, no augmentation.",
        images=45_000,
        validation=5000,
        width=1.0,
        epochs=30,
    ),
}


class LayerInput(nn.Module):
    """A layer's input, optionally centered by channel, as a site that a probe records."""

    centered: bool
    train: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``x`` (batch, ..., channels), less the mean of each channel if ``centered``."""
        if self.centered:
            zeros = functools.partial(jnp.zeros, x.shape[-1:], jnp.float32)
            running = self.variable("batch_stats", "mean", zeros)
            mean = running.value
            if self.train:
                mean = x.mean(tuple(range(x.ndim - 1)))
                if not self.is_initializing():
                    running.value = 0.9 * running.value + 0.1 * mean
            x = x - mean
        return Act("identity", name="site")(x)


class WatchedNet(SmallNet):
    """A SmallNet with probed, optionally centered layer inputs and optional biases of convolutions."""

    centered: bool = False
    biases: bool = False

    def normalise(self, x: jax.Array, name: str, *, train: bool) -> jax.Array:
        """The normalization before an activation, with a bias after a convolution."""
        if not self.biases or x.ndim != 4:
            return x
        zeros = nn.initializers.zeros_init()
        return x + self.param(name.replace("norm", "bias"), zeros, x.shape[-1:], jnp.float32)

    def drop(self, x: jax.Array, published: float, *, train: bool) -> jax.Array:
        """Dropout of the next layer's input."""
        return super().drop(LayerInput(self.centered, train)(x), published, train=train)


@dataclass(frozen=True, kw_only=True)
class Run(FinalErrors):
    """One training, with the bias shift of each layer's input by moment and layer."""

    shifts: dict[str, dict[str, float | None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The results of one of ROWS in one net: its search (None until complete) and its runs."""

    tuned: Tuned | None = None
    runs: tuple[Run, ...] = ()

    @property
    def errors(self) -> list[float | None]:
        """The test error, by seed."""
        return [run.error for run in self.runs]

    def mean_shifts(self, moment: str) -> list[float]:
        """The mean over layers of the bias shift, by seed; empty if some are unknown."""
        layers = [list(run.shifts.get(moment, {}).values()) for run in self.runs]
        if any(not shifts or None in shifts for shifts in layers):
            return []
        return [statistics.fmean(shifts) for shifts in layers]  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Rows by net and name, and the numbers of images and epochs that they were trained with."""

    images: int
    epochs: int
    nets: dict[str, dict[str, Row]]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Search rates and train the seeds, for each net and row."""
    nets = {
        net: {row: _row(settings, workspace, net, row) for row in ROWS} for net in settings.nets
    }
    return Results(images=settings.images, epochs=settings.epochs, nets=nets)


def _row(settings: Settings, workspace: Workspace, net: str, row: str) -> Row:
    run = functools.partial(_run, settings, workspace, net, row)
    tuned, runs = tune_then_repeat(
        workspace,
        f"{net}/{row}",
        Search(rates=settings.rates, epochs=settings.epochs, widenings=settings.widenings),
        range(1, settings.seeds + 1),
        validate=lambda member, epochs: run(member),
        evaluate=run,
        score=lambda stored: error_score(stored["error"]),
    )
    return Row(tuned=tuned, runs=tuple(decode(Run, stored) for stored in runs))


def _run(
    settings: Settings, workspace: Workspace, net: str, row: str, member: Member
) -> dict[str, object]:
    """One training, as ``Run``."""
    data, validation = drawn_by_seed(workspace, settings, member.seed)
    module = WatchedNet(
        get(ROWS[row]),
        num_classes=data.num_classes,
        width=settings.width,
        centered=row == "centered",
        biases=net == "biases",
    )
    recipe = Recipe(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        weight_decay=1e-4,
        schedule="steps",
        milestones=(0.4 * settings.epochs, 0.6 * settings.epochs),
    )
    tuning = member.seed == TUNING_SEED
    tested = validation if tuning else few(data.test, settings.test)
    probed = few(data.train, settings.probed).images
    shifts: dict[str, dict[str, float | None]] = {}
    errors: dict[str, float | None] = {"error": None, "train_error": None, "diverged_at": -1}
    watched = replace(data, test=few(data.train, 100))  # after every epoch; decides nothing
    for epoch in train(from_linen(module), recipe, watched, [member]):
        errors["diverged_at"] = int(epoch.diverged_at[0])
        if errors["diverged_at"] >= 0 or epoch.number not in (0, settings.epochs):
            continue
        variables = only_variables(epoch.states)
        if epoch.number:
            errors["error"] = error_on(from_linen(module), variables, tested)
            errors["train_error"] = rounded(epoch.train_error[0])
        if not tuning:
            for moment in MOMENTS[1:] if epoch.number else MOMENTS[:1]:
                batch_means = moment != MOMENTS[-1]
                shifts[moment] = _shift(module, variables, probed, train=batch_means)
    return {**errors, "shifts": shifts}


def _shift(
    module: nn.Module, variables: Variables, images: np.ndarray, *, train: bool
) -> dict[str, float | None]:
    """By layer, the bias shift of what it is given."""
    sites = probe(module, variables, images, measures=("mean_to_std",), train=train)
    inputs = [values["mean_to_std"] for site, values in sites.items() if site.endswith("/site")]
    return {name: rounded(value) for name, value in zip(LAYERS, inputs, strict=True)}


def measured(results: Results) -> dict[str, Interval]:
    """The effects of each net, and the manipulation check of the first."""
    effects = {
        f"{key}_{net}": _effect(results.nets.get(net, {}), effect.weights)
        for net in NETS
        for key, effect in EFFECTS.items()
    }
    return {**effects, "check": _check(results.nets["published"])}


def _effect(rows: Mapping[str, Row], weights: Mapping[str, float]) -> Interval:
    """A weighted sum of rows' errors."""
    samples = [rows.get(row, Row()).errors for row in weights]
    return paired_points(samples, list(weights.values()))


def _check(rows: Mapping[str, Row]) -> Interval:
    """The share of ReLU's bias shift that centering leaves after training, with running means."""
    centered, plain = (rows[row].mean_shifts(MOMENTS[-1]) for row in ("centered", "relu"))
    if not centered or not plain:
        return UNKNOWN
    shares = [one / other for one, other in zip(centered, plain, strict=True)]
    return mean_interval(shares).clipped(0, np.inf)


def tables(results: Results) -> list[Table]:
    """The tables of errors by net and row, of the bias shift, and of the searches."""
    header = ("row", "rate", "test error", "training error", "ReLU less row")
    by_net = []
    searches = []
    for net, rows in results.nets.items():
        lines = []
        for name, row in rows.items():
            effect = _effect(rows, {"relu": 1.0, name: -1.0})
            gain = "" if name == "relu" else format_interval(effect)
            train_errors = [run.train_error for run in row.runs]
            errors = (share_cell(row.errors), share_cell(train_errors))
            lines.append((FORMULAS[name], rate_cell(row.tuned), *errors, gain))
            searches.append((NETS[net], FORMULAS[name], errors_by_rate(row.tuned)))
        by_net.append(Table(f"{NETS[net]}: errors after the last epoch", header, tuple(lines)))
    header = ("net", "row", f"validation error by rate, seed {TUNING_SEED}")
    search = Table("The search for the rates", header, tuple(searches))
    return [*by_net, _shift_table(results), search]


def _shift_table(results: Results) -> Table:
    """The manipulation check, layer by layer."""
    lines = []
    for net, rows in results.nets.items():
        for name, row in rows.items():
            for moment in MOMENTS:
                if row.mean_shifts(moment):
                    by_layer = zip(*(run.shifts[moment].values() for run in row.runs), strict=True)
                    cells = (f"{np.mean(shifts):.3f}" for shifts in by_layer)
                    lines.append((NETS[net], FORMULAS[name], moment, *cells))
    title = "Bias shift of what each layer is given, mean over seeds (0: centered)"
    return Table(title, ("net", "row", "when", *LAYERS), tuple(lines))


def figures(results: Results) -> dict[str, Figure]:
    """The test errors of each net's five rows, by row and by the bias shift after training."""
    return {
        f"Errors in {NETS[net]}": _picture(results, net)
        for net, rows in results.nets.items()
        if all(rows[row].runs for row in ROWS)
    }


def _picture(results: Results, net: str) -> Figure:
    rows = results.nets[net]
    drawing, (left, right) = figure(11, 4.2, 2)
    for position, (name, color, marker) in enumerate(zip(ROWS, COLORS, MARKERS, strict=False)):
        errors = [100 * error for error in rows[name].errors if error is not None]
        left.plot([position] * len(errors), errors, marker, color=color, ms=5, alpha=0.7)
        if errors:
            ends = [position - 0.2, position + 0.2]
            left.plot(ends, [statistics.fmean(errors)] * 2, color=color, lw=2)
        shifts = rows[name].mean_shifts(MOMENTS[-1])
        if len(shifts) == len(errors):
            right.plot(shifts, errors, marker, color=color, ms=5, label=FORMULAS[name])
    left.set_xticks(range(len(ROWS)), [FORMULAS[row].replace(", then", ",\nthen") for row in ROWS])
    left.set(ylabel="test error, %", title="a mark: one seed; a line: the mean")
    right.set(xlim=(0, None), ylabel="test error, %", title="a mark: one seed")
    right.set_xlabel("bias shift of layers' inputs after training (0: centered)")
    right.legend(frameon=False, fontsize=8)
    seeds = max(len(rows[row].runs) for row in ROWS)
    about = f"{results.images:,} images, {results.epochs} epochs, {seeds} seeds"
    title = f"{NETS[net]}: {about}; diverged runs are not drawn"
    drawing.suptitle(title, fontsize=10, color=INK)
    return drawing
