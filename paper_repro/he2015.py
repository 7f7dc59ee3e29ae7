"""He et al. 2015: 30 layers train with weights made for rectifiers; PReLU's first slope is largest.

Delving deep into rectifiers (arXiv 1502.01852). Initialisation (§2.2): weights of variance 2/n keep
signals or gradients through rectifiers, and 1/n, Xavier's, loses a factor √2 a layer; a net of 30 layers
converges with the first and "completely stalls" with the second (Fig. 3), one of 22 converges with both
(Fig. 2). PReLU (§2.1, Table 1): learnt slopes are large in the first layer and mostly smaller in deeper
ones.

Numbers: √(2/n̂) of VGG-B's 3 × 3 layers; what a constant 0.01 does to the gradient from conv10 to
conv2, by formula and by a backward pass through ten circular convolutions, on Gaussian images; and the
factor a layer in wide random nets of 30 layers.

Training: on images of 32 × 32 the paper's net would see maps of 2 × 2, half of whose windows is padding.
So it is a thin one: 27 convolutions of 3 × 3 with circular borders, of 16 maps, three of them with
stride 2, and 3 dense layers, all weights He's or all Xavier's (2 / (n + n̂)); on CIFAR-10 standardised,
by stochastic gradient descent with momentum 0.9, mini-batches of 64, without weight decay and dropout.
Each takes the rate of the grid with the lowest mean training loss over the last epoch. PReLU:
``small_net`` (He's weights, no dropout) on CIFAR-10, with a slope a channel or a layer, from 0.25.

Open after the reduced run: whether He's net, still on its way after 7 epochs, gets below 2.0 (14 would
tell); and the channel-wise slopes, of which the first is larger by 0.04 [0.001, 0.079] if compared in
pairs, as we saw after the run only. The less deep net's best rate is the highest of the grid.

    flaxact reproduce he2015 --scale reduced
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.nn.initializers import Initializer

from flaxact._figures import COLOURS, INK, figure
from flaxact.data import Dataset, preprocess
from flaxact.diagnostics import capture
from flaxact.diagnostics.maps import measured_second_moments
from flaxact.initializers import he, xavier
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, difference_interval, mean_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.studies.speed import curves
from flaxact.training import Recipe, grid

SOURCE = "he2015delving"
VGG_B = {
    64: (1, 0.059),
    128: (2, 0.042),
    256: (2, 0.029),
    512: (4, 0.021),
}  # conv2 to conv10, printed
SLOPES = {  # Table 1, means over the rows of a stage: shared and channel-wise
    "conv1": (0.681, 0.596), "conv2": (0.248, 0.321), "conv3": (0.103, 0.158), "fc": (0.047, 0.075),
}  # fmt: skip
KINDS = {"shared": "prelu(per_channel=False)", "channel-wise": "prelu"}
CHANCE = math.log(10)


def _prelu(kind: str, first: str, deeper: str) -> tuple[Claim, Claim]:
    return (
        Claim(
            f"{kind}_first", f"The first slope of a PReLU grows, {kind}.",
            "mean slope of the first layer", low=0.25, published=Published(first, "Table 1"),
        ),
        Claim(
            f"{kind}_deeper", "Deeper ones are smaller.", "first slope less the mean of the deeper ones",
            low=0.0, published=Published(f"{deeper}, from its rows", "Table 1"),
        ),
    )  # fmt: skip


CLAIMS = (
    Claim(
        "stds", "√(2/n̂) of VGG-B's layers is as printed.", "largest difference from what is printed",
        high=0.0005, published=Published(".059, .042, .029 and .021", "§2.2"),
    ),
    Claim(
        "factor", "Weights of 0.01 would shrink the gradient from conv10 to conv2 by 1.7e4.",
        "product of √(2/n̂) / 0.01", 1.65e4, 1.75e4, Published("1.7 × 10⁴", "§2.2"),
    ),
    Claim(
        "backward", "A backward pass does so.", "gradient at conv10 over conv2, root mean square",
        0.9 * 1.7e4, 1.1 * 1.7e4, Published("1.7 × 10⁴", "§2.2"),
    ),
    Claim(
        "xavier_layer", "With Xavier's weights a layer takes √½ of the signal.",
        "factor a layer of the standard deviation", 0.99 * 0.5**0.5, 1.01 * 0.5**0.5,
        Published("1/√2", "§2.2"),
    ),
    Claim(
        "he_layer", "With He's it keeps it.", "factor a layer of the standard deviation", 0.99, 1.01,
        Published("1", "§2.2"),
    ),
    Claim(
        "converges", "A net of 30 layers trains with He's weights.", "training loss, last epoch",
        high=2.0, published=Published("converges", "Fig. 3"),
    ),
    Claim(
        "stalls", "And stalls at chance, ln 10 = 2.303, with Xavier's.", "training loss, last epoch",
        CHANCE - 0.02, CHANCE + 0.02, Published("completely stalls", "Fig. 3"),
    ),
    Claim(
        "shallower", "A less deep one trains with Xavier's too.", "training loss, last epoch",
        high=2.0, published=Published("22 layers converge with both", "Fig. 2"),
    ),
    *_prelu("shared", "0.681", "0.54"),
    *_prelu("channel-wise", "0.596", "0.40"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Of the study; VGG-B's filters are divided by ``thinner``."""

    reduced: str
    thinner: int
    draws: int
    random_width: int
    dataset: str
    train: int
    depths: tuple[int, int]  # convolutions of both nets
    rates: tuple[float, ...]
    seeds: int
    epochs: int
    prelu_train: int
    prelu_width: float
    prelu_epochs: int
    maps: int = 16


