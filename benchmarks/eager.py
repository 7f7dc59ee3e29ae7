"""How long a call outside of any program takes, beside the same call of jax.nn.

Question: does an eager call, as in a notebook, cost more than jax.nn's, which computes nothing but the
function and checks nothing?

    taskset -c 0 python -m benchmarks.eager         # about three minutes; writes docs/results/eager.md

32 and 4,096 numbers: XLA runs a program of less than about 1,000 operations in the thread that calls it,
and hands a larger one to another, which costs more than the work. A time is that of the processor, for
all threads of the process, so that other jobs of the machine count little; a call ends when its result
is there. The two are measured in turn, in one process; a ratio is the median of the pairs', with
quartiles. Three kinds: as it is; with a hyperparameter that differs from its default; the gradient,
``jax.grad`` of the sum, which both trace anew each time.
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import flaxact as fa
from benchmarks.activations import counterpart, shared

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "eager.md"
PAIRS = 15
SAMPLE = 4e-3  # seconds
TARGET = 1.5
NUMBERS = {  # a hyperparameter that both have, by activation
    "celu": ("alpha", 0.7),
    "elu": ("alpha", 0.7),
    "leaky_relu": ("negative_slope", 0.3),
    "squareplus": ("b", 3.0),
}
SIZES = (32, 4096)
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Row:
    """A line of the table; of the ratio the lower quartile, the median and the upper quartile."""

    name: str
    kind: str
    size: int
    seconds: float
    ratio: tuple[float, float, float]

    def __str__(self) -> str:
        low, median, high = self.ratio
        ratio = f"{median:.2f} ({low:.2f}–{high:.2f})"
        return (
            f"| {self.name} | {self.kind} | {self.size:,} | {self.seconds * 1e6:,.0f} | {ratio} |"
        )


def cases() -> Iterator[tuple[str, str, Function, Function]]:
    """Activation, kind of call, and the two functions."""
    for name in sorted(shared()):
        ours, theirs = getattr(fa, name), counterpart(name).func
        yield name, "as it is", ours, theirs
        if name in NUMBERS:
            option, number = NUMBERS[name]
            yield (
                name,
                f"{option}={number}",
                lambda x, f=ours, o={option: number}: f(x, **o),
                lambda x, f=theirs, o={option: number}: f(x, **o),
            )
    for name in ("relu", "gelu", "elu", "softmax"):
        gradients = [
            jax.grad(lambda x, f=function: f(x)[..., 0].sum())
            for function in (getattr(fa, name), counterpart(name).func)
        ]
        yield name, "gradient", *gradients


def seconds(function: Function, x: jax.Array, repeats: int) -> float:
    """Processor time of one call, the mean of several."""
    start = time.process_time()
    for _ in range(repeats):
        function(x).block_until_ready()
    return (time.process_time() - start) / repeats


def measured() -> Iterator[Row]:
    """A row for each case and size."""
    for name, kind, *functions in cases():
        for size in SIZES[:1] if kind == "gradient" else SIZES:
            x = jnp.linspace(-3, 3, size).reshape(2, -1)
            repeats = [1 + int(SAMPLE / min(seconds(f, x, 1) for _ in range(4))) for f in functions]
            pair = list(zip(functions, repeats, strict=True))
            times = np.array([[seconds(f, x, n) for f, n in pair] for _ in range(PAIRS)])
            low, median, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
            yield Row(name, kind, size, float(np.median(times[:, 0])), ratio=(low, median, high))


def page(rows: list[Row]) -> str:
    """What is written."""
    over = [f"{r.name} ({r.kind}, {r.size})" for r in rows if r.ratio[1] > TARGET]
    calls = [r.ratio[1] for r in rows if r.kind != "gradient"]
    today = datetime.datetime.now(datetime.UTC).date()
    lines = [
        "# Eager calls beside jax.nn\n",
        f"`taskset -c 0 python -m benchmarks.eager`, {today}, jax {jax.__version__}, one CPU core",
        "**shared with other jobs**; float32. Times are medians of processor time, ratios medians",
        f"(quartiles) of {PAIRS} pairs measured in turn. The median ratio of the calls that are no",
        f"gradients is {statistics.median(calls):.2f}. Above {TARGET}: {', '.join(over) or 'none'}.\n",
        "| activation | call | numbers | µs | ÷ jax.nn |",
        "| --- | --- | --- | --- | --- |",
        *map(str, rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the page."""
    rows = []
    for row in measured():
        rows.append(row)
        print(row, flush=True)
    RESULTS.write_text(page(rows), "utf-8")


if __name__ == "__main__":
    main()
