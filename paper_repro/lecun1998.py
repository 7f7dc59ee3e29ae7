"""LeCun et al. 1998: inputs with mean 0 make learning faster, and so do hidden layers with mean 0.

Claim: The Hessian of a linear unit is the second-moment matrix of its inputs, and gradient descent needs
steps in proportion to the condition number κ of that matrix. A mean c of n inputs adds one large
eigenvalue, near n c². So inputs are to be centered. The outputs of a layer are the inputs of the next
one, so sigmoids are to be symmetric about 0. (Efficient BackProp, §4.3 to 4.5 and §5.) The chapter prints
no figures for this, so all claims here are ours. ReLU is never negative: if the chapter is right, then
centering ReLU should help it.

Protocol: A linear unit has n Gaussian inputs of variance 1 and mean c, and targets made by Gaussian
weights. Gradient descent uses the best rate, 2 / (λmax + λmin), until a millionth of the excess error is
left. In theory λmax is 1 + n c², and the steps are ln(tolerance) / (2 ln((κ - 1) / (κ + 1))).

Images: Ten linear units with a bias learn the digits by least squares, from pixels between 0 and 1 as
they are, less their mean, and also divided by their standard deviation. Some pixels never change, so κ
says nothing. The rate is the share of 2 / λmax with the fewest steps, by the eigenvalues, until 5% of the
excess is left. Those steps are then made. All this is done on disjoint parts of the images, and the
intervals are over the parts.

Hidden layers: Multilayer perceptrons learn MNIST by stochastic gradient descent without momentum. Weights
are drawn so that signals keep their second moment (``variance_preserving``; He's for ReLU), biases are 0,
pixels are centered with a mean square near 1. Activations share seeds and batches. Layers are looked at
after all epochs, at one rate for all: κ is that of E hhᵀ over training images, in float64 and without
units that are always 0, as a geometric mean over layers. Seeds are compared in pairs. That centered ReLU
has a smaller mean only checks that centering took effect.

Speed: The running training error is the mean over one epoch of steps, recorded every 10 steps and dated
at the middle of its epoch. Speed is in epochs until it comes down to 5%. Each activation's rate is the
one with the fewest epochs for seed 100, which is not evaluated: rates are halved successively, and a grid
whose best rate is at an edge is widened.

Differences: The chapter has no protocol: sizes, data and ranges are ours.

Result (reduced, 6 seeds, 2026-11-28): ReLU takes 1.08 [1.03, 1.13] times as many epochs as centered
ReLU, and ELU learns 1.09 [1.04, 1.15] times sooner than ReLU. ReLU's layers have a 28 [11, 72] times
larger condition number than centered ones. So the conditioning differs far more than the speed.

Time: about 8 minutes of one core at the reduced scale, by short trials.

Command: ``flaxact reproduce lecun1998 --scale reduced``
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact.data import Dataset, few, preprocess
from flaxact.diagnostics import capture
from flaxact.figures import COLORS, MARKERS, Style, figure
from flaxact.models import create_model
from flaxact.net import Net, Variables, from_linen
from flaxact.reproduction.cells import mean_cell
from flaxact.reproduction.claim import Claim, Table, format_interval
from flaxact.reproduction.comparisons import paired_ratio, speedup
from flaxact.reproduction.curves import Curve, record_curve
from flaxact.reproduction.race import TunedCurves, speed_score
from flaxact.reproduction.race_pages import epochs_by_rate, epochs_text, search_table
from flaxact.reproduction.trained import only_variables
from flaxact.reproduction.tuning import OneRung, Score, tune_in_two_pieces
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, crossing, geometric_interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.theory.descent import linear_layer
from flaxact.training import Member, Recipe
from flaxact.training.loop import Update

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]  # numbers by name
SOURCE = "lecun1998efficient"
RELU = "relu"
CENTERED = "centered(relu)"
ACTIVATIONS = (RELU, CENTERED, "elu", "tanh", "sigmoid")
MEANS = (0.0, 0.5, 1.0, 2.0)
INPUTS = 50
EXAMPLES = 20_000  # that are drawn of them
TOLERANCE = 1e-6
TARGET = 0.05
WINDOWS = 10  # records of the training error per epoch
ALIKE = 0.1  # the rate at which layers are compared
PROBED = 2000  # images that they are compared on
CLAIMS = (
    Claim("eigenvalue", "A mean c of n inputs of variance 1 makes the largest eigenvalue 1 + n c².",
          "λmax over 1 + n c², at c = 1", low=0.95, high=1.05, family="linear unit"),
    Claim("steps", "Gradient descent needs as many steps as the condition number predicts.",
          "steps made over ln(tolerance) / (2 ln((κ - 1) / (κ + 1))), at c = 1", low=0.9, high=1.1,
          family="linear unit"),
    Claim("slower", "A mean of one standard deviation makes descent ten times slower or more.",
          "steps at c = 1 over steps at c = 0, 50 inputs", low=10, family="linear unit"),
    Claim("pixels_eigenvalue", "Centering MNIST's pixels at least halves their largest eigenvalue.",
          "λmax, raw pixels over centered pixels", low=2, family="pixels"),
    Claim("pixels", "Linear units learn digits sooner from centered pixels than from raw pixels.",
          "steps, raw pixels over centered pixels", low=1, family="pixels"),
    Claim("pixels_size", "Linear units learn digits at least twice as soon from centered pixels.",
          "steps, raw pixels over centered pixels", low=2, family="pixels",
          retired="it is the number of the claim above with a second range"),
    Claim("shift", "After training, ReLU layers have a larger mean than centered ReLU layers.",
          "mean over standard deviation, ReLU over centered ReLU", low=1, family="layers"),
    Claim("layer_eigenvalue",
          "The largest eigenvalue of ReLU layers has a larger share than that of centered ReLU layers.",
          "λmax over trace, ReLU over centered ReLU", low=1, family="layers"),
    Claim("condition", "ReLU layers have a larger condition number than centered ReLU layers.",
          "κ, ReLU over centered ReLU", low=1, family="layers"),
    Claim("elu_condition", "ReLU layers have a larger condition number than ELU layers.",
          "κ, ReLU over ELU", low=1, family="layers"),
    Claim("speed", "Centered ReLU nets learn sooner than ReLU nets.",
          "epochs, ReLU over centered ReLU", low=1, family="speed"),
    Claim("elu_speed", "ELU nets learn sooner than ReLU nets.", "epochs, ReLU over ELU", low=1,
          family="speed"),
    Claim("symmetric", "Nets of tanh, which is symmetric, learn sooner than nets of sigmoids.",
          "epochs, sigmoid over tanh", low=1, family="speed"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings(OneRung):
    """Sizes of the study.

    Attributes:
      reduced: what is smaller than at the full scale.
      train: training images; None for all.
      depth: hidden layers, each of ``hidden`` units.
      digits: images for the linear units, in ``parts`` disjoint parts; None for all.
      left: the share of the excess error at which gradient descent on them ends.
    """

    reduced: str
    dataset: str = "mnist"
    train: int | None = 10_000
    depth: int = 3
    hidden: int = 64
    rates: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)
    rung: int = 3
    keep: int = 3
    widenings: int = 2
    epochs: int = 12
    seeds: int = 6
    digits: int | None = None
    parts: int = 6
    left: float = 0.05
    activations: tuple[str, ...] = ACTIVATIONS


SCALES = {
    "smoke": Settings(
        reduced="All sizes are tiny.",
        seeds=2,
        dataset="mnist5k",
        train=400,
        depth=1,
        hidden=8,
        rates=(0.1, 0.4),
        rung=1,
        widenings=0,
        epochs=2,
        digits=400,
        parts=2,
        left=0.5,
        activations=ACTIVATIONS[:3],
    ),
    "reduced": Settings(
        reduced="The chapter has no protocol. Less than the full scale: 10,000 of MNIST's images, three "
        "layers of 64 units, 6 seeds.",
    ),
    "full": Settings(
        reduced="The chapter has no protocol: all of MNIST, four layers of 256 units, 10 seeds.",
        seeds=10,
        train=None,
        depth=4,
        hidden=256,
        rates=(0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
        rung=2,
        epochs=20,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row(TunedCurves):
    """The nets of an activation, and the layers of nets trained at a common rate, by seed."""

    layers: dict[str, list]  # "shift" by seed and epoch, "last" by seed and layer

    def by_seed(self, key: str) -> list[float]:
        """The geometric mean of a number over layers, of each seed."""
        last = self.layers["last"]
        return [statistics.geometric_mean([layer[key] for layer in layers]) for layers in last]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Linear units by mean and seed; preparations of pixels by part of the images; nets by activation."""

    gaussian: tuple[Record, ...]
    pixels: tuple[tuple[Record, ...], ...]
    nets: dict[str, Row]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Train linear units on Gaussian inputs and on images; train nets and measure layers and speed."""
    gaussian = workspace.cached("gaussian", lambda: _gaussian(settings))
    pixels = workspace.cached("pixels", lambda: _pixels(workspace, settings))
    nets = {}
    for act in settings.activations:
        label = act.replace("(", "-").rstrip(")")
        nets[act] = _Trainer(act, label, settings, workspace).row()
    return Results(gaussian=gaussian, pixels=pixels, nets=nets)


def _gaussian(settings: Settings) -> list[Record]:
    """A linear unit per mean and seed; ``theory`` are the steps that the condition number predicts."""
    units = []
    for mean, seed in itertools.product(MEANS, range(settings.seeds)):
        generator = np.random.default_rng(seed)
        x = mean + generator.normal(size=(EXAMPLES, INPUTS))
        layer = linear_layer(x, x @ generator.normal(size=(INPUTS, 1)))
        kappa = layer.condition_number
        unit = {
            "mean": mean,
            "lambda_max": float(layer.spectrum[0][-1]),
            "condition": kappa,
            "theory": math.log(TOLERANCE) / (2 * math.log((kappa - 1) / (kappa + 1))),
            "steps": layer.descend(layer.best_rate, TOLERANCE),
        }
        units.append(unit)
    return units


def _pixels(workspace: Workspace, settings: Settings) -> list[list[Record]]:
    """By part of the images, a row for each way to prepare the pixels."""
    data = workspace.data(settings.dataset, settings.digits)
    parts = []
    for first in range(settings.parts):
        images = data.train.images[first :: settings.parts]
        targets = np.eye(data.num_classes)[data.train.labels[first :: settings.parts]]
        raw = images.reshape(len(images), -1) / 255.0
        std = raw.std(0)
        centered = raw - raw.mean(0)
        scaled = centered / np.where(std > 0, std, 1)
        prepared = {"as they are": raw, "centered": centered, "centered, variance 1": scaled}
        parts.append([_descent(name, x, targets, settings.left) for name, x in prepared.items()])
    return parts


def _descent(name: str, x: np.ndarray, targets: np.ndarray, left: float) -> Record:
    """The steps of linear units with a bias, at their best rate."""
    layer = linear_layer(np.pad(x, ((0, 0), (0, 1)), constant_values=1), targets)
    values = layer.spectrum[0]
    shares = np.linspace(0, 1, 300)[1:-1]
    steps = [layer.steps(share * 2 / values[-1], left) for share in shares]
    best = int(np.argmin(steps))
    return {
        "pixels": name,
        "lambda_max": float(values[-1]),
        "share": float(values[-1] / values.sum()),
        "theory": steps[best],
        "steps": layer.descend(shares[best] * 2 / values[-1], left),
    }


@dataclass(frozen=True, eq=False)
class _Trainer:
    """Trains the nets of one activation."""

    act: str
    label: str
    settings: Settings
    workspace: Workspace

    def row(self) -> Row:
        """The stored results of the activation."""
        evaluate = functools.partial(self._curve, epochs=self.settings.epochs)
        stored = tune_in_two_pieces(
            self.workspace, self.label, self.settings, score=self._score, evaluate=evaluate
        )
        layers = self.workspace.cached(f"{self.label}-layers", self._layers)
        return decode(Row, {**stored, "layers": layers})

    def _score(self, member: Member, epochs: int) -> Score:
        return speed_score(Curve.from_json(self._curve(member, epochs)), TARGET)

    def _curve(self, member: Member, epochs: int) -> Record:
        run = f"seed-{member.seed}-rate-{member.learning_rate:g}"
        return asdict(self._record(member, run, epochs=epochs, until=_has_reached))

    def _layers(self) -> Record:
        images = self._data.train.images[:PROBED]
        epochs = self.settings.epochs
        shifts = []
        last = []

        def observe(update: Update) -> list[Record]:
            return _layers(self._model, only_variables(update.states()), images)

        for seed in range(self.settings.seeds):
            run = f"seed-{seed}-rate-{ALIKE:g}-alike"
            curve = self._record(Member(seed, ALIKE), run, epochs=epochs, observe=observe)
            by_epoch = ([layer["shift"] for layer in layers] for layers in curve.observed)
            shifts.append([round(statistics.geometric_mean(values), 5) for values in by_epoch])
            last.append(curve.observed[-1])
        return {"shift": shifts, "last": last}

    def _record(
        self,
        member: Member,
        run: str,
        *,
        epochs: int,
        observe: Callable[[Update], object] | None = None,
        until: Callable[[Curve], bool] = lambda curve: False,
    ) -> Curve:
        folder = self.workspace.scratch / self.label / run
        recipe = Recipe(epochs=epochs, batch_size=100, momentum=0.0)
        return record_curve(
            self._net,
            recipe,
            self._data,
            member=member,
            folder=folder,
            windows=WINDOWS,
            observe=observe,
            until=until,
        )

    @functools.cached_property
    def _data(self) -> Dataset:
        data = self.workspace.data(self.settings.dataset, self.settings.train)
        data = preprocess(["per_pixel_mean", "rescale(mean=0.0, std=0.26)"], data)
        return replace(data, test=few(data.test, 100))  # the clean pass is not used

    @functools.cached_property
    def _model(self) -> nn.Module:
        spec = f"mlp_elu(depth={self.settings.depth}, hidden={self.settings.hidden})"
        return create_model(spec, self.act, num_classes=10, kernel_init="variance_preserving")

    @functools.cached_property
    def _net(self) -> Net:
        return from_linen(self._model)


def _has_reached(curve: Curve) -> bool:
    """Whether the running mean has come down to TARGET."""
    return math.isfinite(crossing(curve.running(), TARGET).high)


def _layers(model: nn.Module, variables: Variables, images: np.ndarray) -> list[dict[str, float]]:
    """Of each hidden layer's living units: κ, λmax and mean² over the trace, mean over deviation."""
    layers = []
    for site in capture(model, variables, jnp.asarray(images)).sites.values():
        rows = np.asarray(site.post, np.float64).reshape(len(images), -1)
        rows = rows[:, rows.any(0)]
        values = np.linalg.eigvalsh(rows.T @ rows / len(rows))
        means = np.sum(rows.mean(0) ** 2)
        layer = {
            "condition": values[-1] / max(values[0], values[-1] * 1e-15),
            "lambda_max": values[-1] / values.sum(),
            "mean": means / values.sum(),
            "shift": math.sqrt(means / np.sum(rows.var(0))),
            "units": len(values),
        }
        layers.append({key: float(f"{value:.6g}") for key, value in layer.items()})
    return layers


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    nets = results.nets
    zero, one = ([unit for unit in results.gaussian if unit["mean"] == c] for c in (0, 1))

    def ratio(
        records: Sequence[Record], key: str, others: Sequence[Record], other: str
    ) -> Interval:
        return paired_ratio(
            [record[key] for record in records], [record[other] for record in others]
        )

    def pixels(key: str) -> Interval:
        raw, centered, _ = zip(*results.pixels, strict=True)
        return ratio(raw, key, centered, key)

    def layers(key: str, other: str) -> Interval:
        return paired_ratio(nets[RELU].by_seed(key), nets[other].by_seed(key))

    def sooner(slow: str, fast: str) -> Interval:
        times = {act: row.times(TARGET) for act, row in nets.items()}
        return speedup(times.get(slow, []), times.get(fast, []))

    return {
        "eigenvalue": mean_interval([unit["lambda_max"] / (1 + INPUTS) for unit in one]),
        "steps": ratio(one, "steps", one, "theory"),
        "slower": ratio(one, "steps", zero, "steps"),
        "pixels_eigenvalue": pixels("lambda_max"),
        "pixels": pixels("steps"),
        "pixels_size": pixels("steps"),
        "shift": layers("shift", CENTERED),
        "layer_eigenvalue": layers("lambda_max", CENTERED),
        "condition": layers("condition", CENTERED),
        "elu_condition": layers("condition", "elu"),
        "speed": sooner(RELU, CENTERED),
        "elu_speed": sooner(RELU, "elu"),
        "symmetric": sooner("sigmoid", "tanh"),
    }


