"""Krizhevsky's small CIFAR-10 nets, from the example layer files of cuda-convnet (2011)."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import LocalConv, avg_pool, cross_map_response_norm, max_pool, response_norm
from flaxact.models._zoo import ZooModel

SOURCE = "krizhevsky2011cudaconvnet"
INPUT = (32, 32, 3)
FAMILY = "alexnet"
CHOICES = {"variant": ("80sec", "18pct", "19pct", "conv_local_13pct", "conv_local_11pct")}

# Hidden units of the dense layer (none: logits straight from the last pooling), standard deviation
# of the dense weights, and whether the first two poolings are followed by response normalization.
_VARIANTS = {"80sec": (64, 0.1, False), "18pct": (0, 0.01, True), "19pct": (0, 0.01, False)}


class CudaConvnet(ZooModel):
    """Two or three convolutions of 5×5, poolings of 3×3 with stride 2, then dense or local layers.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). The
    mean image of the images at initialization is subtracted, and nothing divided, as in
    cuda-convnet. On CIFAR-10 145,578 parameters (``80sec``), 89,578 (``18pct``, ``19pct``),
    1,901,386 (``conv_local_13pct``) and 3,672,906 (``conv_local_11pct``). Both local nets were
    published for crops of 24 × 24, where they have 1,116,490 and 2,112,970.

    The first activation of the three smaller nets follows the first pooling, as published. For
    monotone activations this is the same function as the usual order. Weights are Gaussian with the
    standard deviations of the layer files, biases zero. Normalization, if any is chosen, stays
    beside the activation.

    The local nets have two convolutions, then two layers of 3×3 whose weights are not shared
    between positions. ``conv_local_11pct`` has response normalization across maps (size 9, scale
    0.001), after the first pooling and before the second, and twice as many maps in its first local
    layer.

    Attributes:
      variant: ``80sec``, ``18pct`` (with response normalization within maps), ``19pct``,
        ``conv_local_13pct`` or ``conv_local_11pct``.
    """

    variant: str = "80sec"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        if self.variant in _VARIANTS:
            x = self._shared(self.subtract_mean_image(x), train)
            std = _VARIANTS[self.variant][1]
        else:
            x = self._unshared(self.subtract_mean_image(x), train)
            std = 0.01
        x = self.drop(x, 0, train=train)
        return self.output_layer(x, name="fc10", init=nn.initializers.normal(std))

    def _shared(self, x: jax.Array, train: bool) -> jax.Array:
        hidden, dense_std, responses = _VARIANTS[self.variant]
        respond = response_norm if responses else lambda x: x
        x = self._conv(x, 32, 1e-4, "1")
        x = respond(self.activate(max_pool(x, 3, stride=2), "act1", train=train))
        x = self.activate(self._conv(x, 32, 0.01, "2"), "act2", train=train)
        x = respond(avg_pool(x, 3, stride=2))
        x = self.activate(self._conv(x, 64, 0.01, "3"), "act3", train=train)
        x = avg_pool(x, 3, stride=2)
        if hidden:
            weights = nn.initializers.normal(dense_std)
            x = self.dense(x, hidden, name="fc64", site="act4", init=weights)
            x = self.activate(x, "act4", train=train)
        return x

    def _unshared(self, x: jax.Array, train: bool) -> jax.Array:
        responses = self.variant == "conv_local_11pct"
        respond = _across_maps if responses else lambda x: x
        x = self.activate(self._conv(x, 64, 1e-4, "1"), "act1", train=train)
        x = respond(max_pool(x, 3, stride=2))
        x = respond(self.activate(self._conv(x, 64, 0.01, "2"), "act2", train=train))
        x = max_pool(x, 3, stride=2)
        x = self.activate(self._local(x, 64 if responses else 32, "3"), "act3", train=train)
        return self.activate(self._local(x, 32, "4"), "act4", train=train)

    def _conv(self, x: jax.Array, features: int, std: float, place: str) -> jax.Array:
        weights = nn.initializers.normal(std)
        return self.conv(x, features, 5, name=f"conv{place}", site=f"act{place}", init=weights)

    def _local(self, x: jax.Array, features: int, place: str) -> jax.Array:
        site = f"act{place}"
        options = self._options(site, nn.initializers.normal(0.04), 0.0)
        features = self.features_before(site, self.scale_width(features))
        return self._measured(LocalConv(features, name=f"local{place}", **options), x)


def _across_maps(x: jax.Array) -> jax.Array:
    return cross_map_response_norm(x, 9, scale=0.001)


Model = CudaConvnet
