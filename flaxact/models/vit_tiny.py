"""The tiny vision transformer (DeiT-Ti), for small images by default."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact.layers import Act
from flaxact.models._arguments import Norm
from flaxact.models._zoo import ZooModel

SOURCE = "touvron2021deit"
INPUT = {"*": (32, 32, 3), "vit_tiny_224": (224, 224, 3)}
FAMILY = "attention"
PRESETS = {"vit_tiny_224": {"patch": 16, "num_classes": 1000}}

# PyTorch's trunc_normal_, which the authors' code uses, cuts at ±2, not at two standard deviations.
WEIGHTS = nn.initializers.normal(0.02)


class VisionTransformer(ZooModel):
    """Patches as tokens; each block has self-attention and two dense layers per token.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes).
    ``vit_tiny``, for CIFAR-10, has 5,362,762 parameters; ``vit_tiny_224``, with patches of 16 and 1000
    classes, 5,717,416 (the 5.7 million of Touvron et al. 2021, table 1: DeiT-Ti without distillation).

    Dosovitskiy et al. 2021, §3.1, with DeiT-Ti's width of 192, 3 heads and 768 hidden units: the patches,
    projected, after a learned class token; learned positions; 12 blocks; and the class token's logits.
    The published patch size of 16 would give 4 tokens for CIFAR's images, so ``vit_tiny`` has
    patches of 4. Images whose sides the patch size does not divide are padded with zeros. The
    number of heads is 3, or 1 if 3 does not divide the number of channels. Weights are Gaussian
    with standard deviation 0.02, the projection of the patches uniform within 1/√fan-in, PyTorch's
    default, as in the authors' code. Images are standardized by channel. Stochastic depth, a
    regularization, is left out.

    Sites: ``act1`` to ``act12``, between the two dense layers of each block. For an activation that
      changes the width (``glu``, ``swiglu``) the first dense layer is wider; with
      ``matched=parameters`` the number of weights of the block is (about) the published one. The
      softmax of attention is not a site and does not depend on the activation.

    Attributes:
      norm: ``layer``, for each token, is the published one.
      norm_place: ``before`` attention and the dense layers, as published; or ``after`` each addition
        (Vaswani et al. 2017).
      patch: side of a patch.
      depth: number of blocks.
    """

    norm: Norm = "layer"
    patch: int = 4
    depth: int = 12

    @property
    def in_residual_stream(self) -> bool:
        """True: the layers on both sides of an activation connect to a stream of fixed width."""
        return True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        x = self.standardize_channels(x)
        x = self.conv(x, 192, self.patch, stride=self.patch, name="patches", init=uniform)
        x = jax.lax.collapse(x, 1, 3)
        token = self.param("class_token", WEIGHTS, (1, 1, x.shape[-1]), jnp.float32)
        x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], axis=1)
        x = x + self.param("positions", WEIGHTS, (1, *x.shape[1:]), jnp.float32)
        for block in range(1, self.depth + 1):
            x = self._added(x, self._attention, "attention", block, train=train)
            x = self._added(x, self._feed_forward, "mlp", block, train=train)
        if self.norm_place == "before":
            x = self.normalize(x, "norm", train=train)
        return self.output_layer(self.drop(x[:, 0], 0, train=train), init=WEIGHTS)

    def _added(
        self, x: jax.Array, branch: Callable, part: str, block: int, *, train: bool
    ) -> jax.Array:
        name = f"norm{block}_{part}"
        if self.norm_place == "after":
            return self.normalize(x + branch(x, block), name, train=train)
        return x + branch(self.normalize(x, name, train=train), block)

    def _attention(self, x: jax.Array, block: int) -> jax.Array:
        width = x.shape[-1]
        heads = math.gcd(3, width)
        query, key, value = (
            self.dense(x, 192, name=f"{part}{block}", init=WEIGHTS).reshape(
                *x.shape[:2], heads, width // heads
            )
            for part in ("query", "key", "value")
        )
        mixed = jax.nn.dot_product_attention(query, key, value).reshape(x.shape)
        return self.dense(mixed, 192, name=f"projection{block}", init=WEIGHTS)

    def _feed_forward(self, x: jax.Array, block: int) -> jax.Array:
        site = f"act{block}"
        x = self.dense(x, 768, name=f"expand{block}", site=site, init=WEIGHTS)
        x = Act(self.activation_at(site), name=site)(x)  # normalized before the branch, so not here
        return self.dense(x, 192, name=f"contract{block}", init=WEIGHTS)


Model = VisionTransformer
