"""What an activation costs in the backward pass: memory and time beside jax.nn, in one run.

Question: how many arrays of a layer's size does a compiled training step keep per layer, and how long
does it take, with flaxact's function and with the one of the same name in jax.nn?

    python benchmarks/backward.py        # about two minutes on two CPU cores

A stack of 24 dense layers (8192 × 256, float32) trained one step. Arrays kept are the program's
temporary memory over (layers × layer size), so about 0.04 is what two working arrays add. Times are
medians of ratios, ours ÷ jax.nn, of 9 pairs measured in turn, with their lowest and highest.
"""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp

import flaxact as fa

ROWS, WIDTH, LAYERS, PAIRS = 8192, 256, 24, 9


def compiled(activation, rows: int = ROWS, width: int = WIDTH, layers: int = LAYERS):
    """The training step of a dense stack, and the arrays of a layer's size it keeps a layer."""

    def loss(weights, x):
        for w in weights:
            x = activation(x @ w)
        return jnp.mean(x**2)

    def step(weights, x):
        gradients = jax.grad(loss)(weights, x)
        return [w - 0.01 * g for w, g in zip(weights, gradients, strict=True)]

    weights = [jax.ShapeDtypeStruct((width, width), jnp.float32)] * layers
    x = jax.ShapeDtypeStruct((rows, width), jnp.float32)
    program = jax.jit(step).lower(weights, x).compile()
    kept = program.memory_analysis().temp_size_in_bytes / (4 * rows * width * layers)
    return program, kept


def compiled_convolutions(activation, batch: int, side: int, width: int, layers: int):
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

    kernels = [jax.ShapeDtypeStruct((3, 3, width, width), jnp.float32)] * layers
    x = jax.ShapeDtypeStruct((batch, side, side, width), jnp.float32)
    program = jax.jit(step).lower(kernels, x).compile()
    kept = program.memory_analysis().temp_size_in_bytes / (4 * batch * side * side * width * layers)
    return program, kept


def seconds(program, weights, x) -> float:
    """Wall-clock time of one step."""
    start = time.perf_counter()
    jax.block_until_ready(program(weights, x))
    return time.perf_counter() - start


def main() -> None:
    """Print one row an activation."""
    keys = jax.random.split(jax.random.key(0), LAYERS + 1)
    weights = [jax.random.normal(key, (WIDTH, WIDTH)) * WIDTH**-0.5 for key in keys[1:]]
    x = jax.random.normal(keys[0], (ROWS, WIDTH))
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}")
    print("| activation | arrays kept: flaxact | jax.nn | time, flaxact ÷ jax.nn |")
    print("| --- | --- | --- | --- |")
    for name in (name for name in fa.names() if hasattr(jax.nn, name)):
        (ours, kept), (theirs, kept_theirs) = (
            compiled(fa.get(name)),
            compiled(getattr(jax.nn, name)),
        )
        seconds(ours, weights, x), seconds(theirs, weights, x)
        pairs = [(seconds(ours, weights, x), seconds(theirs, weights, x)) for _ in range(PAIRS)]
        ratios = [a / b for a, b in pairs]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        median = statistics.median(ratios)
        print(f"| {name} | {kept:.2f} | {kept_theirs:.2f} | {median:.2f} ({spread}) |", flush=True)


if __name__ == "__main__":
    main()
