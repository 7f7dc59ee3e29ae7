"""Sparsity: are ReLU's zeros good for speed or for the test error?

Claim: a claim of our own. Glorot et al. 2011 name the zeros of ReLU as an advantage; Xu et al. 2015 call
the belief that sparsity is the key into question. Leaky ReLU with slopes 0, 0.01, 0.1, 1/3 and 1 on its
negative side is a dose of sparsity from full (ReLU) to none (the identity). The claims are: zeros are not
needed for speed; zeros lower the test error; the test error falls as sparseness rises.

Protocol (written before the run): the net ``80sec`` of cuda-convnet with half of its filters; 3,000
images of CIFAR-10 (10,000 at full), the middle 24 × 24 pixels, batches of 32, momentum 0.9, no weight
decay, no augmentation, a constant rate. Every seed draws its own training images; the slopes share a
seed's images, initial weights and batch order. Evaluation seeds are 1 to 6.

Speed is the number of epochs to 25% training error, by the running mean over one epoch, recorded four
times per epoch and dated at the middle of its epoch. A run that has not reached it by the cap is
censored. The test error is that on all 10,000 test images at the end of a fixed number of epochs,
whatever the training error is then.

Rates are searched on seed 100, which is not evaluated: four at factors of 2, of which half are dropped
after a third of the epochs, widened by two where the best is at an edge. Each slope has two best rates:
one by the epochs to 25% (by the last running error where it is not reached), for the speed; one by the
error on 2,000 images that are not trained on, for the test error.

Zeros are exact only at slope 0: the share of zeros alone has two doses, ReLU's and none. The regression
is therefore on a graded measure, Vinje and Gallant's sparseness of an example's outputs over units, in
absolute values, mean over the four sites. It is 0 where all outputs are equal, 1 where one unit alone is
active, and about 0.36 for Gaussian outputs. Each seed has a line through its slopes 0 to 1/3; the
interval is over the seeds' lines. The identity is left out of the regression, because with it nothing but
the max pooling is nonlinear. Differences are in points of test error, paired by seed, with Student's t. A
diverged run is counted and makes its comparison unknown.

Differences: none, as nothing is published of this experiment.

Result (reduced): the test error does not fall as sparseness rises: it changes by 0.66 [0.21, 1.11]
points per 0.1 of sparseness, over slopes 0 to 1/3. Slope 1/3 has 1.5 [0.06, 2.9] points less test error
than ReLU, which the correction for three comparisons leaves undecided. Slopes 0.01 and 0.1 need about as
many epochs as ReLU (ratios 1.01 and 0.95); with slope 1/3 one of six seeds does not reach 25% in time, so
zeros may help the speed on so few images. The slope also changes the gradient and the mean.

Time: about 50 minutes of one core at reduced.

Command: ``flaxact reproduce sparsity --scale reduced``
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import linen as nn

from flaxact.data import Split, few
from flaxact.diagnostics.probe import make_probe
from flaxact.figures import COLORS, INK, MARKERS, figure, percent
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.cells import errors_by_rate, rate_cell, share_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Table, format_interval
from flaxact.reproduction.comparisons import points_above, speedup
from flaxact.reproduction.curves import Curve, record_curve
from flaxact.reproduction.images import DrawnImages, drawn_by_seed
from flaxact.reproduction.race import speed_score
from flaxact.reproduction.race_pages import epochs_text
from flaxact.reproduction.trained import error_on, only_variables
from flaxact.reproduction.tuning import (
    TUNING_SEED,
    Score,
    Search,
    TriedRate,
    Tuned,
    error_score,
    search,
)
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Crossing, Interval, crossing, mean_interval
from flaxact.training import Member, Recipe
from flaxact.training.loop import Update

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "xu2015empirical"
ROWS = {
    "0": "relu",
    "0.01": "leaky_relu(0.01)",
    "0.1": "leaky_relu(0.1)",
    "1/3": "leaky_relu(0.333333)",
    "1": "identity",
}
NONLINEAR = ("0", "0.01", "0.1", "1/3")
MEASURES = ("zeros", "population_sparseness")
CLAIMS = (
    Claim(
        "speed",
        "Zeros are not needed for speed: slope 1/3 needs at most 1.25 times ReLU's epochs.",
        "epochs to 25% training error, slope 1/3 / ReLU",
        high=1.25,
    ),
    *(
        Claim(
            key,
            f"ReLU's test error is lower than that of leaky ReLU with slope {slope}.",
            f"points of test error, slope {slope} less slope 0, paired by seed",
            low=0.0,
            family="zeros lower the test error",
        )
        for key, slope in (("error_tenth", "0.1"), ("error_third", "1/3"))
    ),
    Claim(
        "trend",
        "The test error falls as sparseness rises, over slopes 0 to 1/3.",
        "points of test error per 0.1 of sparseness (Vinje and Gallant), by seed",
        high=0.0,
        family="zeros lower the test error",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings(DrawnImages):
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      probed: test images that sparseness is measured on.
      width: share of the net's filters and units.
      epochs: after which the test error is taken, and at which searches end.
      cap: the most epochs that a run may take to the target.
      target: training error to reach, as a fraction.
      seeds: that are evaluated, from 1.
    """

    reduced: str
    images: int = 3000
    validation: int = 2000
    side: int = 24
    probed: int = 500
    width: float = 0.5
    epochs: int = 24
    cap: int = 45
    batch_size: int = 32
    target: float = 0.25
    seeds: int = 6
    rates: tuple[float, ...] = (0.0006, 0.0012, 0.0024, 0.0048)
    rungs: tuple[int, ...] = (8,)
    keep: tuple[int, ...] = (2,)
    widenings: int = 2


