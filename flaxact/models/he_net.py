"""The nets of He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers"."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact.initializers import he
from flaxact.layers import adaptive_max_pool, max_pool
from flaxact.models._zoo import ZooModel

SOURCE = "he2015delving"
INPUT = (224, 224, 3)
FAMILY = "convolutional"
PRESETS = {"he_net14": {"depth": 14}, "he_net22": {"depth": 22}, "he_net30": {"depth": 30}}
CHOICES = {"depth": (14, 22, 30)}

# Maps of the first layer, the size of the pooling after it, the stages as (layers, maps, window) with a
# pooling between, and the pyramid.
_NETS = {
    14: (64, 3, ((4, 128, 2), (6, 256, 2)), (6, 3, 2, 1)),
    30: (64, 3, ((4, 128, 2), (22, 256, 2)), (6, 3, 2, 1)),
    22: (96, 2, ((6, 256, 3), (6, 512, 3), (6, 512, 3)), (7, 3, 2, 1)),
}


class HeNet(ZooModel):
    """Convolutions, spatial pyramid pooling, and three dense layers.

    Images (batch, height, width, channels) of 11 × 11 pixels or more, pixels from 0 to 255 → logits
    (batch, num_classes). With 1000 classes 74,993,896 parameters (14 layers: Table 1), 79,192,296 (30:
    the same with sixteen more convolutions of 256 maps, Fig. 3) and 183,327,080 (22: model B of Table
    3, Fig. 2).

    Convolutions are initialized as in eq. 10; the dense layers with standard deviations 0.01, 0.01
    and 0.001, less than eq. 10 gives, because images are not divided by their standard deviation
    (end of §2.2; the per-pixel mean is subtracted). Biases start at 0. Dropout of 0.5 after both
    hidden dense layers. From memory, not checked against the paper: these three standard
    deviations, and the layers of model B (their 2.32e10 multiplications agree with the remembered
    number of the paper's table).

    The paper does not say how layers are padded. In the nets of 14 and 30 layers the first layer is
    not padded, its pooling leaves out incomplete windows, and convolutions of 2 × 2 keep the size
    of the maps: 36 × 36 and 18 × 18 for images of 224. In the net of 22 layers all convolutions
    keep the size of the maps: 112, 56, 28 and 14.

    Attributes:
      depth: layers with weights: 14, 22 or 30.
    """

    num_classes: int = 1000
    depth: int = 14

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        features, pool, stages, pyramid = _NETS[self.depth]
        x = self.subtract_mean_image(self.check_image_size(x, 11))
        padding = "SAME" if pool == 2 else "VALID"
        x = self.conv(
            x, features, 7, name="conv1", site="act1", init=he(), stride=2, padding=padding
        )
        x = _whole_windows(self.activate(x, "act1", train=train), pool)
        for stage, (layers, features, size) in enumerate(stages, 2):
            x = x if stage == 2 else max_pool(x, 2, 2)
            for place in (f"{stage}_{layer + 1}" for layer in range(layers)):
                x = self.conv(x, features, size, name=f"conv{place}", site=f"act{place}", init=he())
                x = self.activate(x, f"act{place}", train=train)
        x = spatial_pyramid_pool(x, pyramid)
        for name in ("1", "2"):
            site = f"act_fc{name}"
            weights = nn.initializers.normal(0.01)
            x = self.dense(x, 4096, name=f"fc{name}", site=site, init=weights)
            x = self.drop(self.activate(x, site, train=train), 0.5, train=train)
        return self.output_layer(x, name="fc3", init=nn.initializers.normal(0.001))


def spatial_pyramid_pool(x: jax.Array, levels: tuple[int, ...]) -> jax.Array:
    """The maxima over n × n cells for each level n (He et al. 2014): images to vectors.

    Args:
      x: images (batch, height, width, channels).
      levels: cells along a side.

    Returns:
      (batch, sum of n² · channels), level by level, row by row, channels last.

    >>> spatial_pyramid_pool(jnp.zeros((2, 18, 18, 256)), (6, 3, 2, 1)).shape
    (2, 12800)
    """
    return jnp.concatenate([jax.lax.collapse(adaptive_max_pool(x, n), 1) for n in levels], axis=-1)


def _whole_windows(x: jax.Array, size: int) -> jax.Array:
    """Max pooling with adjacent windows, without the clipped ones at the border."""
    height, width = (n // size * size for n in x.shape[1:3])
    return max_pool(x[:, :height, :width], size, size)


Model = HeNet
