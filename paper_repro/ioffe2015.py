"""Ioffe and Szegedy 2015: batch normalisation makes sigmoid nets train, and steadies their inputs.

Batch Normalization (arXiv 1502.03167), section 4.1 and figure 1: a net of three hidden layers of 100
sigmoid units, on binary MNIST images, 50,000 steps of batches of 60. With batch normalisation its test
accuracy is higher as training progresses, and the 15th, 50th and 85th percentiles of a sigmoid's inputs
in the last hidden layer stay about where they are, where without it they change much. The text gives no
figures. What helps is settled; that it helps because inputs drift less is contested (Santurkar et al.
2018), and not tested here: only that they do.

Protocol: zoo model ``mlp_bn``, ``norm=batch`` against ``norm=none``, plain SGD. Learning rate and the
standard deviation of the "small random Gaussian" weights are not stated, so both are swept, for each net
by itself: the best pair has the lowest training error, mean over the epochs of a short training of one
seed, which is used for nothing else. The comparison is made twice, with each net at its own best pair,
and with the smallest weights of the sweep, each net at its best rate for them, as the paper's weights
were small. Seeds are paired: equal batches.

Drift of a unit: the greatest distance, after any epoch, between the median of its inputs and that at the
end, on 1,000 fixed training images, by the running averages that are used in testing; of a net, the
median over the 100 units of the last hidden layer. Five times smaller is our reading of "much more
stable". Relative drift is over the distance of a unit's 15th and 85th percentiles at the end, for without
normalisation inputs may be larger altogether.

The second pair is Caffe's ``cifar10_full_sigmoid`` and ``cifar10_full_sigmoid_bn`` (pull request 1965,
where a plot shows the second to do better): learning rate 0.001, momentum 0.9, no decay, 60,000 batches
of about 100. Compared at that rate and each at the best of a sweep, chosen as above by the training error
of the last epoch.

Scales: reduced has a third of MNIST's images for 20 epochs of 333 steps, and the second pair with a
quarter of the width on 2,500 images. Its six seeds are enough for all but "throughout" with small
weights: there the rate that is best for five epochs with batch norm is slow later. Full is as published.

    flaxact reproduce ioffe2015 --scale reduced
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._figures import COLOURS, figure, percent
from flaxact.data import few
from flaxact.diagnostics import Site
from flaxact.diagnostics.record import Recorder, read
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, mean_interval, ratio_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import by_member
from flaxact.training import Recipe, grid

SOURCE = "ioffe2015batch"
WRONG = {"diverged": 1.0, "digits": 5}  # of curves: where training has diverged all are wrong
NORMS = ("none", "batch")
NAMES = {"none": "without", "batch": "with batch norm"}
PUBLISHED_RATE = 0.001  # of the second pair
TUNING = 1000  # the seed that chooses rates and weights

CLAIMS = (
    Claim(
        "dominates", "With batch norm the test accuracy is higher throughout, each net at its best.",
        "share of epochs at which it is, paired by seed", low=0.95,
        published=Published("the batch-normalized network enjoys the higher test accuracy", "§4.1"),
    ),
    Claim(
        "dominates_small", "So it is with small initial weights, each net at its best rate for them.",
        "share of epochs at which it is, paired by seed", low=0.95,
        published=Published("small random Gaussian values", "§4.1"),
    ),
    Claim(
        "higher", "With batch norm the net ends with the lower test error, each at its best.",
        "points of test error at the end, without less with, paired by seed", low=0.0,
        published=Published("achieve higher accuracy", "figure 1"),
    ),
    Claim(
        "steadier", "With batch norm the inputs of the last sigmoids drift less.",
        "drift, without over with", low=1.0,
        published=Published("much more stable as training progresses", "§4.1"),
    ),
    Claim("five_times", "At least five times less.", "drift, without over with", low=5.0),
    Claim(
        "relative", "They drift less also for their spread.",
        "drift over spread, without over with", low=1.0,
    ),
    Claim(
        "caffe", "Caffe's sigmoid net for CIFAR-10 does better with batch norm, at the published rate.",
        "points of test error at the end, without less with, paired by seed", low=0.0,
        published=Published("a plot", "BVLC/caffe pull request 1965"),
    ),
    Claim(
        "caffe_tuned", "And with each at its best rate.",
        "points of test error at the end, without less with, paired by seed", low=0.0,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the first pair, and from ``pair_data`` of the second; None for all images."""

    reduced: str
    data: str
    images: int | None
    model: str
    stds: tuple[float, ...]
    rates: tuple[float, ...]
    tuning_epochs: int
    epochs: int
    seeds: int
    pair_data: str
    pair_model: str
    pair_images: int | None
    pair_test: int | None
    pair_batch: int
    pair_rates: tuple[float, ...]
    pair_tuning_epochs: int
    pair_epochs: int
    pair_seeds: int


RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
PAIR_RATES = (PUBLISHED_RATE, 0.01, 0.1, 1.0)
SCALES = {
    "smoke": Settings(
        "Few images, small nets.", "mnist5k", 240, "hidden=8, depth=2, ", (0.3,), RATES[2:4], 1, 2, 2,
        "mnist5k", "mlp_bn(hidden=8, depth=1, norm={})", 100, 50, 50, PAIR_RATES[:2], 1, 2, 2,
    ),
    "reduced": Settings(
        "First pair: 20,000 of 60,000 images and 6,660 of 50,000 steps. Second pair: a quarter of the "
        "width, 2,500 of 50,000 images, 400 of 60,000 steps of 50 images.",
        "mnist", 20_000, "", (0.03, 0.3, 1.0), RATES, 5, 20, 6,
        "cifar10", "cifar_full_sigmoid(width=0.25, norm={})", 2500, 2000, 50, PAIR_RATES, 4, 8, 3,
    ),
    "full": Settings(
        "The published protocol, with a sweep for what is not stated.",
        "mnist", None, "", (0.01, 0.03, 0.1, 0.3, 1.0), RATES, 10, 50, 10,
        "cifar10", "cifar_full_sigmoid(norm={})", None, None, 100, PAIR_RATES, 20, 120, 5,
    ),
}  # fmt: skip


def percentiles(site: Site) -> jax.Array:
    """The 15th, 50th and 85th percentile of each unit's inputs: (3, units)."""
    rows = site.pre.reshape(-1, site.pre.shape[-1])
    return jnp.percentile(rows, jnp.array([15.0, 50.0, 85.0]), axis=0)


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """The sweep, by net and weights; both comparisons of the first pair; the second pair."""
    sweep = {norm: _sweep(norm, settings, work) for norm in NORMS}
    chosen: dict[str, dict[str, tuple[float, float]]] = {"best": {}, "small": {}}
    for norm in NORMS:
        settled = [(min(errors), std, errors) for std, errors in sweep[norm]]
        for which, (low, std, errors) in (("best", min(settled)), ("small", settled[0])):
            chosen[which][norm] = std, settings.rates[errors.index(low)]
    found: dict[str, Any] = {"rates": settings.rates, "pair_rates": settings.pair_rates}
    for which, pairs in chosen.items():
        found[which] = {norm: _drifting(norm, *pairs[norm], settings, work) for norm in NORMS}
    pair = {norm: _pair(norm, settings, work) for norm in NORMS}
    return found | {"sweep": sweep, "chosen": chosen, "pair": pair}


def _sweep(norm: str, settings: Settings, work: Work) -> list[tuple[float, list[float]]]:
    """By standard deviation and rate, the training error, mean over epochs."""
    data, found = work.data(settings.data, settings.images), []
    for std in settings.stds:
        rows = work.train(
            f"tuning-{norm}-{std:g}", from_linen(_module(norm, std, settings)),
            Recipe(settings.tuning_epochs, batch_size=60, momentum=0.0), data,
            grid([TUNING], settings.rates),
        )  # fmt: skip
        found.append(
            (std, [round(statistics.fmean(c), 5) for c in by_member(rows, "train_error", **WRONG)])
        )
    return found


def _module(norm: str, std: float, settings: Settings) -> Any:
    return create_model(f"mlp_bn({settings.model}std={std}, norm={norm})", "sigmoid")


