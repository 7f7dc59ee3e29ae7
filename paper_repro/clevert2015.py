"""Clevert et al. 2015: ELU keeps mean activations near zero, and shifting ReLU by -1 helps.

Fast and Accurate Deep Network Learning by Exponential Linear Units (arXiv 1511.07289). Section 4.1: in
nets of eight hidden layers of 128 units on MNIST the median over units of a unit's mean activation is
nearer to zero with ELU than with ReLU or leaky ReLU, throughout training, and ELU's training error falls
much more rapidly; figure 2 says it by curves, without figures, and that all lines of the loss stay flat
after epoch 25. Appendix C: the median varies much more with ReLU. Section 4.2: on CIFAR-100 a net of
11 layers errs on 31.56% of test images with ReLU, on 29.35% with the shifted ReLU max(-1, x), and on
28.75% with ELU.

Part one follows section 4.1: zoo model ``mlp_elu``, He's initialisation, ELU with α = 1, leaky ReLU with
slope 0.1, plain SGD with learning rate 0.01 and batches of 64, equal weights and batches for equal seeds.
The fixed subset of training images is 1,000 of them, taken at equal distances. "Throughout" is the share
of epochs at which ELU's median is the smallest in size; "falls faster" is the number of epochs to a
training error of 2% (running mean over an epoch, between epochs by a straight line). What appendix C
computes we have not seen: "varies" is the root mean square of the median's change from one epoch to the
next, from the second epoch on. Pixels are taken from 0 to 1, which the paper does not say.

Part two puts the shift alone to the test on a net that a CPU can train: the FReLU authors' SmallNet, with
its dropout, momentum 0.9, weight decay 1e-4, and the rate divided by 10 after two fifths and again after
three fifths of the epochs. ``shifted(relu, output=-1, input=1)`` is max(-1, x): the same curve, moved
down and to the left by 1. Each activation has the learning rate that gives the lowest test error to one
seed, which is used for nothing else; the other seeds are paired.

What the reduced run leaves open: three seeds cannot tell whose median varies more, unless by a factor of
two, and ten would be needed for a quarter; and by how much the shift helps, for which ten seeds would
halve the interval or nearly so. Its verdict on the size is of a small net far from its end: full says
more.

Scales: reduced has part one in full but for 25 epochs instead of 300 and three seeds instead of five,
and part two with a quarter of SmallNet's width on a part of CIFAR-10. Full has 300 epochs and five
seeds, and SmallNet on CIFAR-100 for 200 epochs with crops and flips. The net of 11 layers is not run.

    flaxact reproduce clevert2015 --scale reduced
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from flaxact._figures import COLOURS, figure, percent
from flaxact.data import few
from flaxact.diagnostics import Site
from flaxact.diagnostics.record import Recorder, read
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, first_crossing, mean_interval, ratio_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import by_member
from flaxact.training import Recipe, grid

SOURCE = "clevert2015elu"
MEANS = {"relu": "relu", "leaky_relu": "leaky_relu(0.1)", "elu": "elu"}
SHIFTS = {"relu": "relu", "shifted_relu": "shifted(relu, output=-1, input=1)"}
PRINTED = {"relu": "31.56% ± 0.37", "shifted_relu": "29.35% ± 0.29"}
TARGET = 0.02
TUNING = 1000  # the seed that chooses the rate

CLAIMS = (
    Claim(
        "median", "ELU's median mean activation is nearest to zero throughout training.",
        "share of epochs at which it is", low=0.95,
        published=Published("smaller median throughout the training process", "§4.1"),
    ),
    Claim(
        "median_size", "ReLU's median is at least twice as large as ELU's.",
        "mean size over epochs, ReLU over ELU", low=2.0,
    ),
    Claim(
        "varies", "The median varies more from epoch to epoch with ReLU than with ELU.",
        "its root mean square change, ReLU over ELU", low=1.0,
        published=Published("varies much more in ReLU networks", "§4.1 on appendix C"),
    ),
    Claim(
        "faster", "ELU's training error falls faster than those of ReLU and leaky ReLU.",
        "epochs to 2%, the better of the two over ELU", low=1.0,
        published=Published("decreases much more rapidly", "§4.1"),
    ),
    Claim(
        "much_faster", "Much faster: they take half as many epochs again, or more.",
        "epochs to 2%, the better of the two over ELU", low=1.5,
    ),
    Claim(
        "shift", "Shifting ReLU lowers the test error.",
        "points of test error, ReLU less shifted ReLU, paired by seed", low=0.0,
        published=Published("2.21 points on CIFAR-100, 11 layers", "§4.2"),
    ),
    Claim(
        "shift_size", "By about as much as in the paper: 1 to 3.5 points.",
        "points of test error, ReLU less shifted ReLU, paired by seed", 1.0, 3.5,
        published=Published("2.21 points on CIFAR-100, 11 layers", "§4.2"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of part one, and after ``shift_data`` of part two; None for all images."""

    reduced: str
    data: str
    model: str
    epochs: int
    seeds: int
    watched: int
    shift_data: str
    shift_model: str
    shift_images: int | None
    shift_test: int | None
    shift_epochs: int
    shift_batch: int
    shift_seeds: int
    shift_rates: tuple[float, ...]
    augment: tuple[str, ...] = ()


