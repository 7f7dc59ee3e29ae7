"""Ioffe and Szegedy 2015: batch normalization makes sigmoid nets train, and steadies their inputs.

Claim: Batch Normalization (arXiv 1502.03167), section 4.1 and figure 1: a net of three hidden layers of
100 sigmoid units, on binary MNIST images, 50,000 steps of batches of 60. With batch normalization its
test accuracy is higher as training progresses. The 15th, 50th and 85th percentiles of a sigmoid's inputs
in the last hidden layer stay about where they are; without it they change much. The text gives no
figures. What helps is settled. That it helps because inputs drift less is contested (Santurkar et al.
2018) and not tested here: only that they drift less.

Protocol, first pair: zoo model ``mlp_bn``, ``norm=batch`` against ``norm=none``, plain SGD. The learning
rate and the standard deviation of the "small random Gaussian" weights are not stated, so both are
searched for each net by itself. The score of a rate is the training error of seed 1000, which is not
evaluated, averaged over a training as long as the evaluated ones. There are two comparisons: each net at
its best pair, and each at its best rate for the smallest weights of the search, as the paper's were
small. Seeds are paired: equal batches. The epochs of one run are not independent, so "throughout" is
counted by seed: the share of seeds with the higher test accuracy after at least 95% of the epochs.

Drift of a unit: the greatest distance, after any epoch, between the median of its inputs and that at the
end, on 1,000 fixed training images, by the running averages of testing. Drift of a net: the median over
the units of the last hidden layer. Relative drift is over the distance of a unit's 15th and 85th
percentiles at the end, because inputs may be larger altogether.

Protocol, second pair: Caffe's ``cifar10_full_sigmoid`` and ``cifar10_full_sigmoid_bn`` (pull request
1965, where a plot shows the second to do better): learning rate 0.001, momentum 0.9, no decay, 60,000
batches of about 100. They are compared at that rate, and each at the rate with the lowest training error
of seed 1000 after a training as long as the evaluated ones.

Differences: reduced has a third of MNIST's images and 6,660 of 50,000 steps; of the second pair a quarter
of the width, 2,500 images and 400 of 60,000 steps, after which the net without batch norm is at chance at
the published rate. Full is as published, with a search for what is not stated.

Result: the stored reduced run is of 2026-11-25 and of an earlier protocol: rates were chosen after 5 of
20 epochs (4 of 8 for the second pair). With small weights the rate that is best for 5 epochs with batch
norm is slow later, so ``dominates_small`` says little. Drift is 1.23 [1.09, 1.38] times smaller. Five
times, our reading of "much more stable", did not hold.

Time: reduced about 30 minutes on one core (from the seconds per epoch of the run of 2026-11-25), full
about 60 hours, nearly all of it for the second pair.

Command:

    flaxact reproduce ioffe2015 --scale reduced
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact.data import few
from flaxact.diagnostics import Site
from flaxact.figures import COLORS, figure, percent
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.cells import errors_by_rate, mean_cell, share_cell
from flaxact.reproduction.claim import Claim, Published, Table
from flaxact.reproduction.comparisons import (
    Curves,
    by_member,
    last_values,
    paired_ratio,
    points_above,
)
from flaxact.reproduction.curves import Curve, tune_by_curves
from flaxact.reproduction.tuning import Score, Search, Tuned, error_score
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, share_interval
from flaxact.stored.schema import decode
from flaxact.training import Recipe, grid

from . import _earlier_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "ioffe2015batch"
upgraded = _earlier_runs.ioffe2015
NORMS = ("none", "batch")
NAMES = {"none": "without", "batch": "with batch norm"}
PUBLISHED_RATE = 0.001  # of the second pair
THROUGHOUT = 0.95  # share of epochs
TUNING_SEED = 1000  # chooses rates and weights; not evaluated
RATES = (0.1, 0.3, 0.9, 2.7, 8.1)
PAIR_RATES = (PUBLISHED_RATE, 0.01, 0.1, 1.0)
SEARCH = Search(rates=RATES, epochs=20)
PAIR_SEARCH = Search(rates=PAIR_RATES, epochs=8, widenings=1)
CAFFE_POINTS = "points of test error after 60,000 steps (reduced: 400), without less with, paired"
PERCENTILES = "inputs of a sigmoid: 15th, 50th and 85th percentile"
CLAIMS = (
    Claim(
        "dominates",
        "With batch norm and each net at its best the test accuracy is higher throughout in "
        "most trainings.",
        "share of seeds for which it is higher after 95% of the epochs", low=0.5,
        published=Published("the batch-normalized network enjoys the higher test accuracy", "§4.1"),
        family="throughout",
    ),
    Claim(
        "dominates_small",
        "With batch norm and small initial weights the test accuracy is higher "
        "throughout in most trainings, with each net at its best rate for these weights.",
        "share of seeds for which it is higher after 95% of the epochs", low=0.5,
        published=Published("small random Gaussian values", "§4.1"), family="throughout",
    ),
    Claim(
        "higher",
        "With batch norm the net ends with the lower test error, with each net at its best.",
        "points of test error at the end, without less with, paired by seed", low=0.0,
        published=Published("achieve higher accuracy", "figure 1"),
    ),
    Claim(
        "steadier", "With batch norm the inputs of the last sigmoids drift less.",
        "drift, without over with, paired by seed", low=1.0, family="drift",
        published=Published("much more stable as training progresses", "§4.1"),
    ),
    Claim(
        "five_times", "With batch norm the inputs of the last sigmoids drift five times less.",
        "drift, without over with, paired by seed", low=5.0,
        retired="it is the number of the claim above with a second range, which was ours",
    ),
    Claim(
        "relative", "With batch norm the inputs of the last sigmoids drift less over their spread.",
        "drift over spread, without over with, paired by seed", low=1.0, family="drift",
    ),
    Claim(
        "caffe",
        "At the published rate Caffe's sigmoid net for CIFAR-10 does better with batch norm.",
        CAFFE_POINTS, low=0.0, family="Caffe's net",
        published=Published("a plot", "BVLC/caffe pull request 1965"),
    ),
    Claim(
        "caffe_tuned",
        "With each net at its best rate Caffe's sigmoid net for CIFAR-10 does better with "
        "batch norm.",
        CAFFE_POINTS, low=0.0, family="Caffe's net",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the first pair; the fields from ``pair_dataset`` on are for the second.

    Attributes:
      model: options of ``mlp_bn``, without weights and norm.
      stds: standard deviations of the weights to search at, ascending; ``search`` is run at each of them.
    """

    reduced: str
    dataset: str = "mnist"
    images: int | None = None  # for training; None for all
    model: str = ""
    stds: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    search: Search = SEARCH
    epochs: int = 20
    seeds: int = 10
    pair_dataset: str = "cifar10"
    pair_model: str = "cifar_full_sigmoid(width=0.25, norm={})"  # with braces for the norm
    pair_images: int | None = None
    pair_test: int | None = None
    pair_batch_size: int = 50
    pair_search: Search = PAIR_SEARCH
    pair_epochs: int = 8
    pair_seeds: int = 5


