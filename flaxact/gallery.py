"""A page of every activation: its formula, its facts, and a graph of it and its two derivatives."""

from __future__ import annotations

import html
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from flaxact._lazy import jax, jnp, np
from flaxact.activations import Activation, get
from flaxact.activations import names as all_names
from flaxact.activations._describe import known
from flaxact.activations._gaussian import evaluate
from flaxact.errors import InputError
from flaxact.facts import computed

MARK = "<!-- Made by flaxact.gallery; made anew without asking. -->"
WIDTH, HEIGHT = 320, 220
LEFT, RIGHT, TOP, BOTTOM = 36, 312, 26, 200  # of the plot, in pixels of the graph
LOWEST, HIGHEST = -2.5, 3.5  # values beyond are not drawn
# Okabe & Ito's palette, told apart with any colour vision; each stands out (at 3:1 and more) from
# white and from GitHub's dark #0d1117, so that nothing need know the reader's theme.
CURVES = (
    ("f", "#0072B2", 'stroke-width="2.4"'),
    ("f′", "#D55E00", 'stroke-width="1.8" stroke-dasharray="7 3"'),
    ("f″", "#009E73", 'stroke-width="1.8" stroke-dasharray="2 2.5"'),
)
INK = "#777777"
INTRODUCTION = """\
Every activation of flaxact that is a function of one number, with its first two derivatives: f is the
solid blue line, f′ the dashed red one, f″ the dotted green one. Lines break where a value jumps, and end
below −2.5 and above 3.5. Hyperparameters are the defaults; what draws at random is shown as in testing.
What depends on a whole axis, or changes its width, has no graph."""
Plot = tuple[float, float, float, float]  # the lowest and highest x, the lowest and highest y
_POINTS = 2048  # in one call of a function, always: another shape is another compilation
_SAMPLES = 1921
_SECTIONS = 16
_SAID = ("formula", "also called")
_JUMP = 0.02  # a value that changes by more between neighbours is looked at for a jump


def graph(activation: str | Activation, *, low: float = -5.0, high: float = 5.0) -> str:
    """An SVG of an activation and its first two derivatives; readable on light and dark pages.

    Lines break where a value jumps. The height follows the values, within -2.5 and 3.5.

    Raises:
      InputError: as ``get``; an activation that is no function of one number; ``low`` not below
        ``high``.

    >>> graph("relu").count("<polyline")  # f and f″ in one piece, f′ in two
    4
    """
    activation = get(activation)
    if activation.spec.coupled:
        raise InputError(f"{activation} has no graph: it is no function of one number")
    if not -math.inf < low < high < math.inf:
        raise InputError(f"a graph needs low < high, not {low} and {high}")
    x, curves = _curves(activation, low, high)
    plot = (low, high, *_heights(curves))
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


def write(folder: Path, names: Iterable[str] | None = None) -> Path:
    """Write ``README.md`` and a graph of each activation into a folder, and give the page's path.

    Twice the same bytes. Graphs of activations that are no more are removed; other files stay.

    Args:
      folder: made if it is not there.
      names: of activations, at their default hyperparameters; all of them if left out.

    Raises:
      InputError: an unknown name, or a folder that cannot be written or that holds a file of these
        names which is not of the gallery.
    """
    names = {get(name).spec.name for name in (all_names() if names is None else names)}
    entries = [get(name) for name in sorted(names)]
    drawn = {f"{entry.spec.name}.svg": entry for entry in entries if not entry.spec.coupled}
    current = {f"{name}.svg" for name in all_names() if not get(name).spec.coupled} | drawn.keys()
    try:
        folder.mkdir(parents=True, exist_ok=True)  # first: the rest takes a minute
        for path in (folder / name for name in ("README.md", *drawn)):
            if path.exists() and not _is_ours(path):
                raise InputError(f"{str(path)!r} is not of the gallery; choose another folder")
        for name, entry in drawn.items():
            (folder / name).write_bytes(graph(entry, **_window(entry)).encode())
        (folder / "README.md").write_bytes(_page(entries).encode())
        for path in folder.glob("*.svg"):
            if path.name not in current and _is_ours(path):
                path.unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {str(folder)!r}: {error.strerror}") from None
    return folder / "README.md"


