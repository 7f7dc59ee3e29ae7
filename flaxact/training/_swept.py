"""Checks that a net's activations accept the hyperparameters that the members set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
from flax import linen

from flaxact.activations import Activation, bind, get
from flaxact.errors import InputError
from flaxact.layers import Act
from flaxact.net import Images, Net
from flaxact.training.members import Member


def check_swept(net: Net, members: Sequence[Member], sample: Images) -> None:
    """Raise if a member's hyperparameter is outside the domain of an activation, as ``bind`` does.

    Args:
      net: the net whose activations are checked.
      members: the members to be trained.
      sample: training images, or anything of their shape and dtype.

    Raises:
      InputError: a hyperparameter that is out of its domain, that an activation learns, or that
        must be one static number.
    """
    if not any(member.hyperparameters for member in members):
        return
    for activation in _activations(net, tuple(sample.shape[1:]), str(sample.dtype)):
        spec = activation.spec
        for member in members:
            numbers = {k: v for k, v in member.hyperparameters if k in spec.hyperparameters}
            for name in numbers:
                if name not in activation.continuous:
                    why = (
                        "it learns it" if name in spec.learned else "it must be part of the program"
                    )
                    raise InputError(f"members cannot differ in the {name} of {spec.name}: {why}")
            bind(activation, **numbers)


@functools.lru_cache(maxsize=64)
def _activations(net: Net, shape: tuple[int, ...], dtype: str) -> tuple[Activation, ...]:
    activations: dict[Activation, None] = {}

    def watch(
        next_fun: Callable[..., object],
        args: tuple,
        kwargs: dict,
        context: linen.module.InterceptorContext,
    ) -> object:
        if isinstance(context.module, Act) and context.method_name == "__call__":
            activations.setdefault(get(context.module.act))
        return next_fun(*args, **kwargs)

    images = jax.ShapeDtypeStruct((2, *shape), dtype)
    with linen.intercept_methods(watch):
        jax.eval_shape(net.init, jax.eval_shape(lambda: jax.random.key(0)), images)
    return tuple(activations)
