"""Pennington et al. 2017: in very deep nets orthogonal tanh is an isometry and learns sooner than ReLU.

Resurrecting the sigmoid in deep learning through dynamical isometry (arXiv 1711.04735), abstract: "ReLU
networks are incapable of dynamical isometry. On the other hand, sigmoidal networks can achieve
isometry, but only with orthogonal weight initialization"; nets that achieve it "learn orders of
magnitude faster than networks that do not", and "properly-initialized deep sigmoidal networks
consistently outperform deep ReLU networks". We have read the abstract, not the paper: widths, depths
and rates are ours. It bounds the claim that ReLU is better than tanh: to Gaussian weights, and to
depths at which either trains.

Nets: hidden layers of the same width, weights orthogonal or Gaussian times σ_w, biases Gaussian times
σ_b. tanh is at the edge of chaos (``theory.edge_of_chaos``) for a small σ_b, so that the second moment
q of pre-activations stays small and tanh nearly linear; ReLU at its own, σ_w = √2 and no biases, which
is He's initialisation where weights are Gaussian. The first layer gives pre-activations of second
moment q, or 1 for ReLU.

Spectrum: singular values of the Jacobian from the first pre-activations to the last, at one Gaussian
input. Isometry is that they are all alike. How far from it is the variance of their squares over their
squared mean, which no σ_w changes: 0 for an isometry. Theory, for wide nets: the Jacobian is a product
of free matrices, whose relative variances add, so that it is L (r + E f'⁴ / (E f'²)² - 1) for L layers,
with r = 0 for orthogonal and 1 for Gaussian weights: 50 for orthogonal ReLU of 50 layers, and near 0
for tanh where q is small.

Training: MNIST with centred pixels, mini-batches of 64, stochastic gradient descent without momentum.
Speed is in epochs until the running training error falls to 25%, each net at the rate of the grid with
the fewest in geometric mean over seeds; an epoch is 40 steps. Errors are compared at the rates with the
lowest mean training error of the last epoch. ReLU is represented by the better of both initialisations.
A shallow pair says where the claim ends; that claim is ours.

    flaxact reproduce pennington2017 --scale reduced
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from flaxact._figures import COLOURS, figure, percent
from flaxact.data import Dataset, preprocess
from flaxact.diagnostics.isometry import (
    DeepNet,
    critical,
    expected_relative_variance,
    relative_variance,
)
from flaxact.statistics import Interval, difference_interval, mean_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import curves, fewest_epochs, times_sooner
from flaxact.training import Recipe, grid

SOURCE = "pennington2017isometry"
ISOMETRY, RELUS = "tanh, orthogonal", ("relu, orthogonal", "relu, Gaussian")
NETS = (ISOMETRY, "tanh, Gaussian", *RELUS)
BIAS_STD, TARGET = 0.01, 0.25


def _abstract(text: str) -> Published:
    return Published(text, "abstract")


CLAIMS = (
    Claim(
        "isometry", "Deep orthogonal tanh nets come near to an isometry.",
        "relative variance of squared singular values", high=1,
        published=_abstract("sigmoidal networks can achieve isometry"),
    ),
    Claim(
        "gaussian", "Deep tanh nets with Gaussian weights do not.",
        "relative variance of squared singular values", low=10,
        published=_abstract("only with orthogonal weight initialization"),
    ),
    Claim(
        "relu", "Nor do deep orthogonal ReLU nets.", "relative variance of squared singular values",
        low=10, published=_abstract("ReLU networks are incapable of dynamical isometry"),
    ),
    Claim(
        "theory", "The orthogonal tanh net's spectrum is as wide as free probability says.",
        "relative variance, measured over theory", 0.75, 1.33,
    ),
    Claim(
        "sooner", "Deep orthogonal tanh nets learn sooner than deep ReLU nets.", "epochs, ReLU over tanh",
        low=1, published=_abstract("consistently outperform deep ReLU networks"),
    ),
    Claim(
        "magnitude", "By an order of magnitude or more.", "epochs, ReLU over tanh", low=10,
        published=_abstract("orders of magnitude faster than networks that do not"),
    ),
    Claim(
        "magnitude_tanh", "They also learn sooner by an order of magnitude than Gaussian tanh nets.",
        "epochs, Gaussian over orthogonal", low=10,
        published=_abstract("orders of magnitude faster than networks that do not"),
    ),
    Claim(
        "error", "They end with a lower test error than deep ReLU nets.",
        "test error, ReLU less tanh", low=0,
        published=_abstract("consistently outperform deep ReLU networks"),
    ),
    Claim(
        "shallow", "Depth is what it takes: a shallow tanh net is less than twice as fast.",
        "epochs, ReLU over tanh, shallow", high=2,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the study; the Jacobian's net is wider than the one that is trained."""

    reduced: str
    depth: int
    shallow: int
    spectrum_width: int
    width: int
    dataset: str
    train: int
    test: int
    rates: tuple[float, ...]
    seeds: int
    epochs: int