def tables(results: Results) -> list[Table]:
    """Gaussian inputs by mean; pixels; nets by activation; the search for the rates."""
    keys = ("lambda_max", "condition", "theory", "steps")
    gaussian = []
    for mean in MEANS:
        units = [unit for unit in results.gaussian if unit["mean"] == mean]
        cells = (mean_cell([unit[key] for unit in units]) for key in keys)
        gaussian.append((f"{mean:g}", f"{1 + INPUTS * mean**2:g}", *cells))
    keys = ("lambda_max", "share", "theory", "steps")
    pixels = [
        (parts[0]["pixels"], *(mean_cell([part[key] for part in parts]) for key in keys))
        for parts in zip(*results.pixels, strict=True)
    ]
    nets = [
        {
            "activation": act,
            "κ": format_interval(geometric_interval([row.by_seed("condition")], [1.0])),
            "λmax / trace": mean_cell(row.by_seed("lambda_max"), most=1),
            "mean² / trace": mean_cell(row.by_seed("mean"), most=1),
            "mean / std": mean_cell(row.by_seed("shift")),
            "rate": f"{row.tuned.best:g}" if row.tuned else "",
            f"epochs to {TARGET:.0%} training error": epochs_text(row.times(TARGET)),
        }
        for act, row in results.nets.items()
    ]
    steps = ("steps, theory", "steps")
    return [
        Table("A linear unit", ("mean c", "1 + n c²", "λmax", "κ", *steps), tuple(gaussian)),
        Table("Linear units on images", ("pixels", "λmax", "of the trace", *steps), tuple(pixels)),
        Table.of_cells("Hidden layers, and speed at the best rate", nets),
        search_table({"perceptron": results.nets}),
    ]


