"""Glorot et al. 2011: rectifier nets are sparse and no worse than tanh nets.

Deep Sparse Rectifier Neural Networks (AISTATS 2011). After uniform initialisation around half of the
hidden outputs are exact zeros; a penalty on the outputs makes more of them; nets of rectifiers are as
good as nets of tanh or better, without unsupervised pretraining; and the softplus, a rectifier without
its hard zeros, has no advantage over it. We have not read the paper itself: the sentences are quoted
from it in other texts, and its table of test errors and its sparsity after training are known to us from
memory alone, so they are not printed. The range for the sparsity after training, 70% to 95%, and the
limit up to which accuracy is to stay, 80%, are ours.

Protocol: zoo model ``mlp_glorot``, three hidden layers, weights uniform as in Glorot and Bengio 2010,
biases 0, pixels from 0 to 1, plain SGD without momentum or decay, MNIST. Test errors are means over the
last third of the epochs. Each activation has the rate of a grid that gives the lowest one to one seed,
which is used for nothing else; the other seeds are paired: equal weights and batches. Zeros are counted
on 1,000 training images and averaged over the three layers.

The sparsity sweep trains rectifier nets at their best rate with ``activation_l1``: that weight times the
sum over all hidden units of the outputs, mean over the images of a batch, is added to the loss. Loss of
accuracy is the largest rise of a seed's test error over its net without penalty, among the weights whose
nets have 80% zeros or fewer. Whether the paper sums or averages over units we do not know, so weights of
the penalty cannot be compared with its own. Half of the units of the paper's rectifier layers may have
had their sign turned, to balance means: here none has.

To be kept in mind of the reduced run: softplus nets still learn when its 15 epochs end, so that it says
who is better so far; and of its penalties only one gives fewer than 80% zeros, so that a claim about the
way there needs more of them. Early stopping, which the paper may have used, would spare nets with strong
penalties some late jumps of their error.

Scales: zeros at initialisation are counted in nets of the published size in all of them but smoke.
Reduced trains nets with a quarter of the units on 20,000 images in batches of 50; full has 3 × 1,000
units, all images, batches of 10 (which we know from memory) and 50 epochs.

    flaxact reproduce glorot2011 --scale reduced
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import Any

import jax

from flaxact._figures import COLOURS, MARKERS, figure, percent
from flaxact.data import few
from flaxact.diagnostics import probe
from flaxact.diagnostics.record import Recorder, read
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, mean_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import by_member
from flaxact.training import Recipe, grid

SOURCE = "glorot2011deep"
ACTIVATIONS = ("relu", "tanh", "softplus")
SPARSE = 0.8  # up to which accuracy is to stay
TUNING = 1000  # the seed that chooses the rate
QUOTED = "the paper, as other texts quote it"

CLAIMS = (
    Claim(
        "init", "About half of the hidden outputs are exact zeros at initialisation.",
        "share of zeros, mean over layers", 0.45, 0.55,
        published=Published("around 50%", QUOTED, "secondhand"),
    ),
    Claim(
        "sparser", "Training makes rectifier nets sparser, without any penalty.",
        "share of zeros after training less that before, paired by seed", low=0.0,
    ),
    Claim(
        "sparse", "70% to 95% of the hidden outputs are zeros in the trained nets, with the penalty that "
        "gives the lowest test error.", "share of zeros, mean over layers", 0.7, 0.95,
    ),
    Claim(
        "as_good", "Rectifier nets are as good as tanh nets, to a tenth of a point, or better.",
        "points of test error, tanh less relu, paired by seed", low=-0.1,
        published=Published("equal or better performance", "abstract, " + QUOTED, "secondhand"),
    ),
    Claim(
        "better", "Rectifier nets are better than tanh nets.",
        "points of test error, tanh less relu, paired by seed", low=0.0,
    ),
    Claim(
        "hard_zeros", "Hard zeros do not hurt: softplus is no better.",
        "points of test error, softplus less relu, paired by seed", low=0.0,
    ),
    Claim(
        "kept", "Up to 80% zeros cost less than half a point of accuracy.",
        "largest rise of the test error over no penalty, points, paired by seed", high=0.5,
    ),
    Claim(
        "limit", "Too much sparsity does cost accuracy: the strongest penalty, a point or more.",
        "rise of the test error over no penalty, points, paired by seed", low=1.0,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the study; None for all images."""

    reduced: str
    data: str
    images: int | None
    test: int | None
    width: float
    initial_width: float
    initial_seeds: int
    epochs: int
    batch: int
    rates: tuple[float, ...]
    seeds: int
    penalties: tuple[float, ...]
    penalised_seeds: int


