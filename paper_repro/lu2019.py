"""Lu et al. 2019: narrow deep ReLU nets are born dead, and training collapses them to a constant.

Dying ReLU and Initialization (arXiv 1903.06733): a ReLU net is dead when it gives the same output to
every input, for then no gradient reaches the layers below. With weights and biases symmetric about 0 a
net of width w and L layers is born so with a probability of at most ``1 - (1 - 2**-w)**(L - 1)`` (their
theorem 3), which depth takes to 1. Of nets of 10 layers the paper reports more than 90% collapsed at
width 2 when they learn |x|, which two ReLU units give exactly; and at widths 3, 5 and 10 about 60%,
more than 10% and less than 1%. We know these figures from other texts.

Born dead: random nets of one input with Gaussian weights and no biases, by
``diagnostics.maps.born_dead``, beside ``theory.born_dead_bound``. This is what the figures for widths 3
to 10 are compared with.

Trained: nets of one input, one output and nine hidden layers, He's initialisation, biases 0, learn |x|
at equally spaced points of [-√3, √3], where x has mean square 1, by the mean squared error and Adam.
Batch, optimiser, learning rate and number of steps are ours: we have not seen the paper's. A net has
collapsed if its outputs vary by less than 1% of the target's standard deviation. Where leaky ReLU and
ELU, which have no dead zone, stand under the same test is a claim of its own: their nets may be flat
without being dead.

The remedy of the paper, weights drawn asymmetrically, is not put to the test here.

Scales: reduced trains 1,000 nets of width 2 and fewer of the others; full trains 1,000 of each, for
longer.

    flaxact reproduce lu2019 --scale reduced
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from flaxact._figures import COLOURS, MARKERS, figure, percent
from flaxact.diagnostics.maps import born_dead
from flaxact.initializers import he
from flaxact.layers import Act
from flaxact.statistics import Interval, mean_interval, share_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.theory import born_dead_bound

SOURCE = "lu2020dying"
DEPTH = 10
WIDTHS = (2, 3, 5, 10)
HALF = math.sqrt(3)  # of the interval, on which the mean of |x| is √3/2 and its variance 1/4
FLAT = 0.01 * 0.5

CLAIMS = (
    Claim(
        "bound", "The share of born-dead nets stays below the bound, at every width.",
        "share over bound, the largest of widths 2, 3, 5, 10", high=1.0,
        published=Published("1 - (1 - 2^-w)^(L-1)", "theorem 3", "secondhand"),
    ),
    Claim(
        "width3", "About 60% of nets of width 3 and 10 layers are born dead.", "share", 0.5, 0.7,
        published=Published("about 60%", "practical guide, §3", "secondhand"),
    ),
    Claim(
        "width5", "More than 10% of nets of width 5 are.", "share", low=0.1,
        published=Published("more than 10%", "practical guide, §3", "secondhand"),
    ),
    Claim(
        "width10", "Less than 1% of nets of width 10 are.", "share", high=0.01,
        published=Published("less than 1%", "practical guide, §3", "secondhand"),
    ),
    Claim(
        "collapse", "Training on |x|, more than 90% of nets of width 2 and 10 layers end as a constant.",
        "share of relu nets", low=0.9,
        published=Published("more than 90% of 1,000", "§1", "secondhand"),
    ),
    Claim(
        "constant", "That constant is the mean of the target, √3/2 = 0.866.",
        "mean output of the collapsed nets", 0.856, 0.876,
    ),
    Claim(
        "leaky_born", "No leaky ReLU net of width 2 is born dead.", "share of leaky_relu nets",
        high=0.01,
    ),
    Claim("elu_born", "No ELU net of width 2 is born dead.", "share of elu nets", high=0.02),
    Claim(
        "leaky_collapse", "Nor does training make leaky ReLU nets flat: less than 10% end so.",
        "share of leaky_relu nets", high=0.1,
    ),
    Claim(
        "elu_collapse", "Nor ELU nets: less than 10% end so.", "share of elu nets", high=0.1,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes of the study; ``trained`` holds activation, width and number of nets."""

    reduced: str
    draws: int
    trained: tuple[tuple[str, int, int], ...]
    steps: int
    points: int = 64
    learning_rate: float = 1e-3


def _trained(most: int, others: int) -> tuple[tuple[str, int, int], ...]:
    rectified = [("relu", 2, most), *(("relu", width, others) for width in (3, 5))]
    return (*rectified, ("leaky_relu", 2, others), ("elu", 2, others))


