"""Parts that several nets of the zoo share."""

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
    """A 1 × 1 convolution to one map per class, counted after the activation if there is one.

    Args:
      model: the model that the layer belongs to.
      x: images (batch, height, width, channels).
      name: name of the layer.
      site: site of the activation after it.
      init: the paper's initializer.

    Raises:
      InputError: an activation that cannot output this number of channels.
    """
    options = model._options(site, init, 0.0)
    features = Fraction(model.num_classes)
    if site:
        act = model.activation_at(site)
        features /= Fraction(act.width(5040), 5040)
        if features.denominator != 1:
            raise InputError(
                f"{type(model).__name__} cannot have {act} at {site}: {model.num_classes} classes need "
                f"as many channels, and {act} cannot output exactly that many"
            )
    else:
        options["weights"] = "plain"  # as of ``logits``
    return model._measured(Conv(int(features), kernel_size=(1, 1), name=name, **options), x)


def within(bound: float) -> Initializer:
    """Weights or biases that are uniform from -bound to bound."""

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