def _drifting(norm: str, std: float, rate: float, settings: Settings, work: Work) -> dict[str, Any]:
    """By seed, test errors, drift and relative drift; the percentiles of a typical unit of the first."""
    data, module = work.data(settings.data, settings.images), _module(norm, std, settings)
    folder = f"final-{norm}-{std:g}-{rate:g}"
    file = work.folder / folder / "probes.jsonl"
    watch = Recorder(file, module, few(data.train, 1000).images, measures=[percentiles])
    rows = work.train(
        folder, from_linen(module), Recipe(settings.epochs, batch_size=60, momentum=0.0), data,
        grid(range(settings.seeds), [rate]), watch=watch,
    )  # fmt: skip
    sites = [list(row["sites"].values())[-1]["percentiles"] for row in read(file)[1:]]
    taken = np.array(sites, float)  # (epochs, seeds, 3, units)
    drift = np.abs(taken[:, :, 1] - taken[-1, :, 1]).max(0)
    relative = drift / (taken[-1, :, 2] - taken[-1, :, 0])
    typical = int(np.argsort(drift[0])[drift.shape[1] // 2])
    return {
        "test_error": by_member(rows, "test_error", **WRONG),
        "drift": np.median(drift, 1).round(5).tolist(),
        "relative": np.median(relative, 1).round(5).tolist(),
        "typical": taken[:, 0, :, typical].T.round(4).tolist(),
    }


def _pair(norm: str, settings: Settings, work: Work) -> dict[str, Any]:
    """Training error by rate; by seed, test errors at the published and at the best rate."""
    data = work.data(settings.pair_data, settings.pair_images, settings.pair_test)
    net = from_linen(create_model(settings.pair_model.format(norm), "sigmoid"))
    rates, batch = settings.pair_rates, settings.pair_batch
    recipe = Recipe(settings.pair_tuning_epochs, batch)
    rows = work.train(f"pair-tuning-{norm}", net, recipe, data, grid([TUNING], rates))
    errors = [curve[-1] for curve in by_member(rows, "train_error", **WRONG)]
    best, found = rates[errors.index(min(errors))], {}
    for which, rate in (("published", PUBLISHED_RATE), ("best", best)):
        rows = work.train(
            f"pair-{norm}-{rate:g}", net, Recipe(settings.pair_epochs, batch), data,
            grid(range(settings.pair_seeds), [rate]),
        )  # fmt: skip
        found[which] = by_member(rows, "test_error", **WRONG)
    return {"tuning": errors, "rate": best, **found}


def _gain(pair: dict[str, Any], which: str = "test_error") -> Interval:
    """Points of test error at the end, without less with batch norm."""
    curves = zip(pair["none"][which], pair["batch"][which], strict=True)
    return mean_interval([100 * (none[-1] - batch[-1]) for none, batch in curves])


def _dominates(pair: dict[str, Any]) -> Interval:
    none, batch = (np.array(pair[norm]["test_error"]) for norm in NORMS)
    return mean_interval((batch < none).mean(1).tolist())


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    best = results["best"]
    drift = ratio_interval(*(best[norm]["drift"] for norm in NORMS))
    relative = ratio_interval(*(best[norm]["relative"] for norm in NORMS))
    return {
        "dominates": _dominates(best), "dominates_small": _dominates(results["small"]),
        "higher": _gain(best), "steadier": drift, "five_times": drift, "relative": relative,
        "caffe": _gain(results["pair"], "published"), "caffe_tuned": _gain(results["pair"], "best"),
    }  # fmt: skip


def tables(results: dict[str, Any]) -> list[Table]:
    """Both comparisons, the sweep, the second pair."""
    compared, swept, pair = [], [], []
    for norm, name in NAMES.items():
        for which in ("best", "small"):
            found, (std, rate) = results[which][norm], results["chosen"][which][norm]
            last = mean_interval([curve[-1] for curve in found["test_error"]])
            drifts = (shown(mean_interval(found[of])) for of in ("drift", "relative"))
            compared.append((which, name, f"{std:g}", f"{rate:g}", shown(last, True), *drifts))
        for std, errors in results["sweep"][norm]:
            swept.append((name, f"{std:g}", *(f"{error:.1%}" for error in errors)))
        found = results["pair"][norm]
        lasts = (mean_interval([c[-1] for c in found[which]]) for which in ("published", "best"))
        tuned = zip(results["pair_rates"], found["tuning"], strict=True)
        pair.append((
            name, *(shown(last, percent=True) for last in lasts), f"{found['rate']:g}",
            ", ".join(f"{rate:g}: {error:.1%}" for rate, error in tuned),
        ))  # fmt: skip
    first = ("weights", "net", "std of weights", "rate", "test error", "drift", "drift over spread")
    sweep = ("net", "std of weights", *(f"rate {rate:g}" for rate in results["rates"]))
    second = ("net", "error, published rate", "error, best rate", "best rate", "training error")
    return [
        Table("Three layers of sigmoids on MNIST", first, tuple(sorted(compared))),
        Table("The sweep: training error, mean over epochs", sweep, tuple(swept)),
        Table("Caffe's sigmoid net on CIFAR-10", second, tuple(pair)),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """The paper's figure 1: test accuracy, and the percentiles of a typical unit."""
    made, axes = figure(12, 3.6, 3)
    for which, style in (("best", "-"), ("small", ":")):
        for norm, colour in zip(NORMS, COLOURS, strict=False):
            for place, curve in enumerate(results[which][norm]["test_error"]):
                label = None if place else f"{NAMES[norm]}, {which} weights"
                epochs, right = range(1, len(curve) + 1), 1 - np.array(curve)
                axes[0].plot(epochs, right, style, color=colour, lw=1, label=label)
    axes[0].set(ylabel="test accuracy", ylim=(0.7, 1.0))
    axes[0].yaxis.set_major_formatter(percent())
    axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    for panel, norm, colour in zip(axes[1:], NORMS, COLOURS, strict=False):
        low, middle, high = results["best"][norm]["typical"]
        epochs = range(1, len(middle) + 1)
        panel.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(epochs, middle, color=colour)
        panel.set_ylabel(f"inputs of a sigmoid, {NAMES[norm]}")
    for panel in axes:
        panel.set_xlabel("epoch")
    return {"Accuracy and percentiles": made}
