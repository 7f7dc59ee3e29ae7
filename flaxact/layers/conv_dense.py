"""Linen layers with weights: plain, with weight normalization, or with weight standardization."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn.initializers import Initializer

from flaxact.activations._numerics import along_last
from flaxact.layers._cpu_convolution import Padding, convolve

Weights = Literal["plain", "normalized", "standardized"]


class _Weighted(nn.Module):
    """The common part of convolutions and dense layers: kernel and bias, created in float32."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    weights: Weights = "plain"

    def _kernel(self, shape: tuple[int, ...], places: tuple[int, ...] = ()) -> jax.Array:
        """The kernel ``(*window, inputs, outputs)`` to multiply by; with ``places``, one for each.

        "normalized" is weight normalization (Salimans & Kingma 2016, eq. 2): the norm of each
        output's weights is a parameter of its own, "scale", which starts at the norm that
        ``kernel_init`` gave. "standardized" is scaled weight standardization (Brock et al. 2021,
        §4.3): each output's weights have mean 0 and variance 1 / fan-in, times a learned "scale"
        that starts at 1.
        """
        kernel = self.param("kernel", _of_each(self.kernel_init, places), shape, jnp.float32)
        inputs = tuple(range(len(places), kernel.ndim - 1))
        outputs = (*places, shape[-1])
        if self.weights == "normalized":
            length = jnp.sqrt(jnp.sum(kernel * kernel, inputs))
            scale = self.param("scale", lambda _: length)
            return kernel * jnp.expand_dims(scale / (length + 1e-12), inputs)
        if self.weights == "standardized":
            scale = self.param("scale", nn.initializers.ones_init(), outputs, jnp.float32)
            mean, variance = (f(kernel, inputs, keepdims=True) for f in (jnp.mean, jnp.var))
            size = variance * math.prod(shape[:-1])  # 1 where the variance is 1 / fan-in
            scale = jnp.expand_dims(scale, inputs)
            return (kernel - mean) * scale * lax.rsqrt(jnp.maximum(size, 1e-4))
        return kernel

    def _biased(self, y: jax.Array, places: tuple[int, ...] = ()) -> jax.Array:
        if not self.use_bias:
            return y
        shape = (*places, self.features)
        bias = self.param("bias", self.bias_init, shape, jnp.float32)
        return y + along_last(bias.astype(y.dtype), y.ndim)


def _of_each(init: Initializer, places: tuple[int, ...]) -> Initializer:
    """Draw a kernel for each place, ``(*places, *shape)``; a single kernel without places."""
    if not places:
        return init

    def init_each(key, shape, dtype=jnp.float32, out_sharding=None):
        keys = jax.random.split(key, math.prod(places))
        kernels = jax.vmap(lambda key: init(key, shape, dtype))(keys)
        return kernels.reshape(*places, *shape)

    return init_each


class Conv(_Weighted):
    """Convolution of images (batch, height, width, channels), with ``nn.Conv``'s parameters.

    Attributes:
      features: output channels.
      kernel_size: height and width of the window.
      stride: the same in both directions.
      padding: "SAME", "VALID" or (low, high) for height and for width.
      groups: number of groups; each sees its own part of the channels.
      weights: "plain", "normalized" (weight normalization) or "standardized" (scaled weight
        standardization).
    """

    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: Padding = "SAME"
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve; keeps the dtype of ``x``."""
        kernel = self._kernel((*self.kernel_size, x.shape[-1] // self.groups, self.features))
        y = convolve(x, kernel.astype(x.dtype), self.stride, self.padding, groups=self.groups)
        return self._biased(y)


class LocalConv(_Weighted):
    """A locally connected layer: a convolution with separate weights at each position of the image.

    Images are (batch, height, width, channels); stride 1, zero padding. The kernel is
    ``(height, width, *window, channels, features)``, the bias (height, width, features): those of
    ``nn.ConvLocal`` with another order of axes. Unlike ``nn.ConvLocal`` it uses no extra
    convolution to extract the windows.

    Attributes:
      features: output channels.
      kernel_size: height and width of the window.
      weights: "plain", "normalized" or "standardized", separately at each position.
    """

    kernel_size: tuple[int, int] = (3, 3)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiply each window by its own kernel; keeps the dtype of ``x``."""
        high, wide = self.kernel_size
        places = (height, width) = x.shape[1:3]
        kernel = self._kernel((high, wide, x.shape[-1], self.features), places)
        # The batch goes third, where the product over places wants it, while the array is small.
        beyond = ((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2), (0, 0), (0, 0)
        x = jnp.pad(x.transpose(1, 2, 0, 3), beyond)
        windows = [x[i : i + height, j : j + width] for i in range(high) for j in range(wide)]
        kernel = kernel.astype(x.dtype).reshape(
            height, width, high * wide * x.shape[-1], self.features
        )
        y = jnp.einsum("hwni,hwio->nhwo", jnp.concatenate(windows, -1), kernel)
        return self._biased(y, places)


class Dense(_Weighted):
    """Dense layer over the last axis, with ``nn.Dense``'s parameters."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiply by the kernel; keeps the dtype of ``x``."""
        kernel = self._kernel((x.shape[-1], self.features))
        return self._biased(x @ kernel.astype(x.dtype))


class MeanOnlyBatchNorm(nn.Module):
    """Subtract each channel's batch mean and add a learned bias (Salimans & Kingma 2016, §3).

    The running mean for testing is the variable "mean" of "batch_stats".
    """

    use_running_average: bool
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalize ``x`` (batch, ..., channels)."""
        running = self.variable("batch_stats", "mean", jnp.zeros, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:], jnp.float32)
        if self.use_running_average:
            mean = running.value
        else:
            mean = x.mean(tuple(range(x.ndim - 1)), dtype=jnp.float32)
            if not self.is_initializing():
                running.value = self.momentum * running.value + (1 - self.momentum) * mean
        return x + along_last((bias - mean).astype(x.dtype), x.ndim)
