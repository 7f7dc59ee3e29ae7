"""Krizhevsky et al. 2012: ReLU reaches 25% training error six times sooner than tanh.

ImageNet Classification with Deep Convolutional Neural Networks, §3.1 and Figure 1: a four-layer
convolutional net with ReLUs reaches 25% training error on CIFAR-10 six times faster than an equivalent
net with tanh, each at the learning rate that makes its training fastest, without any regularisation.
It varies with the net, the caption adds, but is consistently several times: a claim of its own here.

The net of the figure is not named. §3.3 calls a net of cuda-convnet's example files four-layer, the one
with two convolutions, two local layers and 13% test error (``conv_local_13pct``). It is tried, with
``80sec`` (three convolutions, a hidden dense layer) and ``19pct`` (three convolutions). Weights, pooling,
pixels less their mean, momentum 0.9, batches of 128 and twice the rate for biases are the files'; there
is no weight decay, and the rate is constant.

Search: rates at equal factors train seed 0 until the first of them comes down to 25%, and the race is
over. If it lies at an end of the grid, two more rates beyond are raced, as often as need be. Then other
seeds, the same for all, are trained at the best rate until all have come down. The training error is the
running mean over the epoch, as cuda-convnet printed it, straight between epochs; the tables also have a
clean pass over training images. Where no rate comes down in time, only a bound of the ratio is known.

The limits, on ``80sec``: if it were saturation alone, units that saturate could not be mended. So there
are Xu et al.'s penalized tanh, LeCun's scaled tanh, tanh initialised by LSUV, tanh and ReLU with batch
normalisation before; leaky ReLU, ELU and ReLU less its mean, for the zeros and for the mean; sigmoid;
and the max pooling alone. Their ranges are ours.

Scales: in the reduced run on ``80sec`` tanh takes 1.1 times ReLU's epochs with 1,500 images and 1.7
times with 3,000. So neither this nor the limits, found where tanh itself is hardly slower, say what
holds for 50,000. That takes full: the published nets, data and batch, with 5 seeds.

    flaxact reproduce krizhevsky2012 --scale reduced
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from flaxact._figures import COLOURS, INK, figure, percent
from flaxact._files import finite
from flaxact.data import Dataset, Split, few
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.statistics import Interval, first_crossing, mean_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import curves, times_sooner
from flaxact.training import Recipe, grid, train

SOURCE = "krizhevsky2012alexnet"
MAIN = "80sec"
WIDENINGS = 4  # of a grid of rates, at most, by two each
ROWS = {  # activation, and options of the model
    "relu": ("relu", ""), "tanh": ("tanh", ""),
    "penalized_tanh": ("penalized_tanh", ""), "lecun_tanh": ("lecun_tanh", ""),
    "tanh, LSUV": ("tanh", "kernel_init=lsuv"),
    "tanh, batch norm": ("tanh", "norm=batch"), "relu, batch norm": ("relu", "norm=batch"),
    "leaky_relu": ("leaky_relu", ""), "elu": ("elu", ""), "centered(relu)": ("centered(relu)", ""),
    "sigmoid": ("sigmoid", ""), "identity": ("identity", ""),
}  # fmt: skip
NETS = (MAIN, "conv_local_13pct", "19pct")
PAIR, NORMED = ("relu", "tanh"), "tanh, batch norm"
FEW = "80sec, fewer images"
_FIGURE = "Figure 1, whose net is not named"
# Numerator, denominator, the range of the ratio of their epochs, and the claim.
LIMITS = {
    "sigmoid": ("sigmoid", "relu", 2.0, math.inf, "ReLU learns several times sooner than sigmoid."),
    "penalized": (
        "penalized_tanh", "relu", 0.0, 1.5,
        "A tanh that is steeper on one side, though it saturates, takes at most 1.5 times ReLU's epochs.",
    ),
    "lecun": ("lecun_tanh", "relu", 0.0, 2.0, "A scaled tanh takes less than twice ReLU's epochs."),
    "lsuv": ("tanh, LSUV", "relu", 0.0, 2.0, "So does tanh itself, if its initial variances are 1."),
    "norm": (NORMED, "relu, batch norm", 0.0, 2.0, "And tanh, with batch normalisation in both."),
    "norm_tanh": (NORMED, "relu", 0.0, 1.0, "Tanh with it is faster than ReLU without."),
    "leaky": ("leaky_relu", "relu", 0.0, 1.25, "Zeros are not needed: leaky ReLU is about as fast."),
    "elu": ("elu", "relu", 0.0, 1.25, "Nor is the kink: ELU is about as fast."),
    "centred": ("centered(relu)", "relu", 0.0, 1.0, "ReLU less its mean is faster than ReLU."),
    "identity": ("identity", "relu", 2.0, math.inf, "Without an activation, 25% takes twice as long."),
}  # fmt: skip
CLAIMS = (
    *(
        Claim(
            f"{key}_{net}", f"{text} ({net}).", f"epochs of tanh / epochs of relu, {net}", low, high,
            published=Published(printed, _FIGURE),
        )
        for net in NETS
        for key, text, low, high, printed in (
            ("several", "ReLU learns several times sooner than tanh", 2.0, math.inf, "several times"),
            ("six", "And that is about six times", 4.0, 9.0, "six times"),
        )
    ),
    *(
        Claim(
            key, text, f"epochs of {one} / epochs of {other}, {MAIN}", low or -math.inf, high,
            published=Published("several times", _FIGURE) if key == "sigmoid" else None,
        )
        for key, (one, other, low, high, text) in LIMITS.items()
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what was.
      groups: variant, width, number of training images (None for all) and rows of ROWS, by name.
      side: of the images, whose centre is cut out, in pixels.
      batch_size: images a step.
      rates: that a race begins with: the lowest, the factor between two, how many.
      most: epochs.
      seeds: at the best rate.
    """

    reduced: str
    groups: dict[str, tuple[str, float, int | None, tuple[str, ...]]]
    side: int
    batch_size: int
    rates: tuple[float, float, int]
    most: int
    seeds: int
    dataset: str = "cifar10"
    checked: int = 2000
    target: float = 0.25


