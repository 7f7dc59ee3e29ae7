"""Races: how many epochs nets need to a target training error, each at its best learning rate.

An entry of a race is an activation in a net. A race searches the learning rate of each entry on a
tuning seed, and compares the entries' numbers of epochs on evaluation seeds.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from flax import linen as nn

from flaxact.data import Dataset, few
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.comparisons import speedup
from flaxact.reproduction.curves import Curve, record_curve
from flaxact.reproduction.trained import only_variables, rounded
from flaxact.reproduction.tuning import TUNING_SEED, Score, Search, Tuned, search
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Crossing, Interval, crossing
from flaxact.stored.files import finite
from flaxact.training import Member, Recipe
from flaxact.training.loop import Update
from flaxact.training.recipe import Optimizer

MEASURES = ("gradient_norm", "zeros", "dead", "saturated_low", "saturated_high", "mean_to_std")


@dataclass(frozen=True, kw_only=True)
class RaceEntry:
    """An entry of a race: an activation, options of the model, and the search for the learning rate."""

    activation: str
    options: str = ""
    search: Search


@dataclass(frozen=True, kw_only=True)
class TunedCurves:
    """The stored results of one entry of a race: its rate search and the evaluated seeds.

    Attributes:
      tuned: the search for the learning rate; None if it is not complete.
      seeds: the curves of evaluation seeds at the best rate; empty if some are missing.
    """

    tuned: Tuned | None = None
    seeds: tuple[Curve, ...] = ()

    def times(self, target: float, *, clean: bool = False) -> list[Crossing]:
        """When each seed's ``Curve.running`` (or with ``clean``, ``Curve.clean``) reached a target."""
        return [
            crossing(curve.clean() if clean else curve.running(), target) for curve in self.seeds
        ]


@dataclass(frozen=True, kw_only=True)
class Race:
    """How the entries of a race are trained, and when a run ends.

    Attributes:
      name: folder of its pieces.
      workspace: stores the pieces.
      model: the model, without its entry's options, as ``cuda_convnet(variant=80sec)``.
      load: returns the data set, whose test images measure the training error after each epoch.
      target: the training error to reach, as a fraction.
      batch_size: images per step.
      probed: number of images on which layers of evaluation seeds are measured; 0 for none.
      optimizer: the recipe's optimizer.
    """

    name: str
    workspace: Workspace
    model: str
    load: Callable[[], Dataset]
    target: float
    batch_size: int
    probed: int = 0
    optimizer: Optimizer = "cuda_convnet"

    def tune(self, label: str, entry: RaceEntry) -> Tuned | None:
        """Search the learning rate of an entry on the tuning seed; None if stored results are missing."""

        def scores(rates: Sequence[float], epochs: int) -> list[Score]:
            members = [Member(TUNING_SEED, rate) for rate in rates]
            curves = self._curves(label, entry, members, epochs=epochs, evaluation=False)
            return [speed_score(curve, self.target) for curve in curves]

        return self.workspace.attempt(lambda: search(entry.search, scores))

    def evaluate(
        self, label: str, entry: RaceEntry, *, rate: float, seeds: int, epochs: int
    ) -> tuple[Curve, ...]:
        """The curves of seeds 1, 2, ..., until the target or ``epochs``; empty if results are missing."""
        members = [Member(seed, rate) for seed in range(1, seeds + 1)]
        curves = self.workspace.attempt(
            lambda: self._curves(label, entry, members, epochs=epochs, evaluation=True)
        )
        return tuple(curves or ())

    def _curves(
        self,
        label: str,
        entry: RaceEntry,
        members: Sequence[Member],
        *,
        epochs: int,
        evaluation: bool,
    ) -> list[Curve]:
        computations = {}
        for member in members:
            run_name = f"seed-{member.seed}" if evaluation else f"rate-{member.learning_rate:g}"
            run = f"{self.name}/{file_name(label)}/{run_name}"
            piece = run if evaluation else f"{run}-to-{epochs}"
            computations[piece] = functools.partial(
                self._record, run, entry, member, epochs=epochs, evaluation=evaluation
            )
        return [Curve.from_json(value) for value in self.workspace.cached_all(computations)]

    def _record(
        self, run: str, entry: RaceEntry, member: Member, *, epochs: int, evaluation: bool
    ) -> dict[str, object]:
        name, _, options = self.model.removesuffix(")").partition("(")
        options = ", ".join(text for text in (options, entry.options) if text)
        module = create_model(f"{name}({options})", entry.activation)
        recipe = Recipe(epochs=epochs, batch_size=self.batch_size, optimizer=self.optimizer)
        data = self.load()
        self.workspace.log(f"{run}: training to {epochs} epochs at most")
        curve = record_curve(
            from_linen(module),
            recipe,
            data,
            member=member,
            folder=self.workspace.scratch / run,
            until=functools.partial(_is_over, target=self.target, clean=evaluation),
            observe=_observer(module, data, self.probed) if evaluation and self.probed else None,
        )
        return asdict(curve)


