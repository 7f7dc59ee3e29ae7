"""From a name, a spec text or a function to an ``Activation``."""

from __future__ import annotations

import copyreg
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from flaxact import spec_text
from flaxact._lazy import jax
from flaxact.activations._check import check_domain, checked_number
from flaxact.activations._libraries import aliases, check_ambiguous, library_text
from flaxact.activations._spec import Activation, Hyperparameter, Spec, catalogue, takes_activation
from flaxact.errors import InputError, hint, nearest, unknown
from flaxact.spec_text import value_text


def get(
    activation: str | Activation | Callable[..., jax.Array], *, library: str | None = None
) -> Activation:
    """The activation that a name, a spec text, a function of flaxact or an ``Activation`` denotes.

    Names of other libraries that have one meaning are known: ``get("gelu_new")``, ``get("relu2")``.

    Args:
      activation: a name, text, function or ``Activation``.
      library: whose name it is: "transformers" (the values of ``hidden_act``), "torch", "keras",
        "timm"; or "models", for the gate inside a model of transformers, by its ``model_type``.

    Raises:
      InputError: an unknown name or hyperparameter (the message names the nearest known one), a
        value out of its domain, a text that is not a spec, or a function that is not an activation
        of flaxact.

    >>> get("leaky_relu(0.2)")
    get('leaky_relu(negative_slope=0.2)')
    >>> get("swish")
    get('silu')
    >>> get("gelu"), get("gelu", library="transformers")
    (get('gelu'), get('gelu(approximate=False)'))
    """
    if library is not None:
        if not isinstance(activation, str):
            raise InputError(f"with library={library!r} give a name, not {activation!r}")
        activation = library_text(activation, library)
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return _from_call(spec_text.parse(activation))
    spec = catalogue.get(getattr(activation, "__name__", ""))
    if spec is not None and spec.function is activation:
        return Activation(spec)
    raise InputError(
        f"{activation!r} is not an activation of flaxact; give a name such as 'relu', or define "
        "the function with @flaxact.activation"
    )


def bind(
    activation: str | Activation | Callable[..., jax.Array], /, **hyperparameters: object
) -> Activation:
    """The activation with these hyperparameters replaced.

    Raises:
      InputError: as ``get``.

    >>> bind("elu", alpha=0.5)
    get('elu(alpha=0.5)')
    """
    bound = get(activation)
    return bind_values(bound.spec, (), dict(bound.changed) | hyperparameters)


def _from_call(call: spec_text.Call) -> Activation:
    spec = catalogue.get(call.name)
    if spec is None:
        return _from_alias(call)

    def value(v: spec_text.Value) -> Hyperparameter:
        return _from_call(v) if isinstance(v, spec_text.Call) else v

    kwargs = {k: value(v) for k, v in call.kwargs}
    return bind_values(spec, tuple(map(value, call.args)), kwargs)


def _from_alias(call: spec_text.Call) -> Activation:
    """By the name that another library has for it."""
    check_ambiguous(call.name)
    if call.name not in aliases():
        raise unknown("activation", call.name, [*catalogue, *aliases()])
    target = spec_text.parse(aliases()[call.name])
    if target.args or target.kwargs:
        if call.args or call.kwargs:
            raise InputError(f"{call.name} takes no hyperparameters; change those of {target}")
        return _from_call(target)
    return _from_call(spec_text.Call(target.name, call.args, call.kwargs))


def bind_values(spec: Spec, args: Sequence[object], kwargs: Mapping[str, object]) -> Activation:
    allowed = list(spec.hyperparameters)
    for key in kwargs:
        if key not in allowed:
            raise InputError(
                f"{spec.name} has no hyperparameter {key!r}{hint(nearest(key, allowed))} "
                f"It takes: {', '.join(allowed) or 'none'}"
            )
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    in_order = [k for k, p in spec.hyperparameters.items() if p.kind is not keyword_only]
    if len(args) > len(in_order):
        raise InputError(
            f"{spec.name} takes {len(in_order)} hyperparameters ({', '.join(in_order) or 'none'}) "
            f"by position, not {len(args)}"
        )
    positional = dict(zip(in_order, args, strict=False))
    for key in positional.keys() & kwargs.keys():
        raise InputError(f"{spec.name} is given {key} twice")
    values = positional | dict(kwargs)
    changed = []
    for name, parameter in spec.hyperparameters.items():
        if name not in values and parameter.default is inspect.Parameter.empty:
            raise InputError(f"{spec.name} needs {name}, as in {spec.name}(relu)")
        if name in values:
            value = _checked_value(spec, parameter, values[name])
            if value != parameter.default:
                changed.append((name, value))
    check_domain(spec, dict(changed))
    return Activation(spec, tuple(changed))


def _checked_value(spec: Spec, parameter: inspect.Parameter, value: object) -> Hyperparameter:
    if takes_activation(parameter):
        if isinstance(spec_text.plain(value), bool | int | float):
            raise InputError(
                f"{spec.name} needs an activation as {parameter.name}, not {value_text(value)}"
            )
        return _checked_inner(spec, get(cast("Activation", value)))  # get refuses other types
    return checked_number(spec, parameter, value)


def _checked_inner(spec: Spec, inner: Activation) -> Activation:
    if inner.spec.coupled:
        raise InputError(
            f"{spec.name} needs a pointwise activation, not {inner}, each of whose outputs depends "
            "on several inputs"
        )
    if spec.fixed and inner.learned:
        raise InputError(
            f"{spec.name} needs an activation without learned parameters; {inner} learns "
            f"{', '.join(inner.learned)}"
        )
    return inner


def _by_text(activation: Activation) -> tuple[Callable[..., Activation], tuple[str]]:
    return get, (str(activation),)


copyreg.pickle(Activation, _by_text)  # a copy in another process is made from its text
