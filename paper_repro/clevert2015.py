"""Clevert et al. 2015: ELU keeps mean activations nearer to zero than ReLU does.

Claim: Fast and Accurate Deep Network Learning by Exponential Linear Units (arXiv 1511.07289). Section
4.1: in nets of eight hidden layers of 128 units on MNIST, the median over units of a unit's mean
activation is nearer to zero with ELU than with ReLU or leaky ReLU, throughout training, and ELU's
training error falls much more rapidly. Figure 2 shows this by curves, without figures; all lines of the
loss stay flat after epoch 25. Appendix C: the median varies much more with ReLU. Section 4.2: on
CIFAR-100 a net of 11 layers errs on 31.56% of test images with ReLU, on 29.35% with the shifted ReLU
max(-1, x), and on 28.75% with ELU.

Protocol, part one: section 4.1. Zoo model ``mlp_elu``, He's initialization, ELU with α = 1, leaky ReLU
with slope 0.1, plain SGD with learning rate 0.01 and batches of 64, equal weights and batches for equal
seeds. The median is taken after each epoch on 1,000 fixed training images. "Throughout" is counted by
seed: the share of seeds for which ELU's median is the smallest in size after every epoch, as the epochs
of one run are not independent. "Varies" is the root mean square of the median's change from one epoch to
the next, from the second epoch on; what appendix C computes we have not seen. The training error is the
running mean over an epoch, dated at the middle of that epoch. "Falls faster" compares the epochs to 2%.

Protocol, part two: the shift alone, on a net that a CPU can train: the FReLU authors' SmallNet, with its
dropout, momentum 0.9, weight decay 1e-4, and the rate divided by 10 after two fifths and again after
three fifths of the epochs. ``shifted(relu, output=-1, input=1)`` is max(-1, x). Each activation has the
learning rate with the lowest validation error, on training images that are held out, of seed 1000, which
is not evaluated. The other seeds are paired. max(-1, x) is ReLU moved down by one *and to the left by
one*. The second makes most units linear at the start, so part two does not test centering, and its claim
is retired: ``paper_repro/kinks.py`` separates the two moves.

Differences: part one takes pixels from 0 to 1, which the paper does not say. Reduced has 25 of its 300
epochs. Full has them all. Part two is SmallNet instead of the net of 11 layers at both scales.

Result: the stored reduced run is of 2026-11-25 and of an earlier protocol: 3 seeds in part one, 5 in part
two, where the rate had the lowest *test* error of seed 1000. Three of three seeds are too few for
"throughout". Two claims that set a second range on a number of another claim are retired.

Time: on one core reduced about 50 minutes (part one timed over two epochs), full 100 hours.

Command:

    flaxact reproduce clevert2015 --scale reduced
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from flaxact.data import Dataset, few
from flaxact.diagnostics import Site
from flaxact.figures import COLORS, figure, percent
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.reproduction.cells import errors_by_rate, mean_cell, rate_cell, share_cell
from flaxact.reproduction.claim import Claim, Published, Table, format_interval
from flaxact.reproduction.comparisons import (
    Curves,
    by_member,
    last_values,
    paired_ratio,
    points_above,
    speedup,
)
from flaxact.reproduction.curves import Curve, tune_by_curves
from flaxact.reproduction.drawing import draw_band
from flaxact.reproduction.images import with_validation
from flaxact.reproduction.tuning import Score, Search, Tuned, error_score
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import (
    Crossing,
    Interval,
    crossing,
    mean_interval,
    share_interval,
)
from flaxact.stored.schema import decode
from flaxact.training import Recipe, grid

from . import _earlier_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "clevert2015elu"
upgraded = _earlier_runs.clevert2015
MEANS = {"relu": "relu", "leaky_relu": "leaky_relu(0.1)", "elu": "elu"}
SHIFTS = {"relu": "relu", "shifted_relu": "shifted(relu, output=-1, input=1)"}
PRINTED = {"relu": "31.56% ± 0.37", "shifted_relu": "29.35% ± 0.29"}
TARGET = 0.02  # the training error that part one times
TUNING_SEED = 1000  # chooses the rate of part two; not evaluated
CLAIMS = (
    Claim(
        "median",
        "In most trainings ELU's median mean activation is nearer to zero than ReLU's and "
        "leaky ReLU's after every epoch.",
        "share of seeds for which it is", low=0.5,
        published=Published("smaller median throughout the training process", "§4.1"),
        family="mean activations",
    ),
    Claim(
        "median_size", "ReLU's median mean activation is at least twice as large as ELU's.",
        "mean size over epochs, ReLU over ELU, paired by seed", low=2.0, family="mean activations",
    ),
    Claim(
        "varies",
        "The median mean activation varies more from epoch to epoch with ReLU than with ELU.",
        "its root mean square change, ReLU over ELU, paired by seed", low=1.0,
        published=Published("varies much more in ReLU networks", "§4.1 on appendix C"),
        family="mean activations",
    ),
    Claim(
        "faster", "ELU's training error falls faster than those of ReLU and leaky ReLU.",
        "epochs to 2%, the faster of the two over ELU", low=1.0,
        published=Published("decreases much more rapidly", "§4.1"),
    ),
    Claim(
        "much_faster", "ReLU and leaky ReLU need at least 1.5 times as many epochs as ELU.",
        "epochs to 2%, the faster of the two over ELU", low=1.5,
        retired="it is the number of the claim above with a second range, which was ours",
    ),
    Claim(
        "shift", "The shifted ReLU max(-1, x) has a lower test error than ReLU.",
        "points of test error, ReLU less shifted ReLU, paired by seed", low=0.0,
        published=Published("2.21 points on CIFAR-100, 11 layers", "§4.2"), other_size=True,
        retired="max(-1, x) moves the kink as well as the output, so it does not test centering; "
        "`paper_repro/kinks.py` separates the two",
    ),
    Claim(
        "shift_size", "The shifted ReLU lowers the test error by 1 to 3.5 points.",
        "points of test error, ReLU less shifted ReLU, paired by seed", low=1.0, high=3.5,
        published=Published("2.21 points on CIFAR-100, 11 layers", "§4.2"), other_size=True,
        retired="it is the number of the claim above with a second range, which was ours",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of part one; the fields from ``shift_dataset`` on are for part two.

    Attributes:
      reduced: what differs from the published size.
      epochs: number of epochs of part one.
      seeds: evaluated in part one.
      shift_search: for the learning rate of part two, by validation error.
      shift_images: for training, without those held out; None for all others.
      shift_validation: training images that are held out.
      shift_test: test images; None for all.
      shift_epochs: number of epochs of part two.
      shift_batch_size: images per step of part two.
      shift_seeds: evaluated in part two.
      augment: augmentation of the images of part two.
    """

    reduced: str
    dataset: str = "mnist"
    model: str = "mlp_elu"
    epochs: int
    seeds: int = 10
    watched: int = 1000
    shift_dataset: str = "cifar10"
    shift_model: str
    shift_search: Search
    shift_images: int | None
    shift_validation: int
    shift_test: int | None
    shift_epochs: int
    shift_batch_size: int
    shift_seeds: int = 10
    augment: tuple[str, ...] = ()


