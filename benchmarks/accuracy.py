"""How far an activation and its derivative are from the true ones, beside jax.nn and torch.

Question: by how many units in the last place of float32 are values and derivatives wrong, at worst?

    python benchmarks/accuracy.py --points 100000 --write docs/results/accuracy.md
    python benchmarks/accuracy.py --activations tanh gelu --points 1000

The true values are those of the formulas in tests/references.py, by mpmath to 50 digits or more (see
``truth`` there), at every one of ``points``: a grid of hard cases, and random numbers of both signs,
half of them spread evenly over the exponents of float32, subnormals included, half over those from
2^-12 to 2^7. They are kept in a folder for the next run, which computes 50 of each again. JAX's are
compiled, the derivative by ``jax.vjp``; torch runs as it is.

The rule, for each point (issue 3): a value is right within 4 units in the last place of the true one, a
derivative within 8. Near zero, which is where the true value is below a quarter of the output scale
(the largest size at inputs no larger), within 1e-7 of that scale is right too: about zero crossings and
in tails that vanish. The units in the last place there stand in brackets if there are more than 4. XLA
flushes subnormal numbers to zero on the CPU: below 2^-116 0 is right, as intermediate results may be
subnormal there, and a subnormal input may count as 0. Not judged are the derivative at a kink, at the
infinities and where the value overflows, and derivatives that are surrogates on purpose.

By default many derivatives are read from the output, which is all that is kept ("lean"): in saturation
the output has rounded away what they need. They are right within 2e-6 of the scale; the rows marked
"exact" are those of ``exact_derivative=True``, and follow the rule.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*
from benchmarks.truth import points, references, true_pairs
from benchmarks.ulps import TINY, TOP, capped, scales, units

WHAT = ("value", "derivative")
WHO = ("flaxact", "jax.nn", "torch")
ALLOWED = (4, 8)  # units in the last place: value, derivative
ABSOLUTE = 1e-7  # of the output scale, where it is near zero
LEAN = 2e-6  # of the output scale, for a derivative read from a saturated output
NEAR = 2.0**-2  # of the output scale: what counts as near zero
FLUSHED = 2.0**-116  # below it an intermediate result may have been subnormal
# Inputs beyond which it is not judged: the angle rounds by half a radian; XLA adds before it halves.
LIMITS = {
    "siren": 2.0**18,
    "finer": 2.0**8,
    "finer(frequency=30.0)": 2.0**8,
    "mixture(elu, leaky_relu(0.25))": 2.0**126,
}
# What breaks the rule, by no more than 4e-7 of the scale.
KNOWN = {
    "exponential": "XLA's exp is off by 4.7 near its largest value",
    "lecun_tanh": "XLA's tanh is off by 3.9, and a product follows",
    "serf": "about its zero crossing at -1.03 the derivative's terms cancel",
    "phish": "XLA's erfc is off by 8, and the derivative's terms cancel about -1.23",
}
# Beyond what jax.nn shares with torch.
TORCH = {"absolute": "abs", "arctan": "atan", "asinh": "asinh", "cosine": "cos", "erf": "erf",
         "exponential": "exp", "hard_shrink": "nn.functional.hardshrink", "sinc": "sinc",
         "sine": "sin",
         "soft_shrink": "nn.functional.softshrink",
         "tanh_shrink": "nn.functional.tanhshrink"}  # fmt: skip

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Judged:
    """The largest error in units in the last place and its place, away from zero and near it.

    ``error`` is the largest error over the output scale, anywhere.
    """

    ulps: float
    at: float
    near_ulps: float
    near_at: float
    error: float

    def __str__(self) -> str:
        return number(self.ulps) + (f" ({number(self.near_ulps)})" if self.near_ulps > 4 else "")


def number(ulps: float) -> str:
    """One decimal, or an order of magnitude."""
    return f"{ulps:.1f}" if ulps < 1000 else f"{ulps:.0e}"


@dataclass(frozen=True)
class Row:
    """What one line of the table says: for each library value and derivative, or None."""

    name: str
    lean: bool
    flaxact: tuple[Judged | None, ...]
    jax: tuple[Judged | None, ...] = (None, None)
    torch: tuple[Judged | None, ...] = (None, None)


def judge(spec: str, order: int, x: np.ndarray, got: np.ndarray, true: np.ndarray) -> Judged:
    """The worst of the points whose true value is known."""
    got = np.asarray(got, np.float64)
    with np.errstate(invalid="ignore"):
        wrong = units(got, true)
        wrong[(abs(true) < FLUSHED) & (abs(got - true) < FLUSHED)] = 0
        flushed = units(got, np.full_like(true, references.truth(spec, 0.0, order)))
        wrong[abs(x) < TINY] = np.fmin(wrong, flushed)[abs(x) < TINY]
        wrong[np.isnan(true)] = 0
        if order == 0:
            wrong[np.isnan(x)] = np.where(np.isnan(got[np.isnan(x)]), 0, np.inf)
        scale = scales(x, true)
        error = np.where(wrong > 0, abs(capped(got) - capped(true)) / scale, 0)
    near = (abs(true) <= NEAR * scale) & (error <= ABSOLUTE)
    worst, nearest, largest = (
        int(np.argmax(v)) for v in (np.where(near, -1, wrong), np.where(near, wrong, -1), error)
    )
    return Judged(
        float(wrong[worst]),
        float(x[worst]),
        float(wrong[nearest]) if near.any() else 0.0,
        float(x[nearest]),
        error=float(error[largest]),
    )


def in_jax(function: Callable) -> tuple[Function, Function]:
    """Value and derivative of a JAX function at every element of an array, compiled."""
    import jax
    import jax.numpy as jnp

    def slope(x: jax.Array) -> jax.Array:
        return jax.vjp(function, x)[1](jnp.ones_like(x))[0]

    def column(compiled: Callable) -> Function:
        # One column: an activation that learns by channel then has one channel.
        return lambda x: np.asarray(compiled(jnp.asarray(x)[:, None]))[:, 0]

    return column(jax.jit(function)), column(jax.jit(slope))


def in_torch(function: Callable) -> tuple[Function, Function]:
    """Value and derivative of a torch function at every element of an array."""
    import torch

    def slope(x: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(x).requires_grad_()
        return torch.autograd.grad(function(given).sum(), given)[0].numpy()

    return (lambda x: function(torch.from_numpy(x)).numpy()), slope


def others(spec: str) -> list[tuple[Function, Function] | None]:
    """The same function in jax.nn and in torch; None where there is none."""
    import flaxact as fa
    from benchmarks import activations as bench

    jax_nn = None
    with contextlib.suppress(fa.InputError):
        jax_nn = in_jax(bench.counterpart(spec))
    theirs = bench.torch_counterpart(spec)
    if theirs is None and spec in TORCH and bench.HAS_TORCH:
        import torch

        theirs = functools.reduce(getattr, TORCH[spec].split("."), torch)
    return [jax_nn, theirs and in_torch(theirs)]


def measured(spec: str, count: int, processes: int = 1, *, beside: bool = True) -> list[Row]:
    """One row, or two where the derivative has an exact form to ask for; jax.nn and torch beside."""
    import flaxact as fa

    activation = fa.get(spec)
    x = points(count, activation.breaks)
    true = true_pairs(spec, x, processes)
    true[:, abs(x) > LIMITS.get(spec, math.inf)] = np.nan
    unknown = ~np.isfinite(x) | (abs(true[0]) > TOP)
    for place in activation.breaks:
        unknown |= abs(x.astype(float) - place) < max(np.spacing(np.float32(abs(place))), TINY)
    true[1, unknown] = np.nan

    def both(functions: tuple[Function, Function] | None) -> tuple[Judged | None, ...]:
        if functions is None:
            return None, None
        orders = (0,) if activation.spec.surrogate else (0, 1)
        found = [judge(spec, n, x, functions[n](x), true=true[n]) for n in orders]
        return (*found, None)[:2]

    jax_nn, torch = map(both, others(spec) if beside else (None, None))
    specs = [activation.spec, *(inner.spec for inner in activation.inner.values())]
    lean = any("exact_derivative" in s.hyperparameters for s in specs)
    rows = [Row(spec, lean, both(in_jax(activation)), jax_nn, torch=torch)]
    if "exact_derivative" in activation.hyperparameters:
        exact = fa.bind(activation, exact_derivative=True)
        rows.append(Row(f"{spec}, exact", False, both(in_jax(exact)), jax_nn, torch=torch))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown: errors of value and derivative, and where ours is worst."""
    heads = [
        "activation",
        *(f"{what}: {who}" for what in WHAT for who in WHO),
        "worst at",
        "near zero, worst at",
        "error / scale",
    ]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        numbers = [who[n] or "" for n in (0, 1) for who in (row.flaxact, row.jax, row.torch)]
        judged = [j for j in row.flaxact if j]
        places = ", ".join(f"{j.at:.9g}" for j in judged)
        near = ", ".join(f"{j.near_at:.9g}" if j.near_ulps > 4 else "–" for j in judged)
        errors = ", ".join(f"{j.error:.0e}" for j in judged)
        lines.append([row.name, *numbers, places, near, errors])
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines) + "\n"


