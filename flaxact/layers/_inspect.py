"""The kernels of a Linen net: the outputs of their layers, and the net with one kernel changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util
from flax.typing import VariableDict
from jax.typing import ArrayLike

from flaxact.errors import InputError

Path = tuple[str, ...]
Variables = TypeVar("Variables")  # a tree of arrays, of its own types of containers


def kernel_layer(context: nn.module.InterceptorContext, y: object) -> int | None:
    """The outputs of a layer with a kernel for one place and example; None for any other call.

    Args:
      context: the call's context, from ``nn.intercept_methods``.
      y: the call's result.
    """
    layer = context.module
    is_layer = context.method_name == "__call__" and layer.has_variable("params", "kernel")
    if not is_layer or not isinstance(y, jax.Array):
        return None
    return math.prod(jax.tree.leaves(getattr(layer, "features", y.shape[-1])))


def layer_variances(
    module: nn.Module, variables: VariableDict, batch: ArrayLike, call_kwargs: dict[str, Any]
) -> tuple[Callable[[VariableDict, ArrayLike], jax.Array], dict[Path, int]]:
    """A compiled function of the output variances; the kernels in call order, each with its width."""
    kernels: dict[Path, int] = {}

    def watch(next_fun, args, kwargs, context):
        y = next_fun(*args, **kwargs)
        layer = context.module
        if outputs := kernel_layer(context, y):
            path = ("params", *layer.path, "kernel")
            variance = jnp.var(y.astype(jnp.promote_types(y.dtype, jnp.float32)))
            # Sown, so that it gets out of nn.remat; of several calls the first one's stays.
            first = {"init_fn": tuple, "reduce_fn": lambda first_value, new: first_value or (new,)}
            if not layer.sow("lsuv", "variance", variance, **first):
                raise InputError(
                    f"lsuv cannot initialize {'/'.join(path)}, which is inside nn.scan or nn.vmap"
                )
            kernels.setdefault(path, outputs)
        return y

    @jax.jit
    def measure(variables, batch):
        changing = ["lsuv", *(name for name in variables if name != "params")]
        with nn.intercept_methods(watch):
            _, state = module.apply(variables, batch, mutable=changing, **call_kwargs)
        if not kernels:
            raise InputError(f'lsuv found no layer with a "kernel" in {type(module).__name__}')
        recorded: dict[Path, tuple[jax.Array]] = traverse_util.flatten_dict(state["lsuv"])  # type: ignore[assignment]
        return jnp.stack([recorded[*path[1:-1], "variance"][0] for path in kernels])

    jax.eval_shape(measure, variables, batch)
    return measure, kernels


def with_kernel(
    variables: Variables, path: Path, change: Callable[..., jax.Array], *args: object
) -> Variables:
    """The variables with one kernel replaced; keeps the types of containers and boxes."""

    def visit(keys: tuple[object, ...], leaf: jax.Array) -> jax.Array:
        at = tuple(getattr(key, "key", None) for key in keys[: len(path)])
        return change(jnp.asarray(leaf), *args) if at == path else leaf

    return jax.tree_util.tree_map_with_path(visit, variables)
