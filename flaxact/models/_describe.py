"""A model as text: its layers, its size, its cost and where it comes from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.summary import tabulate

from flaxact._kernels import kernel_layer
from flaxact.activations import Activation
from flaxact.activations._describe import citation
from flaxact.models import create_model, input_shape, parse, source
from flaxact.weighted import LocalConv


def parameters(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """How many numbers training changes, for images of a shape (height, width, channels).

    >>> parameters(create_model("cuda_convnet", "relu"), (32, 32, 3))
    145578
    """
    found = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape), jnp.uint8))
    return sum(leaf.size for leaf in jax.tree.leaves(found["params"]))


def multiply_accumulates(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiplications with a weight in the forward pass of one image (height, width, channels).

    Of every layer with a kernel, as published: outputs × fan-in, however it is computed. What has no
    weights (normalisation, pooling, the products of attention) does not count.

    >>> multiply_accumulates(create_model("cuda_convnet", "relu"), (32, 32, 3))
    12354176
    """
    counted: list[int] = []

    def count(next_fun, args, kwargs, context):
        y, layer = next_fun(*args, **kwargs), context.module
        if outputs := kernel_layer(context, y):
            kernel = layer.get_variable("params", "kernel")
            local = isinstance(layer, LocalConv)  # a kernel for each place
            counted.append(kernel.size if local else y.size * (kernel.size // outputs))
        return y

    def forward(key):
        images = jnp.zeros((1, *shape), jnp.uint8)
        variables = jax.eval_shape(model.init, key, images)
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)
        with nn.intercept_methods(count):
            return model.apply(blank, images)

    jax.eval_shape(forward, jax.random.key(0))
    return sum(counted)


def describe(text: str, act: str | Activation = "relu") -> str:
    """What is known of a model, as lines of text, with a table of its layers.

    Args:
      text: as ``create_model`` takes it.
      act: the activation, for every site.

    Raises:
      InputError: as ``create_model``.
    """
    model, shape = create_model(text, act), input_shape(text)
    summary = (type(model).__doc__ or "").strip().split("\n")[0]
    facts = {
        "input": " × ".join(map(str, shape)),
        "parameters": f"{parameters(model, shape):,}",
        "multiply-accumulates": f"{multiply_accumulates(model, shape):,} an image",
        "source": citation(source(text)),
    }
    lines = [
        f"{parse(text)} with {model.act}: {summary}",
        *(f"  {k:<21} {v}" for k, v in facts.items()),
    ]
    return "\n".join([*lines, _table(model, shape)])


def _table(model: nn.Module, shape: tuple[int, int, int]) -> str:
    """The layers in the order of the data, by Flax."""
    draw = tabulate(
        model,
        jax.random.key(0),
        depth=1,
        column_kwargs={"no_wrap": False},
        console_kwargs={"width": 110, "force_terminal": False},
    )
    return draw(jnp.zeros((1, *shape), jnp.uint8)).rstrip()
