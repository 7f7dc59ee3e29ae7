"""How ReLU's lead over tanh depends on the number of training images.

Claim: the ratio of epochs, tanh's over ReLU's, grows with the number of training images n as a power
n^b with b > 0. This is a claim of our own. We know of no publication that measures it.

Protocol (written before the run of 2026-11-28): the net ``80sec`` of cuda-convnet at its full width,
CIFAR-10, 32 × 32 pixels, batches of 128, momentum 0.9, no weight decay, no augmentation, a constant rate.
The target is 25% training error: the running mean over one epoch, recorded four times per epoch, dated at
the middle of its epoch. The numbers of images are n = 1,563 · 2^k for k = 0, ..., 4; the point at 50,000
is the primary pair of ``krizhevsky2012``, which has the same protocol. The images are the first n of a
random permutation of the training set, so that a smaller set is part of a larger one. There are three
permutations (draws) for n up to 6,250 and one above. Each n and draw has evaluation seeds 1 to 4; ReLU
and tanh share seed, draw and batch order.

Rates are tuned on seed 100 and draw 0 with three rates: half, one and two times the best rate at the next
smaller n (at first 0.001 for ReLU and 0.01 for tanh), widened at an edge. A run ends at the target, or at
150 epochs (tanh at n of 25,000: 90).

Analysis: log r = a + b log n + draw + error, fitted to the means over seeds of each n and draw, with
draws as a random effect (restricted maximum likelihood). The claim holds if the lower end of the
two-sided 95% interval of b is above 0. A run that does not reach the target makes its cell a lower bound;
such a cell is left out of the fit and reported. It would have had a large ratio, so leaving it out biases
b. Errors of the tuned rate are common to an n and are not in the interval of b.

Controls at n = 3,125, draw 0, seeds 1 to 4. *Random labels*: the labels of the images are permuted, so
that nothing can be learned but the images by heart. If ReLU's lead comes from learning features, it is
then at most half of what it is with true labels, on a log scale. *The old setting*: n = 3,000 at equal
distances, half of the filters, the middle 24 × 24 pixels, batches of 32. It ties this study to the
reduced run of ``krizhevsky2012`` (1.7): the ratio must lie between 1.3 and 2.2.

Differences: none, as nothing is published. 72 of the 50,000 images are not exact.

Result: not run yet.

Time: not measured yet. Full trains on about 27 million images in all.

Command: ``flaxact reproduce data_size --scale full``. Start it once per core. ``--scale reduced`` is the
part up to n = 6,250, with one draw and three seeds.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flaxact.data import Dataset, Split, few
from flaxact.figures import COLORS, INK, figure
from flaxact.reproduction.claim import UNKNOWN, Claim, Table, format_interval
from flaxact.reproduction.comparisons import speedup
from flaxact.reproduction.images import with_clean_pass
from flaxact.reproduction.race import Race, RaceEntry, TunedCurves
from flaxact.reproduction.race_pages import epochs_text, search_table
from flaxact.reproduction.tuning import Search
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, geometric_interval, mixed_slope

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = ""
RANDOM = "random labels"
OLD = "old setting"
FIRST_RATE = {"relu": 0.001, "tanh": 0.01}
CLAIMS = (
    Claim(
        "exponent",
        "ReLU's lead over tanh grows with the number of training images.",
        "exponent b of (epochs of tanh / epochs of ReLU) ~ n^b",
        low=0.0,
    ),
    Claim(
        "random",
        "With random labels ReLU's lead is at most half as large, on a log scale.",
        "ratio with random labels / square root of the ratio with true labels, n = 3,125",
        high=1.0,
    ),
    Claim(
        "old",
        "At half of the filters and 24 pixels the ratio is 1.3 to 2.2 (older run: 1.7).",
        "epochs of tanh / epochs of ReLU, n = 3,000, old setting",
        low=1.3,
        high=2.2,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      sizes: numbers of training images, ascending; each with how many draws it has.
      seeds: number of seeds of evaluation.
      controls: whether the two controls are run.
      control_size: images of the control with random labels; one of ``sizes``.
      most: epochs at most, for all but the last size with ``most_last``.
      side: width and height of the images, in pixels.
    """

    reduced: str
    sizes: tuple[tuple[int, int], ...]
    seeds: int
    controls: bool
    control_size: int
    most: int = 150
    most_last: int = 150
    width: float = 1.0
    batch_size: int = 128
    side: int | None = None
    dataset: str = "cifar10"
    clean: int = 2000
    target: float = 0.25


