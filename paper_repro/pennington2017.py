"""Pennington et al. 2017: in very deep nets orthogonal tanh is an isometry and learns sooner than ReLU.

Claim: "ReLU networks are incapable of dynamical isometry. On the other hand, sigmoidal networks can
achieve isometry, but only with orthogonal weight initialization." Nets that achieve it "learn orders of
magnitude faster than networks that do not", and "properly-initialized deep sigmoidal networks
consistently outperform deep ReLU networks". (Resurrecting the sigmoid in deep learning through dynamical
isometry, arXiv 1711.04735, abstract.) This limits the claim that ReLU is better than tanh.

Protocol: All hidden layers have the same width. Weights are orthogonal or Gaussian, times σ_w. Biases are
Gaussian, times σ_b. tanh is at the edge of chaos (``theory.edge_of_chaos``) for a small σ_b, so the
second moment q of its pre-activations is small and tanh is nearly linear. ReLU is at its own edge: σ_w =
√2 without biases, which is He's initialization where weights are Gaussian. The first layer gives
pre-activations of second moment q, or 1 for ReLU.

Spectrum: The singular values are those of the Jacobian from the first pre-activations to the last, at one
Gaussian input per seed. In an isometry all of them are equal. The measure is the variance of their
squares over their squared mean, which does not depend on σ_w and is 0 for an isometry. Theory for wide
nets: the Jacobian is a product of free matrices, whose relative variances add, so it is L (r + E f'⁴ / (E
f'²)² - 1) for L layers, with r = 0 for orthogonal and r = 1 for Gaussian weights. The Jacobian is
computed in float32. A singular value below the largest one times the width times float32's epsilon is
rounding noise and is shown as "below" that bound.

Training: MNIST with centered pixels, batches of 64, stochastic gradient descent without momentum. The
training error is recorded every 2 steps. Speed is the step at which the running mean over 8 steps (512
images), dated at its middle, first comes down to 25%. Each net's rate is the one with the fewest steps
for seed 100, which is not evaluated: rates are halved successively, and a grid whose best rate is at an
edge is widened. ReLU is represented by the initialization that is sooner for seed 100. The test error is
that after the last epoch, at the same rate. A seed that does not reach 25% is censored: the ratio is then
a lower bound, with the confidence that the number of seeds gives it.

Differences: We have read the abstract, not the paper: widths, depths, data and rates are ours. The ranges
of the claims are from before the run of 2026-11-25. That run recorded whole epochs of 40 steps, which was
too coarse: orthogonal tanh was below 25% within its first epoch.

Result: Reduced scale, 8 seeds, 2026-11-28. Orthogonal tanh of 50 layers reaches 25% after 9.4 [8.6, 10.1]
steps, which is 9.0 [7.8, 10.3] times sooner than Gaussian tanh. At most 2 of 8 seeds of a ReLU net reach
it in 636 steps: the ratio is more than 59 (99%). With 4 layers tanh is still 3.8 [3.4, 4.2] times sooner
than ReLU, so our own claim that depth is needed does not hold. With running means over 2, 4 and 16 steps
the first ratio is 9.6, 9.1 and 9.0, and the last one 4.0, 4.3 and 2.6, so the last one is known to a
factor of 1.5 only.

Time: about 6 minutes of one core at the reduced scale; about 12 hours of one core at the full scale, by
its operations.

Command: ``flaxact reproduce pennington2017 --scale reduced``
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flaxact.data import Dataset, preprocess
from flaxact.diagnostics.isometry import (
    DeepNet,
    critical,
    expected_relative_variance,
    relative_variance,
    resolution,
)
from flaxact.figures import COLORS, MARKERS, figure, percent
from flaxact.net import Net
from flaxact.reproduction.cells import mean_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table, format_interval
from flaxact.reproduction.comparisons import speedup
from flaxact.reproduction.curves import Curve, Point, record_curve
from flaxact.reproduction.race import TunedCurves, file_name
from flaxact.reproduction.race_pages import epochs_by_rate, epochs_text
from flaxact.reproduction.tuning import TUNING_SEED, OneRung, Score, TriedRate, tune_in_two_pieces
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Crossing, Interval, crossing, difference_interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "pennington2017isometry"
ISOMETRY = "tanh, orthogonal"
GAUSSIAN = "tanh, Gaussian"
RELUS = ("relu, orthogonal", "relu, Gaussian")
NETS = (ISOMETRY, GAUSSIAN, *RELUS)
SHALLOW = (ISOMETRY, "relu, Gaussian")
BIAS_STD = 0.01
TARGET = 0.25
SPAN = 8  # steps that the running mean is over

_abstract = functools.partial(Published, source="abstract")
CLAIMS = (
    Claim("isometry", "Deep tanh nets with orthogonal weights come near to an isometry.",
          "relative variance of squared singular values", high=1, family="spectrum",
          published=_abstract("sigmoidal networks can achieve isometry")),
    Claim("gaussian", "Deep tanh nets with Gaussian weights are far from an isometry.",
          "relative variance of squared singular values", low=10, family="spectrum",
          published=_abstract("only with orthogonal weight initialization")),
    Claim("relu", "Deep ReLU nets with orthogonal weights are far from an isometry.",
          "relative variance of squared singular values", low=10, family="spectrum",
          published=_abstract("ReLU networks are incapable of dynamical isometry")),
    Claim("theory", "The spectrum of the orthogonal tanh net is as wide as free probability predicts.",
          "relative variance, measured over theory", low=0.75, high=1.33),
    Claim("sooner", "Deep orthogonal tanh nets learn sooner than deep ReLU nets.",
          "steps, ReLU over orthogonal tanh", low=1, family="learning",
          published=_abstract("consistently outperform deep ReLU networks")),
    Claim("magnitude", "Deep orthogonal tanh nets learn at least 10 times sooner than deep ReLU nets.",
          "steps, ReLU over orthogonal tanh", low=10, family="learning",
          published=_abstract("orders of magnitude faster than networks that do not")),
    Claim("magnitude_tanh",
          "Deep orthogonal tanh nets learn at least 10 times sooner than deep Gaussian tanh nets.",
          "steps, Gaussian over orthogonal", low=10, family="learning",
          published=_abstract("orders of magnitude faster than networks that do not")),
    Claim("error", "Deep orthogonal tanh nets end with a lower test error than deep ReLU nets.",
          "test error as a fraction, ReLU less orthogonal tanh", low=0, family="learning",
          published=_abstract("consistently outperform deep ReLU networks")),
    Claim("shallow", "A shallow orthogonal tanh net learns at most twice as soon as a shallow ReLU net.",
          "steps, ReLU over orthogonal tanh, shallow", high=2),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings(OneRung):
    """Sizes of the study.

    Attributes:
      reduced: what is less than in the paper, as far as that is known.
      depth: hidden layers of the deep nets.
      shallow: hidden layers of the shallow nets.
      spectrum_width: units per layer of the nets whose Jacobian is measured.
      spectra: how many of these nets.
      width: units per layer of the nets that are trained.
    """

    reduced: str
    depth: int = 50
    shallow: int = 4
    spectrum_width: int = 200
    spectra: int = 6
    width: int = 100
    dataset: str = "mnist"
    train: int = 2560
    test: int = 1000
    rates: tuple[float, ...] = (0.001, 0.003, 0.009, 0.027, 0.081)
    rung: int = 5
    keep: int = 3
    widenings: int = 2
    seeds: int = 8
    epochs: int = 16


SCALES = {
    "smoke": Settings(
        reduced="All sizes are tiny.",
        depth=2,
        shallow=2,
        spectrum_width=16,
        spectra=2,
        width=8,
        dataset="mnist5k",
        train=256,
        test=100,
        rates=(0.03, 0.1),
        rung=1,
        widenings=0,
        seeds=2,
        epochs=3,
    ),
    "reduced": Settings(
        reduced="The paper's sizes are not known to us. Here the Jacobian is of 50 layers of 200 units, "
        "and 50 layers of 100 units are trained on 2,560 images of MNIST.",
    ),
    "full": Settings(
        reduced="The paper's sizes are not known to us. Here 200 layers of 400 units are trained "
        "on 2,560 images of MNIST.",
        depth=200,
        spectrum_width=400,
        spectra=8,
        width=400,
        test=10_000,
        rates=(0.0003, 0.0009, 0.0027, 0.0081, 0.0243, 0.0729),
        rung=20,
        epochs=100,
    ),
}


@functools.cache
def deep(name: str, depth: int, width: int) -> DeepNet:
    """The deep net of a name in NETS, at the edge of chaos."""
    act, weights = name.split(", ")
    bias_std = BIAS_STD if act == "tanh" else 0.0
    return critical(act, depth, width, orthogonal=weights == "orthogonal", bias_std=bias_std)


@functools.cache
def _classifier(name: str, depth: int, width: int) -> Net:
    """Cached, because equal nets share their compiled programs."""
    return deep(name, depth, width).classifier()


@dataclass(frozen=True, kw_only=True)
class Row(TunedCurves):
    """A net's search and curves; for a deep net also its singular values by seed, in descending order."""

    values: tuple[tuple[float, ...], ...] = ()

    @property
    def steps(self) -> list[Crossing]:
        """The steps to the target, by seed."""
        return [_steps(curve) for curve in self.seeds]

    def last_errors(self, *, test: bool) -> list[float]:
        """The errors of the last epoch; diverged seeds are left out."""
        points = [curve.clean() if test else curve.running() for curve in self.seeds]
        last = [of[-1][1] for of in points if of]
        return [error for error in last if error is not None]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of deep and shallow nets by name, and their numbers of layers."""

    depth: int
    shallow: int
    nets: dict[str, Row]
    shallow_nets: dict[str, Row]

    @property
    def best_relu(self) -> Row:
        """The deep ReLU net whose initialization is the better one for the tuning seed."""
        rows = [self.nets[name] for name in RELUS]
        return min(rows, key=lambda row: min(tried.score for tried in row.tuned.rates))  # type: ignore


def study(settings: Settings, workspace: Workspace) -> Results:
    """Compute singular values, search the rate and train the seeds, for each net."""
    deep_nets = {}
    for name in NETS:
        spectra = functools.partial(_spectra, name, settings)
        values = workspace.cached(f"{file_name(name)}-spectrum", spectra)
        deep_nets[name] = _Trainer(name, settings.depth, settings, workspace).row(values)
    shallow_nets = {
        name: _Trainer(name, settings.shallow, settings, workspace).row(()) for name in SHALLOW
    }
    return Results(
        depth=settings.depth, shallow=settings.shallow, nets=deep_nets, shallow_nets=shallow_nets
    )


def _spectra(name: str, settings: Settings) -> list[list[float]]:
    net = deep(name, settings.depth, settings.spectrum_width)
    return [
        [float(f"{value:.4g}") for value in net.jacobian(seed)] for seed in range(settings.spectra)
    ]


@dataclass(frozen=True, eq=False)
class _Trainer:
    """Trains one net."""

    name: str
    depth: int
    settings: Settings
    workspace: Workspace

    def row(self, values: Sequence[Sequence[float]]) -> Row:
        """The stored results of the net, with its singular values."""
        label = f"{file_name(self.name)}-{self.depth}"
        stored = tune_in_two_pieces(
            self.workspace, label, self.settings, score=self._score, evaluate=self._evaluate
        )
        return decode(Row, {**stored, "values": list(values)})

    def _score(self, member: Member, epochs: int) -> Score:
        """(0, steps to the target), or (1, the last running error) where it is not reached."""
        curve = self._record(member, epochs, stops=True)
        reached = _steps(curve)
        if math.isfinite(reached.high):
            return 0, reached.high
        points = curve.running()
        last = points[-1][1] if points and not curve.has_diverged else None
        return 1, 1.0 if last is None else last

    def _evaluate(self, member: Member) -> dict[str, object]:
        return asdict(self._record(member, self.settings.epochs, stops=False))

    def _record(self, member: Member, epochs: int, *, stops: bool) -> Curve:
        settings = self.settings
        label = f"{file_name(self.name)}-{self.depth}"
        run = f"{label}/seed-{member.seed}-rate-{member.learning_rate:g}"
        curve = record_curve(
            _classifier(self.name, self.depth, settings.width),
            Recipe(epochs=epochs, batch_size=64, momentum=0.0),
            self._data,
            member=member,
            folder=self.workspace.scratch / run,
            windows=-(-settings.train // 64 // 2),
            until=lambda curve: stops and math.isfinite(_steps(curve).high),
        )
        self.workspace.log(f"{run}: {epochs} epochs, 25% at {_steps(curve)}")
        return curve

    @functools.cached_property
    def _data(self) -> Dataset:
        """Pixels of mean square 1; the clean pass of ``record_curve`` is over the test images."""
        data = self.workspace.data(self.settings.dataset, self.settings.train, self.settings.test)
        return preprocess(["per_pixel_mean", "rescale(mean=0.0, std=66.0)"], data)


def _running(curve: Curve) -> list[Point]:
    """The running mean over SPAN steps, dated in steps."""
    of_span = replace(curve, steps_per_epoch=SPAN)  # counts its time in spans
    return [(SPAN * time, error) for time, error in of_span.running()]


def _steps(curve: Curve) -> Crossing:
    """The step at which the running mean comes down to TARGET."""
    return crossing(_running(curve), TARGET)


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    nets = results.nets
    widths = {name: [relative_variance(values) for values in nets[name].values] for name in NETS}
    theory = expected_relative_variance(deep(ISOMETRY, results.depth, 1))
    sooner = speedup(results.best_relu.steps, nets[ISOMETRY].steps)
    relu_errors = results.best_relu.last_errors(test=True)
    errors = nets[ISOMETRY].last_errors(test=True)
    lower = difference_interval(relu_errors, errors) if relu_errors and errors else UNKNOWN
    shallow_tanh, shallow_relu = (results.shallow_nets[name].steps for name in SHALLOW)
    return {
        "isometry": _positive(widths[ISOMETRY]),
        "gaussian": _positive(widths[GAUSSIAN]),
        "relu": _positive(widths[RELUS[0]]),
        "theory": _positive([width / theory for width in widths[ISOMETRY]]),
        "sooner": sooner,
        "magnitude": sooner,
        "magnitude_tanh": speedup(nets[GAUSSIAN].steps, nets[ISOMETRY].steps),
        "error": lower.clipped(-1, 1),
        "shallow": speedup(shallow_relu, shallow_tanh),
    }


def _positive(values: Sequence[float]) -> Interval:
    return mean_interval(values).clipped(0, math.inf)


def tables(results: Results) -> list[Table]:
    """Spectra, training and the search for the rates, with one row per net."""
    every = [(results.depth, results.nets), (results.shallow, results.shallow_nets)]
    trained = [(f"{depth}", name, row) for depth, rows in every for name, row in rows.items()]
    steps = f"steps to {TARGET:.0%} training error"
    speed = [
        {
            "layers": depth,
            "net": name,
            "rate": f"{row.tuned.best:g}" if row.tuned else "",
            steps: epochs_text(row.steps),
            "training error": _error_cell(row, test=False),
            "test error": _error_cell(row, test=True),
        }
        for depth, name, row in trained
    ]
    rates = [
        (depth, name, *map(_rate_cell, row.tuned.rates if row.tuned else ()))
        for depth, name, row in trained
    ]
    numbers = range(1, max(map(len, rates)) - 1)
    search = f"Search for the rates with seed {TUNING_SEED}: {steps}, or the error that was reached"
    spectra = [_spectrum_cells(name, results) for name in NETS]
    return [
        Table.of_cells(f"Jacobian of {results.depth} layers", spectra),
        Table.of_cells("Training", speed),
        Table(search, ("layers", "net", *(f"rate {n}" for n in numbers)), tuple(rates)),
    ]


def _spectrum_cells(name: str, results: Results) -> dict[str, str]:
    spectra = results.nets[name].values
    least = [values[-1] for values in spectra]
    bounds = [resolution(values) for values in spectra]
    resolved = all(value >= bound for value, bound in zip(least, bounds, strict=True))
    theory = expected_relative_variance(deep(name, results.depth, 1))
    widths = [relative_variance(values) for values in spectra]
    return {
        "net": name,
        "relative variance, theory": f"{theory:.3g}",
        "ours": mean_cell(widths),
        "largest singular value": mean_cell([values[0] for values in spectra]),
        "least": mean_cell(least) if resolved else f"below {max(bounds):.2g}",
    }


def _error_cell(row: Row, *, test: bool) -> str:
    seeds = len(row.seeds)
    errors = row.last_errors(test=test)
    lost = f" ({seeds - len(errors)} of {seeds} diverged)" * (len(errors) < seeds)
    interval = mean_interval(errors).clipped(0, 1) if errors else None
    return format_interval(interval, percent=True) + lost


def _rate_cell(tried: TriedRate) -> str:
    missed, score = tried.score
    reached = f"{score:.1%} after {tried.epochs} epochs" if missed else f"{score:.0f} steps"
    return f"{tried.rate:g}: {reached}"


def figures(results: Results) -> dict[str, Figure]:
    """Singular values from large to small, training error by step, and the search for the rates."""
    drawing, (left, middle, right) = figure(12.5, 4.2, 3)
    for place, (name, color, marker) in enumerate(zip(NETS, COLORS, MARKERS, strict=False)):
        row = results.nets[name]
        for values in row.values:
            share = (np.arange(len(values)) + 0.5) / len(values)
            resolved = np.where(np.array(values) >= resolution(values), values, math.nan)
            left.plot(share, resolved, color=color, lw=0.8)
        for curve in row.seeds:
            steps, errors = zip(*_running(curve), strict=True)
            known = [math.nan if error is None else error for error in errors]
            middle.plot(steps, known, color=color, lw=0.6)
        assert row.tuned is not None
        by_rate = epochs_by_rate(row.tuned)
        right.plot(
            list(by_rate), list(by_rate.values()), color=color, marker=marker, lw=1, label=name
        )
        missed = [tried.rate for tried in row.tuned.rates if tried.score[0]]
        above = {"transform": right.get_xaxis_transform(), "clip_on": False, "in_layout": False}
        height = [1.02 + 0.04 * place] * len(missed)
        right.plot(missed, height, marker, color=color, fillstyle="none", **above)
    middle.axhline(TARGET, color="#333333", lw=0.8, ls=":")
    nets = len(results.nets[ISOMETRY].values)
    seeds = len(results.nets[ISOMETRY].seeds)
    layers = f"{results.depth} layers, {seeds} seeds"
    titles = {
        left: f"Jacobian, {nets} random nets each;\na line ends where float32 resolves no more",
        middle: f"{layers}; mean over {SPAN} steps;\ndotted: the target",
        right: f"Search with seed {TUNING_SEED}; open marks: not reached",
    }
    for axes, title in titles.items():
        axes.set_title(title, fontsize=9, pad=34 if axes is right else None)
    left.set(yscale="log", xlabel="place in the order, as a share of all", ylabel="singular value")
    middle.set(xscale="log", xlabel="step", ylabel="training error", ylim=(0, 1))
    middle.yaxis.set_major_formatter(percent())
    right.set(xscale="log", ylim=(0, None), xlabel="learning rate")
    right.set_ylabel(f"steps to {TARGET:.0%} training error")
    lines, labels = right.get_legend_handles_labels()
    drawing.legend(lines, labels, loc="outside lower center", ncol=4, frameon=False, fontsize=8)
    return {"Spectrum and speed": drawing}
