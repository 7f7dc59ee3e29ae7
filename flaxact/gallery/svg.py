"""A graph of an activation and its two derivatives, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator

from flaxact._lazy import jax, jnp, np
from flaxact.activations import Activation, get
from flaxact.errors import InputError
from flaxact.quadrature import evaluate

MARK = "<!-- Made by flaxact.gallery; made anew without asking. -->"
WIDTH = 320
HEIGHT = 220
# of the plot, in pixels of the graph
LEFT = 36
RIGHT = 312
TOP = 26
BOTTOM = 200
# values beyond are not drawn, but for a bound up to the cap
LOWEST = -2.5
HIGHEST = 3.5
CAP = 8.0
# Okabe & Ito's palette, told apart with any color vision; each stands out (at 3:1 and more) from
# white and from GitHub's dark #0d1117, so that nothing need know the reader's theme.
CURVES = (
    ("f", "#0072B2", 'stroke-width="2.4"'),
    ("f′", "#D55E00", 'stroke-width="1.8" stroke-dasharray="7 3"'),
    ("f″", "#009E73", 'stroke-width="1.8" stroke-dasharray="2 2.5"'),
)
INK = "#777777"
Plot = tuple[float, float, float, float]  # the lowest and highest x, the lowest and highest y
_SAMPLES = 1921
_SECTIONS = 16
_JUMP = 0.02  # a value that changes by more between neighbors is looked at for a jump


def graph(activation: str | Activation, *, low: float = -5.0, high: float = 5.0) -> str:
    """An SVG of an activation and its first two derivatives; readable on light and dark pages.

    Lines break where a value jumps. The vertical range follows the values, limited to -2.5 to 3.5
    or to the function's bounds.

    Raises:
      InputError: as ``get``; an activation that is not a function of one number; ``low`` not below
        ``high``.

    >>> graph("relu").count("<polyline")  # f and f″ in one piece, f′ in two
    4
    """
    activation = get(activation)
    if activation.spec.coupled:
        raise InputError(f"{activation} has no graph: it is not a function of one number")
    if not -math.inf < low < high < math.inf:
        raise InputError(f"a graph needs low < high, not {low} and {high}")
    x, curves = _curves(activation, low, high)
    plot = (low, high, *_heights(curves, activation.range[1]))
    name = html.escape(str(activation))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="Graph of {name} and its first two derivatives"'
        ' font-family="system-ui, sans-serif" font-size="11">',
        f"<title>{name}</title>",
        MARK,
        *_axes(plot),
    ]
    for y, style in zip(curves, CURVES, strict=True):
        lines += _curve(x, y, style, plot)
    return "\n".join([*lines, *_legend(str(activation)), "</svg>\n"])


def _derivatives(activation: Callable, x: np.ndarray) -> np.ndarray:
    """Value, first and second derivative at each x, in float64: an array (3, n)."""

    def slope(x: jax.Array):
        return jax.jvp(activation, (x,), (jnp.ones_like(x),))

    def all_three(x: jax.Array):
        (y, first), (_, second) = jax.jvp(slope, (x,), (jnp.ones_like(x),))
        return jnp.stack([y, first, second])

    y = evaluate(all_three, x)
    return np.where(np.isfinite(y), y, np.nan)


def _curves(activation: Activation, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The points to draw, with one on either side of each jump, less than 1e-7 of the width away."""
    x = np.linspace(low, high, _SAMPLES)
    y = _derivatives(activation, x)
    curve, place = np.nonzero(np.abs(np.diff(y)) > _JUMP)
    left = x[place]
    right = x[place + 1]
    for _ in range(4):  # each time, the section of a stretch over which the curve changes most
        sections = np.linspace(left, right, _SECTIONS + 1, axis=-1)
        values = _derivatives(activation, sections.ravel()).reshape(3, *sections.shape)
        steps = np.abs(np.diff(values[curve, np.arange(curve.size)]))
        most = steps.argmax(-1)
        jumps = np.flatnonzero(steps.max(-1) > _JUMP)
        curve = curve[jumps]
        most = most[jumps]
        sections = sections[jumps]
        rows = np.arange(jumps.size)
        left = sections[rows, most]
        right = sections[rows, most + 1]
    x = np.unique(np.concatenate([x, left, right]))
    return x, _derivatives(activation, x)


def _heights(curves: np.ndarray, bound: float) -> tuple[float, float]:
    highest = bound + 0.5 if HIGHEST < bound < CAP else HIGHEST
    values = np.append(curves[np.isfinite(curves)], 0.0)
    margin = 0.06 * float(np.ptp(values)) or 1.0
    return max(LOWEST, float(values.min()) - margin), min(highest, float(values.max()) + margin)


def window(activation: Activation) -> dict[str, float]:
    """The horizontal range of a graph: all kinks, or less if the function oscillates fast."""
    furthest = max(map(abs, activation.breaks), default=0.0)
    if 5 <= furthest < CAP:
        return {"low": -furthest - 1, "high": furthest + 1}
    for reach in (5.0, 2.0, 1.0, 0.5, 0.2, 0.1):
        slopes = _derivatives(activation, np.linspace(-reach, reach, _SAMPLES))[1]
        if np.count_nonzero(np.diff(np.sign(slopes))) <= 12:
            return {"low": -reach, "high": reach}
    return {}