SCALES = {
    "smoke": Settings(
        reduced="Few small images of digits, a net with few filters.",
        dataset="mnist5k",
        images=200,
        validation=50,
        test=50,
        probed=50,
        side=12,
        width=0.25,
        epochs=2,
        cap=3,
        batch_size=10,
        target=0.85,
        seeds=2,
        rates=(0.0012, 0.0024),
        rungs=(),
        keep=(),
        widenings=0,
    ),
    "reduced": Settings(
        reduced="3,000 images of CIFAR-10, the middle 24 × 24 pixels, half of the net's filters."
    ),
    "full": Settings(
        reduced="10,000 images of CIFAR-10, the middle 24 × 24 pixels, half of the net's filters.",
        images=10_000,
        cap=40,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The results of one slope.

    Attributes:
      speed_rate: the search for the rate with the fewest epochs to the target; None while the searches
        are not complete.
      error_rate: the search for the rate with the lowest validation error.
      speed: the curves of the seeds at the one rate, to the target.
      error: those at the other, to the fixed number of epochs.
    """

    speed_rate: Tuned | None = None
    error_rate: Tuned | None = None
    speed: tuple[Curve, ...] = ()
    error: tuple[Curve, ...] = ()

    @property
    def errors(self) -> list[float | None]:
        """The test error after the fixed number of epochs, by seed; None where the run has diverged."""
        return [_at_end(curve)["error"] for curve in self.error]

    def measures(self, name: str) -> list[float]:
        """A measure as the mean over sites, by seed; diverged runs are left out."""
        ends = map(_at_end, self.error)
        return [statistics.fmean(end[name].values()) for end in ends if end["error"] is not None]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Rows by slope, and the training settings."""

    target: float
    images: int
    epochs: int
    rows: dict[str, Row]

    def times(self, slope: str) -> list[Crossing]:
        """The epochs to the target, by seed."""
        return [crossing(curve.running(), self.target) for curve in self.rows[slope].speed]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Run two rate searches per slope, and train the seeds at both rates."""
    rows = {slope: Trainer(slope, settings, workspace).row() for slope in ROWS}
    return Results(
        target=settings.target, images=settings.images, epochs=settings.epochs, rows=rows
    )


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the nets of one slope."""

    slope: str
    settings: Settings
    workspace: Workspace

    def row(self) -> Row:
        """The stored results of the slope."""
        speed_rate = self.workspace.attempt(lambda: self.tune(self._speed_score))
        error_rate = self.workspace.attempt(lambda: self.tune(self._end_score))
        if speed_rate is None or error_rate is None:
            return Row()
        speed = self.evaluate(speed_rate.best, both=self.slope in NONLINEAR)
        one_run_serves_both = error_rate.best == speed_rate.best and self.slope in NONLINEAR
        error = self.evaluate(error_rate.best, both=one_run_serves_both)
        return Row(speed_rate=speed_rate, error_rate=error_rate, speed=speed, error=error)

    def tune(self, score_of: Callable[[Curve], Score]) -> Tuned:
        """Search a rate with the tuning seed."""
        settings = self.settings
        space = Search(
            rates=settings.rates,
            rungs=settings.rungs,
            keep=settings.keep,
            epochs=settings.epochs,
            widenings=settings.widenings,
        )

        def scores(rates: Sequence[float], epochs: int) -> list[Score]:
            members = [Member(TUNING_SEED, rate) for rate in rates]
            return [score_of(curve) for curve in self.curves(members, epochs, to_target=False)]

        return search(space, scores)

    def evaluate(self, rate: float, *, both: bool) -> tuple[Curve, ...]:
        """The curves of the seeds; with ``both``, to the target and at least the fixed epochs."""
        members = [Member(seed, rate) for seed in range(1, self.settings.seeds + 1)]
        epochs = self.settings.cap if both else self.settings.epochs
        curves = self.workspace.attempt(lambda: self.curves(members, epochs, to_target=both))
        return tuple(curves or ())

    def curves(self, members: Sequence[Member], epochs: int, *, to_target: bool) -> list[Curve]:
        """The curves of some members."""
        computations = {}
        for member in members:
            rate = f"{member.learning_rate:g}"
            run = f"slope-{self.slope.replace('/', '_')}/seed-{member.seed}-rate-{rate}"
            compute = functools.partial(self.record, run, member, epochs, to_target=to_target)
            computations[f"{run}-to-{epochs}"] = compute
        return [Curve.from_json(value) for value in self.workspace.cached_all(computations)]

    def record(
        self, run: str, member: Member, epochs: int, *, to_target: bool
    ) -> dict[str, object]:
        """One curve, to a number of epochs, or to the target once ``settings.epochs`` have passed."""
        settings = self.settings
        data, validation = drawn_by_seed(self.workspace, settings, member.seed)
        tuning = member.seed == TUNING_SEED
        module = create_model("cuda_convnet(variant=80sec)", ROWS[self.slope], width=settings.width)
        tested = validation if tuning else few(data.test, settings.test)
        measured_at = settings.epochs if to_target else epochs

        def done(curve: Curve) -> bool:
            reached = math.isfinite(crossing(curve.running(), settings.target).high)
            return to_target and reached and curve.epochs >= settings.epochs

        curve = record_curve(
            from_linen(module),
            Recipe(epochs=epochs, batch_size=settings.batch_size, optimizer="cuda_convnet"),
            replace(data, test=few(data.train, 100)),  # a clean pass that decides nothing
            member=member,
            folder=self.workspace.scratch / run,
            until=done,
            observe=_observer(module, tested, settings.probed, measured_at),
        )
        return asdict(curve)

    def _speed_score(self, curve: Curve) -> Score:
        return speed_score(curve, self.settings.target)

    def _end_score(self, curve: Curve) -> Score:
        return error_score(_at_end(curve)["error"])


@functools.lru_cache(maxsize=8)
def _probe(module: nn.Module) -> jax.stages.Wrapped:
    return jax.jit(make_probe(module, MEASURES))


def _observer(
    module: nn.Module, tested: Split, probed: int, epochs: int
) -> Callable[[Update], object]:
    """After so many epochs: the error on test images, and the sparseness of every site."""

    def observe(update: Update) -> dict[str, object] | None:
        if update.epoch is None or update.epoch.number != epochs:
            return None
        variables = only_variables(update.states())
        error = error_on(from_linen(module), variables, tested)
        sites = jax.device_get(_probe(module)(variables, few(tested, probed).images))
        return {
            "error": error,
            **{
                name: {
                    site: round(float(values[name]), 5) for site, values in sorted(sites.items())
                }
                for name in MEASURES
            },
        }

    return observe


def _at_end(curve: Curve) -> Mapping[str, Any]:
    """What was observed after the fixed number of epochs; an error of None for a diverged run."""
    observed = [each for each in curve.observed if each is not None]
    return observed[-1] if observed and not curve.has_diverged else {"error": None}


def measured(results: Results) -> dict[str, Interval]:
    """The ratio of epochs, differences of test error, and the trend."""
    return {
        "speed": speedup(results.times("1/3"), results.times("0")),
        "error_tenth": _more_error(results, "0.1"),
        "error_third": _more_error(results, "1/3"),
        "trend": _trend(results),
    }


def _more_error(results: Results, slope: str) -> Interval:
    """Points of test error, a slope's less ReLU's."""
    return points_above(results.rows[slope].errors, results.rows["0"].errors)


def _trend(results: Results) -> Interval:
    """Points of test error for 10 points more of sparseness: a line per seed, the mean of the lines."""
    rows = [results.rows[slope] for slope in NONLINEAR]
    if any(not row.error or None in row.errors for row in rows):
        return UNKNOWN
    errors = np.array([row.errors for row in rows], float)  # (slopes, seeds)
    doses = np.array([row.measures("population_sparseness") for row in rows])
    lines = [np.polyfit(x, 100 * y, 1)[0] / 10 for x, y in zip(doses.T, errors.T, strict=True)]
    return mean_interval([float(line) for line in lines])


def tables(results: Results) -> list[Table]:
    """Speed, test error and sparseness by slope; the searches."""
    lines = []
    searches = []
    for slope, row in results.rows.items():
        if row.speed_rate is None:
            continue
        times = results.times(slope)
        ratio = speedup(times, results.times("0"))
        shares = [row.errors, *(row.measures(name) for name in MEASURES)]
        error, *measures = map(share_cell, shares)
        is_relu = slope == "0"
        lines.append(
            (
                slope,
                epochs_text(times),
                "" if is_relu else format_interval(ratio),
                error,
                "" if is_relu else format_interval(_more_error(results, slope)),
                *measures,
            )
        )
        by_rate = ", ".join(map(_speed_cell, row.speed_rate.rates))
        searches.append((slope, "speed", rate_cell(row.speed_rate), by_rate))
        errors = errors_by_rate(row.error_rate)
        searches.append((slope, "error", rate_cell(row.error_rate), errors))
    reached = f"epochs to {results.target:.0%} training error"
    title = f"{results.images:,} images: {reached}, and test error after {results.epochs} epochs"
    header = (
        "slope",
        "epochs to the target",
        "÷ ReLU's",
        "test error",
        "points, slope less ReLU",
        "zeros",
        "sparseness",
    )
    search_header = ("slope", "for", "best rate", f"rates on seed {TUNING_SEED}")
    return [
        Table(title, header, tuple(lines)),
        Table("The searches for the rates", search_header, tuple(searches)),
    ]


def _speed_cell(tried: TriedRate) -> str:
    missed, value = tried.score
    reached = f"{value:.1%} at epoch {tried.epochs}" if missed else f"{value:.1f} epochs"
    return f"{tried.rate:g}: {reached}"


def figures(results: Results) -> dict[str, Figure]:
    """Training error by epoch; test error by sparseness."""
    if not all(row.error for row in results.rows.values()):
        return {}
    drawing, (left, right) = figure(10, 4.2, 2)
    for (slope, row), color, marker in zip(results.rows.items(), COLORS, MARKERS, strict=False):
        label = f"slope {slope}"
        for number, curve in enumerate(row.speed):
            points = [(time, error) for time, error in curve.running() if error is not None]
            if points:
                legend = None if number else label
                left.plot(*zip(*points, strict=True), color=color, lw=0.9, label=legend)
        errors = [error for error in row.errors if error is not None]
        doses = row.measures("population_sparseness")
        right.plot(doses, errors, marker, color=color, ms=5, label=label)
    left.axhline(results.target, color=INK, lw=0.8, ls=":")
    left.set(xlabel="epoch", ylabel="training error, running mean", xlim=(0, None), ylim=(0, None))
    right.set(xlabel="sparseness of outputs over units", title="a mark: one seed")
    right.set_ylabel(f"test error after {results.epochs} epochs")
    right.xaxis.set_major_formatter(percent())
    left.set_title("a line: one seed, to the target or its cap")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(percent())
        axes.legend(frameon=False, fontsize=8)
        axes.title.set(fontsize=9, color=INK)
    about = f"{results.images:,} images, {len(results.rows['0'].error)} seeds"
    lost = "diverged runs end early on the left and are not drawn on the right"
    drawing.suptitle(f"{about}; {lost}", fontsize=10, color=INK)
    return {"Speed and test error by sparseness": drawing}
