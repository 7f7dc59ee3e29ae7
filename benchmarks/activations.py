"""How long an activation takes beside jax.nn and torch, forward and backward, in one run.

Question: is flaxact's function as fast as the one of the same name in jax.nn, and how do both stand to
torch.nn.functional, in cache and out of it, in float32 and bfloat16?

    python benchmarks/activations.py                        # about six minutes on two CPU cores
    python benchmarks/activations.py --activations relu gelu --sizes 10000 1000000
    python benchmarks/activations.py --stack     # and a training step of 24 dense layers, 8192 × 256

"forward+backward" gives output and input gradient from a given cotangent: ``jax.vjp`` inside one
``jax.jit``, ``torch.autograd.grad`` of the call. A ratio is flaxact's time over the other's: the median
of pairs measured in turn, with the quartiles. Small calls are repeated, so their times hold the
dispatch that every call pays (see the header line). Run as a file, it has the C library keep freed
memory: else a call that returns 32 MiB or more mostly waits for fresh pages from the operating system.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime
import functools
import importlib.util
import inspect
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import flaxact as fa

Call = Callable[[], Any]
Function = Callable[[Any], Any]

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
DTYPES = ("float32", "bfloat16")
DIRECTIONS = ("forward", "forward+backward")
WIDTH = 100  # the last axis, over which softmax and glu work
SAMPLE = 5e-3  # seconds
REST = 5e-3  # seconds, in which the threads of the call before, which spin for a while, go to sleep
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# jax.nn's name, or a variant, to torch.nn.functional's, and what makes it the same function.
ALIKE = ("celu", "elu", "gelu", "glu", "leaky_relu", "log_softmax", "mish", "relu", "relu6",
         "selu", "sigmoid", "silu", "softmax", "softplus", "tanh")  # fmt: skip
TORCH = {name: name for name in ALIKE}
TORCH |= {"gelu(approximate=False)": "gelu", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish",
          "hard_swish": "hardswish", "hard_tanh": "hardtanh", "log_sigmoid": "logsigmoid",
          "soft_sign": "softsign", "swish": "silu"}  # fmt: skip
# softplus: never the identity, as in jax.nn.
TORCH_OPTIONS = {"gelu": {"approximate": "tanh"}, "log_softmax": {"dim": -1}, "softmax": {"dim": -1},
                 "softplus": {"threshold": 1e9}}  # fmt: skip
HAS_TORCH = importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios of times with its quartiles, and the median time of the first."""

    median: float
    low: float
    high: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Row:
    """What one line of the table says; ``torch`` is None where torch has no such function."""

    name: str
    size: int
    dtype: str
    direction: str
    jax: Ratio
    torch: Ratio | None = None


def seconds(call: Call, repeats: int) -> float:
    """Wall-clock time of one call, the mean of several."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def ratios(first: Call, second: Call, pairs: int = 9, sample: float = SAMPLE) -> Ratio:
    """How many times as long the first call takes as the second.

    Both return when their work is done. Of the pairs, measured in turn, every other one is in the
    opposite order. A call is repeated to fill ``sample`` seconds; a longer one is made once.
    """
    calls = (first, second)  # The first call of each compiles, and is not the fastest.
    repeats = [1 + int(sample / min(seconds(call, 1) for _ in range(4))) for call in calls]
    times = np.empty((pairs, 2))
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            time.sleep(REST)
            calls[which]()  # warms the cache
            times[pair, which] = seconds(calls[which], repeats[which])
    low, median, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
    return Ratio(float(median), float(low), float(high), float(np.median(times[:, 0])))


@functools.cache
def shared() -> dict[str, str]:
    """jax.nn's name by flaxact's, for what both have; an alias where flaxact has no such name."""
    found: dict[str, str] = {}
    for theirs in dir(jax.nn):
        for spelling in (theirs, theirs.replace("_", "")):  # soft_sign may be softsign
            with contextlib.suppress(fa.InputError):
                ours = fa.get(spelling).spec.name
                found[ours] = theirs if found.get(ours) != ours else ours
    return found


def listed() -> list[str]:
    """What is measured when nothing is asked for."""
    return sorted([*shared(), "gelu(approximate=False)"])


def counterpart(name: str) -> Function:
    """The function in jax.nn for a name or spec text of flaxact's.

    >>> counterpart("swish").func is jax.nn.silu
    True

    Raises:
      InputError: flaxact has no such activation, or jax.nn has none with these hyperparameters.
    """
    activation = fa.get(name)
    theirs = shared().get(activation.spec.name)
    if theirs is None:
        raise fa.InputError(f"jax.nn has no {name}; it shares {', '.join(sorted(shared()))}")
    function = getattr(jax.nn, theirs)
    for parameter, _ in activation.changed:
        if parameter not in inspect.signature(function).parameters:
            raise fa.InputError(f"jax.nn.{theirs} takes no {parameter}")
    return functools.partial(function, **dict(activation.changed))


def torch_counterpart(name: str) -> Function | None:
    """The function in torch likewise; None where it has none, or is not installed."""
    theirs = shared().get(str(fa.get(name)), str(fa.get(name)))
    if not HAS_TORCH or theirs not in TORCH:
        return None
    import torch.nn.functional

    function = getattr(torch.nn.functional, TORCH[theirs])
    return functools.partial(function, **TORCH_OPTIONS.get(theirs, {}))


def arrays(function: Function, size: int) -> list[np.ndarray]:
    """Input and cotangent of about this many elements, standard normal, in float32."""
    shape = (max(1, round(size / WIDTH)), WIDTH)
    output = jax.eval_shape(function, jax.ShapeDtypeStruct(shape, jnp.float32))
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s, np.float32) for s in (shape, output.shape)]


def jax_call(function: Function, data: Sequence[np.ndarray], dtype: str, direction: str) -> Call:
    """One compiled call of a JAX function."""

    def both(x: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(function, x)
        return y, pull(g)[0]

    program = jax.jit((lambda x, _: (function(x),)) if direction == "forward" else both)
    x, g = (jnp.asarray(a, dtype) for a in data)
    return lambda: program(x, g)[-1].block_until_ready()  # noqa: PLW0108 (all are ready at once)


def torch_call(function: Function, data: Sequence[np.ndarray], dtype: str, direction: str) -> Call:
    """One call of a torch function on the CPU."""
    import torch

    torch.set_num_threads(CORES)
    x, g = (torch.from_numpy(a).to(getattr(torch, dtype)) for a in data)
    if direction == "forward":
        return lambda: function(x)
    x.requires_grad_()
    return lambda: torch.autograd.grad(function(x), x, g)  # out.backward(g), without x.grad


def measured(names: Iterable[str], sizes: Sequence[int], pairs: int) -> Iterator[Row]:
    """A row for each activation, size, dtype and direction, when it is measured."""
    for name in names:
        ours = fa.get(name)
        theirs = counterpart(name)
        torchs = torch_counterpart(name)
        for size, dtype, direction in itertools.product(sizes, DTYPES, DIRECTIONS):
            given = arrays(ours, size), dtype, direction
            call = jax_call(ours, *given)
            beside = ratios(call, jax_call(theirs, *given), pairs)
            third = torchs and ratios(call, torch_call(torchs, *given), pairs)
            yield Row(str(ours), size, dtype, direction, jax=beside, torch=third)
        jax.clear_caches()


def stacked(names: Iterable[str], pairs: int) -> Iterator[Row]:
    """A row for the training step of a dense stack with each activation that keeps the width."""
    from benchmarks.backward import LAYERS, ROWS, WIDTH, compiled

    keys = jax.random.split(jax.random.key(0), LAYERS + 1)
    weights = [jax.random.normal(key, (WIDTH, WIDTH)) * WIDTH**-0.5 for key in keys[1:]]
    x = jax.random.normal(keys[0], (ROWS, WIDTH))

    def step(function: Function) -> Call:
        program, _ = compiled(function, ROWS, WIDTH, LAYERS)
        return lambda: jax.block_until_ready(program(weights, x))

    for name in names:
        if jax.eval_shape(fa.get(name), x).shape == x.shape:
            ratio = ratios(step(fa.get(name)), step(counterpart(name)), pairs)
            yield Row(str(fa.get(name)), x.size, "float32", f"{LAYERS} × dense step", jax=ratio)


def line(*cells: object) -> None:
    """Print a line of a Markdown table at once; the last column, torch's, only where there is torch."""
    print(f"| {' | '.join(map(str, cells if HAS_TORCH else cells[:-1]))} |", flush=True)


