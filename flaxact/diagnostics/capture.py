"""What goes into every activation of a Linen model and what comes out, forward and back, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from flaxact.activations import Activation, get
from flaxact.layers import LEARNED, Act
from flaxact.net import Variables, train_flag


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Site:
    """The arrays of one site: (examples, positions, units); of several uses the positions together.

    Attributes:
      pre: what the activation got.
      post: what it gave.
      slope: its derivative at ``pre``; None for an activation that is not pointwise.
      gradient: of the mean loss with respect to ``post``, times the number of examples: each one's own.
        None without labels.
    """

    pre: jax.Array
    post: jax.Array
    slope: jax.Array | None
    gradient: jax.Array | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Captured:
    """Every site by name in the order of the data, and the gradient of the parameters (or None)."""

    sites: dict[str, Site]
    gradients: Any
    logits: jax.Array


def capture(
    module: nn.Module,
    variables: Variables,
    images: jax.Array,
    labels: jax.Array | None = None,
    *,
    train: bool = False,
    key: jax.Array | None = None,
) -> Captured:
    """One pass through a model, whose activations are applied through ``Act``; pure, for inside jit.

    Args:
      module: the model.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.
      labels: (batch,); with them the mean cross-entropy is propagated back too.
      train: whether batch norm takes the batch's statistics, dropout drops and activations draw.
      key: for that.
    """
    images = images.astype(jnp.float32)
    order: list[str] = []

    def forward(params: Any, added: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        found: dict[str, tuple[jax.Array, jax.Array, jax.Array | None]] = {}

        def watch(next_fun, args, kwargs, context):
            y = next_fun(*args, **kwargs)
            if not isinstance(context.module, Act) or context.method_name != "__call__":
                return y
            site = "/".join(context.module.path)
            name = f"{site}:{sum(other.rpartition(':')[0] == site for other in found)}"
            learned = context.module.variables.get("params", {}).get(LEARNED, {})
            found[name] = args[0], y, derivative(get(context.module.act), args[0], learned)
            return y + added[name] if name in added else y

        rngs = {} if key is None else {"dropout": key, "activation": jax.random.fold_in(key, 1)}
        changing = [k for k in variables if k != "params"] if train else []
        with nn.intercept_methods(watch):
            logits, _ = module.apply(
                {**variables, "params": params}, images, **train_flag(module, train), rngs=rngs,
                mutable=changing,
            )  # fmt: skip
        order[:] = found
        loss = jnp.zeros(())
        if labels is not None:
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (found, logits)

    params = variables.get("params", {})
    shapes = jax.eval_shape(forward, params, {})[1][0]
    zeros = {name: jnp.zeros(y.shape, y.dtype) for name, (_, y, _) in shapes.items()}
    if labels is None:
        _, (found, logits) = forward(params, {})
        gradients, back = None, {}
    else:
        (gradients, back), (found, logits) = jax.grad(forward, (0, 1), has_aux=True)(params, zeros)
    sites: dict[str, list[Site]] = {}
    for name in order:  # dictionaries come back from JAX in the order of the alphabet
        pre, post, slope = found[name]
        site = Site(pre, post, slope, back[name] * len(images) if back else None)
        sites.setdefault(name.rpartition(":")[0], []).append(site)
    joined = {name: together(uses) for name, uses in sites.items()}
    return Captured(joined, gradients, logits)


def derivative(act: Activation, x: jax.Array, learned: dict[str, Any]) -> jax.Array | None:
    """The derivative of a pointwise activation at every value; None for another."""
    if act.spec.coupled or any(inner.spec.coupled for inner in act.inner.values()):
        return None
    return jax.jvp(lambda x: act(x, **learned), (x,), (jnp.ones_like(x),))[1]


def together(uses: list[Site]) -> Site:
    """One site of its uses, whose arrays have any shape, channels last."""

    def joined(*arrays: jax.Array) -> jax.Array:
        return jnp.concatenate([a.reshape(len(a), -1, a.shape[-1]) for a in arrays], 1)

    return jax.tree.map(joined, *uses)