SCALES = {
    "smoke": Settings("Few nets and steps.", 500, _trained(20, 20)[:1] + _trained(20, 20)[3:], 20),
    "reduced": Settings(
        "The 1,000 nets of width 2 are as published; the training is ours, as its details are not known "
        "to us, and ends after 3,000 steps; width 10 is not trained.",
        20_000, _trained(1000, 400), 3000,
    ),
    "full": Settings(
        "As published as far as we know it; the details of the training are ours.",
        200_000, (*_trained(1000, 1000), ("relu", 10, 1000)), 20_000,
    ),
}  # fmt: skip


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


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Shares of born-dead nets by width and depth, and what each trained net ended as."""
    depths = range(1, 2 * DEPTH + 1)
    born = {
        str(width): work.piece(
            f"born-{width}",
            lambda width=width: [born_dead(width, depth, settings.draws) for depth in depths],
        )
        for width in WIDTHS
    }
    trained = [
        {"act": act, "width": width}
        | work.piece(
            f"{act}-{width}",
            lambda act=act, width=width, nets=nets: _learn(act, width, nets, settings),
        )
        for act, width, nets in settings.trained
    ]
    return {"draws": settings.draws, "depths": list(depths), "born": born, "trained": trained}


def _learn(act: str, width: int, nets: int, settings: Settings) -> dict[str, Any]:
    """By net: whether it is born dead; its outputs' spread, mean and error after training."""
    net = Narrow(act, width)
    # The middles of equal cells, over which |x| has the mean that it has over the interval.
    x = (2 * (jnp.arange(settings.points) + 0.5) / settings.points - 1)[:, None] * HALF
    optimizer = optax.adam(settings.learning_rate)

    def loss(params: Any) -> jax.Array:
        return jnp.mean((net.apply({"params": params}, x) - jnp.abs(x)) ** 2)  # type: ignore[operator]

    def step(carried: Any, _: None) -> tuple[Any, None]:
        params, state = carried
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    @jax.vmap
    def learn(key: jax.Array) -> tuple[jax.Array, ...]:
        params = net.init(key, x)["params"]
        start: Any = net.apply({"params": params}, x)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, settings.steps)
        end: Any = net.apply({"params": params}, x)
        return jnp.ptp(start) == 0, jnp.std(end), jnp.mean(end), loss(params)

    born, spread, mean, error = learn(jax.random.split(jax.random.key(0), nets))
    return {
        "born_dead": [int(value) for value in born],
        **{
            name: [float(f"{value:.4g}") for value in values]
            for name, values in (("spread", spread), ("mean", mean), ("error", error))
        },
    }


def _nets(results: dict[str, Any], act: str, width: int) -> dict[str, Any]:
    return next(row for row in results["trained"] if (row["act"], row["width"]) == (act, width))


def _collapsed(nets: dict[str, Any]) -> Interval:
    return share_interval(sum(spread < FLAT for spread in nets["spread"]), len(nets["spread"]))


def _born(nets: dict[str, Any]) -> Interval:
    return share_interval(sum(nets["born_dead"]), len(nets["born_dead"]))


def _drawn(results: dict[str, Any], width: int) -> Interval:
    share = results["born"][str(width)][DEPTH - 1]
    return share_interval(round(share * results["draws"]), results["draws"])


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """The quantities of the claims; intervals of shares are exact binomial ones."""
    found = {}
    for width in WIDTHS:
        share, bound = _drawn(results, width), born_dead_bound(width, DEPTH)
        found[width] = Interval(*(value / bound for value in (share.mean, share.low, share.high)))
    relu, leaky, elu = (_nets(results, act, 2) for act in ("relu", "leaky_relu", "elu"))
    ends = zip(relu["spread"], relu["mean"], strict=True)
    return {
        "bound": max(found.values(), key=lambda ratio: ratio.high),
        **{f"width{width}": _drawn(results, width) for width in WIDTHS[1:]},
        "collapse": _collapsed(relu),
        "constant": mean_interval([mean for spread, mean in ends if spread < FLAT]),
        "leaky_born": _born(leaky), "elu_born": _born(elu),
        "leaky_collapse": _collapsed(leaky), "elu_collapse": _collapsed(elu),
    }  # fmt: skip


def tables(results: dict[str, Any]) -> list[Table]:
    """Born dead by width; trained nets by activation and width."""
    born = tuple(
        (
            f"{width}",
            f"{born_dead_bound(width, DEPTH):.2%}",
            shown(_drawn(results, width), percent=True),
        )
        for width in WIDTHS
    )
    trained = tuple(
        (
            nets["act"], f"{nets['width']}", f"{len(nets['spread'])}", shown(_born(nets), percent=True),
            shown(_collapsed(nets), percent=True),
            f"{sum(error < 0.01 for error in nets['error']) / len(nets['error']):.1%}",
        )
        for nets in results["trained"]
    )  # fmt: skip
    header = (
        "activation",
        "width",
        "nets",
        "born dead",
        "collapsed",
        "learned |x|: error below 0.01",
    )
    return [
        Table(f"Born dead, {DEPTH} layers", ("width", "bound", "ours"), born),
        Table("After training on |x|", header, trained),
    ]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Shares over depth beside the bound, and how much trained nets' outputs vary."""
    made, (left, right) = figure(9, 3.6, 2)
    depths = results["depths"]
    for width, colour, marker in zip(WIDTHS, COLOURS, MARKERS, strict=False):
        left.plot(depths, [born_dead_bound(width, depth) for depth in depths], color=colour, lw=1)
        left.plot(
            depths, results["born"][str(width)], marker, color=colour, markersize=4,
            label=f"width {width}",
        )  # fmt: skip
    left.set(xlabel="layers", ylabel="born dead (line: bound)", xticks=range(0, 21, 5))
    left.yaxis.set_major_formatter(percent())
    left.legend(frameon=False, fontsize=8)
    for nets, colour in zip(results["trained"], COLOURS, strict=False):
        spread = sorted(max(value, 1e-8) for value in nets["spread"])
        spread = spread[:: max(1, len(spread) // 100)]
        shares = [(place + 0.5) / len(spread) for place in range(len(spread))]
        right.step(spread, shares, color=colour, label=f"{nets['act']}, width {nets['width']}")
    right.axvline(FLAT, color="#333333", lw=0.8, ls=":")
    right.set(
        xscale="log", xlabel="standard deviation of a trained net's outputs",
        ylabel="share of nets below it",
    )  # fmt: skip
    right.yaxis.set_major_formatter(percent())
    right.legend(frameon=False, fontsize=8, loc="center left")
    return {"Born dead and collapsed": made}