RATES = (0.01, 0.02, 0.04, 0.08)
SCALES = {
    "smoke": Settings(
        reduced="Few images, small dense nets.",
        dataset="mnist5k",
        model="mlp_elu(hidden=8, depth=2)",
        epochs=2,
        seeds=2,
        watched=50,
        shift_dataset="mnist5k",
        shift_model="mlp_glorot(hidden=8, depth=1)",
        shift_search=Search(rates=RATES[:2], epochs=2, widenings=0),
        shift_images=200,
        shift_validation=50,
        shift_test=50,
        shift_epochs=2,
        shift_batch_size=50,
        shift_seeds=2,
    ),
    "reduced": Settings(
        reduced="Part one: 25 epochs instead of 300, the point after which the paper's losses stay flat. "
        "Part two: SmallNet instead of the net of 11 layers, with a quarter of its width, on 6,000 "
        "images of CIFAR-10, 12 epochs, no augmentation.",
        epochs=25,
        shift_model="small_net(width=0.25)",
        shift_search=Search(rates=RATES, epochs=12),
        shift_images=6000,
        shift_validation=2500,
        shift_test=2500,
        shift_epochs=12,
        shift_batch_size=100,
    ),
    "full": Settings(
        reduced="Part one is as published. Part two: SmallNet instead of the net of 11 layers.",
        epochs=300,
        shift_dataset="cifar100",
        shift_model="small_net",
        shift_search=Search(rates=RATES, epochs=200),
        shift_images=None,
        shift_validation=5000,
        shift_test=None,
        shift_epochs=200,
        shift_batch_size=128,
        augment=("crop(padding=4)", "flip"),
    ),
}


