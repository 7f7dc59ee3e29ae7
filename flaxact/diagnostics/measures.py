"""Measures of a site (one activation of a model): functions of its inputs and outputs, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from flaxact._lazy import listing
from flaxact.diagnostics.capture import Site
from flaxact.errors import unknown

__dir__ = listing(__name__)

Measure = Callable[[Site], jax.Array]
catalogue: dict[str, Measure] = {}  # by name; filled by @measure
FLAT = 0.05  # a slope below this share of the activation's greatest one on the batch is saturated


def measure(function: Measure) -> Measure:
    """Register a function of a ``Site`` that returns a scalar, or nan if undefined for the site."""
    catalogue[function.__name__] = function
    return function


def chosen(measures: Sequence[str | Measure]) -> tuple[tuple[str, Measure], ...]:
    """Pairs (name, function) of measures, given as functions of a ``Site`` or names in the catalogue.

    Raises:
      InputError: an unknown name.
    """
    for name in measures:
        if isinstance(name, str) and name not in catalogue:
            raise unknown("measure", name, catalogue)
    return tuple((m, catalogue[m]) if isinstance(m, str) else (m.__name__, m) for m in measures)


def applied(
    functions: Sequence[tuple[str, Measure]], sites: dict[str, Site]
) -> dict[str, dict[str, jax.Array]]:
    """Values by site and measure, for measures that ``chosen`` returned."""
    return {
        site: {name: function(arrays) for name, function in functions}
        for site, arrays in sites.items()
    }


def summary(name: str) -> str:
    """The first line of a measure's docstring.

    >>> summary("zeros")
    'Share of outputs that are exactly 0.'
    """
    return (inspect.getdoc(catalogue[name]) or "").split("\n")[0]


LABELS = {
    "pre_mean": "mean of the inputs", "pre_variance": "variance of the inputs",
    "pre_second_moment": "mean square of the inputs", "mean_to_std": "bias shift (mean ÷ deviation)",
    "zeros": "share of exact zeros", "dead": "share of dead units",
    "saturated_low": "share saturated below 0", "saturated_high": "share saturated above 0",
    "slope_second_moment": "mean square of the slope", "gradient_norm": "length of the gradient",
}  # fmt: skip


def label(name: str) -> str:
    """The label of a measure on an axis.

    >>> label("gradient_norm"), label("effective_rank")
    ('length of the gradient', 'effective rank')
    """
    return LABELS.get(name, name.replace("_", " "))


@measure
def mean(site: Site) -> jax.Array:
    """Mean of the activation's outputs over examples, positions and units."""
    return site.post.mean()


@measure
def variance(site: Site) -> jax.Array:
    """Variance of the activation's outputs over examples, positions and units."""
    return site.post.var()


@measure
def second_moment(site: Site) -> jax.Array:
    """Mean square of the activation's outputs."""
    return jnp.mean(site.post**2)


@measure
def skew(site: Site) -> jax.Array:
    """Third standardized moment of the outputs; 0 for a symmetric distribution."""
    return _standardized(site.post, 3)


@measure
def kurtosis(site: Site) -> jax.Array:
    """Fourth standardized moment of the outputs; 3 for a Gaussian."""
    return _standardized(site.post, 4)


@measure
def pre_mean(site: Site) -> jax.Array:
    """Mean of the activation's inputs over examples, positions and units."""
    return site.pre.mean()


@measure
def pre_variance(site: Site) -> jax.Array:
    """Variance of the activation's inputs over examples, positions and units."""
    return site.pre.var()


@measure
def pre_second_moment(site: Site) -> jax.Array:
    """Mean square of the activation's inputs."""
    return jnp.mean(site.pre**2)


@measure
def pre_skew(site: Site) -> jax.Array:
    """Third standardized moment of the inputs."""
    return _standardized(site.pre, 3)


@measure
def pre_kurtosis(site: Site) -> jax.Array:
    """Fourth standardized moment of the inputs."""
    return _standardized(site.pre, 4)


@measure
def mean_to_std(site: Site) -> jax.Array:
    """Bias shift: RMS over units of the unit's mean, divided by the RMS of its standard deviation.

    0 if every unit's outputs have mean 0 (Clevert et al. 2016, §2: a unit's mean acts on the next
    layer like a bias that changes with every update).
    """
    means = site.post.mean((0, 1))
    deviations = site.post.var((0, 1))
    return jnp.sqrt(jnp.mean(means**2) / jnp.mean(deviations))


@measure
def zeros(site: Site) -> jax.Array:
    """Share of outputs that are exactly 0."""
    return jnp.mean(site.post == 0)


@measure
def zeros_spread_over_units(site: Site) -> jax.Array:
    """Standard deviation over units of a unit's share of zeros (lifetime sparsity)."""
    return jnp.std(jnp.mean(site.post == 0, (0, 1)))


