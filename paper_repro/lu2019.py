"""Lu et al. 2019: narrow deep ReLU nets are born dead, and training collapses them to a constant.

Claim: Dying ReLU and Initialization (arXiv 1903.06733). A ReLU net is dead when it gives the same output
to every input, because then no gradient reaches the layers below. With weights and biases symmetric about
0 a net of width w and L layers is born dead with a probability of at most ``1 - (1 - 2**-w)**(L - 1)``
(theorem 3), which goes to 1 with depth. Two kinds of figures are published. The guide to safe widths
gives the probability of dying for nets of 10 layers: about 60% at width 3, more than 10% at width 5 and
less than 1% at width 10. The introduction reports trained nets: of 1,000 nets of width 2 and 10 layers
that learn |x|, which two ReLU units give exactly, more than 90% collapsed. We know these figures from
other texts. They place the first three beside the bound, as probabilities of random nets.

Protocol, born dead: random nets of one input with Gaussian weights and no biases, by
``diagnostics.maps.born_dead``, beside ``theory.born_dead_bound``. The guide's figures and the bound are
compared with this, at the published widths and depth at every scale. Trained nets collapse more often, as
some die in training. The table of trained nets shows how many more, and no published figure is compared
with it except for width 2.

Protocol, trained: nets of one input, one output and nine hidden layers, He's initialization, biases 0,
learn |x| at equally spaced points of [-√3, √3], where x has mean square 1, by the mean squared error and
Adam. A net has collapsed if its outputs vary by less than 1% of the target's standard deviation. Leaky
ReLU and ELU have no dead zone, so their nets may be flat without being dead. Intervals of shares are
Clopper and Pearson's.

Differences: batch, optimizer, learning rate and number of steps are ours, as we have not seen the
paper's. Reduced ends after 3,000 steps and trains 1,000 nets of width 2 and 400 of the others. Full
trains 1,000 of each for 20,000 steps. The paper's remedy, asymmetric weights, is not tested here.

Result: reduced, 2026-11-25. At widths 3, 5 and 10 58.3%, 12.9% and 0.1% of 20,000 random nets are born
dead. After training, 71.5% and 22.8% of the nets of widths 3 and 5 are constant. At width 2 it is 94.4%
[92.8, 95.7] of 1,000. Leaky ReLU nets become flat in 14.5% [11.2, 18.3], more often than we expected.

Time: reduced 6 minutes on two cores, full about 3 hours on one core (estimated from it by steps).

Command:

    flaxact reproduce lu2019 --scale reduced
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from flaxact.diagnostics.maps import born_dead
from flaxact.figures import COLORS, MARKERS, figure, percent
from flaxact.initializers import he
from flaxact.layers import Act
from flaxact.reproduction.claim import UNKNOWN, Claim, Published, Table, format_interval
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, mean_interval, share_interval
from flaxact.stored.schema import decode
from flaxact.theory import born_dead_bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "lu2020dying"
DEPTH = 10
WIDTHS = (2, 3, 5, 10)
HALF = math.sqrt(3)  # of the interval, on which the mean of |x| is √3/2 and its variance 1/4
FLAT = 0.01 * 0.5  # below this standard deviation of its outputs a net has collapsed
SMALLEST = 1e-8  # of the figure's axis

GUIDE = "guide to safe widths, §3"
SHARE = "share of 10-layer nets that are born dead"

CLAIMS = (
    Claim(
        "bound",
        "The share of ReLU nets that are born dead stays below the bound at every width.",
        "share over bound, the largest of widths 2, 3, 5, 10",
        high=1.0,
        published=Published("1 - (1 - 2^-w)^(L-1)", "theorem 3", "secondhand"),
        exact=True,
    ),
    Claim(
        "width3",
        "About 60% of ReLU nets of width 3 and 10 layers are born dead.",
        SHARE,
        low=0.5,
        high=0.7,
        published=Published("about 60%", GUIDE, "secondhand"),
        exact=True,
        family="born dead",
    ),
    Claim(
        "width5",
        "More than 10% of ReLU nets of width 5 and 10 layers are born dead.",
        SHARE,
        low=0.1,
        published=Published("more than 10%", GUIDE, "secondhand"),
        exact=True,
        family="born dead",
    ),
    Claim(
        "width10",
        "Less than 1% of ReLU nets of width 10 and 10 layers are born dead.",
        SHARE,
        high=0.01,
        published=Published("less than 1%", GUIDE, "secondhand"),
        exact=True,
        family="born dead",
    ),
    Claim(
        "collapse",
        "More than 90% of ReLU nets of width 2 and 10 layers that are trained on |x| end as "
        "a constant.",
        "share of trained relu nets that are constant",
        low=0.9,
        published=Published("more than 90% of 1,000", "§1", "secondhand"),
        other_size=True,
    ),
    Claim(
        "constant",
        "Collapsed ReLU nets give the mean of the target, √3/2 = 0.866.",
        "mean output of the collapsed nets of width 2",
        low=0.856,
        high=0.876,
    ),
    Claim(
        "leaky_born",
        "Less than 1% of leaky ReLU nets of width 2 and 10 layers are born dead.",
        "share of leaky_relu nets",
        high=0.01,
        family="relatives are not born dead",
    ),
    Claim(
        "elu_born",
        "Less than 2% of ELU nets of width 2 and 10 layers are born dead.",
        "share of elu nets",
        high=0.02,
        family="relatives are not born dead",
    ),
    Claim(
        "leaky_collapse",
        "Less than 10% of leaky ReLU nets of width 2 and 10 layers become flat in training.",
        "share of trained leaky_relu nets",
        high=0.1,
        family="relatives do not become flat",
    ),
    Claim(
        "elu_collapse",
        "Less than 10% of ELU nets of width 2 and 10 layers become flat in training.",
        "share of trained elu nets",
        high=0.1,
        family="relatives do not become flat",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      draws: random nets per width and depth.
      trained: activation, width and number of nets.
      steps: number of steps of the training.
      points: at which |x| is learned.
      learning_rate: learning rate of Adam.
    """

    reduced: str
    draws: int
    trained: tuple[tuple[str, int, int], ...]
    steps: int
    points: int = 64
    learning_rate: float = 1e-3


