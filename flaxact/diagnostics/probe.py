"""What each activation of a Linen model gives out on a batch of images."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from flaxact.net import Variables, train_flag


def probe(module: nn.Module, variables: Variables, images: Any) -> dict[str, dict[str, float]]:
    """Mean, variance and share of exact zeros of every ``Act``'s output, in the order of the data.

    Args:
      module: a Linen model whose activations are applied through ``flaxact.layers.Act``.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.

    Returns:
      The figures by site name, over all units, positions and images of the batch; empty for a model
      without an ``Act``.

    >>> from flaxact.models import create_model
    >>> model, images = create_model("cuda_convnet", "relu"), jnp.zeros((2, 8, 8, 1))
    >>> figures = probe(model, model.init(jax.random.key(0), images), images)
    >>> list(figures), figures["act1"]["zeros"]
    (['act1', 'act2', 'act3', 'act4'], 1.0)
    """
    figures = _program(module)(variables, jnp.asarray(images))
    return {site: {k: float(v) for k, v in row.items()} for site, row in figures}


@functools.lru_cache(maxsize=8)
def _program(module: nn.Module) -> Any:
    sites: list[str] = []  # known once traced; a compiled program gives arrays only

    @jax.jit
    def measure(variables: Variables, images: jax.Array) -> list[dict[str, jax.Array]]:
        images = images.astype(jnp.float32)
        flag = train_flag(module, False)
        _, state = module.apply(variables, images, mutable=["intermediates"], **flag)
        sown: dict[Any, Any] = flatten_dict(state.get("intermediates", {}))
        # A module that is called several times sows several outputs; they are one site.
        outputs = {path[:-1]: values for path, values in sown.items() if path[-1] == "output"}
        sites[:] = ["/".join(path) for path in outputs]
        flat = [jnp.concatenate([y.ravel() for y in values]) for values in outputs.values()]
        return [{"mean": y.mean(), "variance": y.var(), "zeros": jnp.mean(y == 0)} for y in flat]

    def measured(variables: Variables, images: jax.Array) -> Any:
        rows = measure(variables, images)
        return zip(sites, rows, strict=True)

    return measured