SCALES = {
    "smoke": Settings("Tiny.", 16, 2, 50, "mnist5k", 128, (2, 2), (0.004, 0.01), 2, 1, 128, 0.05, 1, 4),
    "reduced": Settings(
        "CIFAR-10 in place of ImageNet; thin nets on 6,400 of its images; a less deep one of 10 layers "
        "in place of 22; a small net with PReLU, of a quarter of its width, on 5,000 images.",
        1, 8, 500, "cifar10", 6400, (27, 7), (0.002, 0.004, 0.01), 3, 7, 5000, 0.25, 4,
    ),
    "full": Settings(
        "CIFAR-10 in place of ImageNet; nets of 30 and 22 layers with 64 maps; the small net whole.", 1,
        20, 2000, "cifar10", 50_000, (27, 19), (0.001, 0.002, 0.004, 0.01), 5, 20, 50_000, 1.0, 60, 64,
    ),
}  # fmt: skip


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


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Gradients, factors a layer; losses by rate and seed; slopes by seed."""
    data = work.data(settings.dataset, settings.train, 1000)
    standardised, losses = preprocess(["standardize"], data), {}
    backward = work.piece("backward", lambda: _backward(settings))
    layer = {
        "he": work.piece("layer-he", lambda: _layer(math.sqrt(2), settings)),
        "xavier": work.piece("layer-xavier", lambda: _layer(1.0, settings)),
    }
    (deep, less), recipe = (
        settings.depths,
        Recipe(epochs=settings.epochs, batch_size=64, momentum=0.9),
    )
    nets = {"he": deep, "xavier": deep, "xavier, less deep": less}
    members = grid(range(settings.seeds), settings.rates)
    for name, depth in nets.items():
        init = he() if name == "he" else xavier()
        net: Any = Stack(depth * (settings.maps,), 2 * (4 * settings.maps,), init, halved=(1, 2, 4))
        rows = work.train(f"{name[:2]}-{depth}", from_linen(net), recipe, standardised, members)
        losses[name] = curves(rows, len(settings.rates), "train_loss")
    data = work.data(settings.dataset, settings.prelu_train, 1000)
    slopes = {kind: _slopes(kind, settings, work, data) for kind in KINDS}
    return {
        "rates": settings.rates, "backward": backward, "layer": layer, "losses": losses, "slopes": slopes,
    }  # fmt: skip


def _backward(settings: Settings) -> list[float]:
    """By draw of all filters, how many times the gradient at conv10 is what conv2 gives back."""
    filters = [width // settings.thinner for width in (64, 64, 128, 128, 256, 256, *4 * (512,))]
    model, labels = Stack(tuple(filters), (), nn.initializers.normal(0.01)), jnp.arange(8) % 10

    @jax.jit
    def ratio(key: jax.Array) -> jax.Array:
        images = 100 * jax.random.normal(key, (8, 4, 4, 3))
        sites: Any = capture(model, dict(model.init(key, images)), images, labels).sites
        first, last = (jnp.mean(sites[name].gradient ** 2) for name in ("act1", "act10"))
        return jnp.sqrt(last / first)

    return [float(ratio(key)) for key in jax.random.split(jax.random.key(0), settings.draws)]


def _layer(weight_std: float, settings: Settings) -> list[float]:
    """By draw, the factor of the standard deviation that is the geometric mean of 29 layers'."""
    seeds, width = range(settings.draws), settings.random_width
    moments = [measured_second_moments("relu", weight_std, width, 30, seed) for seed in seeds]
    return [float((found[-1] / found[0]) ** (1 / 58)) for found in moments]