def figures(results: Results) -> dict[str, Figure]:
    """Bias shift by epoch of nets trained alike, and epochs to the target by rate."""
    drawing, (left, right) = figure(9, 3.9, 2)
    nets = results.nets.items()
    for place, ((act, row), color, marker) in enumerate(zip(nets, COLORS, MARKERS, strict=False)):
        style: Style = {"color": color, "marker": marker, "markersize": 4}
        left.plot(np.mean(row.layers["shift"], 0), label=act, **style)
        assert row.tuned is not None
        epochs = epochs_by_rate(row.tuned)
        missed = [tried.rate for tried in row.tuned.rates if tried.score[0]]
        right.plot(list(epochs), list(epochs.values()), **style)
        above = {"transform": right.get_xaxis_transform(), "clip_on": False, "in_layout": False}
        height = [1.02 + 0.03 * place] * len(missed)
        right.plot(missed, height, ls="", fillstyle="none", **above, **style)
    left.set_title(f"Nets trained alike; mean of {len(row.seeds)} seeds", fontsize=9)
    right.set_title("Search for the rate; open marks: not reached or diverged", fontsize=9, pad=34)
    left.set(xlabel="epoch", ylabel="mean over standard deviation", ylim=(0, None))
    right.set(xscale="log", xlabel="learning rate", ylim=(0, None))
    right.set_ylabel(f"epochs to {TARGET:.0%} training error")
    left.legend(frameon=False, fontsize=8)
    return {"Bias shift and speed": drawing}
