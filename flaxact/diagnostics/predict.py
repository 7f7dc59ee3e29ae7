"""The moments that mean-field theory predicts at each site of a model, and the measured ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.typing import VariableDict
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.diagnostics.probe import Figures, probe
from flaxact.layers import LEARNED, Act
from flaxact.net import Variables, apply_module
from flaxact.theory import gaussian_moments

__dir__ = listing(__name__)

MOMENTS = ("pre_mean", "pre_variance", "pre_second_moment", "mean", "variance", "second_moment")
# of noise: at most so many rows, and so many values if that is less
_ROWS = 1024
_VALUES = 2**22
_NORMALIZING = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm, nn.RMSNorm)
MeanAndSquare = tuple[float, float]  # mean and second moment


def predict_layer_moments(
    module: nn.Module, variables: Variables, images: ArrayLike
) -> tuple[Figures, Figures]:
    r"""Predicted and measured moments of every site's inputs and outputs, in the order of the data.

    The prediction assumes wide layers with weights that are independent of everything else:

    - A layer with weights gives Gaussian pre-activations of second moment :math:`n \, \mathrm{E}
      w^2 \, \mathrm{E} x^2 + \mathrm{E} b^2`, with n the number of inputs inside the image.
    - A normalization layer sets mean and variance to those of its bias and scale; batch norm uses
      its running statistics, as in testing.
    - An activation's outputs follow ``gaussian_moments``.

    Other operations (pooling, sums, concatenation) are not predicted: after them, as for the
    images, the prediction restarts from measured moments. Moments are over all positions of an
    image. They ignore that values are smaller at the border after padded layers, so for small
    images the prediction misses about a tenth after a second such layer.

    Args:
      module: a Linen model whose activations are applied through ``flaxact.layers.Act``.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.

    Returns:
      Two dictionaries, predicted and measured, of the statistics in ``MOMENTS`` by site name. The
      prediction is nan for the outputs of an activation that is not pointwise or whose parameters
      have been trained; after it the prediction restarts.
    """
    walk = _Walk()
    for call in _calls(module, variables, jnp.asarray(images).astype(jnp.float32)):
        walk.follow(call)
    expected: Figures = {
        site: dict(zip(MOMENTS, map(float, np.mean(uses, 0)), strict=True))
        for site, uses in walk.sites.items()
    }
    return expected, probe(module, variables, images, measures=MOMENTS)


@dataclass(frozen=True)
class _Call:
    """A recorded call of a layer, detached from its model."""

    site: str
    layer: nn.Module
    variables: VariableDict
    x: jax.Array
    y: jax.Array
    rest: tuple[tuple, dict]

    def again(self, x: jax.Array) -> jax.Array:
        return jnp.asarray(self.layer.apply(self.variables, x, *self.rest[0], **self.rest[1]))


def _calls(module: nn.Module, variables: Variables, images: jax.Array) -> list[_Call]:
    """The calls of layers from one array to another, in order."""
    calls: list[_Call] = []

    def watch(
        next_fun: Callable[..., object],
        args: tuple,
        kwargs: dict,
        context: nn.module.InterceptorContext,
    ) -> object:
        y = next_fun(*args, **kwargs)
        layer = context.module
        if context.method_name == "__call__" and args and isinstance(y, jax.Array) and layer.path:
            free = layer.clone(parent=None), layer.variables
            calls.append(_Call("/".join(layer.path), *free, args[0], y=y, rest=(args[1:], kwargs)))
        return y

    with nn.intercept_methods(watch):
        apply_module(module, variables, images, train=False)
    return calls


class _Walk:
    """The predicted moments of the arrays met so far on a pass through a model."""

    def __init__(self) -> None:
        self.known: list[tuple[jax.Array, MeanAndSquare]] = []
        self.sites: dict[str, list[tuple[float, ...]]] = {}

    def follow(self, call: _Call) -> None:
        layer = call.layer
        if isinstance(layer, Act):
            self.known.append((call.y, self._activation(layer, call)))
        elif isinstance(layer, nn.BatchNorm):
            self.known.append((call.y, self._affine(call)))
        elif isinstance(layer, _NORMALIZING):
            self.known.append((call.y, _normalized(call.variables)))
        elif "kernel" in call.variables.get("params", {}):
            self.known.append((call.y, self._weighted(call)))

    def moments(self, x: jax.Array) -> MeanAndSquare:
        """The moments of an array: predicted if some layer returned it, in any shape; else measured."""
        for array, moments in reversed(self.known):
            same = array is x or (
                array.size == x.size and np.array_equal(np.ravel(array), np.ravel(x))
            )
            if same and math.isfinite(moments[1]):
                return moments
        return float(jnp.mean(x)), float(jnp.mean(x**2))

    def _activation(self, layer: Act, call: _Call) -> MeanAndSquare:
        act = get(layer.act)
        (mean, second) = self.moments(call.x)
        variance = second - mean**2
        mean_out = variance_out = second_out = math.nan
        if variance > 0 and _has_initial_values(act, call):
            moments = gaussian_moments(act, mean, math.sqrt(variance))
            mean_out = moments.mean
            variance_out = moments.variance
            second_out = moments.second_moment
        figures = (mean, variance, second, mean_out, variance_out, second_out)
        self.sites.setdefault(call.site, []).append(figures)
        return mean_out, second_out

    def _weighted(self, call: _Call) -> MeanAndSquare:
        """A layer with weights: n E w² is its output's second moment for noise of variance 1."""
        x = call.x
        (_, second) = self.moments(call.x)
        rows = max(1, min(_ROWS, _VALUES // x[0].size))
        noise = jax.random.rademacher(jax.random.key(0), (rows, *x.shape[1:]), x.dtype)
        bias = call.again(jnp.zeros_like(x[:1]))
        gain = float(jnp.mean((call.again(noise) - bias) ** 2))
        return float(bias.mean()), gain * second + float(jnp.mean(bias**2))

    def _affine(self, call: _Call) -> MeanAndSquare:
        """Batch norm with running statistics: each channel times a, plus b."""
        mean, second = self.moments(call.x)
        b = call.again(jnp.zeros_like(call.x[:1]))
        a = call.again(jnp.ones_like(call.x[:1])) - b
        squares = jnp.mean(a * a) * second + 2 * jnp.mean(a * b) * mean + jnp.mean(b * b)
        return float(jnp.mean(a) * mean + jnp.mean(b)), float(squares)


def _normalized(variables: VariableDict) -> MeanAndSquare:
    params = variables.get("params", {})
    scale = params.get("scale", jnp.ones(1))
    bias = params.get("bias", jnp.zeros(1))
    return float(bias.mean()), float(jnp.mean(scale**2) + jnp.mean(bias**2))


def _has_initial_values(act: Activation, call: _Call) -> bool:
    """Whether an activation is pointwise, and what it learns still as in the beginning."""
    if act.spec.coupled or any(inner.spec.coupled for inner in act.inner.values()):
        return False
    if not act.learned:
        return True
    initial = act.parameters(call.x.shape[-1], jax.random.key(0))
    return bool(
        jax.tree.all(jax.tree.map(np.array_equal, call.variables["params"][LEARNED], initial))
    )
