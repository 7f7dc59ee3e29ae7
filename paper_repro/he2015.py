"""He et al. 2015: 30 layers train with weights made for rectifiers; PReLU's first slope is largest.

Claim: Weights of variance 2/n keep signals or gradients through rectifiers, and with 1/n, Xavier's
variance, each layer loses a factor √2. A net of 30 layers converges with the first and "completely
stalls" with the second (Fig. 3); one of 22 layers converges with both (Fig. 2). The slopes that PReLU
learns are large in the first layer and mostly smaller in deeper ones (Table 1). (Delving deep into
rectifiers, arXiv 1502.01852, §2.1 and §2.2.)

Protocol: The numbers are √(2/n̂) of VGG-B's 3 × 3 layers; what weights of deviation 0.01 do to the
gradient from conv10 to conv2, by formula and by a backward pass through ten circular convolutions, on
Gaussian images; and the factor per layer in wide random nets of 30 layers. They need no training and no
data, so the reduced scale tests them as published too.

Training: The nets are thin. Convolutions are 3 × 3 with circular borders, three have stride 2, and 3
dense layers follow. All weights are He's or all are Xavier's (2 / (n + n̂)). They train on standardized
CIFAR-10 by stochastic gradient descent with momentum 0.9 and batches of 64, without weight decay and
dropout. Each net's rate is the one with the lowest training loss, a mean over the epoch, for seed 100,
which is not evaluated: rates are halved successively, and a grid whose best rate is at an edge is
widened. All seeds then train for the same number of epochs at that rate. That the loss gets below 2.25,
so that a net leaves chance (ln 10 = 2.303), became a claim after the run of 2026-11-25.

PReLU: ``small_net`` with He's weights and without dropout learns CIFAR-10, with one slope per channel or
one per layer, which starts at 0.25. The first slope and the mean of the deeper ones are of one net, so
they are compared in pairs.

Differences: On images of 32 × 32 the paper's net would see maps of 2 × 2, half of whose windows is
padding, so the borders are circular. CIFAR-10 takes the place of ImageNet. The paper trains longer.

Result: The stored reduced run is of 2026-11-25 (reduced.json, not in pieces). Its deep nets train for 7
epochs with 3 seeds, and their rates, 0.002, 0.004 and 0.01, were chosen on these seeds, without widening.
It finds a loss of 2.03 [1.86, 2.20] with He's weights, and 2.302 at every rate with Xavier's. At this
size these are estimates, not tests. The numbers that need no training are reproduced. Not run yet: 14
epochs, 6 seeds, and rates by the search.

Time: about 17 minutes of one core at the reduced scale (2.8 s per epoch of a deep net).

Command: ``flaxact reproduce he2015 --scale reduced``
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.nn.initializers import Initializer

from flaxact.data import Dataset, preprocess
from flaxact.diagnostics import capture
from flaxact.diagnostics.maps import measured_second_moments
from flaxact.figures import COLORS, INK, figure
from flaxact.initializers import he, xavier
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.reproduction.cells import rate_cell
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table, format_interval
from flaxact.reproduction.curves import record_curve
from flaxact.reproduction.trained import only_variables, rounded
from flaxact.reproduction.tuning import OneRung, Score, TriedRate, Tuned, tune_in_two_pieces
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval
from flaxact.stored.schema import decode
from flaxact.training import Member, Recipe
from flaxact.training.loop import Update

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "he2015delving"
VGG_B = {  # conv2 to conv10: filters, and of those the layers and √(2/n̂) as printed
    64: (1, 0.059), 128: (2, 0.042), 256: (2, 0.029), 512: (4, 0.021),
}  # fmt: skip
SLOPES = {  # Table 1, means over the rows of a stage: shared and channel-wise
    "conv1": (0.681, 0.596), "conv2": (0.248, 0.321), "conv3": (0.103, 0.158), "fc": (0.047, 0.075),
}  # fmt: skip
KINDS = {"shared": "prelu(per_channel=False)", "channel-wise": "prelu"}
HE = "He"
XAVIER = "Xavier"
SHALLOWER = "Xavier, less deep"
NETS = (HE, XAVIER, SHALLOWER)
CHANCE = math.log(10)

CLAIMS = (
    Claim("stds", "√(2/n̂) of VGG-B's layers is as printed.", "largest difference from what is printed",
          high=0.0005, published=Published(".059, .042, .029 and .021", "§2.2"), exact=True),
    Claim("factor", "Weights of 0.01 would shrink the gradient from conv10 to conv2 by 1.7 × 10⁴.",
          "product of √(2/n̂) / 0.01", low=1.65e4, high=1.75e4,
          published=Published("1.7 × 10⁴", "§2.2"), exact=True),
    Claim("backward", "A backward pass through weights of 0.01 shrinks the gradient by 1.7 × 10⁴.",
          "gradient at conv10 over conv2, root mean square", low=0.9 * 1.7e4, high=1.1 * 1.7e4,
          published=Published("1.7 × 10⁴", "§2.2"), exact=True, family="factors"),
    Claim("xavier_layer", "With Xavier's weights each rectifier layer multiplies the signal by √½.",
          "factor per layer of the standard deviation", low=0.99 * 0.5**0.5, high=1.01 * 0.5**0.5,
          published=Published("1/√2", "§2.2"), exact=True, family="factors"),
    Claim("he_layer", "With He's weights each rectifier layer keeps the size of the signal.",
          "factor per layer of the standard deviation", low=0.99, high=1.01,
          published=Published("1", "§2.2"), exact=True, family="factors"),
    Claim("leaves", "A net of 30 layers leaves chance with He's weights.", "training loss, last epoch",
          high=2.25, published=Published("converges", "Fig. 3"), family="depth"),
    Claim("converges", "A net of 30 layers gets below a training loss of 2.0 with He's weights.",
          "training loss, last epoch", high=2.0, published=Published("converges", "Fig. 3"),
          family="depth"),
    Claim("stalls", "A net of 30 layers stalls at chance, ln 10 = 2.303, with Xavier's weights.",
          "training loss, last epoch", low=CHANCE - 0.02, high=CHANCE + 0.02,
          published=Published("completely stalls", "Fig. 3"), family="depth"),
    Claim("shallower", "A less deep net gets below a training loss of 2.0 with Xavier's weights too.",
          "training loss, last epoch", high=2.0,
          published=Published("22 layers converge with both", "Fig. 2"), family="depth"),
    Claim("shared_first", "In PReLU with shared slopes the slope of the first layer grows from 0.25.",
          "mean slope of the first layer", low=0.25, published=Published("0.681", "Table 1"),
          family="slopes"),
    Claim("shared_deeper",
          "In PReLU with shared slopes the deeper layers have smaller slopes than the first.",
          "first slope less the mean of the deeper ones, in pairs", low=0.0,
          published=Published("0.54, from its rows", "Table 1"), family="slopes"),
    Claim("channel-wise_first",
          "In PReLU with channel-wise slopes the slope of the first layer grows from 0.25.",
          "mean slope of the first layer", low=0.25, published=Published("0.596", "Table 1"),
          family="slopes"),
    Claim("channel-wise_deeper",
          "In PReLU with channel-wise slopes the deeper layers have smaller slopes than the first.",
          "first slope less the mean of the deeper ones, in pairs", low=0.0,
          published=Published("0.40, from its rows", "Table 1"), family="slopes"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings(OneRung):
    """Sizes of the study.

    Attributes:
      thinner: what VGG-B's filters are divided by.
      deep: convolutions of the deep nets.
      less_deep: convolutions of the less deep net.
      maps: per convolution of both.
    """

    reduced: str
    thinner: int = 1
    draws: int = 8
    random_width: int = 500
    dataset: str = "cifar10"
    train: int = 6400
    deep: int = 27
    less_deep: int = 7
    maps: int = 16
    rates: tuple[float, ...] = (0.0025, 0.005, 0.01)
    rung: int = 4
    keep: int = 2
    widenings: int = 1
    seeds: int = 6
    epochs: int = 14
    prelu_train: int = 5000
    prelu_width: float = 0.25
    prelu_epochs: int = 4
    prelu_seeds: int = 3


SCALES = {
    "smoke": Settings(
        reduced="All sizes are tiny.",
        thinner=16,
        draws=2,
        random_width=50,
        dataset="mnist5k",
        train=128,
        deep=2,
        less_deep=2,
        maps=4,
        rates=(0.005, 0.01),
        rung=1,
        keep=1,
        widenings=0,
        seeds=2,
        epochs=1,
        prelu_train=128,
        prelu_width=0.05,
        prelu_epochs=1,
        prelu_seeds=2,
    ),
    "reduced": Settings(
        reduced="CIFAR-10 in place of ImageNet; thin nets on 6,400 of its images; a less deep net of 10 "
        "layers in place of 22; a small net with PReLU, of a quarter of its width, on 5,000 images."
    ),
    "full": Settings(
        reduced="CIFAR-10 in place of ImageNet; nets of 30 and 22 layers with 64 maps; the whole "
        "small net.",
        draws=20,
        random_width=2000,
        train=50_000,
        less_deep=19,
        maps=64,
        rung=5,
        epochs=20,
        prelu_train=50_000,
        prelu_width=1.0,
        prelu_epochs=60,
        prelu_seeds=8,
    ),
}


class Stack(nn.Module):
    """Convolutions of 3 × 3 with circular borders, dense layers and logits, with rectifiers between."""

    filters: tuple[int, ...]
    dense: tuple[int, ...]
    weights: Initializer
    halved: tuple[int, ...] = ()  # convolutions of stride 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Images (batch, height, width, channels) to logits."""
        for place, width in enumerate(self.filters, 1):
            stride = (2, 2) if place in self.halved else (1, 1)
            conv = nn.Conv(width, (3, 3), stride, padding="CIRCULAR", kernel_init=self.weights)
            x = Act("relu", name=f"act{place}")(conv(x))
        x = x.reshape(len(x), -1)
        for place, units in enumerate(self.dense, len(self.filters) + 1):
            x = Act("relu", name=f"act{place}")(nn.Dense(units, kernel_init=self.weights)(x))
        return nn.Dense(10, kernel_init=self.weights)(x)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The search for a deep net's rate, and its training losses by seed and epoch."""

    tuned: Tuned
    seeds: tuple[tuple[float | None, ...], ...]

    @property
    def last(self) -> list[float]:
        """The losses of the last epoch; diverged seeds are left out."""
        return [seed[-1] for seed in self.seeds if seed[-1] is not None]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of the study."""

    backward: tuple[float, ...]  # by draw, how many times conv2's gradient that at conv10 is
    layer: dict[str, tuple[float, ...]]  # by weights and draw, the factor of the deviation
    losses: dict[str, Losses]  # by net
    slopes: dict[str, tuple[tuple[float, ...], ...]]  # by kind and seed, the mean of each layer


def study(settings: Settings, workspace: Workspace) -> Results:
    """Measure gradients and factors per layer; search rates; train deep nets and PReLU nets."""
    backward = workspace.cached("backward", functools.partial(_backward, settings))
    layer = {
        name: workspace.cached(f"layer-{name}", functools.partial(_layer, weight_std, settings))
        for name, weight_std in (("he", math.sqrt(2)), ("xavier", 1.0))
    }
    losses = {name: _Trainer(name, settings, workspace).losses() for name in NETS}
    slopes = {
        kind: workspace.cached(
            f"prelu-{kind}", functools.partial(_slopes, kind, settings, workspace)
        )
        for kind in KINDS
    }
    return Results(backward=backward, layer=layer, losses=losses, slopes=slopes)


def _backward(settings: Settings) -> list[float]:
    filters = [width // settings.thinner for width in (64, 64, 128, 128, 256, 256, *4 * (512,))]
    model = Stack(tuple(filters), (), nn.initializers.normal(0.01))
    labels = jnp.arange(8) % 10

    @jax.jit
    def ratio(key: jax.Array) -> jax.Array:
        images = 100 * jax.random.normal(key, (8, 4, 4, 3))
        sites = capture(model, dict(model.init(key, images)), images, labels).sites
        first = sites["act1"].gradient
        last = sites["act10"].gradient
        assert first is not None
        assert last is not None
        return jnp.sqrt(jnp.mean(last**2) / jnp.mean(first**2))

    return [float(ratio(key)) for key in jax.random.split(jax.random.key(0), settings.draws)]


def _layer(weight_std: float, settings: Settings) -> list[float]:
    """By draw, the geometric mean of 29 layers."""
    measure = functools.partial(measured_second_moments, "relu", weight_std, depth=30)
    draws = [measure(width=settings.random_width, seed=seed) for seed in range(settings.draws)]
    return [float((moments[-1] / moments[0]) ** (1 / 58)) for moments in draws]


@dataclass(frozen=True, eq=False)
class _Trainer:
    """Trains one deep net."""

    name: str
    settings: Settings
    workspace: Workspace

    def losses(self) -> Losses:
        """The search for the rate, and the losses by seed."""
        label = self.name.lower().replace(", ", "-").replace(" ", "-")
        evaluate = functools.partial(self.train, epochs=self.settings.epochs)
        stored = tune_in_two_pieces(
            self.workspace, label, self.settings, score=self.score, evaluate=evaluate
        )
        return decode(Losses, stored)

    def score(self, member: Member, epochs: int) -> Score:
        """The score of a run's last loss."""
        last = self.train(member, epochs)[-1]
        return (1, 0.0) if last is None else (0, last)

    def train(self, member: Member, epochs: int) -> list[float | None]:
        """The mean training loss of each epoch; None once the net has diverged."""
        run = f"{self.name}/seed-{member.seed}-rate-{member.learning_rate:g}"
        curve = record_curve(
            self.net,
            Recipe(epochs=epochs, batch_size=64, momentum=0.9),
            self.data,
            member=member,
            folder=self.workspace.scratch / run,
            windows=1,
            observe=_loss,
        )
        losses = [*curve.observed[1:]] + [None] * curve.has_diverged
        self.workspace.log(f"{run}: loss {losses[-1]} after {epochs} epochs")
        return losses

    @functools.cached_property
    def net(self) -> Net:
        """The net; its compiled programs serve all members."""
        settings = self.settings
        depth = settings.less_deep if self.name == SHALLOWER else settings.deep
        weights = he() if self.name == HE else xavier()
        filters = depth * (settings.maps,)
        return from_linen(Stack(filters, 2 * (4 * settings.maps,), weights, halved=(1, 2, 4)))

    @functools.cached_property
    def data(self) -> Dataset:
        """Standardized images."""
        data = self.workspace.data(self.settings.dataset, self.settings.train, 1000)
        return preprocess(["standardize"], data)


