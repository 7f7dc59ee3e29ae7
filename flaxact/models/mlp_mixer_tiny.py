"""A small MLP-Mixer: perceptrons over the patches, and over the channels."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import Act, Dense
from flaxact.models._arguments import Norm
from flaxact.models._zoo import ZooModel

SOURCE = "tolstikhin2021mixer"
INPUT = {"*": (32, 32, 3), "mlp_mixer_s16": (224, 224, 3)}
FAMILY = "dense"
PRESETS = {"mlp_mixer_s16": {"patch": 16, "hidden": 512, "num_classes": 1000}}


class MLPMixer(ZooModel):
    """Patches as tokens; each block has two dense layers across tokens, then two across channels.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes).
    ``mlp_mixer_tiny``, for CIFAR-10, has 2,484,426 parameters; ``mlp_mixer_s16`` is the paper's
    smallest, with 18,528,264 (18 million in Tolstikhin et al. 2021, table 1).

    §2 of the paper: the output of each of the two perceptrons is added to its input, which is first
    layer-normalized per token; the mean of the tokens gives the logits, whose weights start at 0.
    ``mlp_mixer_tiny`` has 192 channels, as ``vit_tiny``, and as the paper's S/16 8 blocks, half as
    many hidden units across tokens as channels, and four times as many across channels. Weights are
    LeCun's (truncated) Gaussian, Flax's default as in the paper's listing. Images whose sides the
    patch does not divide are padded with zeros. Images are standardized by channel. There is no
    stochastic depth.

    Activations of block b: ``act{b}_token`` and ``act{b}_channel``; either can be a gated one, such
    as ``swiglu``.

    Attributes:
      norm: ``layer``, for each token, is the published one.
      norm_place: ``before`` each perceptron, as published, or ``after`` each addition.
      patch: side of a patch.
      hidden: number of channels.
      depth: number of blocks.
    """

    norm: Norm = "layer"
    patch: int = 4
    hidden: int = 192
    depth: int = 8

    @property
    def in_residual_stream(self) -> bool:
        """True: the layers on both sides of an activation connect to a stream of fixed width."""
        return True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.standardize_channels(x)
        x = self.conv(x, self.hidden, self.patch, stride=self.patch, name="patches")
        x = jax.lax.collapse(x, 1, 3)
        for block in range(1, self.depth + 1):
            for part in ("token", "channel"):
                name = f"norm{block}_{part}"
                y = self.normalize(x, name, train=train) if self.norm_place == "before" else x
                y = y.swapaxes(1, 2) if part == "token" else y
                y = self._perceptron(y, f"{block}_{part}", 4.0 if part == "channel" else 0.5)
                x = x + (y.swapaxes(1, 2) if part == "token" else y)
                x = x if self.norm_place == "before" else self.normalize(x, name, train=train)
        if self.norm_place == "before":
            x = self.normalize(x, "norm", train=train)
        x = self.drop(x.mean(axis=1), 0, train=train)
        return self.output_layer(x, init=nn.initializers.zeros_init())

    def _perceptron(self, x: jax.Array, place: str, ratio: float) -> jax.Array:
        """Two dense layers over the last axis that keep its width."""
        width = x.shape[-1]
        site = f"act{place}"
        x = self.dense(x, round(ratio * self.hidden), name=f"expand{place}", site=site)
        x = Act(self.activation_at(site), name=site)(x)  # normalized before the branch, so not here
        # No factor on the width: it is that of the tokens, or has it already.
        contract = Dense(width, name=f"contract{place}", **self._options("", None, 0.0))
        return self._measured(contract, x)


Model = MLPMixer