RATES = (0.003, 0.01, 0.03, 0.1)
SCALES = {
    "smoke": Settings(
        "Few images, small dense nets.", "mnist5k", "mlp_elu(hidden=8, depth=2)", 2, 2, 50,
        "mnist5k", "mlp_glorot(hidden=8, depth=1)", 200, 50, 2, 50, 2, RATES[:2],
    ),
    "reduced": Settings(
        "Part one: 25 epochs instead of 300, the point after which the paper's losses stay flat, and 3 "
        "seeds instead of 5. Part two: SmallNet instead of the net of 11 layers, with a quarter of its "
        "width, on 6,000 images of CIFAR-10, 12 epochs, no augmentation.",
        "mnist", "mlp_elu", 25, 3, 1000,
        "cifar10", "small_net(width=0.25)", 6000, 2500, 12, 100, 5, RATES,
    ),
    "full": Settings(
        "Part one is as published. Part two: SmallNet instead of the net of 11 layers.",
        "mnist", "mlp_elu", 300, 5, 1000,
        "cifar100", "small_net", None, None, 200, 128, 5, RATES, ("crop(padding=4)", "flip"),
    ),
}  # fmt: skip


def unit_means(site: Site) -> jax.Array:
    """The mean output of each unit."""
    return site.post.mean((0, 1))


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """By activation: medians and curves of part one; tuning and curves of part two."""
    return {
        "means": {name: _means(name, settings, work) for name in MEANS},
        "shift": {name: _shift(name, settings, work) for name in SHIFTS},
    }


def _means(name: str, settings: Settings, work: Work) -> dict[str, Any]:
    """By seed: the median over units at every epoch, 0 included; errors and losses from epoch 1."""
    data = work.data(settings.data)
    module = create_model(settings.model, MEANS[name], num_classes=data.num_classes)
    file = work.folder / f"means-{name}" / "probes.jsonl"
    watched = few(data.train, settings.watched).images
    rows = work.train(
        f"means-{name}", from_linen(module),
        Recipe(settings.epochs, batch_size=64, learning_rate=0.01, momentum=0.0), data,
        grid(range(settings.seeds)), watch=Recorder(file, module, watched, measures=[unit_means]),
    )  # fmt: skip
    medians = []
    for seed in range(settings.seeds):
        units = [
            [mean for site in row["sites"].values() for mean in site["unit_means"][seed]]
            for row in read(file)
        ]
        medians.append([round(statistics.median(of), 6) for of in units])
    return {"medians": medians, **_curves(rows, "train_error", "train_loss", "test_loss")}


def _shift(name: str, settings: Settings, work: Work) -> dict[str, Any]:
    """The tuning seed's test error at each rate; by seed, the curves at the best of them."""
    data = work.data(settings.shift_data, settings.shift_images, settings.shift_test)
    net = from_linen(create_model(settings.shift_model, SHIFTS[name], num_classes=data.num_classes))
    epochs, rates = settings.shift_epochs, settings.shift_rates
    recipe = Recipe(
        epochs, settings.shift_batch, momentum=0.9, weight_decay=1e-4, schedule="steps",
        milestones=(0.4 * epochs, 0.6 * epochs), augment=settings.augment,
    )  # fmt: skip
    tuned = work.train(f"tuning-{name}", net, recipe, data, grid([TUNING], rates))
    errors = [1.0 if error is None else error for error in tuned[-1]["test_error"]]
    best = rates[errors.index(min(errors))]
    rows = work.train(f"shift-{name}", net, recipe, data, grid(range(settings.shift_seeds), [best]))
    curves = _curves(rows, "train_loss", "test_error")
    return {"rates": rates, "tuning": errors, "rate": best, **curves}