def _is_ours(path: Path) -> bool:
    return path.is_file() and MARK.encode() in path.read_bytes()


def _page(entries: list[Activation]) -> str:
    families: dict[str, list[Activation]] = {}
    for entry in entries:
        families.setdefault(entry.spec.function.__module__, []).append(entry)
    # Those without graphs last.
    order = sorted(families, key=lambda f: (all(e.spec.coupled for e in families[f]), f))
    contents, sections = [], []
    for module in order:
        family, members = module.rpartition(".")[2], families[module]
        docstring = (sys.modules[module].__doc__ or family).strip()
        title = _markdown(docstring.split("\n")[0].rstrip("."))
        links = " · ".join(f"[{m.spec.name}](#{m.spec.name})" for m in members)
        contents.append(f"- **[{family}](#family-{family})**: {title}<br>\n  {links}")
        sections.append(f'\n<a id="family-{family}"></a>\n\n## {title}\n')
        sections += map(_section, members)
    return "\n".join([f"# Gallery\n\n{MARK}\n\n{INTRODUCTION}\n", *contents, *sections])


def _section(entry: Activation) -> str:
    spec = entry.spec
    anchor = f'<a id="{spec.name}"></a>\n\n' if spec.aliases else ""  # else the heading gives it
    called = f" ({', '.join(spec.aliases)})" if spec.aliases else ""
    # GitHub's mathematics does not know \\operatorname.
    formula = re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", spec.formula)
    rows = [f"<td>{k}</td><td>{html.escape(v)}</td>" for k, v in _facts(entry).items()]
    if not spec.coupled:
        image = f'<img src="{spec.name}.svg" width="{WIDTH}" alt="Graph of {spec.name}">'
        rows[0] = f'<td rowspan="{len(rows)}">{image}</td>{rows[0]}'
    table = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f"{anchor}### {spec.name}{called}\n\n{_markdown(spec.summary)}\n\n"
        f"```math\n{formula}\n```\n\n<table>\n{table}\n</table>\n"
    )


def _facts(entry: Activation) -> dict[str, str]:
    return {k: v for k, v in (known(entry) | computed(entry)).items() if k not in _SAID}


def _markdown(text: str) -> str:
    r"""A docstring's line as GitHub reads it.

    >>> _markdown(r"As ``relu``, but :math:`x\,g(x)`.")
    'As `relu`, but $`x\\,g(x)`$.'
    """
    return re.sub(r":math:`([^`]*)`", r"$`\1`$", text.replace("``", "`"))


def _derivatives(activation: Callable, x: np.ndarray) -> np.ndarray:
    """Value, first and second derivative at each x, in float64: an array (3, n)."""

    def slope(x: jax.Array):
        return jax.jvp(activation, (x,), (jnp.ones_like(x),))

    def all_three(x: jax.Array):
        (y, first), (_, second) = jax.jvp(slope, (x,), (jnp.ones_like(x),))
        return jnp.stack([y, first, second])[..., 0]

    full = np.resize(x, max(1, math.ceil(x.size / _POINTS)) * _POINTS).reshape(-1, _POINTS, 1)
    # Inputs of one channel: what is learned a channel then has its initial value for each.
    y = np.concatenate([evaluate(all_three, part) for part in full], -1)[:, : x.size]
    return np.where(np.isfinite(y), y, np.nan)


