"""What an activation costs in the backward pass: memory and time beside jax.nn, in one run.

Question: how many arrays of a layer's size does a compiled training step keep per layer, and how long
does it take, with flaxact's function and with the one of the same name in jax.nn?

    python benchmarks/backward.py          # about two minutes on two CPU cores
    python benchmarks/backward.py --all    # memory alone, of every pointwise activation: six minutes

A stack of 24 dense layers (8192 × 256, float32) trained one step. Arrays kept are the program's
temporary memory over (layers × layer size), so about 0.04 is what two working arrays add. Times are
medians of ratios, ours ÷ jax.nn, of 9 pairs measured in turn, with their lowest and highest. The
last column is the same step without any activation ÷ the one with jax.nn's: no function could be faster.

With ``--all`` also of a stack of 8 convolutions (16 images, 32 × 32 × 32). There XLA for the CPU makes a
transposed copy of every layer's input for the gradient of its kernel, and keeps it beside the array.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp

import flaxact as fa

ROWS = 8192
WIDTH = 256
LAYERS = 24
PAIRS = 9


def compiled(
    activation, rows: int = ROWS, width: int = WIDTH, layers: int = LAYERS, dtype: str = "float32"
):
    """The training step of a dense stack, and the arrays of a layer's size it keeps a layer."""

    def loss(weights, x):
        for w in weights:
            x = activation(x @ w)
        return jnp.mean(x**2)

    def step(weights, x):
        gradients = jax.grad(loss)(weights, x)
        return [w - 0.01 * g for w, g in zip(weights, gradients, strict=True)]

    weights = [jax.ShapeDtypeStruct((width, width), jnp.dtype(dtype))] * layers
    x = jax.ShapeDtypeStruct((rows, width), jnp.dtype(dtype))
    program = jax.jit(step).lower(weights, x).compile()
    size = x.dtype.itemsize * rows * width * layers
    kept = program.memory_analysis().temp_size_in_bytes / size
    return program, kept


def compiled_convolutions(
    activation, batch: int, side: int, width: int, layers: int, dtype: str = "float32"
):
    """As ``compiled``, for a stack of 3×3 convolutions on (batch, side, side, width)."""

    def loss(kernels, x):
        for kernel in kernels:
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = activation(x)
        return jnp.mean(x**2)

    def step(kernels, x):
        gradients = jax.grad(loss)(kernels, x)
        return [k - 0.01 * g for k, g in zip(kernels, gradients, strict=True)]

    kernels = [jax.ShapeDtypeStruct((3, 3, width, width), jnp.dtype(dtype))] * layers
    x = jax.ShapeDtypeStruct((batch, side, side, width), jnp.dtype(dtype))
    program = jax.jit(step).lower(kernels, x).compile()
    size = x.dtype.itemsize * batch * side * side * width * layers
    kept = program.memory_analysis().temp_size_in_bytes / size
    return program, kept


def seconds(program, weights, x) -> float:
    """Wall-clock time of one step."""
    start = time.perf_counter()
    jax.block_until_ready(program(weights, x))
    return time.perf_counter() - start


def memory(names: Sequence[str]) -> None:
    """Print the arrays kept a layer for pointwise activations, beside jax.nn where it has them."""
    print("| activation | monotone | dense: flaxact | jax.nn | convolutions: flaxact | jax.nn |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        cells = []
        for measure, size in ((compiled, ()), (compiled_convolutions, (16, 32, 32, 8))):
            for function in (fa.get(name), getattr(jax.nn, name, None)):
                cells.append(f"{measure(function, *size)[1]:.2f}" if function else "–")
        print(
            f"| {name} | {'yes' if fa.get(name).monotonic else 'no'} | {' | '.join(cells)} |",
            flush=True,
        )
        jax.clear_caches()


def times() -> None:
    """Print one row for each activation that jax.nn has: memory and time."""
    keys = jax.random.split(jax.random.key(0), LAYERS + 1)
    weights = [jax.random.normal(key, (WIDTH, WIDTH)) * WIDTH**-0.5 for key in keys[1:]]
    x = jax.random.normal(keys[0], (ROWS, WIDTH))
    print("| activation | arrays kept: flaxact | jax.nn | time, flaxact ÷ jax.nn | none ÷ jax.nn |")
    print("| --- | --- | --- | --- | --- |")
    none = compiled(lambda x: x)[0]
    medians = []
    seconds(none, weights, x)
    for name in (name for name in fa.names("pointwise") if hasattr(jax.nn, name)):
        (ours, kept) = compiled(fa.get(name))
        (theirs, kept_theirs) = compiled(getattr(jax.nn, name))
        seconds(ours, weights, x), seconds(theirs, weights, x)
        runs = [[seconds(f, weights, x) for f in (ours, theirs, none)] for _ in range(PAIRS)]
        ratios = [a / b for a, b, _ in runs]
        bounds = [c / b for _, b, c in runs]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        bound = f"{statistics.median(bounds):.2f}"
        print(f"| {name} | {kept:.2f} | {kept_theirs:.2f} | {spread} | {bound} |", flush=True)
        medians.append((statistics.median(ratios), statistics.median(bounds)))
    ours, none = (statistics.geometric_mean(column) for column in zip(*medians, strict=True))
    print(f"\nGeometric means: flaxact ÷ jax.nn {ours:.3f}, none ÷ jax.nn {none:.3f}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--all", action="store_true", help="memory alone, of every activation")
    parser.add_argument("--activations", nargs="+", metavar="NAME", help="memory alone, of these")
    options = parser.parse_args(arguments)
    names = options.activations or (fa.names("pointwise") if options.all else ())
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}\n")
    memory(names) if names else times()


if __name__ == "__main__":
    main()