def broken(row: Row) -> dict[str, tuple[str, str]]:
    """What is not as the rule asks: the error, and why if known, by what it is an error of."""
    found = {}
    for order, what in enumerate(WHAT):
        ours = row.flaxact[order]
        allowed = order == 1 and row.lean and ours is not None and ours.error <= LEAN
        if ours and ours.ulps > ALLOWED[order] and not allowed:
            text = f"{ours} at {ours.at:.9g}, {ours.error:.0e} of the scale"
            known = KNOWN.get(row.name.removesuffix(", exact"), "") if ours.error < 4e-7 else ""
            found[f"{row.name}, {what}"] = text, known
    return found


def further(row: Row) -> dict[str, str]:
    """Where jax.nn or torch is nearer to the truth by half a unit; near zero, by a tenth."""
    found = {}
    for order, what in enumerate(WHAT):
        ours = row.flaxact[order]
        for who, beside in zip(WHO[1:], (row.jax[order], row.torch[order]), strict=True):
            if ours and beside:
                near = max(1.1 * beside.near_ulps, ALLOWED[1])
                if ours.ulps > beside.ulps + 0.5 or ours.near_ulps > near:
                    found[f"{row.name}, {what}, {who}"] = f"{ours} to {beside}"
    return found


def report(rows: Sequence[Row], command: str) -> str:
    """The table, and what it shows, in Markdown."""
    names = [name for name in ("jax", "torch", "mpmath") if find_spec(name)]
    place = f"{platform.machine()}, {', '.join(f'{name} {version(name)}' for name in names)}"
    about = (__doc__ or "").split("\n\n", 3)
    rule = [f"- {k}: {text} ({why})" for row in rows for k, (text, why) in broken(row).items()]
    behind = [f"- {k}: {text}" for row in rows for k, text in further(row).items()]
    parts = [
        f"# Accuracy beside jax.nn and torch\n\n`{command}`, {datetime.date.today()}, {place}.",
        about[3].replace("``", "`").strip(),
        table(rows).strip(),
        "## Beyond the rule\n\n" + ("\n".join(rule) or "None."),
        "## jax.nn or torch nearer\n\nUnits in the last place, ours to theirs; values within 4 and "
        "derivatives within 8 follow the rule all the same.\n\n" + ("\n".join(behind) or "None."),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and what it shows, or write them to a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--activations", nargs="+", metavar="SPEC", help="all with a reference")
    parser.add_argument("--points", type=int, default=2000, help="random ones, beside the grid")
    parser.add_argument("--processes", type=int, default=1, help="for mpmath")
    parser.add_argument("--write", type=Path, metavar="FILE", help="instead of printing")
    options = parser.parse_args(arguments)
    counts = options.points, options.processes
    specs = options.activations or references.REFERENCE
    rows = [row for spec in specs for row in measured(spec, *counts)]
    written = report(rows, f"python benchmarks/accuracy.py --points {options.points}")
    if options.write:
        options.write.write_text(written)
    else:
        print(written, end="")


if __name__ == "__main__":
    main()