def file_name(label: str) -> str:
    """A label as a name that a folder can have.

    >>> file_name("leaky_relu, slope 1/3")
    'leaky_relu-slope-1_3'
    """
    return label.replace(", ", "-").replace(" ", "-").replace("/", "_")


def _observer(
    module: nn.Module, data: Dataset, count: int
) -> Callable[[Update], dict[str, object]]:
    """Measures by layer, and how opposite the filters of the first layer are."""
    import jax

    from flaxact.diagnostics.network import opposite_pairs
    from flaxact.diagnostics.probe import make_probe

    probed = few(data.test, count)
    measure = jax.jit(make_probe(module, MEASURES))

    def observe(update: Update) -> dict[str, object]:
        variables = only_variables(update.states())
        sites = jax.device_get(measure(variables, probed.images, probed.labels))
        first = jax.tree.leaves(variables["params"]["conv1"]["kernel"])[0]
        return {
            "sites": {
                site: {name: finite(float(f"{value:.4g}")) for name, value in measures.items()}
                for site, measures in sorted(sites.items())
            },
            "most_opposite": rounded(opposite_pairs(first).mean(), 4),
        }

    return observe


def speed_score(curve: Curve, target: float) -> Score:
    """The score of a curve: (0, epochs to the target), or (1, last running error) if not reached."""
    points = curve.running()
    reached = crossing(points, target)
    if math.isfinite(reached.high):
        return 0, reached.high
    last = points[-1][1] if points and not curve.has_diverged else None
    return 1, 1.0 if last is None else last


def _is_over(curve: Curve, *, target: float, clean: bool) -> bool:
    points = [curve.running(), *([curve.clean()] if clean else [])]
    return all(math.isfinite(crossing(each, target).high) for each in points)


def epochs_ratio(
    slow: TunedCurves, fast: TunedCurves, target: float, *, clean: bool = False, level: float = 0.95
) -> Interval:
    """The ratio of two nets' numbers of epochs to a target error, slow over fast, with its interval."""
    return speedup(slow.times(target, clean=clean), fast.times(target, clean=clean), level)


def look(
    race: Race,
    entries: Mapping[str, RaceEntry],
    tuned: Mapping[str, Tuned | None],
    *,
    looks: Sequence[tuple[int, float]],
    cap: int,
    most: float,
    edges: Sequence[float],
) -> tuple[dict[str, TunedCurves], float | None]:
    """Evaluate two entries of a race, with more seeds until the ratio of their epochs is decided.

    Args:
      race: how entries are trained.
      entries: entries by name, including the two.
      tuned: the learning rate searches of the two entries, the fast one first.
      looks: numbers of seeds at which the ratio is tested, each with its two-sided error rate.
      cap: the most epochs of the fast entry.
      most: the most epochs of the slow entry, in multiples of the fast one's mean at the first look, so
        that a seed's cap does not depend on later looks.
      edges: ends of claims' ranges; the ratio is decided when its interval contains none of them.

    Returns:
      The stored results of the two entries, and the fast entry's mean number of epochs at the first
      look; None if that is not available.
    """
    fast, slow = tuned
    mean = None
    rows = {name: TunedCurves(tuned=tuned[name]) for name in tuned}

    def curves_of(name: str, seeds: int, epochs: int) -> tuple[Curve, ...]:
        search_result = tuned[name]
        if search_result is None:
            return ()
        rate = search_result.best
        return tuple(race.evaluate(name, entries[name], rate=rate, seeds=seeds, epochs=epochs))

    for seeds, error in looks:
        of_fast = curves_of(fast, seeds, cap)
        if not of_fast:
            break
        if mean is None:
            rows[fast] = replace(rows[fast], seeds=of_fast)
            times = rows[fast].times(race.target)
            mean = statistics.fmean(min(time.high, cap) for time in times)
        of_slow = curves_of(slow, seeds, math.ceil(most * mean))
        if not of_slow:
            break  # the rows stay as they were at the last complete look
        rows[fast] = replace(rows[fast], seeds=of_fast)
        rows[slow] = replace(rows[slow], seeds=of_slow)
        ratio = epochs_ratio(rows[slow], rows[fast], race.target, level=1 - error)
        is_open = any(ratio.low <= edge <= ratio.high for edge in edges)
        if ratio.level >= 1 - error and not is_open:
            break
    return rows, mean
