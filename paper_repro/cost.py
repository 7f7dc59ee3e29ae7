"""Cost: is a threshold cheaper than an exponential?

The claim, as it is commonly made: ReLU is a threshold, where tanh, the sigmoid and ELU need an
exponential, and is therefore cheaper. The one published figure that we have read is Clevert et al.
2016, of a net of 15 layers on ImageNet: 10,000 iterations took 12.15 hours with ELU and 11.48 with
ReLU, 5.8% more.

Protocol: every activation as a compiled program of its own, forward and forward with backward, on
arrays of several sizes; and as part of whole training steps, of a dense net and of an AlexNet-style
one, in which the compiler may fuse it with what is around it. All programs run in turn, round after
round, and every time is divided by ReLU's of the same round; ours are medians of these ratios, with a
distribution-free 95% interval. The share of a step is what the step takes beyond the same step with the
identity.

What the figures hold for: the machine named below, and XLA's code for it. On an accelerator an element-
wise function is fused with the operation before it, which waits for memory, and the difference should
shrink to nothing; ``full`` measures that where there is one.

    flaxact reproduce cost --scale reduced
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact import get
from flaxact._figures import COLOURS, INK, MARKERS
from flaxact._figures import figure as new_figure
from flaxact.data import Dataset
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.statistics import Interval, median_interval
from flaxact.studies.claims import Claim, Published, Table, shown
from flaxact.studies.reproduction import Work
from flaxact.training import Member, Recipe, make_init, make_step, member_values

SOURCE = "clevert2015elu"
EXPONENTIAL = ("elu", "tanh", "sigmoid")
KINDS = ("dense", "convolutional")


@dataclass(frozen=True)
class Settings:
    """Numbers in an array, rounds, the batch of a training step, and the nets of ``KINDS``."""

    sizes: tuple[int, ...]
    rounds: int
    batch_size: int
    reduced: str
    models: tuple[str, str] = ("mlp_elu", "cuda_convnet")
    names: tuple[str, ...] = (
        "relu", "identity", "leaky_relu", "hard_tanh", "elu", "tanh", "sigmoid", "softplus", "silu",
        "gelu", "mish",
    )  # fmt: skip


SMALLER = "ELU's net of 15 layers on ImageNet is replaced by two small nets."
SCALES = {
    "smoke": Settings(
        (1000,), 6, 8, "Six rounds of tiny programs.",
        ("mlp(depth=1, width=0.01)", "mlp(depth=2, width=0.01)"), ("relu", "identity", *EXPONENTIAL),
    ),
    "reduced": Settings((10_000, 1_000_000), 21, 64, SMALLER),
    "full": Settings((10_000, 1_000_000, 100_000_000), 51, 256, SMALLER),
}  # fmt: skip

CLAIMS = (
    *(
        Claim(
            f"alone_{name}", f"Applied alone, {name} costs more than ReLU.",
            f"time of {name} ÷ time of relu, forward and backward, largest array", low=1.05,
        )
        for name in EXPONENTIAL
    ),
    Claim(
        "elu_step", "In training, ELU costs a few percent more than ReLU.",
        "time of a training step of the convolutional net, elu ÷ relu", low=1.0, high=1.1,
        published=Published("12.15 h ÷ 11.48 h = 1.058", "Clevert et al. 2016, ImageNet experiment"),
    ),
    *(
        Claim(
            f"step_{name}_{kind}", f"In a training step of the {kind} net it hardly matters: {name} "
            "makes it at most 5% slower than ReLU.", f"time of a step, {name} ÷ relu", high=1.05,
        )
        for kind in KINDS for name in ("tanh", "sigmoid")
    ),
)  # fmt: skip


def study(settings: Settings, work: Work) -> dict[str, Any]:
    """Seconds of every round, by program and activation."""
    data = work.data("mnist5k", settings.batch_size, settings.batch_size)
    found = {}
    for size in settings.sizes:
        x = jax.random.normal(jax.random.key(0), (size,))
        for kind, program in (("forward", _forward), ("with backward", _backward)):
            calls = {name: (program(name), (x,)) for name in settings.names}
            title = f"{kind}, {size:,} numbers"
            found[title] = work.piece(title, lambda c=calls: _in_turn(c, settings.rounds))
    for kind, model in zip(KINDS, settings.models, strict=True):
        found[f"step, {kind}"] = work.piece(
            f"step, {kind}",
            lambda model=model: _in_turn(
                {name: _step(model, name, settings, data) for name in settings.names},
                settings.rounds,
            ),
        )
    return found


def _forward(name: str) -> Callable[..., Any]:
    return jax.jit(get(name))


def _backward(name: str) -> Callable[..., Any]:
    return jax.jit(lambda x: jax.vjp(get(name), x)[1](jnp.ones_like(x)))


def _step(model: str, name: str, settings: Settings, data: Dataset) -> tuple[Any, tuple[Any, ...]]:
    recipe = Recipe(epochs=1, batch_size=settings.batch_size)
    net = from_linen(create_model(model, name))
    state = jax.jit(make_init(net, recipe))(member_values(Member(0), recipe), data.train.images)
    batch = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    return jax.jit(make_step(net, recipe, 1)), (state, batch)


def _in_turn(calls: dict[str, tuple[Any, tuple[Any, ...]]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for place in range(-1, rounds):  # the first compiles
        for name, (program, arguments) in calls.items():
            start, many = time.perf_counter(), 0
            while not many or (place >= 0 and time.perf_counter() - start < 0.01):
                jax.block_until_ready(program(*arguments))
                many += 1
            if place >= 0:
                seconds[name].append((time.perf_counter() - start) / many)
    return seconds


def _ratio(seconds: dict[str, list[float]], name: str) -> Interval:
    return median_interval(list(np.divide(seconds[name], seconds["relu"])))


def measured(results: dict[str, Any]) -> dict[str, Interval]:
    """By claim."""
    largest = [title for title in results if title.startswith("with backward")][-1]
    steps = {kind: results[f"step, {kind}"] for kind in KINDS}
    return {
        **{f"alone_{name}": _ratio(results[largest], name) for name in EXPONENTIAL},
        "elu_step": _ratio(steps["convolutional"], "elu"),
        **{
            f"step_{name}_{kind}": _ratio(seconds, name)
            for kind, seconds in steps.items()
            for name in ("tanh", "sigmoid")
        },
    }


def tables(results: dict[str, Any]) -> list[Table]:
    """Every ratio, ReLU's time, and the share of a step."""
    names = [name for name in results[f"step, {KINDS[0]}"] if name != "relu"]
    rows = [
        (title, _time(np.median(seconds["relu"])), *(shown(_ratio(seconds, n)) for n in names))
        for title, seconds in results.items()
    ]
    shares = []
    for kind in KINDS:
        seconds = results[f"step, {kind}"]
        for name in seconds:
            beyond = 1 - np.divide(seconds["identity"], seconds[name])
            shares.append((kind, name, shown(median_interval(list(beyond)), percent=True)))
    return [
        Table("Time ÷ ReLU's", ("program", "relu takes", *names), tuple(rows)),
        Table("Share of a training step", ("net", "activation", "share"), tuple(shares)),
    ]


def _time(seconds: Any) -> str:
    return f"{1e6 * seconds:.3g} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """The ratios, a marker a program."""
    made, axes = new_figure(8.5, 4.2)
    names = list(results[f"step, {KINDS[0]}"])
    for i, (title, seconds) in enumerate(results.items()):
        found = [_ratio(seconds, name) for name in names]
        xs = np.arange(len(names)) + 0.1 * (i - len(results) / 2)
        ends = [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
        axes.errorbar(
            xs, [f.mean for f in found], ends, fmt=MARKERS[i % 8], color=COLOURS[i % 8], label=title,
            markersize=4, linewidth=1,
        )  # fmt: skip
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names, rotation=30)
    axes.set_ylabel("time ÷ ReLU's")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return {"Time by activation": made}
