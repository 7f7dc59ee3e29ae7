"""Multilayer perceptrons of the papers on activations, for MNIST."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from flaxact import initializers
from flaxact.models._zoo import ZooModel

SOURCE = {
    "*": "glorot2011deep",
    "mlp_elu": "clevert2015elu",
    "mlp_bn": "ioffe2015batch",
    "mlp_gelu": "hendrycks2016gelu",
    "mlp_selu8": "klambauer2017selu",
    "mlp_selu16": "klambauer2017selu",
    "mlp_selu32": "klambauer2017selu",
}
INPUT = (28, 28, 1)
FAMILY = "dense"
CHOICES = {"variant": ("glorot", "elu", "bn", "gelu", "selu")}
PRESETS = {
    "mlp_glorot": {},
    "mlp_elu": {"variant": "elu", "depth": 8, "hidden": 128},
    "mlp_bn": {"variant": "bn", "depth": 3, "hidden": 100, "norm": "batch"},
    "mlp_gelu": {"variant": "gelu", "depth": 8, "hidden": 128},
    "mlp_selu8": {"variant": "selu", "depth": 8, "hidden": 0},
    "mlp_selu16": {"variant": "selu", "depth": 16, "hidden": 0},
    "mlp_selu32": {"variant": "selu", "depth": 32, "hidden": 0},
}


def unit_columns(
    key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32, _: object = None
) -> jax.Array:
    """Gaussian weights (inputs, outputs), scaled so that each output's weights have norm 1."""
    kernel = jax.random.normal(key, shape, dtype)
    return kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)


class MLP(ZooModel):
    """Hidden layers of the same width, each with an activation, and a layer of logits.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). With
    ten classes and MNIST's images: ``mlp_glorot`` 2,797,010 parameters, ``mlp_elu`` and ``mlp_gelu``
    217,354, ``mlp_bn`` 100,010 (99,710 with ``norm=none``), ``mlp_selu8`` 4,931,370, ``mlp_selu16``
    9,854,890, ``mlp_selu32`` 19,701,930.

    Glorot et al. 2011, §4.1: 3 × 1000, weights uniform as in Glorot & Bengio 2010. Clevert et al. 2015,
    §4.1: 8 × 128, He's initialization. Ioffe & Szegedy 2015, §4.1: 3 × 100 sigmoid units, binary
    images, "small random Gaussian" weights, with batch normalization (then without biases) or, with
    ``norm=none``, without it. Hendrycks & Gimpel 2016, §3.1: 8 × 128, unit-norm columns; the paper
    trains with ``dropout=0.5`` too. Klambauer et al. 2017, figure 1: as wide as the input, weights of
    variance 1/n, pixels standardized one by one; its comparison is ``relu`` with ``norm=batch,
    norm_place=after, kernel_init=he``.

    Where the papers do not say: pixels are scaled to 0 to 1, binary images are 1 above 127, biases
    are 0. Dropout, if any is chosen, follows every hidden layer.

    Attributes:
      variant: whose weights and images: ``glorot``, ``elu``, ``bn``, ``gelu`` or ``selu``.
      depth: number of hidden layers.
      hidden: units in each hidden layer; 0 for as many as an image has values, as in the SELU
        presets.
      std: standard deviation of the weights of ``bn``, which the paper does not state.
    """

    variant: str = "glorot"
    depth: int = 3
    hidden: int = 1000
    std: float = 0.05

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = jax.lax.collapse(self._inputs(self.pixels(x)), 1)
        hidden = self.hidden or x.shape[-1]
        weights = self._weights()
        for place in range(1, self.depth + 1):
            site = f"act{place}"
            x = self.dense(
                x,
                hidden,
                name=f"dense{place}",
                site=site,
                init=weights,
                bias=self.bias_unless_normalized,
            )
            x = self.drop(self.activate(x, site, train=train), 0, train=train)
        return self.output_layer(x, init=weights)

    def _weights(self) -> Initializer:
        return {
            "glorot": initializers.xavier("uniform"),
            "elu": initializers.he(),
            "bn": nn.initializers.normal(self.std),
            "gelu": unit_columns,
            "selu": initializers.lecun(),
        }[self.variant]

    def _inputs(self, x: jax.Array) -> jax.Array:
        if self.variant == "bn":
            return self._first(jnp.asarray(x > 127, jnp.float32))
        if self.variant == "selu":  # scikit-learn's StandardScaler, which leaves constant pixels be
            std = self.variable("inputs", "std", lambda: _std(x)).value
            return self.subtract_mean_image(x) / std[None]
        return self._first(x / 255)


def _std(x: jax.Array) -> jax.Array:
    std = x.std(axis=0)
    return jnp.where(std > 0, std, 1.0)


Model = MLP
