"""The zoo: one file a family, and the file is the registry.

A model file holds ``Model``, a Linen module (see ``_zoo.ZooModel``), and these literals, which are read
without importing it: ``SOURCE``, its key in ``references.bib``; ``INPUT``, the shape of the images it
was published for; ``FAMILY``; where there are any, ``PRESETS``, further names with the arguments that
they stand for; and ``CHOICES``, the values that an argument may have, by argument. ``SOURCE`` and
``INPUT`` may be by name where presets differ, ``"*"`` for the rest.
"""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flaxact import _grammar
from flaxact.activations import Activation, get
from flaxact.errors import InputError, hint, nearest, unknown

if TYPE_CHECKING:
    from flaxact.models._zoo import ZooModel

_NOT_ARGUMENTS = {"parent", "name", "act", "num_classes"}
_CHOICES = {
    "norm": ("none", "batch", "layer", "group", "weight", "weight_mean_only_batch"),
    "norm_place": ("before", "after"),
    "kernel_init": ("paper", "he", "xavier", "lecun", "orthogonal", "lsuv", "variance_preserving"),
    "matched": ("width", "parameters"),
}


_LATER = {"describe": "_describe", "parameters": "_describe", "multiply_accumulates": "_describe",
          "load_torchvision": "_torchvision"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _literals(file: str) -> dict[str, Any]:
    """The constants of a model file, without importing it, and so without jax."""
    tree = ast.parse((Path(__path__[0]) / f"{file}.py").read_text("utf-8"))
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("SOURCE", "INPUT", "FAMILY", "PRESETS", "CHOICES")
    }


