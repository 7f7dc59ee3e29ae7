"""A model as text: its arguments, layers, size, cost and source."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from flaxact.activations import Activation, get
from flaxact.activations._describe import citation
from flaxact.layers import Act, LocalConv
from flaxact.layers._inspect import kernel_layer
from flaxact.models._catalogue import entry, parse
from flaxact.models._create import choices, chosen_arguments, create_model

WIDTH = 100  # of lines of prose; those of the table are as wide as they have to be


@dataclass
class Layer:
    """A module that computes something itself: its type, output shape, parameters and multiplications."""

    kind: str
    output: tuple[int, ...]
    parameters: int = 0
    multiply_accumulates: int = 0


def parameters(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """The number of trained parameters, for images of a shape (height, width, channels).

    >>> parameters(create_model("cuda_convnet", "relu"), (32, 32, 3))
    145578
    """
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape), jnp.uint8))
    return sum(leaf.size for leaf in jax.tree.leaves(variables.get("params", {})))


def multiply_accumulates(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiplications by weights in the forward pass of one image (height, width, channels).

    Counts outputs × fan-in for every layer with a kernel, as papers do, however the layer is
    computed. Operations without weights (normalization, pooling, the products of attention) are not
    counted.

    >>> multiply_accumulates(create_model("cuda_convnet", "relu"), (32, 32, 3))
    12354176
    """
    return sum(layer.multiply_accumulates for layer in layers(model, shape).values())


def layers(model: nn.Module, shape: tuple[int, int, int]) -> dict[str, Layer]:
    """The layers by path, in call order, for images (height, width, channels).

    Modules that only call others are left out. A module that is used several times is listed once.
    """
    by_path: dict[tuple[str, ...], Layer] = {}
    calling: set[tuple[str, ...]] = set()

    def watch(
        next_fun: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> object:
        y = next_fun(*args, **kwargs)
        module = context.module
        calling.update(module.path[:end] for end in range(len(module.path)))
        if context.method_name == "__call__" and isinstance(y, jax.Array):
            kind = str(module.act) if isinstance(module, Act) else type(module).__name__
            layer = by_path.setdefault(module.path, Layer(kind, y.shape[1:]))
            if outputs := kernel_layer(context, y):
                kernel = module.get_variable("params", "kernel")
                local = isinstance(module, LocalConv)  # a kernel for each place
                uses = kernel.size if local else y.size * (kernel.size // outputs)
                layer.multiply_accumulates += uses
        return y

    def forward(key: jax.Array) -> object:
        images = jnp.zeros((1, *shape), jnp.uint8)
        variables = jax.eval_shape(model.init, key, images)
        learned.update(flatten_dict(variables.get("params", {})))
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)
        with nn.intercept_methods(watch):
            return model.apply(blank, images)

    learned: dict[tuple[str, ...], jax.ShapeDtypeStruct] = {}
    jax.eval_shape(forward, jax.random.key(0))
    for path, leaf in learned.items():
        owner = max((p for p in by_path if p == path[: len(p)]), key=len)
        by_path[owner].parameters += leaf.size
    shown_layers = {p: v for p, v in by_path.items() if p not in calling or v.parameters}
    return {"/".join(path) or "(whole)": layer for path, layer in shown_layers.items()}


def describe(text: str, act: str | Activation = "relu") -> str:
    """A description of a model as lines of text, with its arguments and a table of its layers.

    Args:
      text: a name or spec text, as for ``create_model``.
      act: the activation at every site.

    Raises:
      InputError: as ``create_model``.
    """
    catalogued = entry(text)
    model = create_model(text, act)
    table = layers(model, catalogued.input_shape)
    summary = (inspect.getdoc(catalogued.loaded()) or "").split("\n")[0]
    facts = {
        "input": " × ".join(map(str, catalogued.input_shape)),
        "parameters": f"{sum(layer.parameters for layer in table.values()):,}",
        "multiply-accumulates": f"{sum(v.multiply_accumulates for v in table.values()):,} per image",
    }
    if catalogued.source:
        facts["source"] = citation(catalogued.source)
    return "\n".join(
        [
            f"{parse(text)} with {get(act)}: {summary}",
            *(f"  {name:<21} {value}" for name, value in facts.items()),
            *_arguments(text),
            *_table(table),
        ]
    )


def _arguments(text: str) -> Iterator[str]:
    """The arguments with their values, their documentation and their allowed values."""
    catalogued = entry(text)
    meanings = _documented(entry(text).loaded())
    values = chosen_arguments(text)
    listed = choices(catalogued)
    if catalogued.arguments():
        yield "  arguments"
    for name, parameter in catalogued.arguments().items():
        value = values.get(name, parameter.default)
        meaning = meanings.get(name, "")
        if any(str(choice) not in meaning for choice in listed.get(name, ())):
            allowed = f"one of {', '.join(map(str, listed[name]))}"
            meaning = f"{meaning.rstrip('.')}; {allowed}" if meaning else allowed
        first = f"    {f'{name}={value}':<19} "
        yield (
            textwrap.fill(meaning, WIDTH, initial_indent=first, subsequent_indent=" " * 24) or first
        )


def _documented(make: Callable[..., nn.Module]) -> dict[str, str]:
    """The documentation of arguments in the docstrings of a function, or of a class and its bases."""
    meanings: dict[str, str] = {}
    for documented in reversed(inspect.getmro(make)) if inspect.isclass(make) else [make]:
        text = inspect.cleandoc(documented.__doc__ or "")
        _, _, after = text.partition("Attributes:\n" if inspect.isclass(make) else "Args:\n")
        for name, meaning in re.findall(r"^  (\w+): (.*(?:\n    .*)*)", after, re.MULTILINE):
            meanings[name] = re.sub(r"\s+", " ", meaning).replace("``", "")
    return meanings


def _table(table: dict[str, Layer]) -> Iterator[str]:
    """The layers as a table, one line per layer."""
    rows = [("layer", "kind", "output", "parameters", "multiply-accumulates")]
    rows += [
        (
            name,
            layer.kind,
            " × ".join(map(str, layer.output)),
            f"{layer.parameters:,}",
            f"{layer.multiply_accumulates:,}",
        )
        for name, layer in table.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left_cells = (f"{cell:<{width}}" for cell, width in zip(row[:3], widths, strict=False))
        right_cells = (f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True))
        yield "  " + "  ".join([*left_cells, *right_cells])