def table(rows: Iterable[Row]) -> list[Row]:
    """Print the rows as they come."""
    line("activation", "size", "dtype", "direction", "flaxact, µs", "÷ jax.nn", "÷ torch")
    line(*["---"] * 7)
    kept = []
    for row in rows:
        kept.append(row)
        what = row.name, f"{row.size:,}", row.dtype, row.direction
        line(*what, f"{row.jax.seconds * 1e6:,.1f}", row.jax, row.torch or "–")
    return kept


def summary(rows: Sequence[Row]) -> None:
    """Print the worst row of each kind, and the geometric means over activations and sizes."""
    print()
    line("kind", "rows", "worst ÷ jax.nn", "which", "geometric mean ÷ jax.nn", "÷ torch")
    line(*["---"] * 6)
    for kind in dict.fromkeys((row.direction, row.dtype) for row in rows):
        chosen = [row for row in rows if (row.direction, row.dtype) == kind]
        worst = max(chosen, key=lambda row: row.jax.median)
        means = [
            f"{statistics.geometric_mean(r.median for r in found):.3f}" if found else "–"
            for found in ([row.jax for row in chosen], [row.torch for row in chosen if row.torch])
        ]
        line(", ".join(kind), len(chosen), worst.jax, f"{worst.name}, {worst.size:,}", *means)


def header() -> None:
    """Print when, with what and on what this is measured."""
    call = jax_call(jnp.sin, [np.zeros(1)] * 2, "float32", "forward")
    device = jax.devices()[0]
    torch = (
        f"torch {version('torch')} (on the CPU)" if HAS_TORCH else "torch not installed: left out"
    )
    versions = f"Python {platform.python_version()}, jax {jax.__version__}, {torch}"
    place = f"{device.platform} {device.device_kind}, {platform.machine()}, {CORES} cores"
    print(f"{datetime.date.today()}; {versions}; {place}.", end=" ")
    print(f"A jitted call on one number takes {1e6 * ratios(call, call).seconds:.1f} µs.\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and the summary below it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--activations", nargs="+", metavar="NAME", help="all that jax.nn has")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="N")
    parser.add_argument("--pairs", type=int, default=9, help="of measurements behind a ratio")
    parser.add_argument("--stack", action="store_true", help="the training step too")
    options = parser.parse_args(arguments)
    names = options.activations or listed()
    try:
        list(map(counterpart, names))
    except fa.InputError as error:
        parser.error(str(error))
    header()
    rows = table(measured(names, options.sizes, options.pairs))
    if options.stack:
        print()
        rows += table(stacked(names, options.pairs))
    summary(rows)


def keep_freed_memory() -> None:
    """Have glibc take large arrays from freed memory instead of fresh pages; elsewhere do nothing."""
    if platform.libc_ver()[0] == "glibc":
        # M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
        for option, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1)):
            ctypes.CDLL(None).mallopt(option, value)


if __name__ == "__main__":
    keep_freed_memory()
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*
    main()
