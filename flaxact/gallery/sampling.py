"""Curves, moments and C-maps of an activation over a grid of its hyperparameters, for the explorer."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from flaxact._lazy import jax, jnp, np
from flaxact._packages import enable_x64
from flaxact.activations import Activation, bind
from flaxact.gallery.grids import Axis, axes, bound, nodes
from flaxact.gallery.svg import window
from flaxact.quadrature import panel_slopes, rule
from flaxact.theory.moments import lends_slope

LIMIT = 12.0  # values beyond are shown as this
CORRELATIONS = 41  # from -1 to 1
_PANELS = 12  # with more breaks than this, curves are sampled as if there were none
_SECTIONS = 480  # of a window, in all its panels together
_TOLERANCE = 0.001  # between the points that are left, where straight lines join them
_CHUNK = 4096  # points of a call, always: each other shape is compiled anew
_SEEN = (-3.0, 5.0)  # heights that the plot shows at first
_TERMS = 256  # Hermite polynomials
_TRIED = 8  # cells of the grid for the error of interpolation


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """An activation at every node of a grid of its hyperparameters, the last axis fastest.

    Attributes:
      fixed: hyperparameters that stay at their defaults.
      edges: float64 (nodes, panels + 1): the ends of the panels; curves are smooth within a panel.
        The page interpolates these ends and the curves between nodes, so that kinks and jumps stay
        sharp while a slider moves them.
      curves: float64 (nodes, 3, panels, points): f, f′ and f″ at equal steps of each panel.
      moments: float64 (nodes, 4): for a standard Gaussian input, E f, E f², and the slopes of the C-map
        at 0 and 1. nan where hyperparameters are invalid.
      c_map: float64 (nodes, CORRELATIONS).
      error: the largest interpolation error of f between -3 and 5, at sampled centers of grid cells; 0
        without sliders.
    """

    axes: tuple[Axis, ...]
    fixed: tuple[str, ...]
    edges: np.ndarray
    curves: np.ndarray
    moments: np.ndarray
    c_map: np.ndarray
    error: float


def sample(activation: Activation) -> Sampled:
    """Compute a pointwise activation over its grid, in float64."""
    over, fixed = axes(activation)
    entries = nodes(activation, over)
    low, high = window(activation).values()
    edges = _edges(entries, low, high)
    points = max(2, _SECTIONS // (edges.shape[1] - 1) // 8) * 8 + 1
    share = np.linspace(0, 1, points)
    share[[0, -1]] = 1e-7, 1 - 1e-7  # of two sides of a jump, the inner one
    x = edges[:, :-1, None] + np.diff(edges)[..., None] * share
    rules = [_rule(() if entry is None else entry.breaks) for entry in entries]
    longest = max(places.size for places, _ in rules)
    places = np.stack([np.pad(p, (0, longest - p.size)) for p, _ in rules])
    weights = np.stack([np.pad(w, (0, longest - w.size)) for _, w in rules])
    values = _values(entries, over, np.concatenate([x.reshape(len(x), -1), places], 1))
    curves, at_rule = np.split(values, [x[0].size], axis=2)
    curves = np.clip(np.where(np.isfinite(curves), curves, math.nan), -LIMIT, LIMIT)
    curves = curves.transpose(1, 0, 2).reshape(len(x), 3, *x.shape[1:])
    statistics = [
        _statistics(entry, places[i], weights[i], at_rule[:2, i]) for i, entry in enumerate(entries)
    ]
    return Sampled(
        axes=over,
        fixed=fixed,
        edges=edges,
        curves=curves[..., :: _stride(curves)],
        moments=np.array([moments for moments, _ in statistics]),
        c_map=np.array([c_map for _, c_map in statistics]),
        error=_error(activation, over, edges, curves[:, 0]),
    )


def _edges(entries: list[Activation | None], low: float, high: float) -> np.ndarray:
    """The ends of the panels of every node: as many for each.

    A node with fewer breaks than others has those of the nearest that has all, in place of which its own
    stand: to cut a smooth stretch does no harm.
    """
    breaks = [None if e is None else np.clip(e.breaks, low, high) for e in entries]
    most = max(b.size for b in breaks if b is not None)
    if most > _PANELS:
        return np.tile([low, high], (len(entries), 1)).astype(float)
    whole = np.array([i for i, b in enumerate(breaks) if b is not None and b.size == most])
    rows = []
    for i, own in enumerate(breaks):
        inner = np.array(breaks[whole[abs(whole - i).argmin()]], float)
        if own is not None:
            for place in own:
                inner[abs(inner - place).argmin()] = place
        rows.append([low, *np.sort(inner), high])
    return np.array(rows)


def _rule(breaks: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for Gaussian means, the same on both sides of zero."""
    return rule(0.0, 1.0, (*breaks, *(-b for b in breaks)))


