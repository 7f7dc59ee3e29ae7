"""Cost: is a threshold cheaper than an exponential?

Claim: as it is commonly made, ReLU is a threshold, where tanh, the sigmoid and ELU need an exponential,
and so ReLU is cheaper. The one published figure that we have read is of a net of 15 layers on ImageNet:
10,000 iterations took 12.15 hours with ELU and 11.48 with ReLU, 5.8% more (Clevert et al. 2016).

Protocol: every activation is timed in two ways. Alone: as a compiled program of its own, on arrays of
several sizes, once for the value and once for the value and the gradient. Both are returned, so that XLA
computes both. In training: as part of whole training steps of a dense net and of an AlexNet-style net,
where XLA may fuse it with what is around it. In each round all programs run in a new random order, each
for 10 ms or more, and every time is divided by ReLU's of the same round. Ours are medians of these ratios
with distribution-free intervals from order statistics. The four claims that compare training steps are
one family with Holm's correction; the three about activations alone are another. The share of a step is
what it takes beyond the same step with the identity.

Differences: two small nets replace ELU's net of 15 layers, at every scale. Rounds of one process on one
machine are not independent of each other as far as the machine's load drifts; the random order keeps this
from favoring one activation.

Result: the stored reduced run of 2026-11-25 measured something else in its rows "gradient alone": the
gradient was returned without the value, so XLA dropped the value. It had 21 rounds in a fixed order, and
has to be repeated on a quiet machine. A result holds for the machine that the page names, and for XLA's
code for it. On an accelerator an elementwise function is fused with the operation before it, which waits
for memory, so the difference should shrink to nothing; no accelerator has been measured yet.

Time: about 5 minutes for reduced, on a quiet machine with 2 cores (21 rounds took 76 seconds).

Command: ``flaxact reproduce cost --scale reduced``, with nothing else running. Remove
``paper_repro/results/cost/reduced/`` first, if it holds pieces of another machine.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from flaxact import get
from flaxact.data import Dataset
from flaxact.figures import COLORS, INK, MARKERS, figure
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.claim import Claim, Published, Table, format_interval
from flaxact.reproduction.workspace import Workspace
from flaxact.statistics import Interval, median_interval
from flaxact.training import Member, Recipe, make_init, make_step, member_values

from . import _earlier_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Program = Callable[..., object]
Call = tuple[Program, tuple]  # a program and its arguments
SOURCE = "clevert2015elu"
upgraded = _earlier_runs.cost
EXPONENTIAL = ("elu", "tanh", "sigmoid")
KINDS = ("dense", "convolutional")
BOTH = "value and gradient"
LEAST_SECONDS = 0.01  # that a program runs for in each round
GRADIENTS = (BOTH, "gradient alone")  # the second in results of 2026-11-25


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the study.

    Attributes:
      reduced: what differs from the published size.
      sizes: numbers in an array.
      rounds: in each of which every program runs.
      batch_size: batch size of a training step.
      models: the nets of ``KINDS``.
      names: names of activations.
    """

    reduced: str
    sizes: tuple[int, ...]
    rounds: int
    batch_size: int
    models: tuple[str, str] = ("mlp_elu", "cuda_convnet")
    names: tuple[str, ...] = (
        "relu",
        "identity",
        "leaky_relu",
        "hard_tanh",
        "elu",
        "tanh",
        "sigmoid",
        "softplus",
        "silu",
        "gelu",
        "mish",
    )


SMALLER = "ELU's net of 15 layers on ImageNet is replaced by two small nets."
SCALES = {
    "smoke": Settings(
        reduced="Six rounds of tiny programs.",
        sizes=(1000,),
        rounds=6,
        batch_size=8,
        models=("mlp(depth=1, width=0.01)", "mlp(depth=2, width=0.01)"),
        names=("relu", "identity", *EXPONENTIAL),
    ),
    "reduced": Settings(reduced=SMALLER, sizes=(10_000, 1_000_000), rounds=101, batch_size=64),
    "full": Settings(
        reduced=SMALLER, sizes=(10_000, 1_000_000, 100_000_000), rounds=101, batch_size=256
    ),
}