SCALES = {
    "smoke": Settings(
        reduced="Few nets and steps.",
        draws=500,
        trained=(("relu", 2, 20), ("leaky_relu", 2, 20), ("elu", 2, 20)),
        steps=20,
    ),
    "reduced": Settings(
        reduced="The 1,000 nets of width 2 are as published; the training is ours, as its details are "
        "not known to us, and ends after 3,000 steps; width 10 is not trained.",
        draws=20_000,
        trained=(
            ("relu", 2, 1000),
            ("relu", 3, 400),
            ("relu", 5, 400),
            ("leaky_relu", 2, 400),
            ("elu", 2, 400),
        ),
        steps=3000,
    ),
    "full": Settings(
        reduced="As published as far as we know it; the details of the training are ours.",
        draws=200_000,
        trained=(
            ("relu", 2, 1000),
            ("relu", 3, 1000),
            ("relu", 5, 1000),
            ("relu", 10, 1000),
            ("leaky_relu", 2, 1000),
            ("elu", 2, 1000),
        ),
        steps=20_000,
    ),
}


class Narrow(nn.Module):
    """A net of one output, ``depth`` layers with weights and hidden ones of ``width``."""

    act: str
    width: int
    depth: int = DEPTH

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs (points, 1) to outputs (points, 1)."""
        for _ in range(self.depth - 1):
            x = Act(self.act)(nn.Dense(self.width, kernel_init=he())(x))
        return nn.Dense(1, kernel_init=he())(x)


@dataclass(frozen=True, kw_only=True)
class Nets:
    """The trained nets of an activation and a width.

    Attributes:
      act: the activation.
      width: width of the hidden layers.
      born_dead: by net, 1 where it is.
      spread: spread of its outputs, after training.
      mean: likewise.
      error: after training.
    """

    act: str
    width: int
    born_dead: tuple[int, ...]
    spread: tuple[float, ...]
    mean: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def born(self) -> Interval:
        """The share of nets that are born dead."""
        return share_interval(sum(self.born_dead), len(self.born_dead))

    @property
    def collapsed(self) -> Interval:
        """The share of nets that are constant after training."""
        return share_interval(sum(spread < FLAT for spread in self.spread), len(self.spread))


@dataclass(frozen=True, kw_only=True)
class Results:
    """Shares of born-dead nets by width and depth, the number of draws, and the trained nets."""

    draws: int
    depths: tuple[int, ...]
    born: dict[str, tuple[float, ...]]
    trained: tuple[Nets, ...]

    def born_dead(self, width: int) -> Interval:
        """The share of nets of DEPTH layers that are born dead."""
        share = self.born[str(width)][DEPTH - 1]
        return share_interval(round(share * self.draws), self.draws)

    def nets(self, act: str, width: int) -> Nets:
        """The trained nets of an activation and a width."""
        return next(nets for nets in self.trained if (nets.act, nets.width) == (act, width))


def study(settings: Settings, workspace: Workspace) -> Results:
    """Draw nets by width and depth and count the born-dead ones; train nets."""
    depths = range(1, 2 * DEPTH + 1)
    born = {}
    trained = []
    for width in WIDTHS:
        shares = functools.partial(_born_dead, width, depths, settings.draws)
        piece = functools.partial(workspace.cached, f"born-{width}", shares)
        born[str(width)] = workspace.attempt(piece)
    for act, width, nets in settings.trained:
        learn = functools.partial(_learn, act, width, nets, settings)
        piece = functools.partial(workspace.cached, f"{act}-{width}", learn)
        trained.append({"act": act, "width": width} | (workspace.attempt(piece) or {}))
    workspace.check_complete()
    return Results(
        draws=settings.draws,
        depths=tuple(depths),
        born=born,
        trained=tuple(decode(Nets, nets) for nets in trained),
    )


def _born_dead(width: int, depths: Sequence[int], draws: int) -> list[float]:
    return [born_dead(width, depth, draws) for depth in depths]


def _learn(act: str, width: int, nets: int, settings: Settings) -> dict[str, object]:
    """By net: whether it is born dead; its outputs' spread, mean and error after training."""
    net = Narrow(act, width)
    # The middles of equal cells, over which |x| has the mean that it has over the interval.
    x = (2 * (jnp.arange(settings.points) + 0.5) / settings.points - 1)[:, None] * HALF
    optimizer = optax.adam(settings.learning_rate)

    def outputs(params: optax.Params) -> jax.Array:
        return cast("jax.Array", net.apply({"params": params}, x))  # type: ignore[dict-item]

    def loss(params: optax.Params) -> jax.Array:
        return jnp.mean((outputs(params) - jnp.abs(x)) ** 2)

    def step(carried: tuple, _: None) -> tuple[tuple, None]:
        params, state = carried
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    @jax.vmap
    def learn(key: jax.Array) -> tuple[jax.Array, ...]:
        params = net.init(key, x)["params"]
        start = outputs(params)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, settings.steps)
        end = outputs(params)
        return jnp.ptp(start) == 0, jnp.std(end), jnp.mean(end), loss(params)

    born, spread, mean, error = learn(jax.random.split(jax.random.key(0), nets))
    return {
        "born_dead": [int(value) for value in born],
        **{
            name: [float(f"{value:.4g}") for value in values]
            for name, values in (("spread", spread), ("mean", mean), ("error", error))
        },
    }


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    over_bound = []
    for width in WIDTHS:
        share = results.born_dead(width)
        bound = born_dead_bound(width, DEPTH)
        over_bound.append(Interval(share.mean / bound, share.low / bound, share.high / bound))
    relu, leaky, elu = (results.nets(act, 2) for act in ("relu", "leaky_relu", "elu"))
    ends = zip(relu.spread, relu.mean, strict=True)
    constants = [mean for spread, mean in ends if spread < FLAT]
    return {
        "bound": max(over_bound, key=lambda ratio: ratio.high),  # all have to be below 1
        **{f"width{width}": results.born_dead(width) for width in WIDTHS[1:]},
        "collapse": relu.collapsed,
        "constant": mean_interval(constants) if constants else UNKNOWN,
        "leaky_born": leaky.born,
        "elu_born": elu.born,
        "leaky_collapse": leaky.collapsed,
        "elu_collapse": elu.collapsed,
    }


