"""The sites of an NNX module, forward and back, through ``nnx.capture``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from flaxact._lazy import listing
from flaxact._versions import check_nnx_capture
from flaxact.diagnostics.capture import Captured, Site, check_labels, derivative, together
from flaxact.diagnostics.measures import Measure, applied, chosen
from flaxact.diagnostics.probe import DEFAULT, Figures, batch
from flaxact.nnx import Act, values

__dir__ = listing(__name__)


def capture(module: nnx.Module, images: jax.Array, labels: jax.Array | None = None) -> Captured:
    """As ``flaxact.diagnostics.capture``, of a module whose activations are ``flaxact.nnx.Act``.

    The module is left as it was; ``module.train()`` or ``module.eval()`` says how it computes. Sites are
    named by their path, in the order in which Flax goes through the module. One that is used several
    times has no gradient: ``nnx.Module.perturb`` has one array for all uses.

    Args:
      module: called with images, gives logits.
      images: (batch, ...), as the module takes them.
      labels: (batch,); with them the mean cross-entropy is propagated back too.

    Raises:
      InputError: labels that are not those of the logits, or Flax older than 0.12.6.
    """
    check_nnx_capture()
    structure, params, rest = nnx.split(module, nnx.Param, ...)

    def forward(params: Any, added: Any) -> tuple[jax.Array, Any]:
        copy: Any = nnx.merge(structure, params, rest, copy=True)
        # The narrower type first: a Perturbation is an Intermediate too.
        kinds = nnx.Perturbation, nnx.Intermediate
        run: Any = nnx.capture(lambda m, x: m(x), *kinds, init=added)
        logits, zeros, found = run(copy, images)
        loss = jnp.zeros((), jnp.float32)
        if labels is not None:
            check_labels(labels, logits)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (nnx.to_pure_dict(found), zeros, logits)

    _, (found, zeros, logits) = forward(params, None)
    gradients = back = None
    if labels is not None:
        zeros = jax.tree.map(jnp.zeros_like, zeros)
        gradients, back = jax.grad(lambda p, z: forward(p, z)[0], (0, 1))(params, zeros)
        back = nnx.to_pure_dict(back)
    sites = {}
    for path, act in nnx.iter_modules(module):
        if isinstance(act, Act) and (held := _at(found, path)):
            of = None if back is None else _at(back, path)["gradient"] * len(images)
            sites["/".join(map(str, path))] = _site(act, held["input"], held["output"], of)
    return Captured(sites, gradients, logits)


def probe(
    module: nnx.Module,
    images: Any,
    labels: Any = None,
    measures: Sequence[str | Measure] = DEFAULT,
) -> Figures:
    """As ``flaxact.diagnostics.probe``, of a module whose activations are ``flaxact.nnx.Act``.

    Raises:
      InputError: an unknown measure, images that are not finite, or labels that are not those of the
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
    found = applied(functions, sites)
    return {site: {name: float(v) for name, v in of.items()} for site, of in found.items()}


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree.get(key, {})
    return tree


def _site(act: Act, inputs: Any, outputs: Any, gradient: jax.Array | None) -> Site:
    learned = values(act.learned)
    known = gradient if len(inputs) == 1 else None
    pairs = zip(inputs, outputs, strict=True)
    return together([Site(x, y, derivative(act.act, x, learned), known) for x, y in pairs])