def _curves(rows: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    """By seed and epoch, from epoch 1."""
    return {name: by_member(rows, name, digits=5) for name in names}


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    means = results["means"]
    medians = {name: np.array(found["medians"])[:, 1:] for name, found in means.items()}
    sizes = {name: np.abs(of) for name, of in medians.items()}
    nearest = sizes["elu"] <= np.minimum(sizes["relu"], sizes["leaky_relu"])
    changes = [np.sqrt(np.mean(np.diff(medians[name]) ** 2, 1)) for name in ("relu", "elu")]
    ratios = [_sooner(means[name], means["elu"]) for name in ("relu", "leaky_relu")]
    faster = min(ratios, key=lambda found: found.low)
    finals = (_finals(results["shift"][name]) for name in SHIFTS)
    gains = mean_interval([100 * (one - other) for one, other in zip(*finals, strict=True)])
    return {
        "median": mean_interval(nearest.mean(1).tolist()),
        "median_size": ratio_interval(sizes["relu"].mean(1), sizes["elu"].mean(1)),
        "varies": ratio_interval(*changes),
        "faster": faster, "much_faster": faster, "shift": gains, "shift_size": gains,
    }  # fmt: skip


def _finals(found: dict[str, Any]) -> list[float]:
    """By seed, the test error after the last epoch; all are wrong where training has diverged."""
    return [1.0 if seed[-1] is None else seed[-1] for seed in found["test_error"]]


def _sooner(other: dict[str, Any], elu: dict[str, Any]) -> Interval:
    """How many times as many epochs the other takes; at least so many where it does not get there."""
    ours = [first_crossing(curve, TARGET) for curve in elu["train_error"]]
    theirs = [first_crossing(curve, TARGET) for curve in other["train_error"]]
    there = [value for value in ours if value is not None]
    if len(there) < len(ours):
        return Interval(math.nan, math.nan, math.nan)
    last = float(len(other["train_error"][0]))
    found = ratio_interval([last if value is None else value for value in theirs], there)
    return Interval(math.inf, found.low, math.inf) if None in theirs else found


def tables(results: dict[str, Any]) -> list[Table]:
    """Medians and epochs of part one; errors of part two."""
    rows = []
    for name, found in results["means"].items():
        crossings = [first_crossing(curve, TARGET) for curve in found["train_error"]]
        crossed = [value for value in crossings if value is not None]
        rows.append((
            MEANS[name],
            *(f"{statistics.fmean(seed[at] for seed in found['medians']):.3f}" for at in (0, 1, -1)),
            shown(mean_interval(np.abs(found["medians"])[:, 1:].mean(1).tolist())),
            shown(mean_interval(crossed)) if len(crossed) == len(crossings) else "not by all seeds",
            f"{statistics.fmean(seed[-1] for seed in found['train_error']):.2%}",
        ))  # fmt: skip
    shifts = [
        (
            SHIFTS[name], PRINTED[name], f"{found['rate']:g}",
            shown(mean_interval(_finals(found)), percent=True),
            ", ".join(f"{r:g}: {e:.1%}" for r, e in zip(found["rates"], found["tuning"], strict=True)),
        )
        for name, found in results["shift"].items()
    ]  # fmt: skip
    first = "Part one: mean activations on MNIST", (
        "activation", "median at the start", "epoch 1", "last epoch", "mean size over epochs",
        "epochs to 2% training error", "training error, last epoch",
    )  # fmt: skip
    second = "Part two: shifted ReLU", (
        "activation", "published, CIFAR-100, 11 layers", "rate", "test error",
        "tuning: test error by rate",
    )  # fmt: skip
    return [Table(*first, tuple(rows)), Table(*second, tuple(shifts))]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """The paper's figure 2, and test errors of the two ReLUs."""
    made, (left, middle, right) = figure(12, 3.6, 3)
    for (name, found), colour in zip(results["means"].items(), COLOURS, strict=False):
        _lines(left, found["medians"], MEANS[name], colour, 0)
        _lines(middle, found["train_loss"], MEANS[name], colour)
    for (name, found), colour in zip(results["shift"].items(), COLOURS[::3], strict=False):
        _lines(right, found["test_error"], name.replace("_", " "), colour)
    left.axhline(0, color="#333333", lw=0.8)
    left.set_ylabel("median over units of the mean activation")
    middle.set(ylabel="training loss", yscale="log")
    right.set_ylabel("test error of SmallNet")
    right.yaxis.set_major_formatter(percent())
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, fontsize=8)
    return {"Mean activations and the shift": made}


def _lines(axes: Any, curves: list[list[float]], label: str, colour: str, first: int = 1) -> None:
    """A line a seed."""
    for place, curve in enumerate(curves):
        epochs = range(first, first + len(curve))
        axes.plot(epochs, curve, color=colour, lw=1.1, label=None if place else label)