def tables(results: Results) -> list[Table]:
    """Born dead by width; trained nets by activation and width."""
    born = [
        {
            "width": f"{width}",
            "bound": f"{born_dead_bound(width, DEPTH):.2%}",
            f"ours, of {results.draws:,} random nets": _percent(results.born_dead(width)),
        }
        for width in WIDTHS
    ]
    trained = []
    for nets in results.trained:
        pairs = zip(nets.born_dead, nets.spread, strict=True)
        died = [spread < FLAT for dead, spread in pairs if not dead]
        learned = share_interval(sum(error < 0.01 for error in nets.error), len(nets.error))
        cells = {
            "activation": nets.act,
            "width": f"{nets.width}",
            "nets": f"{len(nets.spread)}",
            "born dead": _percent(nets.born),
            "constant after training": _percent(nets.collapsed),
            "constant, of those born alive": _percent(
                share_interval(sum(died), len(died)) if died else None
            ),
            "learned |x|: error below 0.01": _percent(learned),
        }
        trained.append(cells)
    return [
        Table.of_cells(f"Born dead, {DEPTH} layers", born),
        Table.of_cells("After training on |x|", trained),
    ]


def _percent(share: Interval | None) -> str:
    return format_interval(share, percent=True)


def figures(results: Results) -> dict[str, Figure]:
    """Shares over depth beside the bound, and how much trained nets' outputs vary."""
    drawing, (left, right) = figure(10, 4, 2)
    depths = results.depths
    for width, color, marker in zip(WIDTHS, COLORS, MARKERS, strict=False):
        shares = results.born[str(width)]
        left.plot(depths, [born_dead_bound(width, depth) for depth in depths], color=color, lw=1)
        left.plot(depths, shares, marker, color=color, markersize=4, label=f"width {width}")
    left.set(xlabel="layers", ylabel="share born dead", xticks=range(0, 21, 5))
    left.set_title(f"marks: {results.draws:,} random nets each; lines: bound", fontsize=9)
    left.yaxis.set_major_formatter(percent())
    left.legend(frameon=False, fontsize=8)
    for nets, color in zip(results.trained, COLORS, strict=False):
        spread = sorted(max(value, SMALLEST) for value in nets.spread)
        label = f"{nets.act}, width {nets.width} ({len(spread)} nets)"
        spread = spread[:: max(1, len(spread) // 100)]
        shares = [(place + 0.5) / len(spread) for place in range(len(spread))]
        right.step([SMALLEST, *spread], [0.0, *shares], where="post", color=color, label=label)
    right.axvline(FLAT, color="#333333", lw=0.8, ls=":")
    right.set(xscale="log", xlabel="standard deviation of a trained net's outputs")
    right.set_ylabel("share of nets below it")
    right.set_title(f"left of the dotted line: collapsed; {SMALLEST:g} stands for less", fontsize=9)
    right.yaxis.set_major_formatter(percent())
    right.legend(frameon=False, fontsize=8, loc="center left")
    return {"Born dead and collapsed": drawing}
