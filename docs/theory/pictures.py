"""Pictures of the theory pages, theory beside random nets: `python docs/theory/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import flaxact as fa
from flaxact.theory import chi_1, correlation_map, fixed_point, variance_map

HERE = Path(__file__).parent
COLORS = {"relu": "#0072b2", "tanh": "#d55e00", "gelu": "#009e73", "centered(relu)": "#7b4fa3"}
BIAS = 0.05


def apply(name: str, x: np.ndarray) -> np.ndarray:
    """An activation's values."""
    return np.asarray(fa.get(name)(x.astype(np.float32)))


def moments(axes, rng: np.random.Generator) -> None:
    """Second moments of pre-activations, layer by layer."""
    depth, width, variance = 10, 500, 1.5
    for name in ("relu", "tanh", "gelu"):
        theory = [1.0]
        for _ in range(depth):
            theory.append(float(variance_map(name, theory[-1], variance**0.5)))
        x = rng.standard_normal(width)
        x *= width**0.5 / np.linalg.norm(x)
        measured = [1.0]
        for _ in range(depth):
            weights = rng.standard_normal((width, width)) * (variance / width) ** 0.5
            x = weights @ apply(name, x)
            measured.append(float(np.mean(x**2)))
        axes.plot(theory, color=COLORS[name], label=name)
        axes.plot(measured, "o", color=COLORS[name], markersize=4)
    axes.set(xlabel="layer", ylabel="mean square of pre-activations", yscale="log")


def c_maps(axes, rng: np.random.Generator) -> None:
    """What a layer makes of the correlation of two inputs."""
    lines = np.linspace(-1, 1, 81)
    dots = np.linspace(-0.9, 0.9, 10)
    u, other = rng.standard_normal((2, 20_000))
    for name, color in COLORS.items():
        a = apply(name, u)
        measured = []
        for c in dots:
            b = apply(name, c * u + (1 - c * c) ** 0.5 * other)
            measured.append(a @ b / np.sqrt((a @ a) * (b @ b)))
        axes.plot(lines, correlation_map(name, lines), color=color, label=name)
        axes.plot(dots, measured, "o", color=color, markersize=4)
    axes.plot([-1, 1], [-1, 1], ":", color="#666", linewidth=1)
    axes.set(xlabel="correlation of pre-activations", ylabel="correlation of outputs")


def edge_of_chaos(axes, rng: np.random.Generator) -> None:
    """The gradient at the first over that at the last of 20 tanh layers."""
    depth, width = 20, 300
    stds = np.linspace(0.7, 1.7, 21)
    points = {std: fixed_point("tanh", std, BIAS) for std in stds}
    theory = [chi_1("tanh", std, q) ** (depth / 2) for std, q in points.items()]
    axes.plot(stds, theory, color=COLORS["tanh"], label="theory")
    for std in stds[::2]:
        x = rng.standard_normal(width) * points[std] ** 0.5
        jacobian = np.eye(width)
        for _ in range(depth):
            weights = rng.standard_normal((width, width)) * std / width**0.5
            y = np.tanh(x)
            jacobian = weights @ ((1 - y**2)[:, None] * jacobian)
            x = weights @ y + rng.standard_normal(width) * BIAS
        size = np.sqrt(np.sum(jacobian**2) / width)
        axes.plot(std, size, "o", color="#333", markersize=4)
    axes.axhline(1, color="#666", linestyle=":", linewidth=1)
    axes.set(xlabel="σw (σb = 0.05)", ylabel="gradient, first over last layer", yscale="log")


def main() -> None:
    """Write the three pictures beside this file."""
    mpl.rcParams.update({"svg.hashsalt": "flaxact", "svg.fonttype": "none", "font.size": 10})
    for draw in (moments, c_maps, edge_of_chaos):
        figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
        draw(axes, np.random.default_rng(0))
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(HERE / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
