"""Glorot et al. 2011: rectifier nets are sparse, and they are as good as tanh nets.

Claim: Deep Sparse Rectifier Neural Networks (AISTATS 2011). After uniform initialization around half of
the hidden outputs are exact zeros, and a penalty on the outputs makes more of them. Without unsupervised
pretraining, nets of rectifiers are as good as nets of tanh or better. The softplus, a rectifier without
hard zeros, has no advantage. We have not read the paper: these sentences are quoted from it in other
texts. Its test errors and its sparsity are known to us from memory alone, so they are not printed.

Protocol: zoo model ``mlp_glorot``: three hidden layers, uniform weights as in Glorot and Bengio 2010,
biases 0, pixels from 0 to 1, plain SGD without momentum or decay, MNIST. Some training images are held
out for validation. The error of a run is the mean over the last third of its epochs. Each activation has
the learning rate with the lowest validation error of seed 1000, which is not evaluated. The penalty of
claim ``sparse`` is chosen in the same way. The other seeds are paired: equal weights and batches.

The penalty sweep trains rectifier nets at their best rate with ``activation_l1``: this weight times the
sum of all hidden outputs, averaged over the batch, is added to the loss. The loss of accuracy is the
largest rise of a seed's test error over its net without penalty, among the weights that leave 80% zeros
or fewer. The largest of several noisy values is too large on average, so this is strict on the claim.
Softplus nets learn more slowly, so a comparison after as many epochs mixes speed with the value of hard
zeros. A second claim compares both nets at the first epoch with a training error of 1.5% or less.

Differences: half of the units of the paper's rectifier layers may have had their sign turned to balance
means; here none has. We do not know whether the paper sums or averages the penalty over units, so its
weights cannot be compared with ours. There is no early stopping. Zeros at initialization are of nets of
the published size at every scale. Reduced trains nets with a quarter of the units. Full has 3 × 1,000
units, batches of 10 and 50 epochs, as far as we know it from memory.

Result: the stored reduced run is of 2026-11-25 and of an earlier protocol. Its rates have the lowest
*test* error of seed 1000, it has 3 seeds per penalty, and one of its 5 penalties leaves fewer than 80%
zeros. What needs the validation split is "not measured". The claims by layer and at equal training error
were added after it. Tanh nets make 0.42 [0.27, 0.57] points more errors than rectifier nets (6 seeds).

Time: reduced about 30 minutes on one core (estimated from the run of 2026-11-25), full 30 hours.

Command:

    flaxact reproduce glorot2011 --scale reduced
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np
from flax import linen as nn

from flaxact.data import Dataset, few
from flaxact.diagnostics import probe
from flaxact.figures import COLORS, MARKERS, figure, percent
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.cells import errors_by_rate, rate_cell, share_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table
from flaxact.reproduction.comparisons import Curves, by_member, last_values, points_above
from flaxact.reproduction.curves import record_curve
from flaxact.reproduction.drawing import draw_band
from flaxact.reproduction.images import with_validation
from flaxact.reproduction.tuning import Score, Search, Tuned, error_score, tune
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe, grid

from . import _earlier_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "glorot2011deep"
upgraded = _earlier_runs.glorot2011
ACTIVATIONS = ("relu", "tanh", "softplus")
LAYERS = (1, 2, 3)
SPARSE = 0.8  # the share of zeros up to which accuracy is to stay
LEARNED = 0.015  # the training error at which nets are compared
TUNING_SEED = 1000  # chooses the rate and the penalty; not evaluated
QUOTED = "the paper, as other texts quote it"

_BY_LAYER = tuple(
    Claim(
        f"sparser_{layer}",
        f"Training without a penalty leaves more zeros in hidden layer {layer} of a rectifier net.",
        "share of zeros after training less before, paired",
        low=0.0,
        family="sparser by layer",
        post_hoc=True,
    )
    for layer in LAYERS
)
CLAIMS = (
    Claim(
        "init",
        "About half of the hidden outputs of a rectifier net are exact zeros at initialization.",
        "share of zeros, mean over layers", low=0.45, high=0.55,
        published=Published("around 50%", QUOTED, "secondhand"), exact=True,
    ),
    *_BY_LAYER,
    Claim(
        "sparse",
        "A rectifier net has 70% to 95% zeros when it is trained with the penalty that has the "
        "lowest validation error.",
        "share of zeros, mean over layers", low=0.7, high=0.95,
    ),
    Claim(
        "as_good",
        "Rectifier nets make at most a tenth of a point more test errors than tanh nets.",
        "points of test error, tanh less relu, paired by seed", low=-0.1,
        published=Published("equal or better performance", "abstract, " + QUOTED, "secondhand"),
    ),
    Claim(
        "hard_zeros",
        "Softplus nets, which have no hard zeros, make no fewer test errors than rectifier "
        "nets after as many epochs.",
        "points of test error, softplus less relu, paired by seed", low=0.0, family="softplus",
    ),
    Claim(
        "hard_zeros_learned",
        "Softplus nets make no fewer test errors than rectifier nets at the same "
        "training error of 1.5%.",
        "points of test error, softplus less relu, paired by seed", low=0.0, family="softplus",
        post_hoc=True,
    ),
    Claim(
        "kept", "A penalty that leaves up to 80% zeros costs less than half a point of accuracy.",
        "largest rise of the test error, points, paired by seed", high=0.5, family="penalty",
    ),
    Claim(
        "limit", "The strongest penalty costs a point of accuracy or more.",
        "rise of the test error, points, paired by seed", low=1.0, family="penalty",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      search: for the learning rate, by validation error.
      epochs: number of epochs of the evaluated runs.
      images: for training, without those held out; None for all others.
      validation: training images that are held out.
      test: test images; None for all.
      width: share of the 1,000 units per layer; not of the nets at initialization.
      penalties: weights of ``activation_l1``, in ascending order.
      seeds: evaluated per activation and per penalty.
      initial_seeds: for the zeros at initialization.
    """

    reduced: str
    search: Search
    epochs: int
    images: int | None
    validation: int
    width: float
    batch_size: int = 50
    penalties: tuple[float, ...] = (3e-5, 1e-4, 2e-4, 4e-4, 1e-3, 3e-3, 1e-2)
    seeds: int = 6
    initial_seeds: int = 10
    dataset: str = "mnist"
    test: int | None = None