SCALES = {
    "smoke": Settings(
        "Nets of few filters, and two activations.", {MAIN: (MAIN, 0.25, 400, PAIR)}, 12, 8,
        (0.01, 3.0, 3), 2, 2, "mnist5k", 100, 0.85,
    ),
    "reduced": Settings(
        "3,000 of the 50,000 images for tanh against ReLU, and 1,500 for the limits; the middle 24 × 24 "
        "of their 32 × 32 pixels (the size of cuda-convnet's crops); nets with 16 filters in the first "
        "layer in place of 32 or 64, and the other layers in proportion; batches of 32 in place of 128. "
        "A small training set is soon learnt by heart, which may well make the ratio smaller.",
        {
            MAIN: (MAIN, 0.5, 3000, PAIR), NETS[1]: (NETS[1], 0.25, 3000, PAIR),
            FEW: (MAIN, 0.5, 1500, tuple(ROWS)), NETS[2]: (NETS[2], 0.5, 3000, PAIR),
        },
        24, 32, (5e-4, 2.5, 6), 80, 4,
    ),
    "full": Settings(
        "The published protocol.",
        {
            MAIN: (MAIN, 1.0, None, tuple(ROWS)), NETS[1]: (NETS[1], 1.0, None, PAIR),
            NETS[2]: (NETS[2], 1.0, None, PAIR),
        },
        32, 128, (1.25e-4, 2.0, 9), 100, 5,
    ),
}  # fmt: skip


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """By group and row: the races by rate, the best rate, and the curves of the seeds at it."""
    found: dict[str, Any] = {}
    recipe = Recipe(
        settings.most, settings.batch_size, optimizer="cuda_convnet", target_error=settings.target
    )
    for group, (variant, width, images, rows) in settings.groups.items():
        data, found[group] = _data(settings, images, work), {}
        for row in rows:
            act, options = ROWS[row]
            model = f"cuda_convnet(variant={variant}, width={width}{options and ', ' + options})"
            name = f"{group}/{row.replace(', ', '-').replace(' ', '-')}"
            net = from_linen(create_model(model, act))
            found[group][row] = _row(name, net, recipe, data, settings, work)
    limits = FEW if FEW in found else MAIN
    return {"most": settings.most, "target": settings.target, "limits": limits, "groups": found}


def _data(settings: Settings, images: int | None, work: Work) -> Dataset:
    """Part of the training images, and as test images a part of these: for the clean pass."""
    data = work.data(settings.dataset, images, 1)
    first = (data.train.images.shape[1] - settings.side) // 2
    cut = slice(first, first + settings.side)
    train_split = Split(data.train.images[:, cut, cut], data.train.labels)
    return replace(data, train=train_split, test=few(train_split, settings.checked))


def _row(
    name: str, net: Net, recipe: Recipe, data: Dataset, settings: Settings, work: Work
) -> dict[str, Any]:
    raced: dict[float, dict[str, Any]] = {}

    def race(*rates: float) -> float:
        """The best rate so far; new ones need not go on for longer than it has."""
        fewest = min([r["epochs"] for r in raced.values() if r["epochs"]], default=recipe.epochs)
        limited = replace(recipe, epochs=math.ceil(fewest))
        new = work.piece(f"{name}/race-{len(raced)}", lambda: _race(net, limited, data, rates))
        raced.update(zip(rates, new, strict=True))
        return min(raced, key=lambda rate: _rank(raced[rate]))

    lowest, factor, count = settings.rates
    best = race(*(lowest * factor**i for i in range(count)))
    for _ in range(WIDENINGS):
        low, high = min(raced), max(raced)
        if low < best < high:
            break
        end, step = (low, 1 / factor) if best == low else (high, factor)
        best = race(end * step, end * step**2)
    found: dict[str, Any] = {"best": best, "running": [], "clean": []}
    found["races"] = [{"rate": rate, **raced[rate]} for rate in sorted(raced)]
    if raced[best]["epochs"] is not None:
        members = grid(range(1, settings.seeds + 1), [best])
        rows = work.train(f"{name}/seeds", net, recipe, data, members)
        for kind, key in (("running", "train_error"), ("clean", "test_error")):
            found[kind] = [[_short(error) for error in seed] for seed in curves(rows, 1, key)[0]]
    return found