SCALES = {
    "smoke": Settings("Tiny, the deep nets too.", 2, 2, 16, 8, "mnist5k", 256, 100, (0.01, 0.1), 2, 2),
    "reduced": Settings(
        "The paper's sizes are not known to us: here 50 layers of 200 units for the spectrum and of 100 "
        "for training, on 2,560 images of MNIST, 3 seeds.",
        50, 4, 200, 100, "mnist", 2560, 1000, (0.001, 0.003, 0.01, 0.03, 0.1), 3, 16,
    ),
    "full": Settings(
        "The paper's sizes are not known to us: here 200 layers of 400 units, on 2,560 images of MNIST.",
        200, 4, 400, 400, "mnist", 2560, 10_000, (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), 5, 100,
    ),
}  # fmt: skip


def deep(name: str, depth: int, width: int) -> DeepNet:
    """One of NETS, at the edge of chaos."""
    act, weights = name.split(", ")
    bias_std = BIAS_STD if act == "tanh" else 0.0
    return critical(act, depth, width, orthogonal=weights == "orthogonal", bias_std=bias_std)


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Singular values by seed, and errors by rate, seed and epoch, of each net."""
    data = work.data(settings.dataset, settings.train, settings.test)
    data = preprocess(["per_pixel_mean", "rescale(mean=0.0, std=66.0)"], data)  # of mean square 1
    found = {}
    for name in NETS:
        label = f"{name.replace(', ', '-')}-spectrum"
        values = work.piece(label, lambda name=name: _spectra(name, settings))
        found[name] = {"values": values, **_train(name, settings.depth, settings, work, data)}
    pair = (ISOMETRY, RELUS[1])
    shallow = {name: _train(name, settings.shallow, settings, work, data) for name in pair}
    about = {key: getattr(settings, key) for key in ("depth", "shallow", "rates", "epochs")}
    return {**about, "nets": found, "shallow_nets": shallow}


def _spectra(name: str, settings: Settings) -> list[list[float]]:
    net = deep(name, settings.depth, settings.spectrum_width)
    return [
        [float(f"{value:.4g}") for value in net.jacobian(seed)] for seed in range(settings.seeds)
    ]


def _train(
    name: str, depth: int, settings: Settings, work: Work, data: Dataset
) -> dict[str, list[Any]]:
    net = deep(name, depth, settings.width).classifier()
    recipe = Recipe(epochs=settings.epochs, batch_size=64, momentum=0.0)
    members = grid(range(settings.seeds), settings.rates)
    rows = work.train(f"{name.replace(', ', '-')}-{depth}", net, recipe, data, members)
    return {key: curves(rows, len(settings.rates), key) for key in ("train_error", "test_error")}


def _epochs(nets: dict[str, Any], *names: str) -> list[float] | None:
    """Of the soonest of several nets."""
    found = [fewest_epochs(nets[name]["train_error"], TARGET) for name in names]
    return min((one for one in found if one), key=math.prod, default=None)


def _best(net: dict[str, Any]) -> int:
    """The rate of the lowest mean training error in the last epoch; a diverged run counts as 1."""
    last = [[1.0 if seed[-1] is None else seed[-1] for seed in rate] for rate in net["train_error"]]
    return int(np.argmin([np.mean(rate) for rate in last]))


def _final(net: dict[str, Any], key: str) -> list[float]:
    return [1.0 if seed[-1] is None else seed[-1] for seed in net[key][_best(net)]]


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    nets, shallow, most = results["nets"], results["shallow_nets"], results["epochs"]
    found = {name: [relative_variance(values) for values in nets[name]["values"]] for name in NETS}
    theory = expected_relative_variance(deep(ISOMETRY, results["depth"], 1))
    sooner = times_sooner(_epochs(nets, *RELUS), _epochs(nets, ISOMETRY), most)
    relu = min((_final(nets[name], "test_error") for name in RELUS), key=sum)
    pair = (_epochs(shallow, RELUS[1]), _epochs(shallow, ISOMETRY))
    return {
        "isometry": mean_interval(found[ISOMETRY]), "gaussian": mean_interval(found["tanh, Gaussian"]),
        "relu": mean_interval(found[RELUS[0]]),
        "theory": mean_interval([value / theory for value in found[ISOMETRY]]),
        "sooner": sooner, "magnitude": sooner,
        "magnitude_tanh": times_sooner(_epochs(nets, "tanh, Gaussian"), _epochs(nets, ISOMETRY), most),
        "error": difference_interval(relu, _final(nets[ISOMETRY], "test_error")),
        "shallow": times_sooner(*pair, most),
    }  # fmt: skip


def tables(results: dict[str, Any]) -> list[Table]:
    """Spectra and training, a row a net."""
    spectra, trained = [], []
    for name in NETS:
        values = results["nets"][name]["values"]
        widths, least = [relative_variance(one) for one in values], [one[-1] for one in values]
        largest = [one[0] for one in values]
        theory = f"{expected_relative_variance(deep(name, results['depth'], 1)):.3g}"
        shown_values = (shown(mean_interval(each)) for each in (widths, largest, least))
        spectra.append((name, theory, *shown_values))
    every = [(results["depth"], results["nets"]), (results["shallow"], results["shallow_nets"])]
    for depth, nets in every:
        for name, net in nets.items():
            epochs, rate = _epochs(nets, name), results["rates"][_best(net)]
            spent = shown(mean_interval(epochs)) if epochs else f"more than {results['epochs']}"
            errors = (
                shown(mean_interval(_final(net, key)), percent=True)
                for key in ("train_error", "test_error")
            )
            trained.append((f"{depth}", name, spent, f"{rate:g}", *errors))
    header = ("net", "relative variance, theory", "ours", "largest singular value", "least")
    epochs = f"epochs to {TARGET:.0%} training error"
    return [
        Table(f"Jacobian of {results['depth']} layers", header, tuple(spectra)),
        Table(
            "Training",
            ("layers", "net", epochs, "best rate", "training error", "test error"),
            tuple(trained),
        ),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Singular values from large to small, and training error by epoch at the best rates."""
    made, (left, right) = figure(9, 3.6, 2)
    for name, colour in zip(NETS, COLOURS, strict=False):
        net = results["nets"][name]
        for seed, values in enumerate(net["values"]):
            share = (np.arange(len(values)) + 0.5) / len(values)
            left.plot(
                share,
                np.maximum(values, 1e-8),
                color=colour,
                lw=1.2,
                label=name if not seed else None,
            )
        for seed, errors in enumerate(net["train_error"][_best(net)]):
            known = [math.nan if error is None else error for error in errors]
            right.plot(
                range(1, len(known) + 1),
                known,
                color=colour,
                lw=1.2,
                label=name if not seed else None,
            )
    left.set(
        yscale="log", xlabel="share of singular values that are larger", ylabel="singular value"
    )
    right.set(xlabel="epoch", ylabel="training error", ylim=(0, 1))
    right.yaxis.set_major_formatter(percent())
    left.legend(frameon=False, fontsize=8)
    return {"Spectrum and speed": made}
