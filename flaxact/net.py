"""A network as two pure functions, for Linen, NNX or any other library."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from flax.core import DenyList, FrozenDict
from flax.traverse_util import flatten_dict, unflatten_dict

from flaxact._lazy import listing
from flaxact.layers import HYPERPARAMETERS

__dir__ = listing(__name__)

# The variables of a net: nested dictionaries of arrays, of any depth.
Variables = dict[str, Any]
Images = jax.Array | np.ndarray
Result = TypeVar("Result")
P = ParamSpec("P")


@dataclass(frozen=True)
class Net:
    """A network as two pure functions: ``init`` makes its variables, ``apply`` uses them.

    ``init(key, images) -> variables``: a dictionary whose "params" are trained. ``images`` are the
    training images (number, height, width, channels), pixels from 0 to 255 in any dtype; a model
    that subtracts their mean computes it here.

    ``apply(variables, images, *, train, key) -> (logits, variables)``: images are float32, from 0
    to 255; ``key`` is for dropout; the returned variables include the state that a training pass
    updates, such as running means.
    """

    init: Callable[[jax.Array, Images], Variables]
    apply: Callable[..., tuple[jax.Array, Variables]]


def arguments(module: linen.Module, images: Images, train: bool) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a module's call: images, and ``train`` if the module takes it.

    ``train`` is passed by position if it is the second argument, because ``nn.remat`` identifies
    static arguments by position.
    """
    names = inspect.signature(module.__call__).parameters
    if "train" not in names:
        return (images,), {}
    second = list(names)[1] == "train" and names["train"].kind != inspect.Parameter.KEYWORD_ONLY
    return ((images, train), {}) if second else ((images,), {"train": train})


def apply_module(
    module: linen.Module, variables: Variables, images: Images, *, train: bool, **options: Any
) -> Any:
    """``module.apply``, with ``train`` for modules that take it."""
    args, flag = arguments(module, images, train)
    return module.apply(variables, *args, **flag, **options)


def hashable(module: linen.Module) -> linen.Module:
    """An equal module that is hashable, with tuples for lists and frozen dictionaries for dictionaries.

    Flax changes modules in the same way before it calls them. A module that is still not hashable,
    because it holds an array, is returned unchanged.
    """
    fixed = _fixed(module, {})
    return fixed if _has_hash(fixed) else module


def _has_hash(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _fixed(value: Any, frozen: dict[int, linen.Module]) -> Any:
    """A value with lists and dictionaries frozen as in Flax; shared modules stay shared."""
    if _has_hash(value):
        return value
    if isinstance(value, list | tuple):
        parts = [_fixed(part, frozen) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, Mapping):
        return FrozenDict({name: _fixed(part, frozen) for name, part in value.items()})
    if isinstance(value, linen.Module) and value.scope is None:
        if id(value) not in frozen:
            fields = [f.name for f in dataclasses.fields(value) if f.init and f.name != "parent"]
            attributes = {name: _fixed(getattr(value, name), frozen) for name in fields}
            frozen[id(value)] = value.clone(**attributes)
        return frozen[id(value)]
    return value


@dataclass(frozen=True)
class ByIdentity:
    """A module that equals only itself, to cache by modules that are not hashable."""

    module: linen.Module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.module is self.module

    def __hash__(self) -> int:
        return id(self.module)


def cached_by_module(
    maxsize: int = 128,
) -> Callable[
    [Callable[Concatenate[linen.Module, P], Result]], Callable[Concatenate[linen.Module, P], Result]
]:
    """Cache a function of a module and hashable values, by the value of the module.

    Equal modules share results, such as compiled programs. A module that is not hashable is cached
    by identity.
    """

    def decorate(
        function: Callable[Concatenate[linen.Module, P], Result],
    ) -> Callable[Concatenate[linen.Module, P], Result]:
        @functools.lru_cache(maxsize)
        def cached(key: linen.Module | ByIdentity, *args: P.args, **options: P.kwargs) -> Result:
            return function(key.module if isinstance(key, ByIdentity) else key, *args, **options)

        @functools.wraps(function)
        def by_module(module: linen.Module, *args: P.args, **options: P.kwargs) -> Result:
            module = hashable(module)
            return cached(module if _has_hash(module) else ByIdentity(module), *args, **options)

        return by_module

    return decorate


@cached_by_module()  # equal modules give the same two functions, so they are compiled once
def from_linen(module: linen.Module, hyperparameters: tuple[str, ...] = ()) -> Net:
    """The net of a Linen module that is called as ``module(images)`` or ``module(images, train=...)``.

    Args:
      module: the network; its attributes may be lists, as in ``nn.Sequential([...])``.
      hyperparameters: names of the activations' hyperparameters, such as ``("negative_slope",)``,
        that become variables (in the collection "hyperparameters") instead of constants in the
        program. A sweep over their values then compiles once and trains them together; each
        ``Member`` gives its values.

    Returns:
      A net whose ``apply`` also takes ``capture=True``, which returns the activations' outputs in
      the collection "intermediates".
    """

    def init(key: jax.Array, images: Images) -> Variables:
        args, flag = arguments(module, images, False)
        # Intermediates are asked for only where they tell the sites.
        mutable = True if hyperparameters else DenyList("intermediates")
        variables = module.init(key, *args, mutable=mutable, **flag)
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
        logits, updates = apply_module(
            module, variables, images, train=train, rngs=rngs, mutable=changing
        )
        return logits, {**variables, **updates}

    return Net(init, apply)


@functools.lru_cache
def from_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Net:
    """The net of an NNX module, created by ``make(rngs)`` and called with images.

    Its ``nnx.Param`` are trained; all other state (batch statistics, random streams) is under
    "rest". ``module.train()`` or ``module.eval()`` is called before each pass.
    """
    # An abstract module tells the structure; it is made anew with each key.
    structure = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param, ...)[0]

    def init(key: jax.Array, images: Images) -> Variables:
        _, params, rest = nnx.split(make(nnx.Rngs(key)), nnx.Param, ...)
        return {"params": params, "rest": rest}

    def apply(
        variables: Variables, images: jax.Array, *, train: bool, key: jax.Array
    ) -> tuple[jax.Array, Variables]:
        module = nnx.merge(structure, variables["params"], variables["rest"], copy=True)
        module.train() if train else module.eval()
        logits = module(images)
        _, rest = nnx.split(module, nnx.Param, ...)[1:]
        return logits, {**variables, "rest": rest}

    return Net(init, apply)