def _values(entries: list[Activation | None], over: tuple[Axis, ...], x: np.ndarray) -> np.ndarray:
    """Value, first and second derivative of each node at each of its places: an array (3, nodes, n)."""
    traced = [axis.name for axis in over if axis.traced]
    values = np.full((3, *x.shape), math.nan)
    by_program: dict[tuple, list[int]] = {}
    for i, entry in enumerate(entries):
        if entry is not None:
            rest = tuple(entry.hyperparameters[a.name] for a in over if not a.traced)
            by_program.setdefault(rest, []).append(i)
    for rows in by_program.values():
        several: list[Activation] = [e for i in rows if (e := entries[i]) is not None]
        hyper = {name: np.array([e.hyperparameters[name] for e in several]) for name in traced}
        base = several[0]
        spread = {k: np.repeat(v, x.shape[1]) for k, v in hyper.items()}
        values[:, rows] = _evaluate(base, x[rows].ravel(), spread).reshape(3, len(rows), -1)
    return values


def _evaluate(base: Activation, x: np.ndarray, hyper: dict[str, np.ndarray]) -> np.ndarray:
    """As ``quadrature.evaluate``, with its own hyperparameters for each place: an array (3, n)."""
    count = -(-x.size // _CHUNK)
    parts, *hyper_parts = (
        np.resize(np.asarray(v, np.float64), (count, _CHUNK)) for v in (x, *hyper.values())
    )
    with enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        program = _program(bind(base, **{k: base.spec.hyperparameters[k].default for k in hyper}))
        y = []
        for i, part in enumerate(parts):
            chosen = {name: v[i] for name, v in zip(hyper, hyper_parts, strict=True)}
            y.append(np.asarray(program(part, chosen)))
    return np.concatenate(y, -1)[:, : x.size]


@functools.lru_cache(maxsize=16)
def _program(base: Activation) -> Callable[..., jax.Array]:
    """Value and two derivatives, compiled, for each place and its hyperparameters."""

    def at(x: jax.Array, hyper: dict[str, jax.Array]) -> jax.Array:
        def value(x: jax.Array) -> jax.Array:
            return base(x[None], **hyper)[0]

        def slope(x: jax.Array):
            return jax.jvp(value, (x,), (jnp.ones_like(x),))

        (y, first), (_, second) = jax.jvp(slope, (x,), (jnp.ones_like(x),))
        return jnp.stack([y, first, second])

    return jax.jit(jax.vmap(at, out_axes=1))


def _statistics(
    entry: Activation | None, x: np.ndarray, weights: np.ndarray, values: np.ndarray
) -> tuple[list[float], np.ndarray]:
    """Mean, second moment, slopes of the C-map at 0 and 1; and the C-map."""
    if entry is None:
        return [math.nan] * 4, np.full(CORRELATIONS, math.nan)
    used = np.count_nonzero(weights)  # padding comes last
    x = x[:used]
    weights = weights[:used]
    y, slopes = np.where(weights > 1e-30, values[:, :used], 0)  # where an exponential overflows
    second = float(weights @ y**2)
    mean = float(weights @ y)
    if not second:
        return [mean, second, math.nan, math.nan], np.full(CORRELATIONS, math.nan)
    steep = panel_slopes(x, y) if lends_slope(entry) else slopes
    at_one = math.inf if entry.jumps else float(weights @ steep**2) / second
    energies = (_hermite(entry.breaks) @ (weights * y)) ** 2
    # Even and odd parts of f are apart in even and odd powers; what 256 terms leave goes to the next two.
    mirrored = float(weights @ (y * y[::-1]))
    even = (second + mirrored) / 2 - energies[::2].sum()
    odd = (second - mirrored) / 2 - energies[1::2].sum()
    coefficients = np.concatenate([energies, [max(even, 0), max(odd, 0)]]) / second
    c = np.linspace(-1, 1, CORRELATIONS)
    c_map = np.polynomial.polynomial.polyval(c, coefficients)
    return [mean, second, float(energies[1]) / second, at_one], c_map


@functools.lru_cache(maxsize=8)
def _hermite(breaks: tuple[float, ...]) -> np.ndarray:
    """Orthonormal Hermite polynomials at the nodes of ``_rule``: an array (_TERMS, n)."""
    x, _ = _rule(breaks)
    table = np.empty((_TERMS, x.size))
    table[0] = 1
    table[1] = x
    for k in range(1, _TERMS - 1):
        table[k + 1] = (x * table[k] - math.sqrt(k) * table[k - 1]) / math.sqrt(k + 1)
    return table


def _stride(curves: np.ndarray) -> int:
    """Every how manieth point is enough, with straight lines between, in the part that is seen."""
    sections = curves.shape[-1] - 1
    for stride in (sections, 8, 4, 2):
        left = curves[..., :-1:stride, None]
        right = curves[..., stride::stride, None]
        lines = left + (right - left) * np.arange(stride) / stride
        cut = curves[..., :-1].reshape(*curves.shape[:-1], -1, stride)
        if np.nanmax(abs(np.clip(lines, *_SEEN) - np.clip(cut, *_SEEN)), initial=0) <= _TOLERANCE:
            return stride
    return 1


def _error(
    activation: Activation, over: tuple[Axis, ...], edges: np.ndarray, values: np.ndarray
) -> float:
    """The largest error of interpolated values of f in the middles of a few cells of the grid."""
    if all(axis.scale == "choice" for axis in over):
        return 0.0
    shape = [len(axis.values) for axis in over]
    rng = np.random.default_rng(0)
    entries = []
    panels = []
    lines = []
    for _ in range(_TRIED):
        cell = [int(rng.integers(len(a.values) - (a.scale != "choice"))) for a in over]
        ends = [
            (i,) if a.scale == "choice" else (i, i + 1) for i, a in zip(cell, over, strict=True)
        ]
        rows = [np.ravel_multi_index(corner, shape) for corner in itertools.product(*ends)]
        middle = {a.name: _middle(a, i) for i, a in zip(cell, over, strict=True)}
        entries.append(bound(activation, middle))
        panels.append(edges[rows].mean(0))
        lines.append(values[rows].mean(0))
    left = np.array(panels)[:, :-1, None]
    right = np.array(panels)[:, 1:, None]
    x = left + (right - left) * np.linspace(0, 1, values.shape[-1])
    true = _values(entries, over, x.reshape(_TRIED, -1))[0].reshape(x.shape)
    difference = abs(np.clip(true, *_SEEN) - np.clip(lines, *_SEEN))
    inside = (x > left + 1e-3) & (x < right - 1e-3) & np.isfinite(difference)
    return float(np.max(difference, where=inside, initial=0))


def _middle(axis: Axis, place: int) -> object:
    if axis.scale == "choice":
        return axis.values[place]
    low, high = axis.values[place : place + 2]
    return math.sqrt(low * high) if axis.scale == "log" else (low + high) / 2