SCALES = {
    "smoke": Settings(
        reduced="Few images, narrow nets.",
        search=Search(rates=(0.1, 0.2), epochs=2, widenings=0),
        epochs=2,
        images=200,
        validation=50,
        width=0.02,
        penalties=(1e-2,),
        seeds=2,
        initial_seeds=3,
        dataset="mnist5k",
        test=100,
    ),
    "reduced": Settings(
        reduced="3 × 250 units instead of 3 × 1,000 (except for the zeros at initialization), 20,000 of "
        "60,000 images, batches of 50, 15 epochs.",
        search=Search(rates=(0.05, 0.1, 0.2, 0.4, 0.8), rungs=(5,), keep=(3,), epochs=15),
        epochs=15,
        images=20_000,
        validation=5_000,
        width=0.25,
    ),
    "full": Settings(
        reduced="The published sizes as far as we know them; 10,000 of 60,000 images are held out.",
        search=Search(rates=(0.0125, 0.025, 0.05, 0.1, 0.2), rungs=(10,), keep=(3,), epochs=50),
        epochs=50,
        images=None,
        validation=10_000,
        width=1.0,
        batch_size=10,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The evaluated runs of a net.

    Attributes:
      tuned: the search for the rate; None for nets with a penalty, whose rate is that of ReLU.
      penalty: the weight.
      score: score of the tuning seed with the penalty; None without.
      test_error: by seed and epoch; None once a run has diverged.
      train_error: likewise.
      zeros: by seed, before training and after it, by layer: the share.
    """

    tuned: Tuned | None = None
    penalty: float = 0.0
    score: Score | None = None
    test_error: Curves
    train_error: Curves
    zeros: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def errors(self) -> list[float | None]:
        """The test error over the last third of the epochs, by seed."""
        return [_late(curve) for curve in self.test_error]

    @property
    def sparsity(self) -> list[float]:
        """The share of zeros after training, over layers, by seed."""
        return [statistics.fmean(after) for _, after in self.zeros]

    @property
    def learned(self) -> list[float | None]:
        """The test error at the first epoch whose training error is at most LEARNED, by seed."""
        firsts = []
        for train, test in zip(self.train_error, self.test_error, strict=True):
            pairs = zip(train, test, strict=True)
            firsts.append(next((b for a, b in pairs if a is not None and a <= LEARNED), None))
        return firsts


@dataclass(frozen=True, kw_only=True)
class Results:
    """Zeros at initialization by seed and layer; runs by activation; runs of ReLU by penalty."""

    initial: tuple[tuple[float, ...], ...]
    trained: dict[str, Runs]
    swept: tuple[Runs, ...]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Measure zeros at initialization; tune and evaluate by activation and by penalty."""
    compute = functools.partial(_initial, settings, workspace)
    initial = workspace.attempt(lambda: workspace.cached("initial", compute))
    nets = {name: _Net(name, 0.0, settings, workspace) for name in ACTIVATIONS}
    trained = {name: workspace.attempt(net.searched) for name, net in nets.items()}
    swept = []
    if trained["relu"] is not None:
        rate = trained["relu"].tuned.best
        for weight in settings.penalties:
            net = _Net("relu", weight, settings, workspace)
            swept.append(workspace.attempt(functools.partial(net.penalized, rate)))
    workspace.check_complete()
    return Results(initial=initial, trained=trained, swept=tuple(swept))


def _initial(settings: Settings, workspace: Workspace) -> list[list[float]]:
    """By seed and layer, the share of zeros before training, on 1,000 training images."""
    module = create_model("mlp_glorot", "relu")
    images = few(workspace.data(settings.dataset).train, 1000).images
    shares = []
    for seed in range(settings.initial_seeds):
        variables = dict(module.init(jax.random.key(seed), images[:1]))
        sites = probe(module, variables, images, measures=["zeros"])
        shares.append([site["zeros"] for site in sites.values()])
    return shares


@dataclass(frozen=True, eq=False)
class _Net:
    """An activation and a penalty, tuned and trained in pieces."""

    activation: str
    penalty: float
    settings: Settings
    workspace: Workspace

    def searched(self) -> Runs:
        """The search for the rate, and the evaluated runs at the best one."""
        tuned = tune(
            self.workspace,
            f"tuning/{self.activation}/rate-{{rate:g}}-to-{{epochs}}",
            self.settings.search,
            self.validate,
            score=_score,
            seed=TUNING_SEED,
        )
        evaluate = functools.partial(self.evaluate, self.activation, tuned.best)
        runs = self.workspace.cached(self.activation, evaluate)
        return decode(Runs, {**runs, "tuned": asdict(tuned)})

    def penalized(self, rate: float) -> Runs:
        """The tuning seed's score and the evaluated runs at one rate."""
        label = f"penalty-{self.penalty:g}"
        member = Member(TUNING_SEED, rate)
        pieces = {
            f"tuning/{label}": functools.partial(self.validate, member, self.settings.epochs),
            label: functools.partial(self.evaluate, label, rate),
        }
        tuning, runs = self.workspace.cached_all(pieces)
        return decode(Runs, {**runs, "penalty": self.penalty, "score": list(_score(tuning))})

    def validate(self, member: Member, epochs: int) -> list[float | None]:
        """The validation error by epoch; None at the end if training has diverged."""
        label = f"tuning/{self.activation}-{member.learning_rate:g}-{self.penalty:g}"
        folder = self.workspace.scratch / label
        module, recipe = self.parts(epochs)
        data = self.data(tuning=True)
        curve = record_curve(
            from_linen(module), recipe, data, member=member, folder=folder, windows=1
        )
        return [*curve.clean_errors, *([None] if curve.has_diverged else [])]

    def evaluate(self, label: str, rate: float) -> dict[str, object]:
        """The evaluated runs, as ``Runs``: errors from epoch 1, zeros before and after training."""
        module, recipe = self.parts(self.settings.epochs)
        data = self.data(tuning=False)
        members = grid(range(self.settings.seeds), [rate])
        images = few(data.train, 1000).images
        lines, probes = self.workspace.train_probed(
            label, module, recipe, data, members=members, images=images, measures=["zeros"]
        )
        zeros = np.array([[site["zeros"] for site in line["sites"].values()] for line in probes])
        return {
            "test_error": by_member(lines, "test_error", digits=5),
            "train_error": by_member(lines, "train_error", digits=5),
            "zeros": zeros[[0, -1]].transpose(2, 0, 1).round(4).tolist(),
        }

    def parts(self, epochs: int) -> tuple[nn.Module, Recipe]:
        """The module, and how it is trained."""
        module = create_model(f"mlp_glorot(width={self.settings.width})", self.activation)
        batch_size = self.settings.batch_size
        return module, Recipe(epochs, batch_size, momentum=0.0, activation_l1=self.penalty)

    def data(self, *, tuning: bool) -> Dataset:
        """The data without the held-out images; for tuning, these replace the test images."""
        settings = self.settings
        data = self.workspace.data(settings.dataset, None, settings.test)
        return with_validation(data, settings.images, settings.validation, tuning=tuning)


def _score(errors: Sequence[float | None]) -> Score:
    return error_score(_late(errors))


def _late(curve: Sequence[float | None]) -> float | None:
    """The mean over the last third of the epochs; None where training has diverged."""
    last = [error for error in curve[-math.ceil(len(curve) / 3) :] if error is not None]
    return None if None in curve else statistics.fmean(last)


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    relu, tanh, softplus = (results.trained[name] for name in ACTIVATIONS)
    mild = [runs.errors for runs in results.swept if statistics.fmean(runs.sparsity) <= SPARSE]
    worst = [
        None if None in errors else max(error or 0.0 for error in errors)
        for errors in zip(*mild, strict=True)
    ]
    scored = [runs for runs in results.swept if runs.score is not None]
    best = min(scored, key=lambda runs: runs.score or (), default=None)
    layers = {}
    for layer in LAYERS:
        gains = [after[layer - 1] - before[layer - 1] for before, after in relu.zeros]
        layers[f"sparser_{layer}"] = mean_interval(gains)
    initial = [statistics.fmean(seed) for seed in results.initial]
    return {
        "init": mean_interval(initial).clipped(0, 1),
        **layers,
        "sparse": mean_interval(best.sparsity).clipped(0, 1) if best else UNKNOWN,
        "as_good": points_above(tanh.errors, relu.errors),
        "hard_zeros": points_above(softplus.errors, relu.errors),
        "hard_zeros_learned": points_above(softplus.learned, relu.learned) if best else UNKNOWN,
        "kept": points_above(worst, relu.errors),
        "limit": points_above(results.swept[-1].errors, relu.errors),
    }


def tables(results: Results) -> list[Table]:
    """The tables of errors and zeros, by activation and by penalty."""
    trained = [
        {
            "activation": name,
            "rate": rate_cell(runs.tuned),
            "test error": share_cell(runs.errors),
            "last training error": share_cell(last_values(runs.train_error)),
            "zeros": share_cell(runs.sparsity),
            "tuning error by rate": errors_by_rate(runs.tuned, digits=2),
        }
        for name, runs in results.trained.items()
    ]
    swept = []
    for runs in (results.trained["relu"], *results.swept):
        by_layer = zip(*(after for _, after in runs.zeros), strict=True)
        cells = {
            "penalty": f"{runs.penalty:g}",
            "validation error, tuning seed": f"{runs.score[1]:.2%}" if runs.score else "–",
            "test error": share_cell(runs.errors),
            "zeros": share_cell(runs.sparsity),
            "zeros by layer": ", ".join(f"{statistics.fmean(layer):.1%}" for layer in by_layer),
        }
        swept.append(cells)
    return [
        Table.of_cells("By activation", trained),
        Table.of_cells("Rectifier nets by weight of the penalty", swept),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """Test error by epoch; test error over sparsity, one dot per net."""
    drawing, (left, right) = figure(10, 4, 2)
    for (name, runs), color in zip(results.trained.items(), COLORS, strict=False):
        draw_band(left, runs.test_error, color=color, lw=1.5, label=name)
    relu = results.trained["relu"]
    title = f"{len(relu.test_error)} seeds: median and range; a diverged run ends its line"
    left.set_title(title, fontsize=9)
    left.set(xlabel="epoch", ylabel="test error", yscale="log")
    for runs, color, marker in zip((relu, *results.swept), COLORS, MARKERS, strict=False):
        errors = [math.nan if error is None else error for error in runs.errors]
        label = f"{runs.penalty:g}" if runs.penalty else "none"
        right.plot(runs.sparsity, errors, marker, color=color, markersize=5, label=label)
    right.axvline(SPARSE, color="#333333", lw=0.8, ls=":")
    right.set(xlabel="exact zeros, mean over layers", ylabel="test error", yscale="log")
    right.set_title("relu nets by penalty, one mark per seed; dotted: 80% zeros", fontsize=9)
    right.xaxis.set_major_formatter(percent())
    right.legend(frameon=False, fontsize=8, title="penalty", title_fontsize=8, loc="upper left")
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.set_yticks([0.02, 0.03, 0.05, 0.1, 0.2, 0.5])
        axes.set_yticks([], minor=True)
        axes.yaxis.set_major_formatter(percent())
    return {"Errors and sparsity": drawing}
