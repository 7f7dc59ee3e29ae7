"""Create models of the catalogue by name, with an activation at every site."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from flaxact import spec_text
from flaxact.activations import Activation, get
from flaxact.errors import InputError, hint, nearest, unknown
from flaxact.models._arguments import CHOICES
from flaxact.models._catalogue import Argument, ModelEntry, entry, parse

if TYPE_CHECKING:
    import jax
    from flax import linen, nnx
    from flax.typing import VariableDict

    from flaxact.models._sites import Sites

Acts = str | Activation | Mapping[str, str | Activation]


@overload
def create_model(
    text: str,
    act: Acts,
    *,
    num_classes: int | None = None,
    api: Literal["linen"] = "linen",
    rngs: nnx.Rngs | None = None,
    **arguments: Argument | None,
) -> linen.Module: ...


@overload
def create_model(
    text: str,
    act: Acts,
    *,
    num_classes: int | None = None,
    api: Literal["nnx"],
    rngs: nnx.Rngs | None = None,
    **arguments: Argument | None,
) -> nnx.bridge.ToNNX: ...


def create_model(
    text: str,
    act: Acts,
    *,
    num_classes: int | None = None,
    api: Literal["linen", "nnx"] = "linen",
    rngs: nnx.Rngs | None = None,
    **arguments: Argument | None,
) -> linen.Module | nnx.bridge.ToNNX:
    """Create a model of the zoo with an activation at every site.

    Args:
      text: a name from ``list_models``, or a spec text with arguments: ``cuda_convnet(width=0.5)``.
      act: what ``flaxact.get`` takes, for every site; or a mapping from patterns of site names to
        such values. The first pattern that matches a site is used: ``{"act1": "tanh", "*":
        "relu"}``.
      num_classes: number of logits; None for the published number.
      api: ``linen``, or ``nnx`` for an NNX module through Flax's bridge, to be initialized with
        ``lazy_init(images)``. With batch normalization, a training pass through the bridge is
        ``model(images, train=True, mutable=["batch_stats"])``, which updates the running averages.
      rngs: ``nnx.Rngs`` for ``api="nnx"``; the default has seed 0.
      arguments: further arguments of the model, which override those in the spec text.

    Returns:
      A Linen module, called with images (batch, height, width, channels), pixels from 0 to 255, and
      ``train``; or an NNX module of it.

    Raises:
      InputError: an unknown model, activation, argument or choice, a value of the wrong type, or a
        pattern that matches no site.

    >>> create_model("cuda_convnet(variant=18pct)", "relu", norm="batch").norm
    'batch'
    """
    if api not in ("linen", "nnx"):
        raise unknown("api", str(api), ("linen", "nnx"))
    catalogued = entry(text)
    values = chosen_arguments(text, arguments)
    if num_classes is not None:
        values["num_classes"] = _checked(parse(text).name, "num_classes", num_classes, 10)
    model = catalogued.loaded()(act=_applicable(_acts(act), catalogued), **values)
    if catalogued.make is not None:
        _check_linen(parse(text).name, model)
    if isinstance(act, Mapping):
        _check_patterns(parse(text).name, model, act, catalogued.input_shape)
    if api == "linen":
        return model
    from flax import nnx

    return nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0) if rngs is None else rngs)


def choices(model: ModelEntry) -> dict[str, tuple[Argument, ...]]:
    """The allowed values of a model's arguments, for the arguments that have a fixed list."""
    of_the_zoo = model.file or hasattr(model.make, "activate")
    return (CHOICES if of_the_zoo else {}) | dict(model.choices)


def chosen_arguments(
    text: str, arguments: Mapping[str, Argument | None] | None = None
) -> dict[str, Argument | None]:
    """The checked arguments of a model, from a spec text and further arguments."""
    call = parse(text)
    catalogued = entry(text)
    allowed = catalogued.arguments()
    listed = choices(catalogued)
    values: dict[str, Argument | None] = dict(catalogued.preset)
    for name, value in (dict(call.kwargs) | dict(arguments or {})).items():
        if name not in allowed:
            raise InputError(
                f"{call.name} has no argument {name!r}{hint(nearest(name, allowed))} "
                f"It takes: {', '.join(allowed) or 'none'}"
            )
        least = 1e-9 if catalogued.file or name == "width" else -math.inf
        values[name] = _checked(call.name, name, value, allowed[name].default, least=least)
        if name in listed and values[name] not in listed[name]:
            raise _not_a_choice(call.name, name, values[name], listed[name])
    return values