LABELS = {"elu": "ELU", "tanh": "Tanh", "sigmoid": "The sigmoid"}
CLAIMS = (
    *(
        Claim(
            f"alone_{name}",
            f"{LABELS[name]}, applied alone, takes at least 5% longer than ReLU.",
            f"time of {name} ÷ time of relu, {BOTH} (in results of 2026-11-25 the gradient alone), "
            "largest array",
            low=1.05,
            family="alone",
        )
        for name in EXPONENTIAL
    ),
    Claim(
        "elu_step",
        "A training step of the convolutional net takes up to 10% longer with ELU than with ReLU.",
        "time of a training step of the convolutional net, elu ÷ relu",
        low=1.0,
        high=1.1,
        published=Published(
            "12.15 h ÷ 11.48 h = 1.058", "Clevert et al. 2016, ImageNet experiment"
        ),
        other_size=True,
    ),
    *(
        Claim(
            f"step_{name}_{kind}",
            f"{LABELS[name]} makes a training step of the {kind} net at most 5% "
            "slower than ReLU does.",
            f"time of a training step of the {kind} net, {name} ÷ relu",
            high=1.05,
            family="training step",
        )
        for kind in KINDS
        for name in ("tanh", "sigmoid")
    ),
)


Seconds = dict[str, tuple[float, ...]]  # by activation and round


@dataclass(frozen=True, kw_only=True)
class Results:
    """The seconds of every round, by program and activation."""

    seconds: dict[str, Seconds]

    @property
    def names(self) -> list[str]:
        """The activations that are compared with ReLU."""
        return [name for name in self.seconds[f"step, {KINDS[0]}"] if name != "relu"]


def study(settings: Settings, workspace: Workspace) -> Results:
    """Time activations alone by size and kind of program, and training steps by net."""
    seconds = {}
    for size in settings.sizes:
        for kind, program in (("value", _value), (BOTH, _value_and_gradient)):
            title = f"{kind}, {size:,} numbers"
            time_alone = functools.partial(_alone, program, size, settings)
            seconds[title] = workspace.cached(title, time_alone)
    for kind, model in zip(KINDS, settings.models, strict=True):
        title = f"step, {kind}"
        time_steps = functools.partial(_steps, model, settings, workspace)
        seconds[title] = workspace.cached(title, time_steps)
    return Results(seconds=seconds)


def _alone(
    program: Callable[[str], Program], size: int, settings: Settings
) -> dict[str, list[float]]:
    x = jax.random.normal(jax.random.key(0), (size,))
    return _timed({name: (program(name), (x,)) for name in settings.names}, settings.rounds)


def _steps(model: str, settings: Settings, workspace: Workspace) -> dict[str, list[float]]:
    data = workspace.data("mnist5k", settings.batch_size, settings.batch_size)
    calls = {name: _step(model, name, settings, data) for name in settings.names}
    return _timed(calls, settings.rounds)


def _value(name: str) -> Program:
    return jax.jit(get(name))


