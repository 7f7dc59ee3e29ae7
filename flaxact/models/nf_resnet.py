"""Residual nets without normalization, for any activation (Brock et al. 2021)."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from flaxact.activations import Activation
from flaxact.errors import InputError
from flaxact.layers import max_pool
from flaxact.models._arguments import LayerOptions
from flaxact.models._zoo import ZooModel
from flaxact.theory import gaussian_moments

SOURCE = "brock2021characterizing"
INPUT = {"*": (32, 32, 3), "nf_resnet26": (224, 224, 3), "nf_resnet50": (224, 224, 3)}
FAMILY = "residual"
PRESETS = {
    "nf_resnet20": {"depth": 20},
    "nf_resnet26": {"depth": 26, "num_classes": 1000},
    "nf_resnet50": {"depth": 50, "num_classes": 1000},
}
CHOICES = {"depth": (8, 20, 32, 44, 56, 110, 26, 50, 101)}
IMAGENET = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class NFResNet(ZooModel):
    r"""Pre-activation blocks :math:`x + \alpha f(x / \beta)` that keep the variance by their weights.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). The
    default, of a size for CIFAR-10, has 272,483 parameters (``resnet20`` with projections, and a factor
    for each block); ``nf_resnet50`` 25,557,048, with 1000 classes.

    Brock et al. 2021, "Characterizing signal propagation", §3 and §4: each kernel has mean 0 and
    variance 1 / fan-in at each output, times a learned gain; each activation is multiplied by
    :math:`\gamma = 1 / \sqrt{\mathrm{Var} f(z)}`, computed for the given activation; β is the
    standard deviation that x is expected to have: its variance grows by α² with each block, and starts
    at 1 again where the shape changes, because there the shortcut is a 1×1 convolution of the
    branch's input. Each branch ends in a learned factor that starts at 0 (SkipInit), as in the
    authors' code.

    Depths 26, 50 and 101 are the paper's bottlenecks, with a stem of 7×7 and a pooling. Depths 6n + 2
    have ``resnet``'s three stages of 16, 32 and 64 filters with two convolutions of 3×3 a block: the
    paper has none for CIFAR. Biases are 0. Stochastic depth, a regularization, is left out.

    Sites: in stage s, block b, ``act{s}_{b}_in``, whose input is also added to the output: an activation
    there keeps its width; ``act{s}_{b}_a`` (and ``_b``) inside; and ``act_final``.

    Attributes:
      depth: number of layers with weights on the longest path.
      alpha: the factor on the output of a branch.
      skip_init: whether each branch ends in a learned factor that starts at 0.
    """

    depth: int = 20
    alpha: float = 0.2
    skip_init: bool = True

    @property
    def in_residual_stream(self) -> bool:
        """Whether activations lie between layers of the residual stream; False for bottleneck blocks."""
        return self.depth not in IMAGENET

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        large = self.depth in IMAGENET
        variance = 1.0
        x = self._conv(
            self.standardize_channels(x), 64 if large else 16, (7, 2) if large else (3, 1), "_stem"
        )
        x = max_pool(x, 3, stride=2) if large else x
        for stage, blocks in enumerate(IMAGENET.get(self.depth, ((self.depth - 2) // 6,) * 3), 1):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                features = (64 if large else 16) * 2 ** (stage - 1)
                size = {"std": math.sqrt(variance), "train": train}
                x = self._block(x, features, stride, f"{stage}_{block}", **size)
                variance = (1 if block == 1 else variance) + self.alpha**2
        x = self._activate(x, "act_final", train=train).mean(axis=(1, 2))
        return self.output_layer(self.drop(x, 0, train=train), init=nn.initializers.normal(0.01))

    def _block(
        self, x: jax.Array, features: int, stride: int, place: str, *, std: float, train: bool
    ) -> jax.Array:
        bottleneck = self.depth in IMAGENET
        out = 4 * features if bottleneck else features
        y = self._activate(
            self.check_width_kept(x, f"act{place}_in") / std, f"act{place}_in", train=train
        )
        if stride != 1 or x.shape[-1] != self.scale_width(out):
            x = self._conv(y, out, (1, stride), f"{place}_skip")
        inner = [(1, 1), (3, stride)] if bottleneck else [(3, stride)]
        for letter, window in zip("ab", inner, strict=False):
            site = f"act{place}_{letter}"
            y = self._conv(y, features, window, f"{place}_{letter}", site=site)
            y = self._activate(y, site, train=train)
        y = self._conv(y, out, (1 if bottleneck else 3, 1), f"{place}_out")
        if self.skip_init:
            y = y * self.param(f"gain{place}", nn.initializers.zeros_init(), (), jnp.float32)
        return x + self.alpha * y

    def _conv(
        self, x: jax.Array, features: int, window: tuple[int, int], place: str, site: str = ""
    ) -> jax.Array:
        name = f"conv{place}"
        (size, stride) = window
        return self.conv(x, features, size, stride=stride, name=name, site=site)

    def _activate(self, x: jax.Array, site: str, *, train: bool) -> jax.Array:
        return self.activate(x, site, train=train) * gain(self.activation_at(site))

    def _options(
        self, site: str, init: Initializer | None, bias: float | Initializer | None
    ) -> LayerOptions:
        options = super()._options(site, init, bias)
        plain = options["weights"] == "plain"  # unless weight normalization was asked for instead
        return {**options, "weights": "standardized"} if plain else options


@functools.cache
def gain(activation: Activation) -> float:
    """The factor that gives an activation's output variance 1 for Gaussian input: Brock et al.'s γ.

    Computed by quadrature. For an activation over several channels it is computed as the authors do
    for all: from the variance over the channels of Gaussian input, averaged over 1024 draws. There
    are 240 channels (256 in the authors' code), because 240 is divisible by most numbers of pieces.

    Raises:
      InputError: an activation whose output is constant, or whose variance is infinite.

    >>> from flaxact import get
    >>> round(gain(get("relu")), 6), round(math.sqrt(2 / (1 - 1 / math.pi)), 6)
    (1.712859, 1.712859)
    """
    if activation.spec.coupled:
        with jax.ensure_compile_time_eval():
            key = jax.random.key(0)
            x = jax.random.normal(key, (1024, 240))
            y = activation(x, **activation.parameters(240, key))
            variance = float(y.var(axis=-1).mean())
    else:
        variance = gaussian_moments(activation).variance
    if not 1e-24 < variance < math.inf:
        raise InputError(f"{activation} has no gain: its variance is {variance:.3g}")
    return 1 / math.sqrt(variance)


Model = NFResNet