def _loss(update: Update) -> float | None:
    assert update.epoch is not None
    return rounded(update.epoch.train_loss[0])


def _slopes(kind: str, settings: Settings, workspace: Workspace) -> list[list[float]]:
    """The mean slope of each layer, by seed."""
    data = workspace.data(settings.dataset, settings.prelu_train, 1000)
    spec = f"small_net(width={settings.prelu_width})"
    net = from_linen(create_model(spec, KINDS[kind], num_classes=data.num_classes, dropout=0.0))
    recipe = Recipe(epochs=settings.prelu_epochs, batch_size=32, learning_rate=0.01, momentum=0.9)

    def means(update: Update) -> list[float]:
        params = only_variables(update.states())["params"]
        layers = (params[f"act{n}"]["activation"]["negative_slope"] for n in range(1, 5))
        return [round(float(np.mean(slopes)), 5) for slopes in layers]

    record = functools.partial(record_curve, net, recipe, data, observe=means)
    folder = workspace.scratch / f"prelu-{kind}"
    seeds = range(settings.prelu_seeds)
    curves = [record(member=Member(seed), folder=folder / f"seed-{seed}") for seed in seeds]
    return [curve.observed[-1] for curve in curves]


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    stds = {filters: math.sqrt(2 / (9 * filters)) for filters in VGG_B}
    off = max(abs(stds[filters] - printed) for filters, (_, printed) in VGG_B.items())
    factor = math.prod((stds[n] / 0.01) ** layers for n, (layers, _) in VGG_B.items())
    slopes = {}
    for kind, seeds in results.slopes.items():
        slopes[f"{kind}_first"] = mean_interval([seed[0] for seed in seeds])
        differences = [seed[0] - float(np.mean(seed[1:])) for seed in seeds]
        slopes[f"{kind}_deeper"] = mean_interval(differences)
    return {
        "stds": Interval(off, off, off),
        "factor": Interval(factor, factor, factor),
        "backward": mean_interval(results.backward),
        **{f"{name}_layer": mean_interval(draws) for name, draws in results.layer.items()},
        "leaves": _last(results.losses[HE]),
        "converges": _last(results.losses[HE]),
        "stalls": _last(results.losses[XAVIER]),
        "shallower": _last(results.losses[SHALLOWER]),
        **slopes,
    }