def _value_and_gradient(name: str) -> Program:
    """Both are returned: of what is not returned, XLA computes nothing."""

    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, pull = jax.vjp(get(name), x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(both)


def _step(model: str, name: str, settings: Settings, data: Dataset) -> Call:
    recipe = Recipe(epochs=1, batch_size=settings.batch_size)
    net = from_linen(create_model(model, name))
    state = jax.jit(make_init(net, recipe))(member_values(Member(0), recipe), data.train.images)
    batch = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    return jax.jit(make_step(net, recipe, 1)), (state, batch)


def _timed(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds per call, by name and round; the order in a round is random."""
    for program, arguments in calls.values():  # compile
        jax.block_until_ready(program(*arguments))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for name in rng.permutation(list(calls)).tolist():
            program, arguments = calls[name]
            start = time.perf_counter()
            count = 0
            elapsed = 0.0
            while elapsed < LEAST_SECONDS:
                jax.block_until_ready(program(*arguments))
                count += 1
                elapsed = time.perf_counter() - start
            seconds[name].append(elapsed / count)
    return seconds


def _ratio(seconds: Seconds, name: str) -> Interval:
    return median_interval(list(np.divide(seconds[name], seconds["relu"])))


def measured(results: Results) -> dict[str, Interval]:
    """The measured quantity of each claim."""
    steps = {kind: results.seconds[f"step, {kind}"] for kind in KINDS}
    alone = [times for title, times in results.seconds.items() if title.startswith(GRADIENTS)]
    return {
        **{f"alone_{name}": _ratio(alone[-1], name) for name in EXPONENTIAL},  # the largest array
        "elu_step": _ratio(steps["convolutional"], "elu"),
        **{
            f"step_{name}_{kind}": _ratio(seconds, name)
            for kind, seconds in steps.items()
            for name in ("tanh", "sigmoid")
        },
    }


def tables(results: Results) -> list[Table]:
    """The tables of ratios, ReLU's time and the share of a training step."""
    rows = []
    for title, seconds in results.seconds.items():
        relu = seconds["relu"]
        ratios = (format_interval(_ratio(seconds, name)) for name in results.names)
        rows.append((_label(title), str(len(relu)), _time(np.median(relu)), *ratios))
    shares = []
    for kind in KINDS:
        seconds = results.seconds[f"step, {kind}"]
        for name in seconds:
            if name != "identity":
                beyond = 100 * (1 - np.divide(seconds["identity"], seconds[name]))
                shares.append((kind, name, format_interval(median_interval(list(beyond)))))
    title = "Share of a training step beyond the identity"
    return [
        Table("Time ÷ ReLU's", ("program", "rounds", "relu takes", *results.names), tuple(rows)),
        Table(title, ("net", "activation", "share, %"), tuple(shares)),
    ]


def _label(title: str) -> str:
    """What a program is, in words."""
    return title.replace("step, ", "training step, ")


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"


def figures(results: Results) -> dict[str, Figure]:
    """Medians and intervals of the ratios: activations alone on the left, training steps on the right."""
    drawing, (left, right) = figure(10.5, 4.4, 2)
    by_title = results.seconds.items()
    alone = {title: times for title, times in by_title if not title.startswith("step")}
    steps = {title: times for title, times in by_title if title.startswith("step")}
    _draw(left, alone)
    _draw(right, steps)
    rounds = len(next(iter(alone.values()))["relu"])
    left.set_yscale("log")
    ticks = (0.25, 0.5, 1, 2, 4, 8, 16)
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    left.minorticks_off()
    left.set_title(f"alone (median and 95% interval of {rounds} rounds)", fontsize=9)
    right.set_title(f"in a training step ({rounds} rounds)", fontsize=9)
    return {"Time by activation": drawing}


def _draw(axes: Axes, programs: dict[str, Seconds]) -> None:
    names = [name for name in next(iter(programs.values())) if name != "relu"]
    for place, (title, seconds) in enumerate(programs.items()):
        ratios = [_ratio(seconds, name) for name in names]
        below = [ratio.mean - ratio.low for ratio in ratios]
        above = [ratio.high - ratio.mean for ratio in ratios]
        axes.errorbar(
            np.arange(len(names)) + 0.15 * (place - (len(programs) - 1) / 2),
            [ratio.mean for ratio in ratios],
            [below, above],
            fmt=MARKERS[place % 8],
            color=COLORS[place % 8],
            label=_label(title),
            markersize=4,
            linewidth=1,
        )
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_ylabel("time ÷ ReLU's")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
