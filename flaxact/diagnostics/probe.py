"""Measures of the inputs and outputs of every activation of a Linen model on a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import ArrayLike

from flaxact.data.checks import check_range
from flaxact.diagnostics.capture import capture
from flaxact.diagnostics.measures import Measure, applied, chosen
from flaxact.errors import InputError
from flaxact.net import Variables, cached_by_module

DEFAULT = (
    "mean", "variance", "mean_to_std", "zeros", "dead", "saturated_low", "saturated_high",
    "slope_second_moment", "gradient_norm",
)  # fmt: skip
ByMeasure = dict[str, dict[str, jax.Array]]  # arrays by site and measure
Figures = dict[str, dict[str, float]]


def probe(
    module: nn.Module,
    variables: Variables,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    measures: Sequence[str | Measure] = DEFAULT,
    *,
    train: bool = False,
) -> Figures:
    """Measure every ``Act`` of a model on a batch, in the order of the data.

    Args:
      module: a Linen model whose activations are applied through ``flaxact.layers.Act``.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.
      labels: (batch,), for the measures of gradients, which are nan without them.
      measures: names in ``flaxact.diagnostics.measures.catalogue``, or functions of a ``Site``.
      train: run as in a training step, with the batch's statistics and dropout. Use it before any
        training, when batch norm's running averages are still meaningless.

    Returns:
      Values by site name and measure, over all units, positions and images of the batch; empty for
      a model without an ``Act``.

    Raises:
      InputError: an unknown measure, images that are not finite, labels that do not match the
        logits, or a site inside ``nn.scan``.

    >>> from flaxact.models import create_model
    >>> model, images = create_model("cuda_convnet", "relu"), jnp.zeros((2, 8, 8, 1))
    >>> figures = probe(model, model.init(jax.random.key(0), images), images)
    >>> list(figures), figures["act1"]["zeros"]
    (['act1', 'act2', 'act3', 'act4'], 1.0)
    """
    measure, sites, classes = _program(module, tuple(measures), train)
    images, labels = batch(images, labels)
    measure.trace(variables, images, labels)
    if labels is not None:
        check_range(labels, "the", classes[0])
    with jax.debug_nans(False):  # a measure that has no meaning is nan
        rows = jax.device_get(measure(variables, images, labels))
    return {site: {k: float(v) for k, v in rows[site].items()} for site in sites}


def batch(images: ArrayLike, labels: ArrayLike | None) -> tuple[jax.Array, jax.Array | None]:
    """Images and labels as arrays, checked to be finite numbers.

    Raises:
      InputError: an image or label is not a finite number.
    """
    pixels = _numbers("images", images)
    if jnp.issubdtype(pixels.dtype, jnp.inexact) and not np.isfinite(jax.device_get(pixels)).all():
        raise InputError("the images hold values that are not finite")
    return pixels, None if labels is None else _numbers("labels", labels)


def _numbers(name: str, value: ArrayLike) -> jax.Array:
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if isinstance(array, np.ndarray) and array.dtype.kind in "OSU":
        raise InputError(f"the {name} are of dtype {array.dtype}; give numbers")
    return jax.device_put(array)


def make_probe(
    module: nn.Module, measures: Sequence[str | Measure] = DEFAULT, *, train: bool = False
) -> Callable[[Variables, jax.Array, jax.Array | None], ByMeasure]:
    """``measure(variables, images, labels) -> {site: {measure: array}}``; pure, for jit, vmap or scan.

    Measures of the catalogue are scalars.

    Raises:
      InputError: an unknown measure.
    """
    functions = chosen(measures)

    def measure(variables: Variables, images: jax.Array, labels: jax.Array | None = None):
        key = jax.random.key(0) if train else None
        sites = capture(module, variables, images, labels, train=train, key=key).sites
        return applied(functions, sites)

    return measure


@cached_by_module(maxsize=16)
def _program(
    module: nn.Module, measures: tuple[str | Measure, ...], train: bool
) -> tuple[jax.stages.Wrapped, list[str], list[int]]:
    """The compiled probe; once traced, also the sites' names and the number of classes."""
    functions = chosen(measures)
    sites = []
    classes = []

    @jax.jit
    def measured(variables: Variables, images: jax.Array, labels: jax.Array | None) -> ByMeasure:
        key = jax.random.key(0) if train else None
        captured = capture(module, variables, images, labels, train=train, key=key)
        sites[:] = captured.sites  # in the order of the data, which a dictionary loses in JAX
        classes[:] = captured.logits.shape[-1:]
        return applied(functions, captured.sites)

    return measured, sites, classes
