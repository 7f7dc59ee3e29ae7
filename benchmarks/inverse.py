"""Can gelu, silu and mish be differentiated from their output and a bit or two a value?

Question: each of them falls to one minimum and rises from there, so the output and one bit (is the
input right of the minimum?) tell the input, and with it the derivative. That would keep one array a
layer instead of two. How exact is the derivative so read, what does it cost in time, and does it pay?

    python -m benchmarks.inverse            # about ten minutes on two CPU cores
    XLA_FLAGS=--xla_disable_hlo_passes=cse_barrier_expander python -m benchmarks.inverse gelu

The derivative is read straight off the output, without Newton's iteration: it is analytic in the root
of the height above the minimum, and polynomials fitted here in float64 give it to 1e-6. What is lost is
lost by the output: at the minimum it has no digits left of where it came from. So the variants differ
in what they add. ``bits``: the first is the side, the rest say where, among the inputs that round to
this output, the input lay. ``bend``: close to the minimum (half a unit in the last place ÷ 1e-5 ×
``bend``) the output is a V in place of a parabola, so that it goes on telling the input; it then lies
below the function by a few units.

The rule, written before the first run of this file: a variant is kept in the library if, for each of
the four, in a stack of 24 dense layers (8192 × 256, float32)
  1. at most 1.1 arrays a layer are kept, by ``compiled.memory_analysis()``,
  2. the derivative is nowhere off by more than 1e-5,
  3. the output is nowhere off by more than 4 units in the last place, which issue 3 asks of all,
  4. a training step takes at most 1.25 of the time of the present function, which keeps its input.
Beside them, the rival that needs nothing new: ``jax.checkpoint(lambda x, w: activation(x) @ w)``, which
keeps the input and makes the output again. XLA for the CPU undoes that, unless told by the second
command not to.
"""

from __future__ import annotations

import functools
import statistics
import sys

import jax
import jax.numpy as jnp
import numpy as np

import flaxact as fa
from benchmarks.backward import LAYERS, ROWS, WIDTH, seconds
from benchmarks.branches import ALLOWED, FUNCTIONS, NEAR, branches, from_output

PAIRS = 9
TIMED = ("present (input kept)", "jax.nn", "jax.checkpoint", "1 bit", "2 bits, bent")
VARIANTS = {  # bits a value, bend
    "1 bit": (1, 0.0),
    "2 bits": (2, 0.0),
    "4 bits": (4, 0.0),
    "8 bits": (8, 0.0),
    "1 bit, bent": (1, 1.05),
    "2 bits, bent": (2, 0.525),
}


def errors(name: str, activation) -> tuple[float, float, float, float]:
    """How exact derivative and output are.

    Of the derivative: largest error, the same farther than 0.05 from the minimum, root mean square for
    normal inputs. Of the output: largest error near the minimum, in units in the last place.
    """
    f, slope, *_ = FUNCTIONS[name]
    at = branches(name).at
    rng = np.random.default_rng(0)
    close = at + np.geomspace(1e-8, 0.05, 400_000) * rng.choice([-1, 1], 400_000)
    normal = rng.standard_normal(1_000_000)
    x = np.concatenate([normal, close, np.linspace(-100, 100, 1_000_000)]).astype(np.float32)
    x = x.reshape(-1, 32)
    y, gradient = jax.jit(lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),)))(x)
    wide = x.astype(np.float64)
    off = np.abs(np.asarray(gradient, np.float64) - slope(wide)).ravel()
    if not np.isfinite(off).all():
        raise ValueError(f"{name}: not finite")
    away = np.abs(wide.ravel() - at) > 0.05
    true = f(wide)
    close = np.abs(wide - at) < NEAR  # elsewhere it is the present function's
    with np.errstate(invalid="ignore"):
        units = abs(np.asarray(y, float) - true) / np.spacing(abs(true).astype(np.float32))
    rms = float(np.sqrt(np.mean(off[: normal.size] ** 2)))
    largest = float(np.max(units, where=close, initial=0))
    return float(off.max()), float(off[away].max()), rms, largest


def program(activation, layer=None):
    """The compiled training step of the dense stack, and the arrays it keeps a layer."""
    layer = layer or (lambda x, w: activation(x) @ w)

    def loss(weights, x):
        x = x @ weights[0]
        for w in weights[1:]:
            x = layer(x, w)
        return jnp.mean(activation(x) ** 2)

    def step(weights, x):
        gradients = jax.grad(loss)(weights, x)
        return [w - 0.01 * g for w, g in zip(weights, gradients, strict=True)]

    weights = [jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32)] * LAYERS
    lowered = jax.jit(step).lower(weights, jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32))
    compiled = lowered.compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    return compiled, memory.temp_size_in_bytes / (4 * ROWS * WIDTH * LAYERS)


def columns(name: str) -> dict[str, tuple]:
    """What is compared: activation, and how a layer applies it."""
    present = fa.get(name)
    theirs = functools.partial(_of_jax, name)
    rival = jax.checkpoint(lambda x, w: present(x) @ w)
    return {
        "present (input kept)": (present, None),
        "jax.nn": (theirs, None),
        "jax.checkpoint": (present, rival),
        **{label: (from_output(name, *how), None) for label, how in VARIANTS.items()},
    }


def _of_jax(name: str, x):
    exact = {"approximate": False} if "False" in name else {}
    return getattr(jax.nn, name.partition("(")[0])(x, **exact)


def quartiles(ratios) -> str:
    """Median, and the quartiles about it."""
    low, median, high = statistics.quantiles(ratios, n=4)
    return f"{median:.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    """Print one table a function, with the verdict on each variant."""
    keys = jax.random.split(jax.random.key(0), LAYERS + 1)
    weights = [jax.random.normal(key, (WIDTH, WIDTH)) * WIDTH**-0.5 for key in keys[1:]]
    x = jax.random.normal(keys[0], (ROWS, WIDTH))
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}; times are medians (quartiles)")
    print(f"of {PAIRS} ratios measured in turn.")
    for name in sys.argv[1:] or FUNCTIONS:
        print(f"\n## {name}\n")
        print(
            "| | arrays | step ÷ present | step ÷ jax.nn | slope off by | away | rms | ulp | stays |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for row in rows(name, weights, x):
            print("| " + " | ".join(row) + " |", flush=True)


def rows(name: str, weights, x):
    """A row a column of ``columns``, with the verdict on each variant."""
    compared = columns(name)
    programs = {label: program(*how) for label, how in compared.items()}
    for label in TIMED:
        seconds(programs[label][0], weights, x)
    turns = [
        {label: seconds(programs[label][0], weights, x) for label in TIMED} for _ in range(PAIRS)
    ]
    for label, (_, kept) in programs.items():
        most, away, rms, units = errors(name, compared[label][0])
        pays = kept <= 1.1 and most <= ALLOWED and units <= 4
        ratios = ("not timed", "not timed")
        if label in TIMED:
            present = [times[label] / times["present (input kept)"] for times in turns]
            ratios = quartiles(present), quartiles([t[label] / t["jax.nn"] for t in turns])
            pays = pays and statistics.median(present) <= 1.25
        verdict = ("yes" if pays else "no") if label in VARIANTS else ""
        figures = (f"{most:.1e}", f"{away:.1e}", f"{rms:.1e}", f"{units:.1f}", verdict)
        yield label, f"{kept:.3f}", *ratios, *figures


if __name__ == "__main__":
    main()