def unit_means(site: Site) -> jax.Array:
    """The mean output of each unit."""
    return site.post.mean((0, 1))


@dataclass(frozen=True, kw_only=True)
class MeansRuns:
    """Runs of part one: medians over units of mean outputs from epoch 0 on, and errors from 1 on."""

    medians: tuple[tuple[float, ...], ...]
    train_error: Curves
    train_loss: Curves
    test_loss: Curves

    @property
    def times(self) -> list[Crossing]:
        """The epochs to the target, by seed; the mean over an epoch is dated at its middle."""
        return [
            crossing([(epoch + 0.5, error) for epoch, error in enumerate(curve)], TARGET)
            for curve in self.train_error
        ]


@dataclass(frozen=True, kw_only=True)
class ShiftRuns:
    """The search for the rate and the evaluated runs of part two."""

    tuned: Tuned
    train_loss: Curves
    test_error: Curves


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of both parts, by activation."""

    means: dict[str, MeansRuns]
    shift: dict[str, ShiftRuns]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Train part one; search rates and train part two; for every activation."""
    computations = {
        f"means-{name}": functools.partial(_means, name, settings, workspace) for name in MEANS
    }
    means = workspace.attempt(lambda: workspace.cached_all(computations))
    shift = {name: workspace.attempt(_Shift(name, settings, workspace).searched) for name in SHIFTS}
    workspace.check_complete()
    return Results(means=dict(zip(MEANS, means, strict=True)), shift=shift)


def _means(name: str, settings: Settings, workspace: Workspace) -> dict[str, object]:
    """The runs of an activation of part one, as ``MeansRuns``."""
    data = workspace.data(settings.dataset)
    module = create_model(settings.model, MEANS[name], num_classes=data.num_classes)
    recipe = Recipe(settings.epochs, batch_size=64, learning_rate=0.01, momentum=0.0)
    lines, probes = workspace.train_probed(
        f"means-{name}",
        module,
        recipe,
        data,
        members=grid(range(settings.seeds)),
        images=few(data.train, settings.watched).images,
        measures=[unit_means],
    )
    medians = [
        np.median(np.concatenate([site["unit_means"] for site in line["sites"].values()], 1), 1)
        for line in probes
    ]  # (epochs, seeds)
    names = ("train_error", "train_loss", "test_loss")
    curves = {metric: by_member(lines, metric, digits=5) for metric in names}
    return {"medians": np.transpose(medians).round(6).tolist(), **curves}


@dataclass(frozen=True, eq=False)
class _Shift:
    """An activation of part two, tuned and trained in pieces."""

    activation: str
    settings: Settings
    workspace: Workspace

    def searched(self) -> ShiftRuns:
        """The search for the rate, and the evaluated runs at the best one."""
        data = self.data(tuning=True)
        net, recipe = self.parts(data)
        tuned = tune_by_curves(
            self.workspace,
            f"tuning/{self.activation}",
            self.settings.shift_search,
            _score,
            net=net,
            recipe=recipe,
            load=lambda: data,
            score=tuple,
            seed=TUNING_SEED,
        )
        label = f"shift-{self.activation}"
        evaluate = functools.partial(self.evaluate, label, tuned.best)
        runs = self.workspace.cached(label, evaluate)
        return decode(ShiftRuns, {**runs, "tuned": asdict(tuned)})

    def evaluate(self, label: str, rate: float) -> dict[str, object]:
        """The evaluated runs, as ``ShiftRuns``."""
        data = self.data(tuning=False)
        members = grid(range(self.settings.shift_seeds), [rate])
        net, recipe = self.parts(data)
        lines = self.workspace.train_lines(label, net, recipe, data, members=members)
        return {name: by_member(lines, name, digits=5) for name in ("train_loss", "test_error")}

    def parts(self, data: Dataset) -> tuple[Net, Recipe]:
        """The net, and how it is trained."""
        spec = SHIFTS[self.activation]
        epochs = self.settings.shift_epochs
        module = create_model(self.settings.shift_model, spec, num_classes=data.num_classes)
        recipe = Recipe(
            epochs,
            self.settings.shift_batch_size,
            momentum=0.9,
            weight_decay=1e-4,
            schedule="steps",
            milestones=(0.4 * epochs, 0.6 * epochs),
            augment=self.settings.augment,
        )
        return from_linen(module), recipe

    def data(self, *, tuning: bool) -> Dataset:
        """The data without the held-out images; for tuning, these replace the test images."""
        settings = self.settings
        data = self.workspace.data(settings.shift_dataset, None, settings.shift_test)
        return with_validation(
            data, settings.shift_images, settings.shift_validation, tuning=tuning
        )