def _last(net: Losses) -> Interval:
    return mean_interval(net.last).clipped(0, math.inf) if net.last else UNKNOWN


def tables(results: Results) -> list[Table]:
    """Losses, the search for the rates, and slopes by layer."""
    losses = []
    for name, net in results.losses.items():
        seeds = len(net.seeds)
        diverged = seeds - len(net.last)
        cells = {
            "weights": name,
            "rate": rate_cell(net.tuned),
            "training loss, last epoch": format_interval(_last(net)),
            "seeds": f"{seeds}" + f", {diverged} of them diverged" * bool(diverged),
            "loss by rate, in the search": "; ".join(map(_loss_cell, net.tuned.rates)),
        }
        losses.append(cells)
    slopes = [
        (kind, *(format_interval(mean_interval(layer)) for layer in zip(*seeds, strict=True)))
        for kind, seeds in results.slopes.items()
    ]
    columns = zip(KINDS, zip(*SLOPES.values(), strict=True), strict=True)
    printed = [(kind, *map(str, means)) for kind, means in columns]
    layers = ("conv1", "conv2", "conv3", "fc")
    return [
        Table.of_cells("Training loss of deep nets", losses),
        Table("Slopes of PReLU, mean of a layer", ("slopes", *layers), tuple(slopes)),
        Table("Means of the paper's Table 1", ("slopes", *SLOPES), tuple(printed)),
    ]


