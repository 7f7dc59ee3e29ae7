"""Linen layers with weights, which are used as they are, normalised or standardised."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.nn.initializers import Initializer

Weights = Literal["plain", "normalised", "standardised"]


class _Weighted(nn.Module):
    """What a convolution and a dense layer have in common: kernel and bias, made in float32."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    weights: Weights = "plain"

    def _kernel(self, shape: tuple[int, ...]) -> jax.Array:
        """The kernel (*window, inputs, outputs) to multiply with.

        "normalised" is weight normalisation (Salimans & Kingma 2016, eq. 2): the length of each
        output's weights is a parameter of its own, "scale", and starts as what ``kernel_init`` gave.
        "standardised" is scaled weight standardisation (Brock et al. 2021, §4.3): each output's weights
        have mean 0 and variance 1 / fan-in, times a learned "scale" that starts at 1.
        """
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        inputs = tuple(range(kernel.ndim - 1))
        if self.weights == "normalised":
            length = jnp.sqrt(jnp.sum(kernel * kernel, inputs))
            scale = self.param("scale", lambda _: length)
            return kernel * (scale / (length + 1e-12))
        if self.weights == "standardised":
            scale = self.param("scale", nn.initializers.ones_init(), shape[-1:], jnp.float32)
            mean, variance = kernel.mean(inputs), kernel.var(inputs)
            fan_in = kernel.size // kernel.shape[-1]
            return (kernel - mean) * scale * lax.rsqrt(jnp.maximum(variance * fan_in, 1e-4))
        return kernel

    def _biased(self, y: jax.Array) -> jax.Array:
        if not self.use_bias:
            return y
        return y + self.param("bias", self.bias_init, (self.features,), jnp.float32).astype(y.dtype)


class Conv(_Weighted):
    """Convolution of images (batch, height, width, channels), with ``nn.Conv``'s parameters.

    Attributes:
      features: output channels.
      kernel_size: height and width of the window.
      stride: the same both ways.
      padding: "SAME", "VALID" or (low, high) for height and for width.
      groups: into how many parts the channels are cut, each seeing its own part of the input.
      weights: "plain", "normalised" or "standardised".
    """

    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: Any = "SAME"
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve; the dtype of ``x`` is kept."""
        kernel = self._kernel((*self.kernel_size, x.shape[-1] // self.groups, self.features))
        y = lax.conv_general_dilated(
            x,
            kernel.astype(x.dtype),
            (self.stride, self.stride),
            self.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )
        return self._biased(y)


class Dense(_Weighted):
    """Dense layer over the last axis, with ``nn.Dense``'s parameters."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiply; the dtype of ``x`` is kept."""
        kernel = self._kernel((x.shape[-1], self.features))
        return self._biased(x @ kernel.astype(x.dtype))


class MeanOnlyBatchNorm(nn.Module):
    """Subtracts each channel's mean over the batch, and adds a learned bias (Salimans & Kingma 2016, §3).

    The running mean, for testing, is the variable "mean" of "batch_stats".
    """

    use_running_average: bool
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Centre ``x`` (batch, ..., channels)."""
        running = self.variable("batch_stats", "mean", jnp.zeros, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:], jnp.float32)
        if self.use_running_average:
            mean = running.value
        else:
            mean = x.mean(tuple(range(x.ndim - 1)), dtype=jnp.float32)
            if not self.is_initializing():
                running.value = self.momentum * running.value + (1 - self.momentum) * mean
        return x + (bias - mean).astype(x.dtype)
