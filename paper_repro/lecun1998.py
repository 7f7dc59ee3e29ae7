"""LeCun et al. 1998: inputs with mean 0 make learning faster, and so do hidden layers with mean 0.

Efficient BackProp, §4.3 to 4.5 and 5: the Hessian of a linear unit is the second-moment matrix of its
inputs, and gradient descent needs steps in proportion to that matrix's condition number κ. Inputs with
a mean c add one large eigenvalue, near n c² for n inputs: so inputs are to be centred, and, as a
layer's outputs are the next one's inputs, sigmoids to be symmetric about 0. The chapter prints no
figures for this; the ranges are ours. If it holds, ReLU, which is never negative, ought to be mended by
centring it.

Linear unit: n Gaussian inputs of variance 1 and mean c, targets made by Gaussian weights. Gradient
descent at the best rate, 2 / (λmax + λmin), until a millionth of the excess error is left. Theory: λmax
is 1 + n c², and the steps ln(tolerance) / (2 ln((κ - 1) / (κ + 1))).

Images: ten linear units with a bias learn the digits by least squares, from pixels between 0 and 1 as
they are, less their mean, and also divided by their standard deviation. Some pixels never change, so
that κ says nothing; the rate is that share of 2 / λmax with the fewest steps, by the eigenvalues, until
5% of the excess is left. Those steps are then made.

Hidden layers: multilayer perceptrons learn MNIST by stochastic gradient descent without momentum,
weights drawn so that signals keep their second moment (``variance_preserving``; He's for ReLU), biases
0, pixels centred and their mean square near 1. Activations share seeds, batches and rates. Layers are
looked at after all epochs, at one rate: κ is of E hhᵀ over training images, in float64 and without
units that are always 0, its geometric mean over layers. Speed is in epochs until the running training
error falls to 5%, each at the rate with the fewest in geometric mean over seeds.

    flaxact reproduce lecun1998 --scale reduced
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._figures import COLOURS, MARKERS, figure
from flaxact.data import Dataset, preprocess
from flaxact.diagnostics import capture
from flaxact.diagnostics.record import Recorder, read
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, mean_interval, ratio_interval
from flaxact.studies.claims import Claim, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import curves, fewest_epochs, times_sooner
from flaxact.theory.descent import linear_layer
from flaxact.training import Recipe, grid

SOURCE = "lecun1998efficient"
RELU, CENTRED = "relu", "centered(relu)"
ACTIVATIONS = (RELU, CENTRED, "elu", "tanh", "sigmoid")
MEANS = (0.0, 0.5, 1.0, 2.0)
TOLERANCE, TARGET = 1e-6, 0.05

CLAIMS = (
    Claim(
        "eigenvalue", "A mean c of n inputs of variance 1 makes the largest eigenvalue 1 + n c².",
        "λmax over 1 + n c², at c = 1", 0.95, 1.05,
    ),
    Claim(
        "steps", "At c = 1 gradient descent needs the steps that the condition number says.",
        "steps made over ln(tolerance) / (2 ln((κ - 1) / (κ + 1)))", 0.9, 1.1,
    ),
    Claim(
        "slower", "A mean of one standard deviation makes it ten times slower or worse, at 50 inputs.",
        "steps at c = 1 over steps at c = 0", low=10,
    ),
    Claim(
        "pixels_eigenvalue", "Centring MNIST's pixels takes away most of the largest eigenvalue.",
        "λmax of pixels over λmax of centred pixels", low=2,
    ),
    Claim("pixels", "Linear units learn digits sooner from them.", "steps, pixels over centred", low=1),
    Claim("pixels_size", "In half as many steps or fewer.", "steps, pixels over centred", low=2),
    Claim(
        "shift", "After training, ReLU layers have a larger mean than centred ReLU layers.",
        "mean over standard deviation, ReLU over centred ReLU", low=1,
    ),
    Claim(
        "layer_eigenvalue", "Their largest eigenvalue has more of the second moment.",
        "λmax over trace, ReLU over centred ReLU", low=1,
    ),
    Claim("condition", "Their condition number is larger.", "κ, ReLU over centred ReLU", low=1),
    Claim("elu_condition", "And larger than that of ELU layers.", "κ, ReLU over ELU", low=1),
    Claim("speed", "Centred ReLU nets learn sooner than ReLU nets.", "epochs, ReLU over centred", low=1),
    Claim("elu_speed", "ELU nets learn sooner than ReLU nets.", "epochs, ReLU over ELU", low=1),
    Claim(
        "symmetric", "Nets of tanh, which is symmetric, learn sooner than nets of sigmoids.",
        "epochs, sigmoid over tanh", low=1,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Of the study."""

    reduced: str
    seeds: int
    dataset: str
    train: int | None
    depth: int
    hidden: int
    rates: tuple[float, ...]
    epochs: int
    probed: int = 2000
    left: float = 0.05  # of the excess error, on images
    alike: float = 0.1  # the rate at which layers are compared
    inputs: int = 50
    examples: int = 20_000
    activations: tuple[str, ...] = ACTIVATIONS