def _curves(activation: Activation, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The points to draw; on both sides of a jump there is one, less than 1e-7 of the width apart."""
    x = np.linspace(low, high, _SAMPLES)
    y = _derivatives(activation, x)
    curve, place = np.nonzero(np.abs(np.diff(y)) > _JUMP)
    left, right = x[place], x[place + 1]
    for _ in range(4):  # each time, the section of a stretch over which the curve changes most
        sections = np.linspace(left, right, _SECTIONS + 1, axis=-1)
        found = _derivatives(activation, sections.ravel()).reshape(3, *sections.shape)
        steps = np.abs(np.diff(found[curve, np.arange(curve.size)]))
        most = steps.argmax(-1)
        kept = np.flatnonzero(steps.max(-1) > _JUMP)
        curve, most, sections = curve[kept], most[kept], sections[kept]
        rows = np.arange(kept.size)
        left, right = sections[rows, most], sections[rows, most + 1]
    x = np.unique(np.concatenate([x, left, right]))
    return x, _derivatives(activation, x)


def _heights(curves: np.ndarray) -> tuple[float, float]:
    values = np.append(curves[np.isfinite(curves)], 0.0)
    margin = 0.06 * float(np.ptp(values)) or 1.0
    return max(LOWEST, float(values.min()) - margin), min(HIGHEST, float(values.max()) + margin)


def _window(activation: Activation) -> dict[str, float]:
    """How far to look: nearer where it goes up and down too often to see."""
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
    name, colour, stroke = style
    yield f'<g class="{name}" fill="none" stroke="{colour}" {stroke} stroke-linejoin="round">'
    for piece in _pieces(x, y, plot):
        points = _simplified(_pixels(*piece, plot))
        yield f'<polyline points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in points)}"/>'
    yield "</g>"


def _pieces(x: np.ndarray, y: np.ndarray, plot: Plot) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stretches of a curve without a jump, within the plot."""
    low, high, bottom, top = plot
    jumps = (np.diff(x) < 1e-6 * (high - low)) & (np.abs(np.diff(y)) > _JUMP)
    breaks = np.flatnonzero(jumps) + 1
    for px, py in zip(np.split(x, breaks), np.split(y, breaks), strict=True):
        for bound in (bottom, top):  # a point where the curve leaves the plot
            before = np.flatnonzero((py[:-1] - bound) * (py[1:] - bound) < 0)
            share = (bound - py[before]) / (py[before + 1] - py[before])
            crossing = px[before] + share * (px[before + 1] - px[before])
            px, py = np.insert(px, before + 1, crossing), np.insert(py, before + 1, bound)  # noqa: PLW2901
        inside = (py >= bottom) & (py <= top)
        ends = np.flatnonzero(np.diff(inside)) + 1
        for part in np.split(np.arange(px.size), ends):
            if part.size > 1 and inside[part[0]]:
                yield px[part], py[part]


def _simplified(points: np.ndarray, tolerance: float = 0.15) -> np.ndarray:
    """A line through fewer of the points, near all of them (Ramer 1972; Douglas, Peucker 1973)."""
    kept = {0, len(points) - 1}
    stretches = [(0, len(points) - 1)]
    while stretches:
        a, b = stretches.pop()
        along = points[b] - points[a]
        away = points[a + 1 : b] - points[a]
        distances = np.abs(away[:, 0] * along[1] - away[:, 1] * along[0]) / np.hypot(*along)
        if distances.max(initial=0) > tolerance:
            worst = a + 1 + int(distances.argmax())
            kept.add(worst)
            stretches += [(a, worst), (worst, b)]
    return points[sorted(kept)]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, six at most.

    >>> _ticks(-5, 5), _ticks(-0.1, 1.1)
    ([-4.0, -2.0, 0.0, 2.0, 4.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """
    size = 10.0 ** math.floor(math.log10(high - low))
    steps = (size * factor for factor in (0.1, 0.2, 0.5, 1, 2, 5))
    step = next(s for s in steps if math.floor(high / s) - math.ceil(low / s) < 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{i * step:.9g}") for i in range(first, last + 1)]


def _axes(plot: Plot) -> Iterator[str]:
    low, high, bottom, top = plot
    xs, ys = np.array(_ticks(low, high)), np.array(_ticks(bottom, top))
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
    for place, (label, colour, stroke) in enumerate(CURVES):
        start = RIGHT - 33 * (len(CURVES) - place)
        yield f'<path stroke="{colour}" {stroke} d="M{start} 11h17"/>'
        yield f'<text x="{start + 21}" y="15" fill="{INK}">{label}</text>'