def _slopes(kind: str, settings: Settings, work: Work, data: Dataset) -> list[list[float]]:
    """By seed, the mean slope of each layer."""
    spec = f"small_net(width={settings.prelu_width})"
    model = create_model(spec, KINDS[kind], num_classes=data.num_classes, dropout=0.0)
    net, members = from_linen(model), grid(range(settings.seeds))
    recipe = Recipe(epochs=settings.prelu_epochs, batch_size=32, learning_rate=0.01, momentum=0.9)
    work.train(f"prelu-{kind}", net, recipe, data, members)
    params = work.states(f"prelu-{kind}", net, recipe, data, members).variables["params"]
    layers = (params[f"act{place}"]["activation"]["negative_slope"] for place in range(1, 5))
    means = [np.asarray(slopes).reshape(settings.seeds, -1).mean(1) for slopes in layers]
    return np.round(np.array(means, float).T, 5).tolist()


def _best(by_rate: list[list[list[float | None]]]) -> list[list[float]]:
    """The curves of the rate with the lowest mean loss in the last epoch; a diverged run is infinite."""
    known = [[[math.inf if v is None else v for v in seed] for seed in rate] for rate in by_rate]
    return min(known, key=lambda rate: sum(seed[-1] for seed in rate))


def _last(by_rate: list[list[list[float | None]]]) -> Interval:
    return mean_interval([seed[-1] for seed in _best(by_rate)])


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims."""
    off, factor = 0.0, 1.0
    for filters, (layers, printed) in VGG_B.items():
        std = math.sqrt(2 / (9 * filters))
        off, factor = max(off, abs(std - printed)), factor * (std / 0.01) ** layers
    found = {
        "stds": Interval(off, off, off), "factor": Interval(factor, factor, factor),
        "backward": mean_interval(results["backward"]),
        **{f"{name}_layer": mean_interval(found) for name, found in results["layer"].items()},
        "converges": _last(results["losses"]["he"]), "stalls": _last(results["losses"]["xavier"]),
        "shallower": _last(results["losses"]["xavier, less deep"]),
    }  # fmt: skip
    for kind, seeds in results["slopes"].items():
        deeper = [float(np.mean(seed[1:])) for seed in seeds]
        found[f"{kind}_first"] = mean_interval([seed[0] for seed in seeds])
        found[f"{kind}_deeper"] = difference_interval([seed[0] for seed in seeds], deeper)
    return found


def tables(results: dict[str, Any]) -> list[Table]:
    """Losses by rate; slopes by layer."""
    losses = [
        (name, *(shown(_last([rate])) for rate in rates))
        for name, rates in results["losses"].items()
    ]
    slopes = [
        (kind, *(shown(mean_interval(layer)) for layer in zip(*seeds, strict=True)))
        for kind, seeds in results["slopes"].items()
    ]
    rows = zip(KINDS, zip(*SLOPES.values(), strict=True), strict=True)
    printed = [(kind, *map(str, row)) for kind, row in rows]
    rates, layers = (f"at {rate:g}" for rate in results["rates"]), ("conv1", "conv2", "conv3", "fc")
    return [
        Table("Training loss in the last epoch, by learning rate", ("net", *rates), tuple(losses)),
        Table("Slopes of PReLU, mean of a layer", ("slopes", *layers), tuple(slopes)),
        Table("Means of the paper's Table 1", ("slopes", *SLOPES), tuple(printed)),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Loss by epoch at the best rates, and slopes by layer."""
    made, (left, right) = figure(9, 3.6, 2)
    for (name, by_rate), colour in zip(results["losses"].items(), COLOURS, strict=False):
        for seed, curve in enumerate(_best(by_rate)):
            left.plot(range(1, len(curve) + 1), curve, color=colour, label="" if seed else name)
    for (kind, seeds), colour in zip(results["slopes"].items(), COLOURS, strict=False):
        for seed, slopes in enumerate(seeds):
            right.plot(range(1, 5), slopes, "o-", color=colour, label="" if seed else kind)
    for axes, level in ((left, CHANCE), (right, 0.25)):
        axes.axhline(level, color=INK, lw=0.8, ls=":")
        axes.legend(frameon=False, fontsize=8)
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="layer", ylabel="mean slope below 0", xticks=range(1, 5))
    return {"Depth and slopes": made}
