"""The zoo: one file a family, and the file is the registry.

A model file holds ``Model``, a Linen module with the fields ``act`` and ``num_classes``; ``SOURCE``,
its key in ``references.bib``; and, where there are several, ``VARIANTS`` by name.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from flaxact import _grammar
from flaxact.activations import Activation, get
from flaxact.errors import InputError, hint, nearest, unknown

if TYPE_CHECKING:
    from flax import linen as nn

_LINEN_FIELDS = {"parent", "name"}


def list_models() -> tuple[str, ...]:
    """The names that ``create_model`` takes.

    >>> list_models()
    ('cuda_convnet',)
    """
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def parse(text: str) -> _grammar.Call:
    """The name and arguments of a model's spec text; does not import jax.

    Raises:
      InputError: an unknown model, or a text that is not a spec.

    >>> str(parse("cuda_convnet(variant=18pct)"))
    'cuda_convnet(variant=18pct)'
    """
    call = _grammar.parse(text)
    if call.name not in list_models():
        raise unknown("model", call.name, list_models())
    if call.args:
        raise InputError(f"{text!r}: name the arguments of a model, as in cuda_convnet(width=0.5)")
    return call


def source(text: str) -> str:
    """The key in ``references.bib`` of the paper or code that a model comes from."""
    return importlib.import_module(f"{__name__}.{parse(text).name}").SOURCE


def create_model(text: str, act: str | Activation, *, num_classes: int = 10) -> nn.Module:
    """A model of the zoo with an activation at every site, as a Linen module.

    Args:
      text: a name from ``list_models``, or a spec text with arguments: ``cuda_convnet(width=0.5)``.
      act: what ``flaxact.get`` takes.
      num_classes: number of logits.

    Raises:
      InputError: an unknown model, argument or variant, or a value of the wrong kind.

    >>> create_model("cuda_convnet(variant=18pct)", "relu").variant
    '18pct'
    """
    call = parse(text)
    file = importlib.import_module(f"{__name__}.{call.name}")
    fields = {f.name: f for f in dataclasses.fields(file.Model) if f.name not in _LINEN_FIELDS}
    allowed = [name for name in fields if name not in ("act", "num_classes")]
    chosen: dict[str, Any] = {}
    for name, value in call.kwargs:
        if name not in allowed:
            raise InputError(
                f"{call.name} has no argument {name!r}{hint(nearest(name, allowed))} "
                f"It takes: {', '.join(allowed)}"
            )
        chosen[name] = _checked(call.name, name, value, type(fields[name].default))
    variants = getattr(file, "VARIANTS", {})
    if "variant" in chosen and chosen["variant"] not in variants:
        raise unknown(f"variant of {call.name}", chosen["variant"], variants)
    return file.Model(act=get(act), num_classes=num_classes, **chosen)


def _checked(model: str, name: str, value: Any, kind: type) -> Any:
    value = str(value) if kind is str and isinstance(value, _grammar.Call) else value
    value = float(value) if kind is float and type(value) is int else value
    if type(value) is not kind or (kind in (int, float) and not 0 < value < float("inf")):
        expected = {str: "a name", int: "a whole number above 0", float: "a number above 0"}
        raise InputError(f"{model} needs {expected.get(kind, kind)} as {name}, not {value}")
    return value
