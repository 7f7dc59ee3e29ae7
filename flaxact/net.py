"""A network as two pure functions, whatever it was written in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from flaxact.layers import HYPERPARAMETERS

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
def from_linen(module: linen.Module, hyperparameters: tuple[str, ...] = ()) -> Net:
    """The net of a Linen module ``module(images)`` or ``module(images, train=...)``.

    Args:
      module: the network.
      hyperparameters: of its activations, such as ``("negative_slope",)``, that are to be variables
        (of the collection "hyperparameters") instead of numbers in the program: a sweep over their
        values then compiles once and trains them together. Each ``Member`` says its values.

    Returns:
      A net whose ``apply`` also takes ``capture=True``: then the outputs of the activations come back
      as the collection "intermediates".
    """

    def init(key: jax.Array, images: Any) -> Variables:
        flag = train_flag(module, False)
        # Intermediates are asked for only where they tell the sites.
        variables = (
            module.init(key, images, **flag, mutable=True)
            if hyperparameters
            else (module.init(key, images, **flag))
        )
        sown = variables.get("intermediates", {})
        variables = {k: v for k, v in variables.items() if k != "intermediates"}
        if hyperparameters:
            sites = {path[:-1] for path in flatten_dict(sown) if path[-1] == "output"}
            # No number stands for "not said yet", so that one that is left out cannot go unseen.
            missing = {
                (*site, name): jnp.nan * jnp.ones(()) for site in sites for name in hyperparameters
            }
            variables[HYPERPARAMETERS] = unflatten_dict(missing)
        return variables

    def apply(
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        key: jax.Array,
        capture: bool = False,
    ) -> tuple[jax.Array, Variables]:
        fixed = ("params", HYPERPARAMETERS)
        changing = [k for k in variables if k not in fixed] if train else []
        if capture:
            changing.append("intermediates")
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
