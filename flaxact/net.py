"""A network as two pure functions, whatever it was written in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from flax import linen, nnx

Variables = dict[str, Any]


@dataclass(frozen=True)
class Net:
    """A network: ``init`` makes its variables, ``apply`` uses them. Both pure.

    ``init(key, images) -> variables``: a dictionary with what is trained under "params". ``images``
    are the training images (number, height, width, channels), pixels from 0 to 255 in any dtype: a
    model that subtracts their mean takes it from there.

    ``apply(variables, images, *, train, key) -> (logits, variables)``: images in float32, from 0 to
    255; ``key`` is for dropout; the variables come back with what a training pass updates.
    """

    init: Callable[[jax.Array, Any], Variables]
    apply: Callable[..., tuple[jax.Array, Variables]]


def train_flag(module: linen.Module, train: bool) -> dict[str, Any]:
    """``train`` as a keyword argument, for modules that take it."""
    takes_it = "train" in inspect.signature(module.__call__).parameters
    return {"train": train} if takes_it else {}


@functools.lru_cache  # equal modules give the same two functions, so they are compiled once
def from_linen(module: linen.Module) -> Net:
    """The net of a Linen module ``module(images)`` or ``module(images, train=...)``."""

    def init(key: jax.Array, images: Any) -> Variables:
        variables = module.init(key, images, **train_flag(module, False))
        return {k: v for k, v in variables.items() if k != "intermediates"}

    def apply(
        variables: Variables, images: jax.Array, *, train: bool, key: jax.Array
    ) -> tuple[jax.Array, Variables]:
        changing = [k for k in variables if k != "params"] if train else []
        rngs = {"dropout": key}
        if train:  # its presence is what makes an activation draw
            rngs["activation"] = jax.random.fold_in(key, 1)
        logits, updates = module.apply(
            variables, images, **train_flag(module, train), rngs=rngs, mutable=changing
        )
        return logits, {**variables, **updates}

    return Net(init, apply)


@functools.lru_cache
def from_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Net:
    """The net of an NNX module, made by ``make(rngs)`` and called with images.

    Trained are its ``nnx.Param``; everything else it holds (batch statistics, random streams) is
    kept under "rest". ``module.train()`` or ``module.eval()`` is called before each pass.
    """
    # An abstract module tells the structure; it is made anew with each key.
    structure = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param, ...)[0]

    def init(key: jax.Array, images: Any) -> Variables:
        _, params, rest = nnx.split(make(nnx.Rngs(key)), nnx.Param, ...)
        return {"params": params, "rest": rest}

    def apply(
        variables: Variables, images: jax.Array, *, train: bool, key: jax.Array
    ) -> tuple[jax.Array, Variables]:
        module: Any = nnx.merge(structure, variables["params"], variables["rest"], copy=True)
        module.train() if train else module.eval()
        logits = module(images)
        _, rest = nnx.split(module, nnx.Param, ...)[1:]
        return logits, {**variables, "rest": rest}

    return Net(init, apply)