def _loss_cell(tried: TriedRate) -> str:
    has_diverged, loss = tried.score
    return f"{tried.rate:g}: {'diverged' if has_diverged else f'{loss:.3f}'} (epoch {tried.epochs})"


def figures(results: Results) -> dict[str, Figure]:
    """Loss by epoch at the best rates, and slopes by layer."""
    drawing, (left, right) = figure(9, 3.8, 2)
    styles = zip(results.losses.items(), COLORS, ("-", "--", "-."), strict=False)
    for (name, net), color, style in styles:
        for seed, losses in enumerate(net.seeds):
            known = [math.nan if loss is None else loss for loss in losses]
            label = "" if seed else f"{name}, {len(net.seeds)} seeds"
            left.plot(range(1, len(known) + 1), known, style, color=color, lw=1.2, label=label)
    for (kind, seeds), color in zip(results.slopes.items(), COLORS, strict=False):
        for seed, slopes in enumerate(seeds):
            label = "" if seed else f"{kind}, {len(seeds)} seeds"
            right.plot(range(1, 5), slopes, "o-", color=color, label=label)
    left.axhline(CHANCE, color=INK, lw=0.8, ls=":")
    left.text(1, CHANCE + 0.01, "chance, ln 10", fontsize=8, color=INK, va="bottom", clip_on=True)
    right.axhline(0.25, color=INK, lw=0.8, ls=":")
    right.text(1, 0.247, "start, 0.25", fontsize=8, color=INK, va="top", clip_on=True)
    left.set(xlabel="epoch", ylabel="training loss")
    left.margins(y=0.1)
    right.set(xlabel="layer", ylabel="mean slope below 0", xticks=range(1, 5))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
    return {"Depth and slopes": drawing}
