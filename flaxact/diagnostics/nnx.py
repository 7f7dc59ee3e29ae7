"""The sites of an NNX module, forward and backward, through ``nnx.capture``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact._packages import check_nnx_capture
from flaxact.diagnostics.capture import Captured, Site, check_labels, derivative, together
from flaxact.diagnostics.measures import Measure, applied, chosen
from flaxact.diagnostics.probe import DEFAULT, Figures, batch
from flaxact.nnx import Act, values

__dir__ = listing(__name__)


def capture(module: nnx.Module, images: jax.Array, labels: jax.Array | None = None) -> Captured:
    """Like ``flaxact.diagnostics.capture``, for a module whose activations are ``flaxact.nnx.Act``.

    The module is not changed; set its mode with ``module.train()`` or ``module.eval()`` first.
    Sites are named by their paths, in the order in which Flax traverses the module. A site that is
    used several times has no gradient, because ``nnx.Module.perturb`` has one array for all uses.

    Args:
      module: called with images, returns logits.
      images: (batch, ...), as the module takes them.
      labels: (batch,); with them the mean cross-entropy is backpropagated too.

    Raises:
      InputError: labels that do not match the logits, or a Flax older than 0.12.6.
    """
    check_nnx_capture()
    structure, params, state = nnx.split(module, nnx.Param, ...)

    def forward(params: nnx.State, added: nnx.State | None) -> tuple[jax.Array, tuple]:
        copy = nnx.merge(structure, params, state, copy=True)
        # The narrower type first: a Perturbation is an Intermediate too.
        kinds = nnx.Perturbation, nnx.Intermediate
        run: Any = nnx.capture(lambda m, x: m(x), *kinds, init=added)
        logits, zeros, intermediates = run(copy, images)
        loss = jnp.zeros((), jnp.float32)
        if labels is not None:
            check_labels(labels, logits)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (nnx.to_pure_dict(intermediates), zeros, logits)

    _, (intermediates, zeros, logits) = forward(params, None)
    gradients = back = None
    if labels is not None:
        zeros = jax.tree.map(jnp.zeros_like, zeros)
        gradients, back = jax.grad(lambda p, z: forward(p, z)[0], (0, 1))(params, zeros)
        back = nnx.to_pure_dict(back)
    sites = {}
    for path, act in nnx.iter_modules(module):
        if isinstance(act, Act) and (record := _at(intermediates, path)):
            gradient = None if back is None else _at(back, path)["gradient"] * len(images)
            sites["/".join(map(str, path))] = _site(
                act, record["input"], record["output"], gradient
            )
    return Captured(sites, gradients, logits)


def probe(
    module: nnx.Module,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    measures: Sequence[str | Measure] = DEFAULT,
) -> Figures:
    """Like ``flaxact.diagnostics.probe``, for a module whose activations are ``flaxact.nnx.Act``.

    Raises:
      InputError: an unknown measure, images that are not finite, or labels that do not match the
        logits.

    >>> class Net(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.hidden, self.act = nnx.Linear(3, 4, rngs=rngs), Act("relu")
    ...     def __call__(self, x):
    ...         return self.act(self.hidden(x))
    >>> probe(Net(nnx.Rngs(0)), jnp.zeros((2, 3)), measures=("zeros", "dead"))
    {'act': {'zeros': 1.0, 'dead': 1.0}}
    """
    functions = chosen(measures)
    sites = capture(module, *batch(images, labels)).sites
    by_site = applied(functions, sites)
    return {
        site: {name: float(v) for name, v in values.items()} for site, values in by_site.items()
    }


def _at(tree: Any, path: tuple[object, ...]) -> Any:
    for key in path:
        tree = tree.get(key, {})
    return tree


def _site(
    act: Act, inputs: Sequence[jax.Array], outputs: Sequence[jax.Array], gradient: jax.Array | None
) -> Site:
    learned = values(act.learned)
    own_gradient = gradient if len(inputs) == 1 else None
    pairs = zip(inputs, outputs, strict=True)
    return together([Site(x, y, derivative(act.act, x, learned), own_gradient) for x, y in pairs])
