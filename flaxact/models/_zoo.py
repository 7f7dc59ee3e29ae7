"""The base class of the zoo's models: common arguments, and the layers they are written in."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from flaxact import initializers
from flaxact.activations import Activation
from flaxact.errors import InputError
from flaxact.layers import Act, Conv, Dense, LocalConv, MeanOnlyBatchNorm
from flaxact.models import _arguments as args
from flaxact.models._sites import Sites

LSUV_IMAGES = 256  # a model made with kernel_init="lsuv" measures on the first few it is given


class ZooModel(nn.Module):
    """A net whose layers, normalization and initialization can be chosen.

    Attributes:
      act: the activation for every site, or ``Sites``.
      num_classes: number of logits.
      norm: ``none``; ``batch``, ``layer`` (over a whole image, or over each token) or ``group`` (at
        most 32 groups); or normalization of the weights: ``weight`` or ``weight_mean_only_batch``.
      norm_place: ``before`` the activation or ``after`` it.
      norm_affine: whether batch, layer and group normalization learn a scale and a bias per
        channel.
      kernel_init: ``paper``, ``he``, ``xavier``, ``lecun``, ``orthogonal``, ``lsuv`` or
        ``variance_preserving``; the last follows the activation after the layer.
      dropout: the dropout rate wherever the net has dropout; None for the published rates.
      matched: what stays as published with an activation that changes the width: the ``width``
        after it, or (about) the number of ``parameters``.
      width: factor on the number of filters and hidden units; 1 is the published net.
    """

    act: Activation | Sites
    num_classes: int = 10
    norm: args.Norm = "none"
    norm_place: args.NormPlace = "before"
    norm_affine: bool = True
    kernel_init: args.KernelInit = "paper"
    dropout: float | None = None
    matched: args.Matched = "width"
    width: float = 1.0

    @property
    def in_residual_stream(self) -> bool:
        """Whether the layers on both sides of an activation connect to a stream of fixed width."""
        return False

    def activation_at(self, site: str) -> Activation:
        """The activation at a site."""
        return self.act.at(site) if isinstance(self.act, Sites) else self.act

    def scale_width(self, features: int) -> int:
        """A number of filters or hidden units, multiplied by the width."""
        return max(1, round(self.width * features))

    def conv(
        self,
        x: jax.Array,
        features: int,
        size: int,
        *,
        name: str,
        site: str = "",
        init: Initializer | None = None,
        bias: float | Initializer | None = 0.0,
        **shape: Unpack[args.ConvShape],
    ) -> jax.Array:
        """A convolution with a window of size × size.

        Args:
          x: images (batch, height, width, channels).
          features: the published number; the width scales it, and the activation at ``site`` may
            change it.
          size: size of the window.
          name: name of the layer.
          site: site of the activation after it; none if no activation follows.
          init: the paper's initializer.
          bias: initial value of the biases, a number or an initializer; None for no biases.
          shape: ``stride``, ``padding`` and ``groups``, as for ``flaxact.layers.Conv``.
        """
        features = self.features_before(site, self.scale_width(features), shape.get("groups", 1))
        options = self._options(site, init, bias)
        layer = Conv(features, kernel_size=(size, size), name=name, **options, **shape)
        return self._measured(layer, x)

    def dense(
        self,
        x: jax.Array,
        features: int,
        *,
        name: str,
        site: str = "",
        init: Initializer | None = None,
        bias: float | Initializer | None = 0.0,
    ) -> jax.Array:
        """A dense layer, with arguments as for ``conv``; images are flattened."""
        x = jax.lax.collapse(x, 1) if x.ndim == 4 else x
        features = self.features_before(site, self.scale_width(features))
        return self._measured(Dense(features, name=name, **self._options(site, init, bias)), x)

    def output_layer(
        self,
        x: jax.Array,
        *,
        name: str = "logits",
        init: Initializer | None = None,
        bias: float | Initializer | None = 0.0,
    ) -> jax.Array:
        """The last dense layer, with one output per class."""
        x = jax.lax.collapse(x, 1) if x.ndim == 4 else x
        options = self._options("", init, bias)
        options["weights"] = "plain"
        return self._measured(Dense(self.num_classes, name=name, **options), x)

    @property
    def bias_unless_normalized(self) -> float | None:
        """The initial bias of a layer; None if a normalization with a bias follows."""
        adds_bias = self.norm == "weight_mean_only_batch" or (
            self.norm in ("batch", "layer", "group") and self.norm_affine
        )
        return None if adds_bias and self.norm_place == "before" else 0.0

    def activate(
        self, x: jax.Array, site: str, *, train: bool, skip: jax.Array | None = None
    ) -> jax.Array:
        """Apply the activation of a site, with the normalization before or after it.

        Args:
          x: its input.
          site: its name.
          train: for the normalization.
          skip: added between the normalization and the activation.
        """
        name = site.replace("act", "norm")
        if self.norm_place == "before":
            x = self.normalize(x, name, train=train)
        x = x if skip is None else x + skip
        x = Act(self.activation_at(site), name=site)(x)
        return self.normalize(x, name, train=train) if self.norm_place == "after" else x

    def normalize(self, x: jax.Array, name: str, *, train: bool) -> jax.Array:
        """Apply the normalization that ``norm`` names to ``x`` (batch, ..., channels)."""
        affine = args.Affine(name=name, use_scale=self.norm_affine, use_bias=self.norm_affine)
        if self.norm == "batch":
            return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, **affine)(x)
        if self.norm == "layer":
            return nn.LayerNorm(reduction_axes=(1, 2, 3) if x.ndim == 4 else -1, **affine)(x)
        if self.norm == "group":
            return nn.GroupNorm(math.gcd(32, x.shape[-1]), **affine)(x)
        if self.norm == "weight_mean_only_batch":
            return MeanOnlyBatchNorm(not train, name=name)(x)
        return x

    def drop(self, x: jax.Array, published: float, *, train: bool) -> jax.Array:
        """Dropout, at the published rate unless the model has a rate of its own."""
        rate = published if self.dropout is None else self.dropout
        return nn.Dropout(rate, deterministic=not train)(x) if rate else x

    def features_before(self, site: str, features: int, groups: int = 1) -> int:
        """Features a layer must output so that ``features`` remain after the activation at a site.

        Rounded to a multiple of ``groups`` and of what the activation needs.
        """
        if not site:
            return features
        act = self.activation_at(site)
        ratio = Fraction(act.width(5040), 5040)  # 7!: most numbers of pieces divide it
        if ratio == 1:
            return features
        unit = ratio.denominator * groups
        # Layers that feed each other have weights before × after of the last one: ∝ before² · ratio.
        # Between fixed neighbors they are ∝ before + after: before · (1 + ratio).
        same_size = (1 + ratio) / 2 if self.in_residual_stream else math.sqrt(ratio)
        exact = features / (ratio if self.matched == "width" else same_size)
        return unit * max(1, round(exact / unit))

    def check_width_kept(self, x: jax.Array, site: str) -> jax.Array:
        """Return ``x`` if the activation at a site keeps its width, which a skip connection needs.

        Raises:
          InputError: the activation changes the width.
        """
        act = self.activation_at(site)
        width = x.shape[-1]
        if act.width(width) != width:
            raise InputError(
                f"{type(self).__name__} cannot have {act} at {site}: the next layer adds {width} "
                f"channels, and {act} gives {act.width(width)}"
            )
        return x

    def pixels(self, x: jax.Array) -> jax.Array:
        """Images in float32, checked to have the axes (batch, height, width, channels).

        Raises:
          InputError: they have not.
        """
        if jnp.ndim(x) != 4:
            raise InputError(
                f"{type(self).__name__} needs images (batch, height, width, channels), not of shape "
                f"{jnp.shape(x)}"
            )
        return jnp.asarray(x, jnp.float32)

    def subtract_mean_image(self, x: jax.Array) -> jax.Array:
        """Subtract the mean image of the images that the model was initialized with."""
        x = self.pixels(x)
        return self._first(x - self.variable("inputs", "mean", lambda: x.mean(axis=0)).value[None])

    def standardize_channels(self, x: jax.Array) -> jax.Array:
        """Images with mean 0 and standard deviation 1 per channel over the images of initialization."""
        x = self.pixels(x)
        mean = self.variable("inputs", "mean", lambda: x.mean(axis=(0, 1, 2))).value[
            None, None, None
        ]
        std = self.variable("inputs", "std", lambda: x.std(axis=(0, 1, 2)) + 1e-3).value
        return self._first((x - mean) / std[None, None, None])

    def normalize_with(self, x: jax.Array, mean: args.Channels, std: args.Channels) -> jax.Array:
        """Subtract a published mean and divide by a published standard deviation, per channel.

        Gray images are repeated to the number of channels.

        Raises:
          InputError: another number of channels.
        """
        x = self.pixels(x)
        if x.shape[-1] not in (1, len(mean)):
            raise InputError(
                f"{type(self).__name__} takes images of {len(mean)} channels, or 1, not {x.shape[-1]}"
            )
        center, scale = (jnp.asarray(value, jnp.float32) for value in ([[[mean]]], [[[std]]]))
        return self._first((x - center) / scale)

    def check_image_size(self, x: jax.Array, pixels: int) -> jax.Array:
        """Return images (batch, height, width, channels) if they are large enough for the net.

        Raises:
          InputError: they are too small.
        """
        x = self.pixels(x)
        if min(x.shape[1:3]) < pixels:
            raise InputError(
                f"{type(self).__name__} needs images of {pixels} × {pixels} or more, "
                f"not {x.shape[1]} × {x.shape[2]}"
            )
        return x

    def _first(self, x: jax.Array) -> jax.Array:
        """The first few images, which are enough to measure variances; training sets are large."""
        return x[:LSUV_IMAGES] if self.kernel_init == "lsuv" and self.is_initializing() else x

    def _options(
        self, site: str, init: Initializer | None, bias: float | Initializer | None
    ) -> args.LayerOptions:
        return {
            "kernel_init": self._initializer(site, init),
            "use_bias": bias is not None,
            "bias_init": bias if callable(bias) else nn.initializers.constant(bias or 0.0),
            "weights": "normalized" if self.norm.startswith("weight") else "plain",
        }

    def _initializer(self, site: str, published: Initializer | None) -> Initializer:
        match self.kernel_init:
            case "paper":
                return published or nn.initializers.lecun_normal()
            case "he":
                return initializers.he()
            case "xavier":
                return initializers.xavier()
            case "lecun":
                return initializers.lecun()
            case "variance_preserving":
                act = self.activation_at(site) if site else "identity"
                return initializers.variance_preserving(act)
        return initializers.orthogonal()  # and for lsuv, whose kernels are then scaled

    def _measured(self, layer: Conv | Dense | LocalConv, x: jax.Array) -> jax.Array:
        """A layer's output; with lsuv, at initialization, after its kernel is scaled to variance 1.

        Mishkin & Matas 2016 divide by the measured standard deviation until it is near 1. Equal
        biases don't change the variance, so one division is enough here.
        """
        y = layer(x)
        if self.kernel_init != "lsuv" or not self.is_initializing():
            return y
        name = "kernel" if layer.weights == "plain" else "scale"
        layer.put_variable("params", name, layer.get_variable("params", name) / (y.std() + 1e-12))
        return layer(x)