@measure
def zeros_spread_over_examples(site: Site) -> jax.Array:
    """Standard deviation over examples of an example's share of zeros (activation sparsity)."""
    return jnp.std(jnp.mean(site.post == 0, (1, 2)))


@measure
def lifetime_sparseness(site: Site) -> jax.Array:
    """Mean over units of Vinje & Gallant's sparseness over inputs: 0 if constant, 1 if one input only."""
    values = site.post.reshape(-1, site.post.shape[-1])
    return jnp.nanmean(_sparseness(values, 0))


@measure
def population_sparseness(site: Site) -> jax.Array:
    """Mean over inputs of Vinje & Gallant's sparseness over units."""
    return jnp.nanmean(_sparseness(site.post.reshape(-1, site.post.shape[-1]), 1))


@measure
def dead(site: Site) -> jax.Array:
    """Share of units whose output is 0 on every input. Before training: units that are born dead."""
    return jnp.mean(jnp.all(site.post == 0, (0, 1)))


@measure
def saturated_low(site: Site) -> jax.Array:
    """Share of all inputs that are below 0 and at which the activation is nearly flat."""
    return _saturated(site, site.pre < 0)


@measure
def saturated_high(site: Site) -> jax.Array:
    """Share of all inputs that are above 0 and at which the activation is nearly flat."""
    return _saturated(site, site.pre > 0)


@measure
def slope_second_moment(site: Site) -> jax.Array:
    """Mean square of the slope, the factor of a gradient's variance in backpropagation."""
    return jnp.nan * jnp.zeros(()) if site.slope is None else jnp.mean(site.slope**2)


@measure
def gradient_norm(site: Site) -> jax.Array:
    """Root mean square over examples of the norm of the loss's gradient with respect to the outputs."""
    if site.gradient is None:
        return jnp.nan * jnp.zeros(())
    return jnp.sqrt(jnp.mean(jnp.sum(site.gradient**2, (1, 2))))


@measure
def effective_rank(site: Site) -> jax.Array:
    """Exponential of the entropy of the outputs' normalized singular values (Roy & Vetterli 2007)."""
    values = jnp.linalg.svd(_rows(site), compute_uv=False)
    shares = values / values.sum()
    return jnp.exp(-jnp.sum(jnp.where(shares > 0, shares * jnp.log(shares), 0)))


@measure
def condition_number(site: Site) -> jax.Array:
    """Condition number of the outputs' second-moment matrix (units, units).

    The largest eigenvalue over the smallest, mean included; it governs gradient descent in the next
    layer (LeCun et al. 1998, §4.3 and 5). Infinite if there are fewer rows than units, or dead
    units.
    """
    rows = _rows(site)
    values = jnp.linalg.eigvalsh(rows.T @ rows / len(rows))
    flat = values[0] <= values[-1] * len(values) * jnp.finfo(values.dtype).eps
    return jnp.where(flat, jnp.inf, values[-1] / values[0])


@measure
def cosine(site: Site) -> jax.Array:
    """Mean cosine similarity of the outputs of pairs of examples: a point of the measured C-map."""
    rows = site.post.reshape(len(site.post), -1)
    lengths = jnp.linalg.norm(rows, axis=1, keepdims=True)
    units = jnp.where(lengths > 0, rows / jnp.where(lengths > 0, lengths, 1), 0)
    total = jnp.sum(units.sum(0) ** 2)
    n = len(rows)
    return (total - jnp.sum(units**2)) / (n * (n - 1))


LEVELS = tuple(0.001 + 0.998 * i / 32 for i in range(33))
SAMPLE = 4096  # inputs of a site, from which quantiles are taken


def input_quantiles(site: Site) -> jax.Array:
    """The quantiles LEVELS of the inputs, (33,). Not in the catalogue, whose measures are scalars."""
    flat = site.pre.ravel()
    return jnp.quantile(flat[:: max(1, len(flat) // SAMPLE)], jnp.asarray(LEVELS))


def _rows(site: Site) -> jax.Array:
    return site.post.reshape(-1, site.post.shape[-1])


def _standardized(x: jax.Array, power: int) -> jax.Array:
    centered = x - x.mean()
    return jnp.mean(centered**power) / jnp.mean(centered**2) ** (power / 2)


def _sparseness(values: jax.Array, axis: int) -> jax.Array:
    n = values.shape[axis]
    share = jnp.mean(jnp.abs(values), axis) ** 2 / jnp.mean(values**2, axis)
    return (1 - share) / (1 - 1 / n)


def _saturated(site: Site, side: jax.Array) -> jax.Array:
    if site.slope is None:
        return jnp.nan * jnp.zeros(())
    steep = jnp.max(jnp.abs(site.slope))
    return jnp.mean(side & (jnp.abs(site.slope) < FLAT * steep))