def _race(net: Net, recipe: Recipe, data: Dataset, rates: tuple[float, ...]) -> list[Any]:
    """By rate, the epochs to the target (None: the race was over before) and the last error."""
    target = recipe.target_error or 0.0
    errors: list[list[float | None]] = [[] for _ in rates]
    for epoch in train(net, recipe, data, grid([0], rates)):
        if epoch.number:
            for curve, error in zip(errors, epoch.train_error, strict=True):
                curve.append(_short(finite(error)))
        if any(first_crossing(curve, target) is not None for curve in errors):
            break
    return [{"epochs": first_crossing(curve, target), "error": curve[-1]} for curve in errors]


def _rank(raced: dict[str, Any]) -> tuple[float, ...]:
    return tuple(math.inf if raced[key] is None else raced[key] for key in ("epochs", "error"))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _epochs(results: Any, group: str, row: str, kind: str = "running") -> list[float] | None:
    """By seed, the epochs to the target; None where a seed, or every rate, missed it."""
    seeds = results["groups"][group][row][kind]
    reached = [first_crossing(seed, results["target"]) for seed in seeds]
    whole = [epochs for epochs in reached if epochs is not None]
    return whole if whole and len(whole) == len(reached) else None


def _times(results: dict[str, Any], group: str, one: str, other: str) -> Interval:
    rows = results["groups"].get(group, {})
    if one not in rows or other not in rows:
        return Interval(math.nan, math.nan, math.nan)
    slow, fast = (_epochs(results, group, row) for row in (one, other))
    return times_sooner(slow, fast, results["most"])


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """Ratios of epochs, with Welch's interval of their logarithms."""
    ratios = {net: _times(results, net, "tanh", "relu") for net in NETS}
    limits = {key: _times(results, results["limits"], *limit[:2]) for key, limit in LIMITS.items()}
    return {f"{key}_{net}": ratios[net] for key in ("several", "six") for net in NETS} | limits


def tables(results: dict[str, Any]) -> list[Table]:
    """By net: each row's rate, epochs and ratio to ReLU."""
    header, made = (
        ("row", "best rate", "raced", "epochs to 25%", "by a clean pass", "times ReLU's"),
        [],
    )
    for group, rows in results["groups"].items():
        lines = []
        for row, found in rows.items():
            spent = [_epochs(results, group, row, kind) for kind in ("running", "clean")]
            rates = [race["rate"] for race in found["races"]]
            lowest = min((race["error"] for race in found["races"] if race["error"]), default=1.0)
            missed = f"more than {results['most']}: at best {lowest:.0%} error"
            lines.append((
                row, f"{found['best']:.2g}", f"{min(rates):.1g} to {max(rates):.1g} ({len(rates)})",
                shown(mean_interval(spent[0])) if spent[0] else missed,
                shown(mean_interval(spent[1])) if spent[1] else "not by then",
                shown(_times(results, group, row, "relu")),
            ))  # fmt: skip
        made.append(Table(group, header, tuple(lines)))
    return made


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """The paper's figure, a line a seed; and the epochs of all rows."""
    made, (left, right) = figure(9, 3.8, 2)
    rows = results["groups"][MAIN]
    for row, colour in zip(PAIR, COLOURS, strict=False):
        left.plot([], [], color=colour, label=row)
        for seed in rows[row]["running"]:
            left.plot(range(1, len(seed) + 1), seed, color=colour, lw=1)
    left.axhline(results["target"], color=INK, lw=0.8, ls=":")
    left.set(xlabel="epoch", ylabel=f"training error, {MAIN}", ylim=(0, None))
    left.yaxis.set_major_formatter(percent())
    left.legend(frameon=False)
    rows = list(results["groups"][results["limits"]])
    for place, row in enumerate(rows):
        epochs = _epochs(results, results["limits"], row)
        right.plot(epochs or [results["most"]], [place] * len(epochs or [0]), "o" if epochs else ">",
                   color=COLOURS[0] if epochs else COLOURS[1], markersize=4)  # fmt: skip
    right.set(xlim=(0, None), xlabel="epochs to 25% training error (arrow: more)")
    right.set_yticks(range(len(rows)), rows)
    right.invert_yaxis()
    return {"Training error": made}
