"""The arguments of the zoo's models: the allowed values, and the types of those of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

if TYPE_CHECKING:
    from jax.nn.initializers import Initializer

    from flaxact.layers._cpu_convolution import Padding
    from flaxact.layers.conv_dense import Weights

Norm = Literal["none", "batch", "layer", "group", "weight", "weight_mean_only_batch"]
NormPlace = Literal["before", "after"]
KernelInit = Literal["paper", "he", "xavier", "lecun", "orthogonal", "lsuv", "variance_preserving"]
Matched = Literal["width", "parameters"]
Channels = Sequence[float]  # a number for each

CHOICES = {
    "norm": get_args(Norm),
    "norm_place": get_args(NormPlace),
    "kernel_init": get_args(KernelInit),
    "matched": get_args(Matched),
}


class ConvShape(TypedDict, total=False):
    """The arguments of ``Conv`` besides the window size."""

    stride: int
    padding: Padding
    groups: int


class LayerOptions(TypedDict):
    kernel_init: Initializer
    use_bias: bool
    bias_init: Initializer
    weights: Weights


class Affine(TypedDict):
    name: str
    use_scale: bool
    use_bias: bool