def _score(curve: Curve) -> Score:
    """Of the last validation error."""
    return error_score(None if curve.has_diverged else curve.clean_errors[-1])


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    means = results.means
    medians = {name: np.array(runs.medians)[:, 1:] for name, runs in means.items()}
    sizes = {name: np.abs(values) for name, values in medians.items()}
    smallest = sizes["elu"] <= np.minimum(sizes["relu"], sizes["leaky_relu"])
    changes = {name: np.sqrt(np.mean(np.diff(v) ** 2, 1)) for name, v in medians.items()}
    ratios = [speedup(means[name].times, means["elu"].times) for name in ("relu", "leaky_relu")]
    faster = min(ratios, key=lambda ratio: ratio.low)  # both have to be above 1
    gains = points_above(*(last_values(results.shift[name].test_error) for name in SHIFTS))
    return {
        "median": share_interval(int(smallest.all(1).sum()), len(smallest)),
        "median_size": paired_ratio(sizes["relu"].mean(1), sizes["elu"].mean(1)),
        "varies": paired_ratio(changes["relu"], changes["elu"]),
        "faster": faster,
        "much_faster": faster,
        "shift": gains,
        "shift_size": gains,
    }


def tables(results: Results) -> list[Table]:
    """The tables of medians and epochs of part one, and of errors of part two."""
    means = []
    for name, runs in results.means.items():
        medians = np.array(runs.medians)
        known = [time.low for time in runs.times if time.exact]
        epochs = format_interval(mean_interval(known)) if len(known) == len(medians) else None
        sizes = np.abs(medians[:, 1:]).mean(1).tolist()
        cells = {
            "activation": MEANS[name],
            "median at the start": f"{medians[:, 0].mean():.3f}",
            "epoch 1": f"{medians[:, 1].mean():.3f}",
            "last epoch": f"{medians[:, -1].mean():.3f}",
            "mean size over epochs": mean_cell(sizes),
            "epochs to 2% training error": epochs or "not by all seeds",
            "training error, last epoch": share_cell(last_values(runs.train_error)),
        }
        means.append(cells)
    shift = [
        {
            "activation": SHIFTS[name],
            "published, 11 layers": PRINTED[name],
            "rate": rate_cell(runs.tuned),
            "tuning: error by rate": errors_by_rate(runs.tuned),
            "test error": share_cell(last_values(runs.test_error)),
        }
        for name, runs in results.shift.items()
    ]
    return [
        Table.of_cells("Part one: mean activations on MNIST", means),
        Table.of_cells("Part two: shifted ReLU", shift),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """The paper's figure 2, and test errors of the two ReLUs."""
    drawing, (left, middle, right) = figure(13, 4, 3)
    for (name, runs), color in zip(results.means.items(), COLORS, strict=False):
        style = {"color": color, "lw": 1.4, "label": MEANS[name]}
        draw_band(left, runs.medians, first_epoch=0, **style)
        draw_band(middle, runs.train_loss, **style)
    for (name, runs), color in zip(results.shift.items(), (COLORS[0], COLORS[3]), strict=True):
        draw_band(right, runs.test_error, color=color, lw=1.4, label=name.replace("_", " "))
    left.axhline(0, color="#333333", lw=0.8)
    left.set_ylabel("median over units of the mean activation")
    middle.set(ylabel="training loss, nats", yscale="log")
    right.set_ylabel("test error")
    right.yaxis.set_major_formatter(percent())
    seeds = len(results.means["relu"].train_loss)
    left.set_title(f"MNIST, {seeds} seeds: median and range", fontsize=9)
    middle.set_title(f"MNIST, {seeds} seeds: median and range", fontsize=9)
    seeds = len(results.shift["relu"].train_loss)
    right.set_title(f"SmallNet, {seeds} seeds; a diverged run ends its line", fontsize=9)
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, fontsize=8)
    return {"Mean activations and the shift": drawing}