SCALES = {
    "smoke": Settings(
        "Tiny.", 2, "mnist5k", 400, 1, 8, (0.03, 0.1), 1, 200, 0.5, 0.1, 50, 2000, ACTIVATIONS[:3]
    ),
    "reduced": Settings(
        "The chapter has no protocol; against the full scale, 10,000 of MNIST's images, three layers of "
        "64 units, 6 seeds.", 6, "mnist", 10_000, 3, 64, (0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2), 12,
    ),
    "full": Settings(
        "The chapter has no protocol; all of MNIST, four layers of 256 units, 10 seeds.",
        10, "mnist", None, 4, 256, (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2), 20, 10_000,
    ),
}  # fmt: skip


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Linear units on Gaussian inputs and on images; nets, the shape of their layers and their speed."""
    gaussian = []
    for mean, seed in itertools.product(MEANS, range(settings.seeds)):
        one = functools.partial(_gaussian, mean, seed, settings)
        gaussian.append(work.piece(f"gaussian-{mean}-{seed}", one))
    data = work.data(settings.dataset, settings.train)
    pixels = work.piece("pixels", lambda: _pixels(data, settings.left))
    nets = {act: _net(act, settings, work, data) for act in settings.activations}
    about = {key: getattr(settings, key) for key in ("inputs", "rates", "epochs")}
    return about | {"gaussian": gaussian, "pixels": pixels, "nets": nets}


def _gaussian(mean: float, seed: int, settings: Settings) -> dict[str, float]:
    generator = np.random.default_rng(seed)
    x = mean + generator.normal(size=(settings.examples, settings.inputs))
    unit = linear_layer(x, x @ generator.normal(size=(settings.inputs, 1)))
    k = unit.condition_number
    return {
        "mean": mean, "lambda_max": unit.spectrum[0][-1], "condition": k,
        "theory": math.log(TOLERANCE) / (2 * math.log((k - 1) / (k + 1))),
        "steps": unit.descend(unit.best_rate, TOLERANCE),
    }  # fmt: skip


def _pixels(data: Dataset, left: float) -> list[dict[str, Any]]:
    raw = data.train.images.reshape(len(data.train.labels), -1) / 255.0
    std, centred, found = raw.std(0), raw - raw.mean(0), []
    targets, scaled = (
        np.eye(data.num_classes)[data.train.labels],
        centred / np.where(std > 0, std, 1),
    )
    for name, x in (("as they are", raw), ("centred", centred), ("centred, variance 1", scaled)):
        layer = linear_layer(np.pad(x, ((0, 0), (0, 1)), constant_values=1), targets)
        values, shares = layer.spectrum[0], np.linspace(0, 1, 300)[1:-1]
        rates = 2 * shares / values[-1]
        steps = [layer.steps(rate, left) for rate in rates]
        best = int(np.argmin(steps))
        found.append({
            "pixels": name, "lambda_max": values[-1], "share": values[-1] / values.sum(),
            "theory": steps[best], "steps": layer.descend(rates[best], left), "rate": shares[best],
        })  # fmt: skip
    return found


def _net(act: str, settings: Settings, work: Work, data: Dataset) -> dict[str, Any]:
    """Training errors by rate, seed and epoch; of nets trained alike, their layers by seed."""
    data = preprocess(["per_pixel_mean", "rescale(mean=0.0, std=0.26)"], data)
    spec = f"mlp_elu(depth={settings.depth}, hidden={settings.hidden})"
    model = create_model(spec, act, num_classes=data.num_classes, kernel_init="variance_preserving")
    net, name = from_linen(model), act.replace("(", "-").rstrip(")")
    recipe = Recipe(epochs=settings.epochs, batch_size=100, momentum=0.0)
    members = grid(range(settings.seeds), settings.rates)
    images, probes = data.train.images[: settings.probed], work.folder / f"{name}.jsonl"
    watch = Recorder(probes, model, images, measures=("mean_to_std",))
    rows = work.train(name, net, recipe, data, members, watch=watch)
    first = settings.rates.index(settings.alike) * settings.seeds
    alike = range(first, first + settings.seeds)
    states = work.states(name, net, recipe, data, members)

    def layers() -> list[Any]:
        each = (jax.tree.map(lambda a, i=i: a[i], states.variables) for i in alike)
        return [_layers(model, variables, images) for variables in each]

    sites = [list(row["sites"].values()) for row in read(probes)]
    shift = [[[site["mean_to_std"][i] for site in row] for i in alike] for row in sites]
    return {
        "errors": curves(rows, len(settings.rates)), "layers": work.piece(f"{name}-layers", layers),
        "shift": np.array(shift, float).mean((1, 2)).round(5).tolist(),
    }  # fmt: skip


def _layers(model: Any, variables: Any, images: Any) -> list[dict[str, float]]:
    """Of each hidden layer's living units: κ, the share of the largest eigenvalue, and the means."""
    found = []
    for site in capture(model, variables, jnp.asarray(images)).sites.values():
        rows = np.asarray(site.post, np.float64).reshape(len(images), -1)
        rows = rows[:, rows.any(0)]
        values, means = np.linalg.eigvalsh(rows.T @ rows / len(rows)), np.sum(rows.mean(0) ** 2)
        found.append({
            "condition": values[-1] / max(values[0], values[-1] * 1e-15),
            "lambda_max": values[-1] / values.sum(), "mean": float(means / values.sum()),
            "shift": math.sqrt(means / np.sum(rows.var(0))), "units": len(values),
        })  # fmt: skip
    return found