SCALES = {
    "smoke": Settings(
        reduced="Few images, small nets.",
        dataset="mnist5k",
        images=240,
        model="hidden=8, depth=2, ",
        stds=(0.3,),
        search=Search(rates=RATES[2:4], epochs=2, widenings=0),
        epochs=2,
        seeds=2,
        pair_dataset="mnist5k",
        pair_model="mlp_bn(hidden=8, depth=1, norm={})",
        pair_images=100,
        pair_test=50,
        pair_search=Search(rates=PAIR_RATES[:2], epochs=2, widenings=0),
        pair_epochs=2,
        pair_seeds=2,
    ),
    "reduced": Settings(
        reduced="First pair: 20,000 of 60,000 images and 6,660 of 50,000 steps. Second pair: a quarter "
        "of the width, 2,500 of 50,000 images, 400 of 60,000 steps of 50 images.",
        images=20_000,
        stds=(0.03, 0.3, 1.0),
        pair_images=2500,
        pair_test=2000,
    ),
    "full": Settings(
        reduced="The published protocol, with a search for what is not stated.",
        search=replace(SEARCH, epochs=50),
        epochs=50,
        pair_model="cifar_full_sigmoid(norm={})",
        pair_batch_size=100,
        pair_search=replace(PAIR_SEARCH, rungs=(20,), keep=(2,), epochs=120),
        pair_epochs=120,
    ),
}


