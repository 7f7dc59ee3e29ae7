"""The inputs, outputs and gradients of every activation of a Linen model, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.core import Tracer

from flaxact.activations import Activation, get
from flaxact.data.checks import check_range
from flaxact.errors import InputError
from flaxact.layers import LEARNED, Act
from flaxact.net import Variables, apply_module

USES = "flaxact_uses"  # the collection in which sites keep their arrays for a probe


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Site:
    """The arrays (examples, positions, units) of one site, that is, of one activation of a model.

    Attributes:
      pre: the activation's inputs.
      post: the activation's outputs.
      slope: the activation's derivative at ``pre``; None if the activation is not pointwise.
      gradient: the gradient of the mean loss with respect to ``post``, times the number of
        examples, so that each example has the gradient of its own loss. None without labels.
    """

    pre: jax.Array
    post: jax.Array
    slope: jax.Array | None
    gradient: jax.Array | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Captured:
    """All sites by name, in call order, the logits, and the gradients of the parameters (or None)."""

    sites: dict[str, Site]
    gradients: Variables | None
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
    """Record all sites in one pass through a model whose activations are applied through ``Act``.

    Pure, for use inside jit.

    Args:
      module: the model.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.
      labels: (batch,), integers; with them the mean cross-entropy is backpropagated too.
      train: whether batch norm uses the batch's statistics, dropout is active, and random
        activations draw.
      key: for dropout and random activations.

    Raises:
      InputError: labels that do not match the logits.
    """
    images = images.astype(jnp.float32)
    order: dict[str, int] = {}  # sites in the order of the data, with the number of their uses

    def forward(params: Variables, added: dict[str, jax.Array]) -> tuple[jax.Array, tuple]:
        order.clear()

        def watch(next_fun, args, kwargs, context):
            y = next_fun(*args, **kwargs)
            act = context.module
            if not isinstance(act, Act) or context.method_name != "__call__":
                return y
            site = "/".join(act.path)
            order[site] = order.get(site, 0) + 1
            learned = act.variables.get("params", {}).get(LEARNED, {})
            # Kept as a variable, which comes out of nn.remat too.
            act.sow(USES, "uses", (args[0], y, derivative(get(act.act), args[0], learned)))
            name = f"{site}:{order[site] - 1}"
            return y + added[name] if name in added else y

        rngs = {} if key is None else {"dropout": key, "activation": jax.random.fold_in(key, 1)}
        changing = [k for k in variables if k != "params"] if train else []
        with nn.intercept_methods(watch):
            all_variables = {**variables, "params": params}
            mutable = [*changing, USES]
            logits, updates = apply_module(
                module, all_variables, images, train=train, rngs=rngs, mutable=mutable
            )
        loss = jnp.zeros((), jnp.float32)
        if labels is not None:
            check_labels(labels, logits)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (_by_use(updates.get(USES, {}), order), logits)

    params = variables.get("params", {})
    if labels is None:
        _, (arrays, logits) = forward(params, {})
        gradients = None
        back = {}
    else:
        shapes = jax.eval_shape(forward, params, {})[1][0]
        zeros = {name: jnp.zeros(y.shape, y.dtype) for name, (_, y, _) in shapes.items()}
        (gradients, back), (arrays, logits) = jax.grad(forward, (0, 1), has_aux=True)(params, zeros)
    sites: dict[str, list[Site]] = {}
    for site, count in order.items():  # JAX gives dictionaries back in the order of the alphabet
        for name in (f"{site}:{use}" for use in range(count)):
            gradient = back[name] * len(images) if back else None
            pre, post, slope = arrays[name]
            sites.setdefault(site, []).append(Site(pre, post, slope, gradient))
    joined = {name: together(uses) for name, uses in sites.items()}
    return Captured(joined, gradients, logits)


def _by_use(sown: Variables, order: dict[str, int]) -> dict[str, tuple]:
    """The sown values by site and number of use."""
    flat = cast("dict[tuple[str, ...], tuple]", flatten_dict(sown))
    by_site = {"/".join(path[:-1]): uses for path, uses in flat.items()}
    for site in {**order, **by_site}:
        if len(by_site.get(site, ())) != order.get(site):
            raise InputError(
                f"cannot probe {site}: it is inside nn.scan, nn.vmap or nn.jit; use separate "
                "layers, or nn.remat"
            )
    return {f"{site}:{i}": use for site, uses in by_site.items() for i, use in enumerate(uses)}


def check_labels(labels: jax.Array, logits: jax.Array) -> None:
    """Check that labels are integers, one per row of logits; their range is checked only outside jit.

    Raises:
      InputError: labels of another dtype or shape, or out of range.
    """
    if labels.shape != logits.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(
            f"the labels are {labels.dtype} {labels.shape} for logits {logits.shape}; give "
            f"integers {logits.shape[:-1]}"
        )
    if not isinstance(labels, Tracer):
        check_range(labels, "the", logits.shape[-1])


def derivative(act: Activation, x: jax.Array, learned: Variables) -> jax.Array | None:
    """The derivative of a pointwise activation at every value; None for any other activation."""
    if act.spec.coupled or any(inner.spec.coupled for inner in act.inner.values()):
        return None
    return jax.jvp(lambda x: act(x, **learned), (x,), (jnp.ones_like(x),))[1]


def together(uses: list[Site]) -> Site:
    """Join the arrays of several calls of one activation along positions; any shape, channels last."""

    def joined(*arrays: jax.Array) -> jax.Array:
        return jnp.concatenate([a.reshape(len(a), -1, a.shape[-1]) for a in arrays], 1)

    return jax.tree.map(joined, *uses)
