"""The values that the arguments of every model of the zoo may have."""

from __future__ import annotations

from typing import Literal, get_args

Norm = Literal["none", "batch", "layer", "group", "weight", "weight_mean_only_batch"]
NormPlace = Literal["before", "after"]
KernelInit = Literal["paper", "he", "xavier", "lecun", "orthogonal", "lsuv", "variance_preserving"]
Matched = Literal["width", "parameters"]

CHOICES = {
    "norm": get_args(Norm),
    "norm_place": get_args(NormPlace),
    "kernel_init": get_args(KernelInit),
    "matched": get_args(Matched),
}
