"""What several nets of the zoo are made of."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from flaxact.errors import InputError
from flaxact.layers import Conv
from flaxact.models._zoo import ZooModel


def class_maps(
    model: ZooModel, x: jax.Array, *, name: str, site: str = "", init: Initializer | None = None
) -> jax.Array:
    """A convolution of 1 × 1 to as many maps as there are classes, after the activation if any.

    Args:
      model: whose layer it is.
      x: images (batch, height, width, channels).
      name: of the layer.
      site: of the activation that it feeds.
      init: the paper's.

    Raises:
      InputError: an activation that gives no such number of channels.
    """
    options = model._options(site, init, 0.0)
    features = Fraction(model.num_classes)
    if site:
        act = model.at(site)
        features /= Fraction(act.width(5040), 5040)
        if features.denominator != 1:
            raise InputError(
                f"{type(model).__name__} cannot have {act} at {site}: {model.num_classes} classes need "
                f"as many channels, and {act} makes that many of no whole number"
            )
    else:
        options["weights"] = "plain"  # as of ``logits``
    return model._measured(Conv(int(features), kernel_size=(1, 1), name=name, **options), x)


def within(bound: float) -> Initializer:
    """Weights or biases that are uniform from -bound to bound."""

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
