"""Checks of the facts that a user declares of an activation, against its values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from flaxact._lazy import jax, jnp, np
from flaxact.activations._numerics import Function
from flaxact.activations._spec import Activation, Bounds, Fact
from flaxact.errors import InputError
from flaxact.quadrature import evaluate

# where it is looked at closely
REACH = 20.0
POINTS = 8192
FAR = (1e3, 1e6, 1e15, 1e30, 1e100)  # where its range is looked for, on both sides


@functools.lru_cache(256)
def verify(activation: Activation) -> None:
    """Raise if declared facts contradict the values; checked once per activation.

    Raises:
      InputError: the message names each wrong fact, as declared and as measured.
    """
    if wrong := list(disagreements(activation)):
        raise InputError(f"wrong facts of {activation}: {'; '.join(wrong)}")


def disagreements(activation: Activation) -> Iterator[str]:
    """The facts that the values contradict, each as declared and as measured.

    Activations over an axis are not checked. Features narrower than the spacing of the sample
    points, 0.005, may be missed.
    """
    if activation.spec.coupled:
        return
    value = functools.partial(activation.spec.function, **dict(activation.changed))
    x = np.linspace(-REACH, REACH, POINTS) + 1.234567e-4
    spec = activation.spec
    declared = _Declared(
        range=_declared(activation, "range", spec.range),
        monotonic=_declared(activation, "monotonic", spec.monotonic),
        kinks=_declared(activation, "kinks", spec.kinks),
        jumps=_declared(activation, "jumps", spec.jumps),
        smoothness=_declared(activation, "smoothness", spec.smoothness),
    )
    with np.errstate(all="ignore"):
        y = _values(activation, value, x)
        if _depends_on_others(value, x, y):
            yield "an output depends on more than the input at its place: declare coupled=True"
            return
        yield from _wrong_range(value, declared.range, x, y)
        yield from _wrong_monotonic(x, y, declared=declared.monotonic)
        yield from _wrong_places("jumps", declared.jumps, value, x, y=y)
        yield from _lost_slopes(value, x, y)
        yield from _wrong_slopes(activation, value, declared, x)


class _Declared(NamedTuple):
    range: Bounds
    monotonic: bool
    kinks: tuple[float, ...]
    jumps: tuple[float, ...]
    smoothness: float | None


def _declared(activation: Activation, name: str, fact: Fact | Callable[..., Fact]) -> Fact:
    try:
        return activation._fact(fact)
    except TypeError as error:
        facts_text = ", ".join(activation._facts()) or "none"
        raise InputError(
            f"{name} of {activation} must be a value, or a function of its hyperparameters "
            f"({facts_text}): "
            f"{error}"
        ) from None


def _values(activation: Activation, value: Function, x: np.ndarray) -> np.ndarray:
    try:
        y = evaluate(value, x)
    except Exception as error:  # of the user's function, so of any type
        raise InputError(
            f"{activation} cannot be evaluated on an array (n, 1): {error}. If an output depends "
            "on several inputs, declare coupled=True"
        ) from None
    if y.shape != x.shape:
        raise InputError(
            f"{activation} returns another shape than its input's: declare coupled=True"
        )
    return y


def _depends_on_others(value: Function, x: np.ndarray, y: np.ndarray) -> bool:
    def rows(x: jax.Array) -> jax.Array:
        return jnp.reshape(value(jnp.reshape(x, (-1, 64))), x.shape)

    return not np.allclose(evaluate(rows, x), y, rtol=1e-9, atol=1e-12, equal_nan=True)


def _wrong_range(
    value: Function, declared: tuple[float, float], x: np.ndarray, y: np.ndarray
) -> Iterator[str]:
    if np.isnan(y).all():
        return
    extremes = x[[np.nanargmin(y), np.nanargmax(y)], None]
    around = extremes + (x[1] - x[0]) * np.linspace(-1, 1, 1024)
    far = np.concatenate([side * at * np.linspace(1, 2, 64) for at in FAR for side in (-1, 1)])
    y = np.append(y, evaluate(value, around.ravel()))
    everywhere = np.append(y, evaluate(value, far))
    measured = np.nanmin(everywhere), np.nanmax(everywhere)
    near = np.nanmin(y), np.nanmax(y)
    fits = True
    for low, nearby, end, sign in zip(measured, near, declared, (-1, 1), strict=True):
        slack = 1e-6 * max(1.0, abs(end)) if math.isfinite(end) else 0.0
        outside = sign * low > sign * end + slack
        short = sign * low < sign * end - 1e-5 * max(1.0, abs(end))
        if not math.isfinite(end):  # it must go on growing
            short = sign * low < 1.05 * sign * nearby + 1e-3
        fits &= not outside and not short
    if not fits:
        yield f"range {_interval(declared)} declared, {_interval(measured)} measured"


def _interval(ends: tuple[float, float]) -> str:
    return "({:.6g}, {:.6g})".format(*ends)


def _wrong_monotonic(x: np.ndarray, y: np.ndarray, *, declared: bool) -> Iterator[str]:
    x = x[~np.isnan(y)]
    y = y[~np.isnan(y)]
    falls = np.maximum.accumulate(y) - y
    at = int(falls.argmax())
    measured = not falls[at] > 1e-9 * max(1.0, abs(y[at]))
    if measured and not declared:
        yield "monotonic=False declared, but it never decreases"
    if declared and not measured:
        top = int(y[: at + 1].argmax())
        yield (
            f"monotonic=True declared, but it falls from {y[top]:.4g} at {x[top]:.4g} to "
            f"{y[at]:.4g} at "
            f"{x[at]:.4g}"
        )


def _lost_slopes(value: Function, x: np.ndarray, y: np.ndarray) -> Iterator[str]:
    """The gradient is nan where the value is finite, as it is in reverse mode past a ``where``."""
    gradient = lambda x: jax.vjp(value, x)[1](jnp.ones_like(x))[0]  # noqa: E731
    is_lost = np.isnan(evaluate(gradient, x)) & np.isfinite(y)
    if is_lost.any():
        yield (
            f"its gradient at {x[is_lost][0]:.4g} is nan: in a where the branch that is not taken must "
            "be differentiable too, so put another where inside it"
        )


def _wrong_slopes(
    activation: Activation, value: Function, declared: _Declared, x: np.ndarray
) -> Iterator[str]:
    """Contradictions in the kinks, the smoothness, and the derivative that JAX computes."""
    slope = derivative(value)
    derivatives = evaluate(slope, x)
    step = 1e-5
    below, center, above = (evaluate(value, x + d) for d in (-step, 0.0, step))
    measured = (above - below) / (2 * step)
    scale = np.maximum(1.0, np.abs(measured))
    straight = np.abs(above - 2 * center + below) / step < 1e-3 * scale  # no break within the step
    off = straight & (np.abs(derivatives - measured) > 1e-3 * scale)
    lends = _has_surrogate(activation)
    if off.any() and not lends:
        at = int(off.argmax())
        yield (
            f"its derivative at {x[at]:.4g} is {derivatives[at]:.4g}, the slope of its values "
            f"{measured[at]:.4g}: mend it, or declare surrogate=True"
        )
    if lends or off.any():
        return
    wrong = list(
        _wrong_places("kinks", declared.kinks, slope, x, y=derivatives, allowed=declared.jumps)
    )
    yield from wrong
    smoothness = declared.smoothness
    if declared.kinks or declared.jumps or wrong or (smoothness is not None and smoothness < 2):
        return
    bend = derivative(slope)
    if bends := _breaks(bend, x, evaluate(bend, x), parts=4):
        stated = math.inf if smoothness is None else smoothness
        yield (
            f"smoothness {stated:g} declared, 1 measured: the second derivative jumps "
            f"{_listed(bends)}"
        )


def derivative(value: Function) -> Function:
    """The derivative at every element, by forward mode."""
    return lambda x: jax.jvp(value, (x,), (jnp.ones_like(x),))[1]


def _wrong_places(
    name: str,
    declared: tuple[float, ...],
    f: Function,
    x: np.ndarray,
    y: np.ndarray,
    allowed: tuple[float, ...] = (),
) -> Iterator[str]:
    """Contradictions in the places of jumps: declared ones without a jump, and undeclared ones."""
    places = _breaks(f, x, y)
    near = lambda p, places: any(abs(p - q) < 1e-5 * (1 + abs(q)) for q in places)  # noqa: E731
    real = [p for p in declared if near(p, places) or _jumps_at(f, p)]
    extra = [p for p in places if not near(p, (*declared, *allowed))]
    if extra or len(real) < len(declared):
        yield f"{name} {_listed(declared)} declared, {_listed([*real, *extra])} measured"


def _breaks(f: Function, x: np.ndarray, y: np.ndarray, parts: int = 16) -> list[float]:
    """The places where a function jumps, found by repeatedly narrowing intervals of ``x``.

    When an interval is halved, the difference of its ends shrinks where the function is continuous,
    grows where it is unbounded, and stays where it jumps.
    """
    change = np.abs(np.diff(y))
    beside = np.maximum(np.append(0.0, change[:-1]), np.append(change[1:], 0.0))
    odd = ~(change <= 1.1 * beside)  # a jump is more than what changes beside it
    cells = _narrowed(f, [end[odd] for end in (x[:-1], x[1:], y[:-1], y[1:])], parts)
    size = np.abs(cells[3] - cells[2])
    floor = 1e-3 * np.maximum(1.0, np.minimum(np.abs(cells[2]), np.abs(cells[3])))
    may_jump = (size > 0.05 * change[odd]) & (size > floor)
    size = size[may_jump]
    low, high, below, above = _narrowed(f, [end[may_jump] for end in cells], parts)
    stays = (np.abs(above - below) > 0.7 * size) & (np.abs(above - below) < 1.5 * size)
    return [_rounded(*ends) for ends in zip(low[stays], high[stays], strict=True)]


def _narrowed(f: Function, cells: list[np.ndarray], parts: int) -> list[np.ndarray]:
    """Narrow intervals three times to the part over which a value changes most; also end values."""
    for _ in range(3 if cells[0].size else 0):
        low, high, below, above = (end[:, None] for end in cells)
        x = low + (high - low) * np.linspace(0, 1, parts + 1)
        inside = evaluate(f, x[:, 1:-1].ravel()).reshape(-1, parts - 1)
        y = np.concatenate([below, inside, above], axis=1)
        part = np.nan_to_num(np.abs(np.diff(y))).argmax(1)[:, None]
        ends = [(x, part), (x, part + 1), (y, part), (y, part + 1)]
        cells = [np.take_along_axis(values, at, 1)[:, 0] for values, at in ends]
    return cells


def _rounded(low: float, high: float) -> float:
    """A number between two others, or within their distance, with few digits."""
    slack = 10 * (high - low)
    digits = (round(float(low + high) / 2, digits) for digits in range(16))
    return next((p for p in digits if low - slack <= p <= high + slack), float(low)) + 0.0


def _jumps_at(f: Function, place: float) -> bool:
    """Whether a function changes more across a place than beside it, or is unbounded there."""
    step = 1e-6 * (1 + abs(place))
    y = evaluate(f, place + step * np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 1e-3, -1e-3]))
    between = np.abs(np.diff(y[:6]))
    unbounded = np.abs(y[6:]).max() > 5 * np.abs(y[:6]).max()
    return bool(unbounded) or not between[2] <= 10 * between[[0, 1, 3, 4]].max() + 1e-9


def _listed(places: Collection[float]) -> str:
    if not places:
        return "none"
    return (
        "at "
        + ", ".join(f"{place:.6g}" for place in sorted(places)[:4])
        + ", ..." * (len(places) > 4)
    )


def _has_surrogate(activation: Activation) -> bool:
    """Whether its derivative, or that of an activation within it, is a surrogate."""
    return activation.spec.surrogate or any(map(_has_surrogate, activation.inner.values()))
