"""All-CNN-C, Springenberg, Dosovitskiy, Brox & Riedmiller 2015."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.initializers import he
from flaxact.models._parts import class_maps
from flaxact.models._zoo import ZooModel

SOURCE = "springenberg2015striving"
INPUT = (32, 32, 3)
FAMILY = "convolutional"

# Maps, window, stride, padding; dropout after the layers with a stride.
_LAYERS = (
    (96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
    (192, 3, 1, 0), (192, 1, 1, 0),
)  # fmt: skip


class AllCNNC(ZooModel):
    """Nine convolutions, two of them with a stride in place of pooling (Tables 1 and 2).

    Images (batch, height, width, channels) of 9 × 9 pixels or more, pixels from 0 to 255 → logits
    (batch, num_classes). Each logit is the mean of one map, of 6 × 6 on CIFAR-10, where the net has
    1,369,738 parameters.

    Dropout is 0.2 of the inputs and 0.5 after each layer with a stride, as published. The paper
    does not say how layers are padded: here all layers are padded by 1 except for the seventh,
    which gives the 6 × 6 maps of its table. It does not say how weights are initialized either:
    here as in He et al. 2015, with biases 0. An activation follows every layer, also the last. An
    activation that changes the width must give as many maps as there are classes. The paper whitens
    images; here they are standardized by channel.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.drop(self.standardize_channels(self.check_image_size(x, 9)), 0.2, train=train)
        for place, (features, size, stride, pad) in enumerate(_LAYERS, 1):
            x = self.conv(
                x,
                features,
                size,
                name=f"conv{place}",
                site=f"act{place}",
                init=he(),
                stride=stride,
                padding=((pad, pad), (pad, pad)),
            )
            x = self.activate(x, f"act{place}", train=train)
            if stride == 2:
                x = self.drop(x, 0.5, train=train)
        x = class_maps(self, x, name="conv9", site="act9", init=he())
        return self.activate(x, "act9", train=train).mean((1, 2))


Model = AllCNNC