def _pixels(x: np.ndarray, y: np.ndarray, plot: Plot) -> np.ndarray:
    low, high, bottom, top = plot
    across = LEFT + (x - low) / (high - low) * (RIGHT - LEFT)
    down = BOTTOM - (y - bottom) / (top - bottom) * (BOTTOM - TOP)
    return np.stack([across, down], -1)


def _curve(x: np.ndarray, y: np.ndarray, style: tuple[str, str, str], plot: Plot) -> Iterator[str]:
    name, color, stroke = style
    yield f'<g class="{name}" fill="none" stroke="{color}" {stroke} stroke-linejoin="round">'
    for piece in _pieces(x, y, plot):
        points = _simplified(_pixels(*piece, plot))
        yield f'<polyline points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in points)}"/>'
    yield "</g>"


def _pieces(x: np.ndarray, y: np.ndarray, plot: Plot) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The parts of a curve between jumps, inside the plot."""
    low, high, bottom, top = plot
    jumps = (np.diff(x) < 1e-6 * (high - low)) & (np.abs(np.diff(y)) > _JUMP)
    breaks = np.flatnonzero(jumps) + 1
    for px, py in zip(np.split(x, breaks), np.split(y, breaks), strict=True):
        for bound in (bottom, top):  # a point where the curve leaves the plot
            before = np.flatnonzero((py[:-1] - bound) * (py[1:] - bound) < 0)
            share = (bound - py[before]) / (py[before + 1] - py[before])
            crossing = px[before] + share * (px[before + 1] - px[before])
            px = np.insert(px, before + 1, crossing)  # noqa: PLW2901
            py = np.insert(py, before + 1, bound)  # noqa: PLW2901
        inside = (py >= bottom) & (py <= top)
        ends = np.flatnonzero(np.diff(inside)) + 1
        for part in np.split(np.arange(px.size), ends):
            if part.size > 1 and inside[part[0]]:
                yield px[part], py[part]


def _simplified(points: np.ndarray, tolerance: float = 0.15) -> np.ndarray:
    """A subset of the points whose line stays near all of them (Ramer 1972; Douglas, Peucker 1973)."""
    indices = {0, len(points) - 1}
    stretches = [(0, len(points) - 1)]
    while stretches:
        a, b = stretches.pop()
        along = points[b] - points[a]
        away = points[a + 1 : b] - points[a]
        distances = np.abs(away[:, 0] * along[1] - away[:, 1] * along[0]) / np.hypot(*along)
        if distances.max(initial=0) > tolerance:
            worst = a + 1 + int(distances.argmax())
            indices.add(worst)
            stretches += [(a, worst), (worst, b)]
    return points[sorted(indices)]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two limits, at most six.

    >>> _ticks(-5, 5), _ticks(-0.1, 1.1)
    ([-4.0, -2.0, 0.0, 2.0, 4.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """
    size = 10.0 ** math.floor(math.log10(high - low))
    steps = (size * factor for factor in (0.1, 0.2, 0.5, 1, 2, 5))
    step = next(s for s in steps if math.floor(high / s) - math.ceil(low / s) < 6)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [float(f"{i * step:.9g}") for i in range(first, last + 1)]


def _axes(plot: Plot) -> Iterator[str]:
    low, high, bottom, top = plot
    xs = np.array(_ticks(low, high))
    ys = np.array(_ticks(bottom, top))
    columns = [(v, f"{a:.2f}") for v, (a, _) in zip(xs, _pixels(xs, 0 * xs, plot), strict=True)]
    rows = [(v, f"{b:.2f}") for v, (_, b) in zip(ys, _pixels(0 * ys, ys, plot), strict=True)]
    lines = [(v, f"M{a} {TOP}V{BOTTOM}") for v, a in columns]
    lines += [(v, f"M{LEFT} {b}H{RIGHT}") for v, b in rows]
    for v, line in lines:  # the axes stand out from the grid
        yield f'<path d="{line}" stroke="{INK}" stroke-opacity="{0.25 if v else 1}"/>'
    yield f'<g class="x" fill="{INK}" text-anchor="middle">'
    for v, a in columns:
        yield f'<text x="{a}" y="{BOTTOM + 14}">{v:g}</text>'.replace("-", "−")
    yield f'</g><g class="y" fill="{INK}" text-anchor="end">'
    for v, b in rows:
        yield f'<text x="{LEFT - 5}" y="{b}" dy=".35em">{v:g}</text>'.replace("-", "−")
    yield "</g>"


def _legend(name: str) -> Iterator[str]:
    short = name if len(name) < 27 else f"{name[:25]}…"  # what there is room for
    yield f'<text x="{LEFT}" y="15" fill="{INK}" font-weight="600">{html.escape(short)}</text>'
    for place, (label, color, stroke) in enumerate(CURVES):
        start = RIGHT - 33 * (len(CURVES) - place)
        yield f'<path stroke="{color}" {stroke} d="M{start} 11h17"/>'
        yield f'<text x="{start + 21}" y="15" fill="{INK}">{label}</text>'
