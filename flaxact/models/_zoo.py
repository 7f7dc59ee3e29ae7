"""What every net of the zoo takes, and the layers it is written in."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from flaxact import initializers
from flaxact.activations import Activation
from flaxact.errors import InputError
from flaxact.layers import Act, Conv, Dense, LocalConv, MeanOnlyBatchNorm
from flaxact.layers.conv_dense import Weights
from flaxact.models._sites import Sites

LSUV_IMAGES = 256  # a model made with kernel_init="lsuv" measures on the first few it is given


class ZooModel(nn.Module):
    """A net whose layers, normalisation and initialisation can be chosen.

    Attributes:
      act: the activation, for every site, or ``Sites``.
      num_classes: number of logits.
      norm: ``none``; ``batch``, ``layer`` (over a whole image, or each token), ``group`` (32 or fewer
        groups); or of the weights: ``weight``, ``weight_mean_only_batch``.
      norm_place: ``before`` the activation or ``after`` it.
      norm_affine: whether batch, layer and group normalization learn a scale and a bias per channel.
      kernel_init: ``paper``, ``he``, ``xavier``, ``lecun``, ``orthogonal``, ``lsuv`` or
        ``variance_preserving``, by the activation that a layer feeds.
      dropout: the share that is dropped wherever the net drops any; None for what is published.
      matched: with an activation that changes the width, what stays as published: the ``width`` after
        it, or (about) the number of ``parameters``.
      width: factor on the number of filters and hidden units; 1 is the published net.
    """

    act: Activation | Sites
    num_classes: int = 10
    norm: str = "none"
    norm_place: str = "before"
    norm_affine: bool = True
    kernel_init: str = "paper"
    dropout: float | None = None
    matched: str = "width"
    width: float = 1.0

    @property
    def fixed_neighbours(self) -> bool:
        """Whether the layers on both sides of an activation end in a stream of fixed width."""
        return False

    def at(self, site: str) -> Activation:
        """The activation at a site."""
        return self.act.at(site) if isinstance(self.act, Sites) else self.act

    def scaled(self, features: int) -> int:
        """A number of filters or hidden units, times the width."""
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
        **shape: Any,
    ) -> jax.Array:
        """A convolution of size × size.

        Args:
          x: images (batch, height, width, channels).
          features: as published; the width scales them, and what is at ``site`` may.
          size: of the window.
          name: of the layer.
          site: of the activation that it feeds; none for what goes elsewhere.
          init: the paper's.
          bias: what biases start as, a number or an initializer; None for none.
          shape: ``stride``, ``padding`` and ``groups``, as ``flaxact.layers.Conv`` takes them.
        """
        features = self.before(site, self.scaled(features), shape.get("groups", 1))
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
        """A dense layer, with arguments as ``conv``; an image is made flat."""
        x = jax.lax.collapse(x, 1) if x.ndim == 4 else x
        features = self.before(site, self.scaled(features))
        return self._measured(Dense(features, name=name, **self._options(site, init, bias)), x)

    def output_layer(
        self,
        x: jax.Array,
        *,
        name: str = "logits",
        init: Initializer | None = None,
        bias: float | Initializer | None = 0.0,
    ) -> jax.Array:
        """The last dense layer, whose outputs are as many as the classes."""
        x = jax.lax.collapse(x, 1) if x.ndim == 4 else x
        options = self._options("", init, bias)
        options["weights"] = "plain"
        return self._measured(Dense(self.num_classes, name=name, **options), x)

    @property
    def free_bias(self) -> float | None:
        """What a layer's bias starts as: None where the normalisation that follows adds one."""
        adds_bias = self.norm == "weight_mean_only_batch" or (
            self.norm in ("batch", "layer", "group") and self.norm_affine
        )
        return None if adds_bias and self.norm_place == "before" else 0.0

    def activate(
        self, x: jax.Array, site: str, *, train: bool, skip: jax.Array | None = None
    ) -> jax.Array:
        """The activation of a site, with the normalisation before or after it.

        Args:
          x: what it is of.
          site: its name.
          train: for the normalisation.
          skip: what is added between the normalisation and the activation.
        """
        name = site.replace("act", "norm")
        if self.norm_place == "before":
            x = self.normalise(x, name, train=train)
        x = x if skip is None else x + skip
        x = Act(self.at(site), name=site)(x)
        return self.normalise(x, name, train=train) if self.norm_place == "after" else x

    def normalise(self, x: jax.Array, name: str, *, train: bool) -> jax.Array:
        """What ``norm`` says, of ``x`` (batch, ..., channels)."""
        options: Any = {"name": name, **dict.fromkeys(("use_scale", "use_bias"), self.norm_affine)}
        if self.norm == "batch":
            return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, **options)(x)
        if self.norm == "layer":
            return nn.LayerNorm(reduction_axes=(1, 2, 3) if x.ndim == 4 else -1, **options)(x)
        if self.norm == "group":
            return nn.GroupNorm(math.gcd(32, x.shape[-1]), **options)(x)
        if self.norm == "weight_mean_only_batch":
            return MeanOnlyBatchNorm(not train, name=name)(x)
        return x

    def drop(self, x: jax.Array, published: float, *, train: bool) -> jax.Array:
        """Dropout, at the published rate unless the model was given one."""
        rate = published if self.dropout is None else self.dropout
        return nn.Dropout(rate, deterministic=not train)(x) if rate else x

    def before(self, site: str, features: int, groups: int = 1) -> int:
        """How many features a layer needs before the activation of a site, for so many after it.

        The groups divide them, and what the activation makes of them.
        """
        if not site:
            return features
        act = self.at(site)
        ratio = Fraction(act.width(5040), 5040)  # 7!: most numbers of pieces divide it
        if ratio == 1:
            return features
        unit = ratio.denominator * groups
        # Layers that feed each other have weights before × after of the last one: ∝ before² · ratio.
        # Between fixed neighbours they are ∝ before + after: before · (1 + ratio).
        same_size = (1 + ratio) / 2 if self.fixed_neighbours else math.sqrt(ratio)
        wanted = features / (ratio if self.matched == "width" else same_size)
        return unit * max(1, round(wanted / unit))

    def keeps_width(self, x: jax.Array, site: str) -> jax.Array:
        """``x``, once the activation at a site is one that keeps its width: it is added to a skip.

        Raises:
          InputError: it changes the width.
        """
        act = self.at(site)
        width = x.shape[-1]
        if act.width(width) != width:
            raise InputError(
                f"{type(self).__name__} cannot have {act} at {site}: what follows adds {width} "
                f"channels, and {act} gives {act.width(width)}"
            )
        return x

    def pixels(self, x: jax.Array) -> jax.Array:
        """Images in float32, once they have the four axes (batch, height, width, channels).

        Raises:
          InputError: they have not.
        """
        if jnp.ndim(x) != 4:
            raise InputError(
                f"{type(self).__name__} needs images (batch, height, width, channels), not of shape "
                f"{jnp.shape(x)}"
            )
        return jnp.asarray(x, jnp.float32)

    def centred(self, x: jax.Array) -> jax.Array:
        """Images minus the mean, pixel by pixel, of those that the model was initialised with."""
        x = self.pixels(x)
        return self._first(x - self.variable("inputs", "mean", lambda: x.mean(axis=0)).value[None])

    def standardised(self, x: jax.Array) -> jax.Array:
        """Images with mean 0 and standard deviation 1 by channel, over those it was initialised with."""
        x = self.pixels(x)
        mean = self.variable("inputs", "mean", lambda: x.mean(axis=(0, 1, 2))).value[
            None, None, None
        ]
        std = self.variable("inputs", "std", lambda: x.std(axis=(0, 1, 2)) + 1e-3).value
        return self._first((x - mean) / std[None, None, None])

    def fixed(self, x: jax.Array, mean: Any, std: Any) -> jax.Array:
        """Images minus a published mean, over a published standard deviation, by channel.

        Grey images become as many equal channels.

        Raises:
          InputError: another number of channels.
        """
        x = self.pixels(x)
        if x.shape[-1] not in (1, len(mean)):
            raise InputError(
                f"{type(self).__name__} takes images of {len(mean)} channels, or 1, not {x.shape[-1]}"
            )
        mean, std = (jnp.asarray(value, jnp.float32) for value in ([[[mean]]], [[[std]]]))
        return self._first((x - mean) / std)

    def at_least(self, x: jax.Array, pixels: int) -> jax.Array:
        """Images (batch, height, width, channels), once they are large enough for the net.

        Raises:
          InputError: they are not.
        """
        x = self.pixels(x)
        if min(x.shape[1:3]) < pixels:
            raise InputError(
                f"{type(self).__name__} needs images of {pixels} × {pixels} or more, "
                f"not {x.shape[1]} × {x.shape[2]}"
            )
        return x

    def _first(self, x: jax.Array) -> jax.Array:
        """Few images are enough to measure variances on; training sets are large."""
        return x[:LSUV_IMAGES] if self.kernel_init == "lsuv" and self.is_initializing() else x

    def _options(
        self, site: str, init: Initializer | None, bias: float | Initializer | None
    ) -> dict[str, Any]:
        weights: Weights = "normalised" if self.norm.startswith("weight") else "plain"
        return {
            "kernel_init": self._initializer(site, init),
            "use_bias": bias is not None,
            "bias_init": bias if callable(bias) else nn.initializers.constant(bias or 0.0),
            "weights": weights,
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
                return initializers.variance_preserving(self.at(site) if site else "identity")
        return initializers.orthogonal()  # and for lsuv, whose kernels are then scaled

    def _measured(self, layer: Conv | Dense | LocalConv, x: jax.Array) -> jax.Array:
        """The layer's output; with lsuv, at initialisation, after its kernel was scaled to variance 1.

        Mishkin & Matas 2016 divide by the measured standard deviation until it is near 1; biases that
        are all alike don't vary, so once is enough.
        """
        y = layer(x)
        if self.kernel_init != "lsuv" or not self.is_initializing():
            return y
        name = "kernel" if layer.weights == "plain" else "scale"
        layer.put_variable("params", name, layer.get_variable("params", name) / (y.std() + 1e-12))
        return layer(x)
