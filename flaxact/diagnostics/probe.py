"""What each activation of a Linen model gets and gives on a batch of images, in figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxact.data.checks import check_range
from flaxact.diagnostics.capture import capture
from flaxact.diagnostics.measures import Measure, applied, chosen
from flaxact.errors import InputError
from flaxact.net import Variables, cached_by_module

DEFAULT = (
    "mean", "variance", "mean_to_std", "zeros", "dead", "saturated_low", "saturated_high",
    "slope_second_moment", "gradient_norm",
)  # fmt: skip
Figures = dict[str, dict[str, float]]


def probe(
    module: nn.Module,
    variables: Variables,
    images: Any,
    labels: Any = None,
    measures: Sequence[str | Measure] = DEFAULT,
    *,
    train: bool = False,
) -> Figures:
    """Measures of every ``Act``, in the order of the data.

    Args:
      module: a Linen model whose activations are applied through ``flaxact.layers.Act``.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.
      labels: (batch,); for the measures of gradients, which are nan without.
      measures: names of ``flaxact.diagnostics.measures.catalogue``, or functions of a ``Site``.
      train: as in a training step: with the batch's statistics and with dropout. Before any training,
        the averages that batch norm keeps for testing say nothing.

    Returns:
      The figures by site name, over all units, positions and images of the batch; empty for a model
      without an ``Act``.

    Raises:
      InputError: an unknown measure, images that are not finite, labels that are not those of the
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


def batch(images: Any, labels: Any) -> tuple[jax.Array, jax.Array | None]:
    """A batch as arrays, once its images are finite numbers.

    Raises:
      InputError: they are not.
    """
    found = []
    for name, given in (("images", images), ("labels", labels)):
        array = given if given is None or isinstance(given, jax.Array) else np.asarray(given)
        if isinstance(array, np.ndarray) and array.dtype.kind in "OSU":
            raise InputError(f"the {name} are of dtype {array.dtype}; give numbers")
        found.append(jax.device_put(array))  # None stays so
    images, labels = found
    if jnp.issubdtype(images.dtype, jnp.inexact) and not np.isfinite(jax.device_get(images)).all():
        raise InputError("the images hold values that are not finite")
    return images, labels


def make_probe(
    module: nn.Module, measures: Sequence[str | Measure] = DEFAULT, *, train: bool = False
) -> Callable[[Variables, jax.Array, jax.Array | None], dict[str, dict[str, jax.Array]]]:
    """``measure(variables, images, labels) -> {site: {measure: array}}``: pure, to jit, vmap or scan.

    Those of the catalogue are scalars.

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
) -> tuple[Any, list[str], list[int]]:
    """The compiled probe; and when it was traced, the sites' names and the number of classes."""
    functions = chosen(measures)
    sites = []
    classes = []

    @jax.jit
    def measured(variables: Variables, images: jax.Array, labels: jax.Array | None) -> Any:
        key = jax.random.key(0) if train else None
        found = capture(module, variables, images, labels, train=train, key=key)
        sites[:] = found.sites  # in the order of the data, which a dictionary loses in JAX
        classes[:] = found.logits.shape[-1:]
        return applied(functions, found.sites)

    return measured, sites, classes