@functools.cache
def _catalogue() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every name: its file, and the arguments that it stands for."""
    files = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    found: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in files}
    for file in files:
        for name, chosen in _literals(file).get("PRESETS", {}).items():
            found[name] = (file, chosen)
    return found


def list_models(pattern: str = "*", *, family: str | None = None) -> tuple[str, ...]:
    """The names that ``create_model`` takes, in alphabetical order; does not import jax.

    Args:
      pattern: with ``*`` and ``?`` as in file names.
      family: only those of a family, see ``families``.

    Raises:
      InputError: an unknown family, or a pattern that nothing fits.

    >>> list_models("cuda*")
    ('cuda_convnet',)
    """
    names = sorted(_catalogue())
    if family is not None:
        if family not in families():
            raise unknown("family", family, families())
        names = [n for n in names if _fact(n, "FAMILY") == family]
    fitting = tuple(fnmatch.filter(names, pattern))
    if not fitting:
        raise unknown("model", pattern, names)
    return fitting


def families() -> tuple[str, ...]:
    """The families that models are of.

    >>> "alexnet" in families()
    True
    """
    return tuple(sorted({family(name) for name in _catalogue()}))


def parse(text: str) -> _grammar.Call:
    """The name and arguments of a model's spec text; does not import jax.

    Raises:
      InputError: an unknown model, or a text that is not a spec.

    >>> str(parse("cuda_convnet(variant=18pct)"))
    'cuda_convnet(variant=18pct)'
    """
    call = _grammar.parse(text)
    if call.name not in _catalogue():
        raise unknown("model", call.name, _catalogue())
    if call.args:
        raise InputError(f"{text!r}: name the arguments of a model, as in cuda_convnet(width=0.5)")
    return call


def family(text: str) -> str:
    """Which of the ``families`` a model is of."""
    return _fact(text, "FAMILY")


def source(text: str) -> str:
    """The key in ``references.bib`` of the paper or code that a model comes from."""
    return _fact(text, "SOURCE")


def input_shape(text: str) -> tuple[int, int, int]:
    """Height, width and channels of the images that a model was published for.

    >>> input_shape("cuda_convnet")
    (32, 32, 3)
    """
    return _fact(text, "INPUT")


def _fact(text: str, which: str) -> Any:
    name = parse(text).name
    fact = _literals(_catalogue()[name][0])[which]
    return fact.get(name, fact["*"]) if isinstance(fact, dict) else fact


def create_model(
    text: str,
    act: str | Activation | Mapping[str, Any],
    *,
    num_classes: int | None = None,
    api: Literal["linen", "nnx"] = "linen",
    rngs: Any = None,
    **arguments: Any,
) -> Any:
    """A model of the zoo with an activation at every site.

    Args:
      text: a name from ``list_models``, or a spec text with arguments: ``cuda_convnet(width=0.5)``.
      act: what ``flaxact.get`` takes, for every site; or a mapping from patterns of site names to
        that, of which the first that fits a site counts: ``{"act1": "tanh", "*": "relu"}``.
      num_classes: number of logits; None for what is published.
      api: ``linen``, or ``nnx`` for an NNX module through Flax's bridge, to be initialised with
        ``lazy_init(images)``.
      rngs: ``nnx.Rngs`` for that; by default of seed 0.
      arguments: more of those that a spec text may hold, which they replace.

    Returns:
      A Linen module, called with images (batch, height, width, channels), pixels from 0 to 255, and
      ``train``; or an NNX module of it.

    Raises:
      InputError: an unknown model, activation, argument or choice, a value of the wrong kind, or a
        pattern that fits no site.

    >>> create_model("cuda_convnet(variant=18pct)", "relu", norm="batch").norm
    'batch'
    """
    if api not in ("linen", "nnx"):
        raise unknown("api", str(api), ("linen", "nnx"))
    call = parse(text)
    file, preset = _catalogue()[call.name]
    module = importlib.import_module(f"{__name__}.{file}")
    fields = {f.name: f for f in dataclasses.fields(module.Model) if f.name not in _NOT_ARGUMENTS}
    choices = _CHOICES | _literals(file).get("CHOICES", {})
    chosen = dict(preset)
    for name, value in (dict(call.kwargs) | arguments).items():
        if name not in fields:
            raise InputError(
                f"{call.name} has no argument {name!r}{hint(nearest(name, fields))} "
                f"It takes: {', '.join(fields)}"
            )
        chosen[name] = _checked(call.name, name, value, fields[name])
        if name in choices and chosen[name] not in choices[name]:
            raise _not_a_choice(call.name, name, chosen[name], choices[name])
    if num_classes is not None:
        chosen["num_classes"] = num_classes
    found = module.Model(act=_acts(act), **chosen)
    if isinstance(act, Mapping):
        _check_patterns(found, act, input_shape(text))
    if api == "linen":
        return found
    from flax import nnx

    return nnx.bridge.ToNNX(found, rngs=nnx.Rngs(0) if rngs is None else rngs)


def sites(model: ZooModel, shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    """The sites of a Linen model in the order of the data, with the shape of one image's output.

    Args:
      model: from ``create_model``.
      shape: of an image: height, width, channels.

    >>> sites(create_model("cuda_convnet", "relu"), (32, 32, 3))["act1"]
    (16, 16, 32)
    """
    import jax
    from flax.traverse_util import flatten_dict

    def outputs(key: Any) -> Any:
        images = jax.numpy.zeros((2, *shape), jax.numpy.uint8)
        variables = model.init(key, images)
        return model.apply(variables, images, mutable=["intermediates"])[1]["intermediates"]

    sown: dict[Any, Any] = flatten_dict(jax.eval_shape(outputs, jax.random.key(0)))
    return {"/".join(p[:-1]): v[0].shape[1:] for p, v in sown.items() if p[-1] == "output"}


def _acts(act: Any) -> Any:
    if not isinstance(act, Mapping):
        return get(act)
    from flaxact.models._zoo import Sites

    if not act:
        raise InputError("a mapping of activations needs a pattern, such as '*'")
    return Sites(tuple((str(pattern), get(value)) for pattern, value in act.items()))


def _check_patterns(model: ZooModel, act: Mapping[str, Any], shape: tuple[int, int, int]) -> None:
    there = tuple(sites(model, shape))
    for pattern in act:
        if not fnmatch.filter(there, pattern):
            raise unknown("site", pattern, there)


def _not_a_choice(model: str, name: str, value: Any, allowed: Any) -> InputError:
    if all(isinstance(v, str) for v in allowed):
        return unknown(f"{name} of {model}", value, allowed)
    return InputError(f"{model} has no {name} {value}; allowed: {', '.join(map(str, allowed))}")


def _checked(model: str, name: str, value: Any, field: dataclasses.Field) -> Any:
    """A value of an argument, once it is of the kind that its default is."""
    kind = float if field.default is None else type(field.default)
    if value is None and (field.default is None or kind is str):
        return None if field.default is None else "none"
    value = str(value) if kind is str and isinstance(value, _grammar.Call) else value
    value = float(value) if kind is float and type(value) is int else value
    low_enough = 0 if name == "dropout" else 1e-9
    good = type(value) is kind and (kind not in (int, float) or low_enough <= value < float("inf"))
    if not good or (name == "dropout" and value >= 1):
        expected = {
            str: "a name", int: "a whole number above 0", bool: "True or False",
            float: "a number from 0 to 1" if name == "dropout" else "a number above 0",
        }  # fmt: skip
        raise InputError(f"{model} needs {expected.get(kind, kind)} as {name}, not {value}")
    return value
