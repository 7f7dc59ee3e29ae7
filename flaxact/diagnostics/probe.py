"""What each activation of a Linen model gets and gives on a batch of images, in figures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact.diagnostics.capture import capture
from flaxact.diagnostics.measures import Measure, applied, chosen
from flaxact.net import Variables

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
      InputError: an unknown measure.

    >>> from flaxact.models import create_model
    >>> model, images = create_model("cuda_convnet", "relu"), jnp.zeros((2, 8, 8, 1))
    >>> figures = probe(model, model.init(jax.random.key(0), images), images)
    >>> list(figures), figures["act1"]["zeros"]
    (['act1', 'act2', 'act3', 'act4'], 1.0)
    """
    measure, sites = _program(module, tuple(measures), train)
    rows = measure(variables, jnp.asarray(images), None if labels is None else jnp.asarray(labels))
    return {site: {k: float(v) for k, v in rows[site].items()} for site in sites}


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


@functools.lru_cache(maxsize=16)
def _program(
    module: nn.Module, measures: tuple[str | Measure, ...], train: bool
) -> tuple[Any, list[str]]:
    measure, sites = make_probe(module, measures, train=train), []

    @jax.jit
    def measured(variables: Variables, images: jax.Array, labels: jax.Array | None) -> Any:
        found = measure(variables, images, labels)
        sites[:] = (
            found  # in the order of the data, which a dictionary loses on the way through JAX
        )
        return found

    return measured, sites