RATES = (0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
PENALTIES = (3e-4, 1e-3, 3e-3, 6e-3, 1e-2)
SCALES = {
    "smoke": Settings(
        "Few images, narrow nets.", "mnist5k", 200, 100, 0.02, 0.1, 3, 2, 50, RATES[1:3], 2, (1e-2,), 2
    ),
    "reduced": Settings(
        "3 × 250 units instead of 3 × 1,000 (but for the zeros at initialisation), 20,000 of 60,000 "
        "images, batches of 50, 15 epochs.",
        "mnist", 20_000, None, 0.25, 1.0, 10, 15, 50, RATES, 6, PENALTIES, 3,
    ),
    "full": Settings(
        "The published sizes as far as we know them; 50 epochs, without early stopping.",
        "mnist", None, None, 1.0, 1.0, 10, 50, 10, tuple(rate / 4 for rate in RATES), 10,
        (1e-4, *PENALTIES), 5,
    ),
}  # fmt: skip


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Zeros at initialisation; by activation, tuning and curves; by penalty, errors and zeros."""
    initial = work.piece("initial", lambda: _initial(settings, work))
    found: dict[str, Any] = {}
    for name in ACTIVATIONS:
        tuned = _train(f"tuning-{name}", name, settings, work, grid([TUNING], settings.rates))
        errors = [_late(curve) for curve in tuned["test_error"]]
        best = settings.rates[errors.index(min(errors))]
        members = grid(range(settings.seeds), [best])
        found[name] = {"rate": best, "tuning": errors}
        found[name] |= _train(f"final-{name}", name, settings, work, members)
    members = grid(range(settings.penalised_seeds), [found["relu"]["rate"]])
    swept = [
        {"penalty": weight}
        | _train(f"penalty-{weight:g}", "relu", settings, work, members, activation_l1=weight)
        for weight in settings.penalties
    ]
    return {"initial": initial, "rates": settings.rates, "trained": found, "penalised": swept}


def _initial(settings: Settings, work: Work) -> list[list[float]]:
    """By seed and layer, the share of zeros before training."""
    module = create_model(f"mlp_glorot(width={settings.initial_width})", "relu")
    images = few(work.data(settings.data).train, 1000).images
    found = []
    for seed in range(settings.initial_seeds):
        variables = module.init(jax.random.key(seed), images[:1])
        figures = probe(module, variables, images, measures=["zeros"])
        found.append([site["zeros"] for site in figures.values()])
    return found


def _train(
    folder: str, name: str, settings: Settings, work: Work, members: Any, **more: Any
) -> dict[str, Any]:
    """By member: the test error from epoch 1, and by epoch and layer the share of zeros, 0 included."""
    data = work.data(settings.data, settings.images, settings.test)
    module = create_model(f"mlp_glorot(width={settings.width})", name)
    file = work.folder / folder / "probes.jsonl"
    watch = Recorder(file, module, few(data.train, 1000).images, measures=["zeros"])
    recipe = replace(Recipe(settings.epochs, settings.batch, momentum=0.0), **more)
    rows = work.train(folder, from_linen(module), recipe, data, members, watch=watch)
    zeros = [[site["zeros"] for site in row["sites"].values()] for row in read(file)]
    return {
        # Where training has diverged all are wrong.
        **{
            key: by_member(rows, key, diverged=1.0, digits=5)
            for key in ("test_error", "train_error")
        },
        "zeros": [
            [[round(layer[at], 4) for layer in zeros[when]] for when in (0, -1)]
            for at in range(len(members))
        ],
    }


def _late(curve: list[float]) -> float:
    return statistics.fmean(curve[-math.ceil(len(curve) / 3) :])


def _last(found: dict[str, Any]) -> list[float]:
    return [_late(curve) for curve in found["test_error"]]


def _zeros(found: dict[str, Any], when: int) -> list[float]:
    """By seed, over layers: 0 for before training, 1 for after."""
    return [statistics.fmean(of[when]) for of in found["zeros"]]


def _points(one: list[float], other: list[float]) -> Interval:
    """The paired difference in points; of as many seeds as both have."""
    return mean_interval([100 * (a - b) for a, b in zip(one, other, strict=False)])


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    trained, swept = results["trained"], results["penalised"]
    relu, tanh, softplus = (_last(trained[name]) for name in ACTIVATIONS)
    best = min((trained["relu"], *swept), key=lambda found: statistics.fmean(_last(found)))
    kept = [_last(found) for found in swept if statistics.fmean(_zeros(found, 1)) <= SPARSE]
    rise = (
        [100 * (max(e) - none) for none, *e in zip(relu, *kept, strict=False)]
        if kept
        else [math.nan]
    )
    against = _points(tanh, relu)
    sparser = zip(*(_zeros(trained["relu"], when) for when in (0, 1)), strict=True)
    return {
        "init": mean_interval([statistics.fmean(layers) for layers in results["initial"]]),
        "sparser": mean_interval([b - a for a, b in sparser]),
        "sparse": mean_interval(_zeros(best, 1)),
        "as_good": against, "better": against, "hard_zeros": _points(softplus, relu),
        "kept": mean_interval(rise), "limit": _points(_last(swept[-1]), relu),
    }  # fmt: skip


def tables(results: dict[str, Any]) -> list[Table]:
    """Test errors and zeros by activation; both by penalty."""
    rows = [
        (
            name, f"{found['rate']:g}", shown(mean_interval(_last(found)), percent=True),
            f"{statistics.fmean(curve[-1] for curve in found['train_error']):.2%}",
            shown(mean_interval(_zeros(found, 1)), percent=True),
            ", ".join(f"{r:g}: {e:.2%}" for r, e in zip(results["rates"], found["tuning"], strict=True)),
        )
        for name, found in results["trained"].items()
    ]  # fmt: skip
    swept = [
        (
            f"{found.get('penalty', 0):g}", shown(mean_interval(_last(found)), percent=True),
            shown(mean_interval(_zeros(found, 1)), percent=True),
            ", ".join(f"{statistics.fmean(layer):.1%}" for layer in zip(
                *(of[1] for of in found["zeros"]), strict=True
            )),
        )
        for found in (results["trained"]["relu"], *results["penalised"])
    ]  # fmt: skip
    first = ("activation", "rate", "test error", "training error", "zeros", "test error by rate")
    second = ("penalty", "test error", "zeros", "by layer")
    return [
        Table("By activation", first, tuple(rows)),
        Table("Rectifier nets by weight of the penalty", second, tuple(swept)),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Test error by epoch; test error over sparsity, a dot a net."""
    made, (left, right) = figure(9, 3.6, 2)
    for (name, found), colour in zip(results["trained"].items(), COLOURS, strict=False):
        for place, curve in enumerate(found["test_error"]):
            label = None if place else f"{name}, rate {found['rate']:g}"
            left.plot(range(1, len(curve) + 1), curve, color=colour, lw=1, label=label)
    left.set(xlabel="epoch", ylabel="test error", yscale="log")
    shades = (results["trained"]["relu"], *results["penalised"])
    for found, colour, marker in zip(shades, COLOURS, MARKERS, strict=False):
        right.plot(
            _zeros(found, 1), _last(found), marker, color=colour, markersize=5,
            label=f"penalty {found.get('penalty', 0):g}",
        )  # fmt: skip
    right.axvline(SPARSE, color="#333333", lw=0.8, ls=":")
    right.set(xlabel="exact zeros, mean over layers", ylabel="test error", yscale="log")
    right.xaxis.set_major_formatter(percent())
    for axes in (left, right):
        axes.yaxis.set_major_formatter(percent())
        axes.yaxis.set_minor_formatter(percent())
        axes.tick_params(axis="y", which="minor", labelsize=7)
        axes.legend(frameon=False, fontsize=8)
    return {"Errors and sparsity": made}
