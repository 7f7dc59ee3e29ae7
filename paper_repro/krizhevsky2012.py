"""Krizhevsky et al. 2012: ReLU reaches 25% training error six times sooner than tanh.

Claim: "A four-layer convolutional neural network with ReLUs (solid line) reaches a 25% training error
rate on CIFAR-10 six times faster than an equivalent network with tanh neurons (dashed line). The learning
rates for each network were chosen independently to make training as fast as possible. No regularization
of any kind was employed. The magnitude of the effect demonstrated here varies with network architecture,
but networks with ReLUs consistently learn several times faster than equivalents with saturating neurons."
(ImageNet Classification with Deep Convolutional Neural Networks, caption of Figure 1.)

Protocol (written before the run of 2026-11-28): CIFAR-10, all 50,000 training images, 32 × 32 pixels,
less the per-pixel mean. Batches of 128, momentum 0.9, no weight decay, no augmentation, a constant
learning rate, twice that rate for biases, weights drawn as in cuda-convnet's layer files. The paper does
not name the net of the figure. Its §3.3 calls ``conv_local_13pct`` four-layer (two convolutions, two
local layers), so this net is the likeliest candidate. We chose ``80sec`` (three convolutions, a hidden
dense layer) as primary, because its epoch costs a third as much on two CPU cores. ``19pct`` (three
convolutions) and ``conv_local_13pct`` are secondary.

The training error is the running mean over one epoch of batches. It is recorded every 98 steps, dated at
the middle of the epoch that it averages, and taken as straight between records. A clean pass over 10,000
fixed training images after each epoch gives a second figure, which is printed beside the first and
decides nothing.

Rates are chosen with seed 100, which is not evaluated. ReLU: 0.0005 to 0.004 at factors of 2, each until
it reaches 25% or 16 epochs. Tanh: 0.002 to 0.032, successive halving after 10 epochs (keep 3) and after
25 (keep 2), both finalists until they reach 25% or 120 epochs. Sigmoid: 0.03 to 3 at factors of about 3,
halving after 4 and 8 epochs (keep 3, then 2), finalists to 20. A grid whose best is at an edge is widened
by two rates. The rate at which the least epochs are needed is used. The optimum of a parabola through the
best and its neighbors is reported as well, so that the coarseness of the grid is seen.

Evaluation seeds are 1, 2, ... The ratio is tanh's epochs divided by ReLU's, as geometric means, with
Welch's interval of the logarithms. There are three looks: at 3, 5 and 8 seeds, with two-sided error rates
of 0.01, 0.02 and 0.02. We stop at the first look whose interval contains none of 2, 4 and 9, and judge at
the confidence of the look at which we stopped: 99%, 98% or 98%. The three error rates add up to 5%.
Tanh stops at 10 times ReLU's mean number of epochs. A seed that has not reached 25% by then is censored:
the result is then a lower bound. With 3 seeds per net its confidence is 75%, so that it decides nothing.
"Several times" is judged reproduced if the interval lies above 2, "six times" if it lies between 4 and 9.
Both secondary nets use three rates around the primary net's best, three seeds, and Holm's correction.
Other rows (sigmoid, tanh that is scaled, penalized, initialized by LSUV or batch normalized, ReLU that is
batch normalized, leaky ReLU with slope 1/3, ELU) use six seeds and stop at 4 times ReLU's mean.

Prediction, made before the run from curves of 10 epochs: the ratio lies between 4 and 9, and tanh reaches
25% between epoch 42 and epoch 74.

Differences: the paper's net, rates, seeds and way of counting are not known. 72 of the 50,000 images are
not exact here (see the note on the data).

Result (2026-11-29, 80sec, 3 seeds per row; the other rows and nets are not run yet): tanh needs 4.44
times ReLU's epochs to 25%, with a 99% interval of 3.62 to 5.43 at the first look: 32.2 epochs at rate
0.008 against 7.26 at 0.002. "Several times" is reproduced. "Six times" is undecided, because the interval
contains 4; the next look is at 5 seeds. The ratio grows from 1.8 at 55% training error to 4.4 at 35% and
stays there. The prediction was right on the ratio and too high on the epochs of both. In tanh's first
layer 96% of the inputs are saturated after one epoch and 98.5% after eight, means of the three seeds.

Time: 70 seconds per epoch on a core of its own, without an accelerator. What is stored took 9.8 hours on
busy cores.

Command: ``flaxact reproduce krizhevsky2012 --scale full``. Start it once per core (with
``JAX_NUM_CPU_DEVICES=1``) or on several machines: they share the pieces under
``paper_repro/results/krizhevsky2012/full/``. With ``--stored`` the page is made from the pieces alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flaxact.figures import COLORS, INK, figure, percent
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table, format_interval
from flaxact.reproduction.images import with_clean_pass
from flaxact.reproduction.race import Race, RaceEntry, TunedCurves, epochs_ratio, look
from flaxact.reproduction.race_pages import layers_figure, race_table, search_figure, search_table
from flaxact.reproduction.tuning import Search, Tuned
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, geometric_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "krizhevsky2012alexnet"
MAIN = "80sec"
EDGES = (2.0, 4.0, 9.0)  # of the ranges of the two claims
TARGETS = (0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25)  # training errors of the table of ratios
RECTIFIED = Search(rates=(0.0005, 0.001, 0.002, 0.004), epochs=16)
SATURATING = Search(
    rates=(0.002, 0.004, 0.008, 0.016, 0.032), rungs=(10, 25), keep=(3, 2), epochs=120
)
SIGMOIDAL = Search(rates=(0.03, 0.1, 0.3, 1.0, 3.0), rungs=(4, 8), keep=(3, 2), epochs=20)
MENDED = Search(rates=(0.0005, 0.001, 0.002, 0.004, 0.008), rungs=(4, 12), keep=(3, 2), epochs=32)
ROWS = {
    "relu": RaceEntry(activation="relu", search=RECTIFIED),
    "tanh": RaceEntry(activation="tanh", search=SATURATING),
    "sigmoid": RaceEntry(activation="sigmoid", search=SIGMOIDAL),
    "penalized_tanh": RaceEntry(activation="penalized_tanh", search=MENDED),
    "lecun_tanh": RaceEntry(activation="lecun_tanh", search=MENDED),
    "tanh, LSUV": RaceEntry(activation="tanh", options="kernel_init=lsuv", search=MENDED),
    "tanh, batch norm": RaceEntry(activation="tanh", options="norm=batch", search=MENDED),
    "relu, batch norm": RaceEntry(activation="relu", options="norm=batch", search=MENDED),
    "leaky_relu, slope 1/3": RaceEntry(
        activation="leaky_relu(negative_slope=0.3333)", search=RECTIFIED
    ),
    "elu": RaceEntry(activation="elu", search=RECTIFIED),
}
NETS = (MAIN, "19pct", "conv_local_13pct")
PAIR = ("relu", "tanh")
_FIGURE = "caption of Figure 1, whose net is not named"
MENDS = {  # key: row, and how the claim's text names it
    "penalized": ("penalized_tanh", "Penalized tanh (a quarter of tanh below 0)"),
    "lecun": ("lecun_tanh", "Scaled tanh"),
    "lsuv": ("tanh, LSUV", "Tanh with weights from LSUV"),
    "norm": ("tanh, batch norm", "Batch normalization, in both nets,"),
}
RELATIVES = {
    "leaky": ("leaky_relu, slope 1/3", "Leaky ReLU with slope 1/3"),
    "elu": ("elu", "ELU"),
}
SPEEDUPS = {  # key: the claim, its range, and what is printed
    "several": ("ReLU needs less than half of tanh's epochs ({net}).", 2.0, math.inf, "several times"),
    "six": ("Tanh needs between 4 and 9 times ReLU's epochs ({net}).", 4.0, 9.0, "six times"),
}  # fmt: skip
CLAIMS = (
    *(
        Claim(
            f"{key}_{net}",
            text.format(net=net),
            f"epochs of tanh / epochs of ReLU, {net}",
            low=low,
            high=high,
            published=Published(printed, _FIGURE),
            family="" if net == MAIN else "other nets",
        )
        for net in NETS
        for key, (text, low, high, printed) in SPEEDUPS.items()
    ),
    Claim(
        "sigmoid",
        "ReLU needs less than half of the sigmoid's epochs.",
        f"epochs of sigmoid / epochs of ReLU, {MAIN}",
        low=2.0,
        published=Published("several times", _FIGURE),
    ),
    *(
        Claim(
            key,
            f"{name} closes at least half of tanh's gap to ReLU, on a log scale.",
            "(epochs of tanh / ReLU, both normalized) / root of (epochs of tanh / ReLU)"
            if key == "norm"
            else f"its epochs / geometric mean of ReLU's and tanh's, {MAIN}",
            high=1.0,
            family="mends",
        )
        for key, (_, name) in MENDS.items()
    ),
    *(
        Claim(
            key,
            f"{name} needs at most 1.25 times ReLU's epochs.",
            f"its epochs / epochs of ReLU, {MAIN}",
            high=1.25,
            family="relatives",
        )
        for key, (_, name) in RELATIVES.items()
    ),
    Claim(
        "relu_norm",
        "Batch normalization before ReLU needs fewer epochs than ReLU alone.",
        f"epochs of ReLU with batch norm / epochs of ReLU, {MAIN}",
        high=1.0,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """One net on one set of images, and the rows that are trained with it.

    Attributes:
      variant: variant of ``cuda_convnet``.
      rows: names of ROWS.
      looks: numbers of seeds at which the ratio of the first two rows is looked at, each with its
        two-sided error rate.
      seeds: for the other rows.
      width: share of the filters.
      images: for training; None for all.
    """

    variant: str
    rows: tuple[str, ...]
    looks: tuple[tuple[int, float], ...]
    seeds: int = 6
    width: float = 1.0
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      groups: by name; the first is the primary one.
      side: width and height of the center crop of the images, in pixels.
      batch_size: images per step.
      clean: how many training images the clean pass is over.
      probed: how many of them the measures by layer are over.
      target: the training error to reach, as a fraction.
      most: the cap of the second row, in multiples of the first row's mean epochs.
      most_others: the cap of the other rows.
      short: epochs of every search, then without rungs; None for those of ROWS.
    """

    reduced: str
    groups: dict[str, Group]
    side: int = 32
    batch_size: int = 128
    dataset: str = "cifar10"
    clean: int = 10_000
    probed: int = 500
    target: float = 0.25
    most: float = 10.0
    most_others: float = 4.0
    short: int | None = None