def percentiles(site: Site) -> jax.Array:
    """The 15th, 50th and 85th percentile of each unit's inputs: (3, units)."""
    rows = site.pre.reshape(-1, site.pre.shape[-1])
    return jnp.percentile(rows, jnp.array([15.0, 50.0, 85.0]), axis=0)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Evaluated runs of the first pair.

    Attributes:
      test_error: by seed and epoch.
      drift: by seed.
      relative: by seed, the drift over the spread.
      typical: by percentile and epoch, the inputs of the unit of median drift, of the first seed.
    """

    steps_per_epoch: int
    test_error: Curves
    drift: tuple[float, ...]
    relative: tuple[float, ...]
    typical: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CaffeRuns:
    """The search of the second pair, and test errors at the published and at the best rate."""

    tuned: Tuned
    published: Curves
    best: Curves


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results by norm. The chosen weights and rates, and the runs, are also by "best" and "small"."""

    searched: dict[str, dict[str, Tuned]]
    chosen: dict[str, dict[str, tuple[float, ...]]]
    runs: dict[str, dict[str, Runs]]
    pair: dict[str, CaffeRuns]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Search rates by net and weights; run both comparisons of the first pair, and the second pair."""
    searched: dict[str, dict[str, Tuned]] = {norm: {} for norm in NORMS}
    pair: dict[str, CaffeRuns] = {}
    for norm in NORMS:
        for std in settings.stds:
            search = functools.partial(_search, norm, std, settings, workspace)
            searched[norm][f"{std:g}"] = workspace.attempt(search)
        pair[norm] = workspace.attempt(functools.partial(_pair, norm, settings, workspace))
    workspace.check_complete()
    chosen: dict[str, dict[str, tuple[float, float]]] = {"best": {}, "small": {}}
    runs: dict[str, dict] = {"best": {}, "small": {}}
    for norm, choices in searched.items():
        best = min(choices, key=lambda std: choices[std].best_score)
        for which, std in (("best", best), ("small", next(iter(choices)))):
            rate = choices[std].best
            chosen[which][norm] = float(std), rate
            evaluate = functools.partial(_drifting, norm, std, settings, workspace, rate=rate)
            runs[which][norm] = workspace.attempt(evaluate)
    workspace.check_complete()
    return Results(searched=searched, chosen=chosen, runs=runs, pair=pair)


def _search(norm: str, std: float, settings: Settings, workspace: Workspace) -> Tuned:
    """The search of the first pair, for one net and one size of weights."""
    return tune_by_curves(
        workspace,
        f"tuning/{norm}-{std:g}",
        settings.search,
        functools.partial(_train_score, first=0),
        net=from_linen(_module(norm, std, settings)),
        recipe=Recipe(settings.epochs, batch_size=60, momentum=0.0),
        load=lambda: workspace.data(settings.dataset, settings.images, 1),
        score=tuple,
        seed=TUNING_SEED,
    )


def _train_score(curve: Curve, *, first: int) -> Score:
    """Of the mean training error from an epoch to the end."""
    errors = np.array(curve.window_errors[first:], float)
    return error_score(None if curve.has_diverged else round(float(errors.mean()), 5))


def _module(norm: str, std: float, settings: Settings) -> nn.Module:
    return create_model(f"mlp_bn({settings.model}std={std}, norm={norm})", "sigmoid")


def _drifting(
    norm: str, std: str, settings: Settings, workspace: Workspace, *, rate: float
) -> dict[str, object]:
    """Evaluated runs of the first pair, as ``Runs``."""
    label = f"final-{norm}-{std}-{rate:g}"

    def compute() -> dict[str, object]:
        data = workspace.data(settings.dataset, settings.images)
        module = _module(norm, float(std), settings)
        recipe = Recipe(settings.epochs, batch_size=60, momentum=0.0)
        members = grid(range(settings.seeds), [rate])
        images = few(data.train, 1000).images
        lines, probes = workspace.train_probed(
            label, module, recipe, data, members=members, images=images, measures=[percentiles]
        )
        sites = [list(line["sites"].values())[-1]["percentiles"] for line in probes[1:]]
        inputs = np.array(sites, float)  # (epochs, seeds, 3, units)
        drift = np.abs(inputs[:, :, 1] - inputs[-1, :, 1]).max(0)
        relative = drift / (inputs[-1, :, 2] - inputs[-1, :, 0])
        typical = int(np.argsort(drift[0])[drift.shape[1] // 2])
        return {
            "steps_per_epoch": len(data.train.labels) // 60,
            "test_error": by_member(lines, "test_error", digits=5),
            "drift": np.median(drift, 1).round(5).tolist(),
            "relative": np.median(relative, 1).round(5).tolist(),
            "typical": inputs[:, 0, :, typical].T.round(4).tolist(),
        }

    return workspace.cached(label, compute)


def _pair(norm: str, settings: Settings, workspace: Workspace) -> CaffeRuns:
    """The search of the second pair; by seed, test errors at the published and at the best rate."""
    net = from_linen(create_model(settings.pair_model.format(norm), "sigmoid"))
    recipe = Recipe(settings.pair_epochs, settings.pair_batch_size)
    data = functools.partial(workspace.data, settings.pair_dataset, settings.pair_images)

    def evaluate(label: str, rate: float) -> list[list[float | None]]:
        members = grid(range(settings.pair_seeds), [rate])
        tested = data(settings.pair_test)
        lines = workspace.train_lines(label, net, recipe, tested, members=members)
        return by_member(lines, "test_error", digits=5)

    tuned = tune_by_curves(
        workspace,
        f"tuning/pair-{norm}",
        settings.pair_search,
        functools.partial(_train_score, first=-1),
        net=net,
        recipe=recipe,
        load=lambda: data(1),
        score=tuple,
        seed=TUNING_SEED,
    )
    errors = {}
    for which, rate in (("published", PUBLISHED_RATE), ("best", tuned.best)):
        label = f"pair-{norm}-{rate:g}"
        errors[which] = workspace.cached(label, functools.partial(evaluate, label, rate))
    return decode(CaffeRuns, {"tuned": asdict(tuned), **errors})


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    best = results.runs["best"]
    pair = results.pair
    drift = paired_ratio(*(best[norm].drift for norm in NORMS))
    return {
        "dominates": _throughout(best),
        "dominates_small": _throughout(results.runs["small"]),
        "higher": points_above(*(last_values(best[norm].test_error) for norm in NORMS)),
        "steadier": drift,
        "five_times": drift,
        "relative": paired_ratio(*(best[norm].relative for norm in NORMS)),
        "caffe": points_above(*(last_values(pair[norm].published) for norm in NORMS)),
        "caffe_tuned": points_above(*(last_values(pair[norm].best) for norm in NORMS)),
    }


def _throughout(runs: Mapping[str, Runs]) -> Interval:
    """The share of seeds with the higher accuracy with batch norm, after nearly every epoch."""
    none, batch = (np.array(runs[norm].test_error, float) for norm in NORMS)
    counted = (batch < none).mean(1) >= THROUGHOUT
    return share_interval(int(counted.sum()), len(counted))


def tables(results: Results) -> list[Table]:
    """Both comparisons, the second pair, the searches."""
    compared = []
    pair = []
    searches = []
    for which, (norm, name) in itertools.product(("best", "small"), sorted(NAMES.items())):
        runs = results.runs[which][norm]
        std, rate = results.chosen[which][norm]
        cells = (which, name, f"{std:g}", f"{rate:g}", share_cell(last_values(runs.test_error)))
        compared.append((*cells, mean_cell(runs.drift), mean_cell(runs.relative)))
    for norm, name in NAMES.items():
        caffe = results.pair[norm]
        errors = (share_cell(last_values(curves)) for curves in (caffe.published, caffe.best))
        pair.append((name, *errors, f"{caffe.tuned.best:g}"))
        searched = {f"std {std}": tuned for std, tuned in results.searched[norm].items()}
        for weights, tuned in {**searched, "Caffe's": caffe.tuned}.items():
            edge = f"; the best is the {tuned.edge} tried" if tuned.edge else ""
            searches.append((name, weights, errors_by_rate(tuned) + edge))
    header = (
        "weights",
        "net",
        "std of weights",
        "rate",
        "test error",
        "drift",
        "drift over spread",
    )
    pair_header = ("net", "test error, published rate", "test error, best rate", "best rate")
    search_header = ("net", "weights", "training error by rate")
    return [
        Table("Three layers of sigmoids on MNIST", header, tuple(compared)),
        Table("Caffe's sigmoid net on CIFAR-10", pair_header, tuple(pair)),
        Table("The search, on the tuning seed", search_header, tuple(searches)),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """The paper's figure 1: test accuracy, and the percentiles of a typical unit."""
    drawing, (left, *panels) = figure(13, 4, 3)
    best = results.runs["best"]
    steps = best["none"].steps_per_epoch
    for which, style in (("best", "-"), ("small", ":")):
        for norm, color in zip(NORMS, COLORS, strict=False):
            accuracies = 1 - np.array(results.runs[which][norm].test_error, float)
            x = steps * np.arange(1, accuracies.shape[1] + 1)
            label = f"{NAMES[norm]}, {which} weights"
            ends = (accuracies.min(0), accuracies.max(0))
            left.fill_between(x, *ends, color=color, alpha=0.15, lw=0)
            left.plot(x, np.median(accuracies, 0), style, color=color, lw=1.4, label=label)
    left.set(xlabel="step", ylabel="test accuracy", ylim=(0.7, 1.0))
    left.set_title(f"{len(best['none'].drift)} seeds: median and range", fontsize=9)
    left.yaxis.set_major_formatter(percent())
    left.legend(frameon=False, fontsize=8, loc="lower right")
    typical = {norm: np.array(best[norm].typical) for norm in NORMS}
    lowest = min(low.min() for low, _, _ in typical.values())
    highest = max(high.max() for _, _, high in typical.values())
    for panel, norm, color in zip(panels, NORMS, COLORS, strict=False):
        low, middle, high = typical[norm]
        x = steps * np.arange(1, len(middle) + 1)
        panel.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        panel.plot(x, middle, color=color)
        panel.set(xlabel="step", ylabel=PERCENTILES, ylim=(lowest - 1, highest + 1))
        drift = f"{np.abs(middle - middle[-1]).max():.2f}"
        panel.set_title(f"{NAMES[norm]}, seed 0: the unit of median drift, {drift}", fontsize=9)
    return {"Accuracy and percentiles": drawing}