def _epochs(results: dict[str, Any], act: str) -> list[float] | None:
    return fewest_epochs(results["nets"].get(act, {"errors": []})["errors"], TARGET)


def _layer(results: dict[str, Any], act: str, key: str) -> list[float]:
    """By seed, the geometric mean over layers."""
    seeds = results["nets"][act]["layers"]
    return [math.exp(np.mean([math.log(layer[key]) for layer in layers])) for layers in seeds]


def _of(results: dict[str, Any], mean: float, key: str) -> list[float]:
    return [row[key] for row in results["gaussian"] if row["mean"] == mean]


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims; pixels are one data set, so that theirs have no interval."""
    raw, centred, _ = results["pixels"]
    exact = {key: Interval(*3 * (raw[key] / centred[key],)) for key in ("lambda_max", "steps")}

    def over(key: str, other: str) -> Interval:
        return ratio_interval(_layer(results, RELU, key), _layer(results, other, key))

    def sooner(slow: str, fast: str) -> Interval:
        return times_sooner(_epochs(results, slow), _epochs(results, fast), results["epochs"])

    largest = [value / (1 + results["inputs"]) for value in _of(results, 1.0, "lambda_max")]
    return {
        "eigenvalue": mean_interval(largest),
        "steps": ratio_interval(_of(results, 1.0, "steps"), _of(results, 1.0, "theory")),
        "slower": ratio_interval(_of(results, 1.0, "steps"), _of(results, 0.0, "steps")),
        "pixels_eigenvalue": exact["lambda_max"],
        "pixels": exact["steps"], "pixels_size": exact["steps"],
        "shift": over("shift", CENTRED), "layer_eigenvalue": over("lambda_max", CENTRED),
        "condition": over("condition", CENTRED), "elu_condition": over("condition", "elu"),
        "speed": sooner(RELU, CENTRED), "elu_speed": sooner(RELU, "elu"),
        "symmetric": sooner("sigmoid", "tanh"),
    }  # fmt: skip


def tables(results: dict[str, Any]) -> list[Table]:
    """Gaussian inputs by mean; pixels; nets by activation."""
    gaussian, nets = [], []
    for c in MEANS:
        keys = ("lambda_max", "condition", "theory", "steps")
        found = (shown(mean_interval(_of(results, c, key))) for key in keys)
        gaussian.append((f"{c:g}", f"{1 + results['inputs'] * c**2:g}", *found))
    keys = ("lambda_max", "share", "theory", "steps")
    pixels = [(row["pixels"], *(f"{row[key]:.3g}" for key in keys)) for row in results["pixels"]]
    for act in results["nets"]:
        epochs, keys = _epochs(results, act), ("condition", "lambda_max", "mean", "shift")
        spent = shown(mean_interval(epochs)) if epochs else f"more than {results['epochs']}"
        shapes = (shown(mean_interval(_layer(results, act, key))) for key in keys)
        nets.append((act, *shapes, spent))
    steps = ("steps, theory", "steps")
    layers = ("activation", "κ", "λmax / trace", "mean² / trace", "mean / deviation")
    return [
        Table("A linear unit", ("mean c", "1 + n c²", "λmax", "κ", *steps), tuple(gaussian)),
        Table("Linear units on images", ("pixels", "λmax", "of the trace", *steps), tuple(pixels)),
        Table("Hidden layers", (*layers, f"epochs to {TARGET:.0%} training error"), tuple(nets)),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Bias shift by epoch of nets trained alike, and epochs to the target by rate."""
    made, (left, right) = figure(9, 3.6, 2)
    for act, colour, marker in zip(results["nets"], COLOURS, MARKERS, strict=False):
        style = {"color": colour, "marker": marker, "markersize": 4, "label": act}
        left.plot(results["nets"][act]["shift"], **style)
        found = [fewest_epochs([rate], TARGET) for rate in results["nets"][act]["errors"]]
        right.plot(
            results["rates"], [np.mean(rate) if rate else math.nan for rate in found], **style
        )
    left.set(xlabel="epoch", ylabel="mean over standard deviation", ylim=(0, None))
    right.set(xscale="log", xlabel="learning rate")
    right.set_ylabel(f"epochs to {TARGET:.0%} training error")
    left.legend(frameon=False, fontsize=8)
    return {"Bias shift and speed": made}