LOOKS = ((3, 0.01), (5, 0.02), (8, 0.02))
SCALES = {
    "smoke": Settings(
        reduced="Nets with few filters, and two activations.",
        groups={MAIN: Group(variant=MAIN, rows=PAIR, looks=((2, 0.05),), width=0.25, images=400)},
        side=12,
        batch_size=8,
        dataset="mnist5k",
        clean=100,
        probed=50,
        target=0.85,
        short=2,
    ),
    "reduced": Settings(
        reduced="3,000 of the 50,000 images, at equal distances; the middle 24 × 24 of their 32 × 32 "
        "pixels; half of the filters (a quarter in conv_local_13pct); batches of 32 in place of 128. "
        "So few images are soon learned by heart.",
        groups={
            MAIN: Group(variant=MAIN, rows=PAIR, looks=((4, 0.05),), width=0.5, images=3000),
            "conv_local_13pct": Group(
                variant="conv_local_13pct", rows=PAIR, looks=((4, 0.05),), width=0.25, images=3000
            ),
            "19pct": Group(variant="19pct", rows=PAIR, looks=((4, 0.05),), width=0.5, images=3000),
        },
        side=24,
        batch_size=32,
        clean=2000,
    ),
    "full": Settings(
        reduced="The published protocol, as far as it is known.",
        groups={
            MAIN: Group(variant=MAIN, rows=tuple(ROWS), looks=LOOKS),
            "19pct": Group(variant="19pct", rows=PAIR, looks=((3, 0.05),)),
            "conv_local_13pct": Group(variant="conv_local_13pct", rows=PAIR, looks=((3, 0.05),)),
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """The searches for the rates and the curves of the seeds.

    Attributes:
      target: the training error to reach.
      groups: the tuned rows, by net and row.
      levels: the confidence level of the look at which the run stopped, by net.
    """

    target: float
    groups: dict[str, dict[str, TunedCurves]]
    levels: dict[str, float] = field(default_factory=dict)

    def row(self, net: str, row: str) -> TunedCurves:
        """The row of a name; empty if the study has none."""
        return self.groups.get(net, {}).get(row, TunedCurves())

    def over_relu(self, row: str, net: str = MAIN, target: float | None = None) -> Interval:
        """The ratio of a row's epochs to ReLU's; for tanh, at the confidence of the last look."""
        level = self.levels.get(net, 0.95) if row == "tanh" and target is None else 0.95
        rows = (self.row(net, row), self.row(net, "relu"))
        return epochs_ratio(*rows, target or self.target, level=level)


def study(settings: Settings, workspace: Workspace) -> Results:
    """Train every net in turn; the other nets use the primary net's best rates."""
    groups: dict[str, dict[str, TunedCurves]] = {}
    levels = {}
    images = {"side": settings.side, "clean": settings.clean}
    for name, group in settings.groups.items():
        race = Race(
            name=name,
            workspace=workspace,
            target=settings.target,
            batch_size=settings.batch_size,
            model=f"cuda_convnet(variant={group.variant}, width={group.width:g})",
            load=functools.partial(
                with_clean_pass, workspace, settings.dataset, group.images, **images
            ),
            probed=settings.probed,
        )
        groups[name] = _rows(race, group, settings, groups.get(MAIN, {}))
        levels[name] = 1 - dict(group.looks).get(len(groups[name]["tanh"].seeds), 0.05)
    return Results(target=settings.target, groups=groups, levels=levels)


def _rows(
    race: Race, group: Group, settings: Settings, primary: Mapping[str, TunedCurves]
) -> dict[str, TunedCurves]:
    """All rows of a net; ``primary`` are those of the primary one, once there are any."""

    def tune(label: str) -> Tuned | None:
        space = _space(label, primary.get(label, TunedCurves()).tuned, settings)
        return race.tune(label, replace(ROWS[label], search=space))

    cap = 4 * (settings.short or ROWS["relu"].search.epochs)
    rows, mean = look(
        race,
        ROWS,
        {label: tune(label) for label in PAIR},
        looks=group.looks,
        cap=cap,
        most=settings.most,
        edges=EDGES,
    )
    for label in group.rows:
        if label not in PAIR:
            rows[label] = TunedCurves(tuned=tune(label))
    for label in group.rows:
        tuned = rows[label].tuned
        if label not in PAIR and tuned is not None and mean is not None:
            cap = math.ceil(settings.most_others * mean)
            seeds = race.evaluate(
                label, ROWS[label], rate=tuned.best, seeds=group.seeds, epochs=cap
            )
            rows[label] = TunedCurves(tuned=tuned, seeds=seeds)
    return rows


def _space(label: str, primary: Tuned | None, settings: Settings) -> Search:
    """A row's search; around the primary net's best rate for the other nets."""
    space = ROWS[label].search
    if primary is not None:
        rates = (primary.best / 2, primary.best, primary.best * 2)
        rungs = space.rungs[:1]
        space = replace(space, rates=rates, rungs=rungs, keep=(2,) * len(rungs), widenings=1)
    if settings.short is not None:
        space = replace(space, rungs=(), keep=(), epochs=settings.short)
    return space


def measured(results: Results) -> dict[str, Interval]:
    """The ratios of epochs; nan if their rows have not been run."""
    ratios = {net: results.over_relu("tanh", net) for net in NETS}
    return {
        **{f"{key}_{net}": ratios[net] for net in NETS for key in ("several", "six")},
        "sigmoid": results.over_relu("sigmoid"),
        **{key: _gap(results, row) for key, (row, _) in MENDS.items()},
        **{key: results.over_relu(row) for key, (row, _) in RELATIVES.items()},
        "relu_norm": results.over_relu("relu, batch norm"),
    }


def _gap(results: Results, row: str) -> Interval:
    """A row's epochs over the geometric mean of ReLU's and tanh's.

    With batch norm its epochs are first divided by those of ReLU with batch norm, times ReLU's.
    """
    powers = {row: 1.0, "relu": -0.5, "tanh": -0.5}
    if row == "tanh, batch norm":
        powers |= {"relu, batch norm": -1.0, "relu": 0.5}
    times = [results.row(MAIN, name).times(results.target) for name in powers]
    if not all(times) or not all(time.exact for each in times for time in each):
        return UNKNOWN
    samples = [[time.low for time in each] for each in times]
    return geometric_interval(samples, list(powers.values()))


def tables(results: Results) -> list[Table]:
    """The tables of epochs by net and row, of all tried rates, and of the ratio at other targets."""
    target = results.target
    nets = [
        race_table(f"{net}: epochs to {target:.0%} training error", rows, "relu", target)
        for net, rows in results.groups.items()
    ]
    by_target = {each: results.over_relu("tanh", target=each) for each in TARGETS}
    lines = tuple((f"{each:.0%}", format_interval(ratio)) for each, ratio in by_target.items())
    header = ("training error", "epochs of tanh / epochs of ReLU")
    targets = Table(f"{MAIN}: the ratio at other targets", header, lines)
    return [*nets, search_table(results.groups), targets]


def figures(results: Results) -> dict[str, Figure]:
    """The paper's figure; the ratio by target; the search; gradients and saturation by layer."""
    rows = results.groups[MAIN]
    drawings = {"Training error": _training_error(rows, results.target)}
    if all(rows[row].seeds for row in PAIR):
        drawings["Ratio by target"] = _ratio_by_target(results)
        if all(curve.observed for row in PAIR for curve in rows[row].seeds):
            drawings["By layer"] = layers_figure({row: rows[row] for row in PAIR})
    if any(row.tuned for row in rows.values()):
        drawings["Search"] = search_figure(rows, results.target)
    return drawings


def _training_error(rows: Mapping[str, TunedCurves], target: float) -> Figure:
    drawing, axes = figure(7.5, 4.2)
    for row, color in zip(PAIR, COLORS, strict=False):
        seeds = rows[row].seeds
        for number, curve in enumerate(seeds):
            points = [(time, error) for time, error in curve.running() if error is not None]
            label = f"{row}, {len(seeds)} seeds" if number == 0 else None
            axes.plot(*zip(*points, strict=True), color=color, lw=1, label=label)
    axes.axhline(target, color=INK, lw=0.8, ls=":")
    exact = [time.low for time in rows["relu"].times(target) if time.exact]
    if exact:
        start = sum(exact) / len(exact)
        arrow = {"arrowstyle": "->", "color": INK, "lw": 1}
        axes.annotate("", (6 * start, target), (start, target), arrowprops=arrow)
        axes.text(6 * start, target, "published: 6 ×", va="bottom", ha="right", fontsize=9)
        axes.set_xlim(0, 6.3 * start)
    axes.set(xlabel="epoch", ylabel=f"training error, {MAIN}", ylim=(0, 0.9))
    axes.yaxis.set_major_formatter(percent())
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return drawing


def _ratio_by_target(results: Results) -> Figure:
    drawing, axes = figure(6, 3.6)
    by_target = {target: results.over_relu("tanh", target=target) for target in TARGETS}
    known = {target: each for target, each in by_target.items() if math.isfinite(each.mean)}
    for target, each in known.items():
        axes.plot([target, target], [each.low, each.high], color=COLORS[0], lw=2)
    axes.plot(list(known), [each.mean for each in known.values()], "o", color=COLORS[0])
    axes.plot([0.25], [6], "D", color=INK, fillstyle="none", label="published")
    axes.set(xlabel="training error to reach", ylabel="epochs of tanh / epochs of ReLU")
    axes.set_ylim(0, None)
    axes.invert_xaxis()
    axes.xaxis.set_major_formatter(percent())
    axes.legend(frameon=False)
    return drawing