def sites(model: linen.Module, shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    """The sites of a Linen model in call order, with their output shapes for one image.

    Args:
      model: from ``create_model``.
      shape: shape of an image: (height, width, channels).

    >>> sites(create_model("cuda_convnet", "relu"), (32, 32, 3))["act1"]
    (16, 16, 32)
    """
    import jax
    from flax.traverse_util import flatten_dict

    def outputs(key: jax.Array) -> VariableDict:
        images = jax.numpy.zeros((2, *shape), jax.numpy.uint8)
        variables = model.init(key, images)
        updates = model.apply(variables, images, mutable=["intermediates"])[1]
        return updates["intermediates"] if updates else {}

    shapes = flatten_dict(jax.eval_shape(outputs, jax.random.key(0)))
    sown = cast("dict[tuple[str, ...], tuple[jax.ShapeDtypeStruct]]", shapes)
    return {"/".join(p[:-1]): v[0].shape[1:] for p, v in sown.items() if p[-1] == "output"}


def _acts(act: Acts) -> Activation | Sites:
    if not isinstance(act, Mapping):
        return get(act)
    from flaxact.models._sites import Sites

    if not act:
        raise InputError("a mapping of activations needs at least one pattern, such as '*'")
    return Sites(tuple((str(pattern), get(value)) for pattern, value in act.items()))


def _applicable(act: Activation | Sites, catalogued: ModelEntry) -> Activation | Sites:
    """For a net of a user's own, an activation that it may also call as a function."""
    make = catalogued.make
    if not isinstance(act, Activation) or make is None or hasattr(make, "activate"):
        return act
    from flaxact.layers.act import CalledSite

    return CalledSite(act.spec, act.changed)


def _check_linen(name: str, model: object) -> None:
    from flax import linen

    if not isinstance(model, linen.Module):
        raise InputError(
            f"the model {name!r} is a {type(model).__name__}; it must be a Linen module"
        )


def _check_patterns(
    name: str, model: linen.Module, act: Mapping[str, str | Activation], shape: tuple[int, int, int]
) -> None:
    if not hasattr(model, "activate"):
        raise InputError(
            f"{name} takes one activation for all its sites; to choose by site, inherit "
            "flaxact.models.ZooModel and apply each activation as self.activate(x, name, "
            "train=train)"
        )
    site_names = tuple(sites(model, shape))
    for pattern in act:
        if not fnmatch.filter(site_names, pattern):
            raise unknown("site", pattern, site_names)


def _not_a_choice(
    model: str, name: str, value: Argument | None, allowed: Sequence[Argument]
) -> InputError:
    if all(isinstance(v, str) for v in allowed):
        return unknown(f"{name} of {model}", str(value), map(str, allowed))
    return InputError(f"{model} has no {name} {value}; allowed: {', '.join(map(str, allowed))}")


def _checked(
    model: str, name: str, value: Any, default: Argument | None, least: float = 1e-9
) -> Argument | None:
    """An argument's value, checked to be of the type of its default."""
    kind = float if default is None else type(default)
    if value is None and (default is None or kind is str):
        return None if default is None else "none"
    value = str(value) if kind is str and isinstance(value, spec_text.Call) else value
    above = " from 0 to 1" if name == "dropout" else " above 0" if least > 0 else ""
    requirement = f"{model} needs {{}}{above if kind in (int, float) else ''} as {name}"
    value = spec_text.checked(requirement, value, kind)
    low, high = (0, 1) if name == "dropout" else (least, math.inf)
    if kind in (int, float) and not low <= value < high:
        expected = requirement.replace("{}", spec_text.TYPE_NAMES[kind])
        raise InputError(f"{expected}, not {spec_text.value_text(value)}")
    return value