SCALES = {
    "smoke": Settings(
        reduced="A tiny net on a few digits.",
        sizes=((64, 2),),
        seeds=2,
        controls=True,
        control_size=64,
        most=2,
        most_last=2,
        width=0.1,
        batch_size=16,
        side=12,
        dataset="mnist5k",
        clean=50,
        target=0.89,
    ),
    "reduced": Settings(
        reduced="Up to 6,250 images, one draw, three seeds.",
        sizes=((1563, 1), (3125, 1), (6250, 1)),
        seeds=3,
        controls=False,
        control_size=3125,
    ),
    "full": Settings(
        reduced="Up to 25,000 images here; the point at 50,000 is that of krizhevsky2012.",
        sizes=((1563, 3), (3125, 3), (6250, 3), (12_500, 1), (25_000, 1)),
        seeds=4,
        controls=True,
        control_size=3125,
        most_last=90,
    ),
}


Pair = dict[str, TunedCurves]  # ReLU and tanh


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of the pair of nets by cell, named "images/draw" or by a control."""

    target: float
    cells: dict[str, Pair]
    control_size: int

    def log_ratios(self, name: str) -> list[float]:
        """The log ratios of a cell by seed; empty if a seed is missing or missed the target."""
        cell = self.cells.get(name, EMPTY)
        pairs = list(
            zip(cell["tanh"].times(self.target), cell["relu"].times(self.target), strict=False)
        )
        if not pairs or not all(time.exact for pair in pairs for time in pair):
            return []
        return [math.log(slow.low / fast.low) for slow, fast in pairs]

    def points(self) -> list[tuple[int, int, float]]:
        """(n, draw, mean log ratio) of every cell that is complete."""
        points = []
        for name in self.cells:
            logs = self.log_ratios(name) if "/" in name else []
            if logs:
                count, draw = map(int, name.split("/"))
                points.append((count, draw, statistics.fmean(logs)))
        return sorted(points)


EMPTY: Pair = {name: TunedCurves() for name in FIRST_RATE}


def study(settings: Settings, workspace: Workspace) -> Results:
    """Search rates and train the seeds, for each cell (size and draw, or control) and activation."""
    cells: dict[str, Pair] = {}
    best = dict(FIRST_RATE)
    for count, draws in settings.sizes:
        most = settings.most_last if count == settings.sizes[-1][0] else settings.most
        for draw in range(draws):
            load = functools.partial(_drawn, workspace, settings, count, draw)
            race = _race(settings, workspace, f"n-{count}-draw-{draw}", load)
            tuned = cells.get(_cell(count, 0))
            cells[_cell(count, draw)] = _pair(race, settings, best, most=most, tuned=tuned)
        for activation, row in cells[_cell(count, 0)].items():
            if row.tuned is not None:
                best[activation] = row.tuned.best
    if settings.controls:
        count = settings.control_size
        load = functools.partial(_drawn, workspace, settings, count, 0, shuffled=True)
        random_labels = _race(settings, workspace, "random-labels", load)
        most = settings.most
        cells[RANDOM] = _pair(random_labels, settings, FIRST_RATE, most=most)
        cells[OLD] = _pair(_old(settings, workspace), settings, FIRST_RATE, most=most)
    if settings is SCALES["full"]:
        cells |= _whole(workspace)
    return Results(target=settings.target, cells=cells, control_size=settings.control_size)


def _cell(count: int, draw: int) -> str:
    return f"{count}/{draw}"


def _pair(
    race: Race,
    settings: Settings,
    around: Mapping[str, float],
    *,
    most: int,
    tuned: Pair | None = None,
) -> Pair:
    """ReLU and tanh in one cell; the rates are those of another cell's search, if there is one."""
    pair: Pair = {}
    for activation, center in around.items():
        rates = (center / 2, center, center * 2)
        space = Search(rates=rates, rungs=(max(most // 8, 1),), keep=(2,), epochs=most, widenings=2)
        entry = RaceEntry(activation=activation, search=space)
        result = race.tune(activation, entry) if tuned is None else tuned[activation].tuned
        seeds = ()
        if result is not None:
            rate = result.best
            seeds = race.evaluate(activation, entry, rate=rate, seeds=settings.seeds, epochs=most)
        pair[activation] = TunedCurves(tuned=result, seeds=seeds)
    return pair


def _race(settings: Settings, workspace: Workspace, name: str, load: Callable[[], Dataset]) -> Race:
    return Race(
        name=name,
        workspace=workspace,
        target=settings.target,
        batch_size=settings.batch_size,
        model=f"cuda_convnet(variant=80sec, width={settings.width:g})",
        load=load,
    )


def _old(settings: Settings, workspace: Workspace) -> Race:
    """The reduced run of krizhevsky2012."""
    side = 24 if settings.side is None else settings.side
    count = min(3000, 4 * settings.control_size)
    images = functools.partial(with_clean_pass, workspace, settings.dataset, count)
    load = functools.partial(images, side=side, clean=settings.clean)
    return replace(
        _race(settings, workspace, "old-setting", load),
        batch_size=min(32, settings.batch_size),
        model=f"cuda_convnet(variant=80sec, width={settings.width / 2:g})",
    )


def _drawn(
    workspace: Workspace, settings: Settings, count: int, draw: int, *, shuffled: bool = False
) -> Dataset:
    """The first images of a permutation of the training set; a part of them is for the clean pass."""
    data = with_clean_pass(workspace, settings.dataset, None, side=settings.side, clean=1)
    generator = np.random.default_rng([2026, draw])
    rows = generator.permutation(len(data.train.labels))[:count]
    labels = data.train.labels[rows]
    if shuffled:
        labels = np.random.default_rng([2026, draw, 1]).permutation(labels)
    train = Split(data.train.images[rows], labels)
    return replace(data, train=train, test=few(train, settings.clean))


def _whole(workspace: Workspace) -> dict[str, Pair]:
    """The primary pair of krizhevsky2012 from its stored pieces, if it is complete."""
    from . import krizhevsky2012

    folder = workspace.folder.parents[1] / "krizhevsky2012" / "full"
    stored = replace(workspace, folder=folder, compute=False, missing=[])
    results = krizhevsky2012.study(krizhevsky2012.SCALES["full"], stored)
    pair = {name: results.row(krizhevsky2012.MAIN, name) for name in FIRST_RATE}
    return {_cell(50_000, 0): pair} if all(row.seeds for row in pair.values()) else {}


def _fit(results: Results) -> tuple[Interval, float] | None:
    """The exponent with its interval, and log r at n = 10,000; None for fewer than four cells."""
    points = results.points()
    if len({count for count, _, _ in points}) < 3 or len(points) < 4:
        return None
    logs = [math.log(count / 10_000) for count, _, _ in points]
    return mixed_slope(logs, [value for _, _, value in points], [draw for _, draw, _ in points])


def measured(results: Results) -> dict[str, Interval]:
    """The exponent and the two controls; nan if they have not been run."""
    fit = _fit(results)
    ratios, true_ratios = (
        [math.exp(log) for log in results.log_ratios(name)]
        for name in (RANDOM, _cell(results.control_size, 0))
    )
    known = ratios and true_ratios
    old = results.cells.get(OLD, EMPTY)
    return {
        "exponent": fit[0] if fit else UNKNOWN,
        "random": geometric_interval([ratios, true_ratios], [1.0, -0.5]) if known else UNKNOWN,
        "old": speedup(old["tanh"].times(results.target), old["relu"].times(results.target)),
    }


def tables(results: Results) -> list[Table]:
    """Epochs and ratios by cell; the search."""
    lines = []
    for name, cell in results.cells.items():
        relu, tanh = (cell[activation].times(results.target) for activation in FIRST_RATE)
        ratios = [math.exp(log) for log in results.log_ratios(name)]
        paired = geometric_interval([ratios], [1.0]) if ratios else None
        cells = {
            "images / draw": name,
            "ReLU's epochs": epochs_text(relu),
            "tanh's epochs": epochs_text(tanh),
            "ratio": format_interval(speedup(tanh, relu)),
            "paired by seed": format_interval(paired),
            "seeds": f"{len(relu)}",
        }
        lines.append(cells)
    title = f"Epochs to {results.target:.0%} training error"
    return [Table.of_cells(title, lines), search_table(results.cells)]


def figures(results: Results) -> dict[str, Figure]:
    """The ratio against the number of images: a point per draw, the fit, and the controls."""
    drawing, axes = figure(7.0, 4.2)
    points = results.points()
    seeds = max((len(cell["relu"].seeds) for cell in results.cells.values()), default=0)
    for draw in sorted({draw for _, draw, _ in points}):
        counts = [count for count, of, _ in points if of == draw]
        ratios = [math.exp(value) for _, of, value in points if of == draw]
        label = f"draw {draw}, means of {seeds} seeds"
        axes.plot(counts, ratios, "o", color=COLORS[draw % len(COLORS)], label=label)
    fit = _fit(results)
    if fit is not None:
        exponent, log_ratio = fit
        ends = [points[0][0], points[-1][0]]
        values = [math.exp(log_ratio + exponent.mean * math.log(end / 10_000)) for end in ends]
        axes.plot(ends, values, color=INK, lw=1, label=f"n^b, b = {format_interval(exponent)}")
    shuffled = results.log_ratios(RANDOM)
    if shuffled:
        value = math.exp(statistics.fmean(shuffled))
        axes.plot([results.control_size], [value], "x", color=INK, label=RANDOM)
    axes.axhline(1, color=INK, lw=0.8, ls=":")
    axes.set(xscale="log", yscale="log", xlabel="training images")
    axes.set_ylabel("epochs of tanh / epochs of ReLU")
    axes.set_yticks([1, 2, 3, 4, 6, 8], ["1", "2", "3", "4", "6", "8"])
    axes.minorticks_off()
    counts = sorted({count for count, _, _ in points})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    if points:
        axes.legend(frameon=False, fontsize=8)
    return {"Ratio by number of images": drawing}
