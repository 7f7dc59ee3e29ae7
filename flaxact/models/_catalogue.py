"""The catalogue of models, read without importing them.

A file of the zoo holds ``Model``, a Linen module (see ``_zoo.ZooModel``), and literals that are
read without importing the file: ``SOURCE``, its key in ``references.bib``; ``INPUT``, the shape of
the images it was published for; ``FAMILY``; optionally ``PRESETS``, further names with the
arguments that they stand for; and ``CHOICES``, the allowed values by argument. If presets differ,
``SOURCE`` and ``INPUT`` are dictionaries by name, with ``"*"`` for the rest.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flaxact import _own_code, spec_text
from flaxact.activations._describe import check_source
from flaxact.errors import InputError, unknown

if TYPE_CHECKING:
    from flax import linen

Make = TypeVar("Make", bound=Callable[..., "linen.Module"])
Fact = TypeVar("Fact")
Argument = bool | int | float | str  # of a model's argument
LITERALS = ("SOURCE", "INPUT", "FAMILY", "PRESETS", "CHOICES")
own: dict[str, ModelEntry] = {}  # filled by @register
paths: list[str] = []  # of models that were named as package.module:Net
_PATH = re.compile(r"(?P<module>[\w./~-]+):(?P<name>\w+)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)
_SHAPE = (32, 32, 3)  # of the images of a model of which nothing is known


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """An entry of the catalogue of models.

    Attributes:
      file: module name in the zoo; empty for a user's own model.
      make: the function or class of a user's own model; None for a file of the zoo, which is imported
        on use.
      source: key in ``references.bib``, or a text.
      input_shape: height, width and channels of the images that it was published for.
      family: the model's family, one of ``families``.
      preset: the arguments that the name implies.
      choices: the allowed values by argument.
    """

    file: str = ""
    make: Callable[..., linen.Module] | None = None
    source: str
    input_shape: tuple[int, int, int]
    family: str
    preset: Mapping[str, Argument] = field(default_factory=dict)
    choices: Mapping[str, tuple[Argument, ...]] = field(default_factory=dict)

    def loaded(self) -> Callable[..., linen.Module]:
        """The function or module class that creates the model."""
        return self.make or importlib.import_module(f"flaxact.models.{self.file}").Model

    def arguments(self) -> dict[str, inspect.Parameter]:
        """The arguments of the model besides the activation and the number of classes."""
        parameters = inspect.signature(self.loaded()).parameters
        left_out = ("parent", "name", "act", "num_classes")
        return {name: p for name, p in parameters.items() if name not in left_out}


def entries() -> dict[str, ModelEntry]:
    """All models by name."""
    return _zoo() | own


@functools.cache
def _zoo() -> dict[str, ModelEntry]:
    by_name = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            facts = _literals(module.name)
            missing = [name for name in LITERALS[:3] if name not in facts]
            if missing:
                raise InputError(
                    f"flaxact/models/{module.name}.py has no {' and no '.join(missing)}"
                )
            names = {module.name: {}} | facts.get("PRESETS", {})
            by_name |= {
                name: _entry(module.name, name, preset, facts) for name, preset in names.items()
            }
    return by_name


def _entry(
    file: str, name: str, preset: Mapping[str, Argument], facts: Mapping[str, Any]
) -> ModelEntry:
    def of_it(fact: Fact | dict[str, Fact]) -> Fact:
        return cast("Fact", fact.get(name, fact["*"]) if isinstance(fact, dict) else fact)

    return ModelEntry(
        file=file,
        source=of_it(facts["SOURCE"]),
        input_shape=of_it(facts["INPUT"]),
        family=facts["FAMILY"],
        preset=preset,
        choices=facts.get("CHOICES", {}),
    )


def _literals(file: str) -> dict[str, Any]:
    """The constants of a model file, read without importing it, and so without jax."""
    tree = ast.parse((Path(__file__).parent / f"{file}.py").read_text("utf-8"))
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in LITERALS
    }


def register(
    *,
    input_shape: tuple[int, int, int],
    source: str = "",
    family: str = "own",
    choices: Mapping[str, tuple[Argument, ...]] | None = None,
) -> Callable[[Make], Make]:
    """Make your own model available to ``create_model``, ``list_models`` and the command line.

    Decorates a Linen module class, or a function that returns a Linen module. It must take ``act``
    and ``num_classes``; every further argument needs a number, string or boolean as default, and
    can then be set in a spec text. A function gives the model its name; a class ``TinyNet`` becomes
    ``tiny_net``. The module applies ``act`` with ``flaxact.layers.Act``. A class that inherits
    ``flaxact.models.ZooModel`` can also have a different activation at each site, and has the zoo's
    arguments ``norm``, ``kernel_init``, ``dropout`` and ``width``.

    Args:
      input_shape: (height, width, channels) of the images that the model is meant for.
      source: key in ``references.bib``, or a text that says where the model comes from.
      family: to list it under.
      choices: the allowed values by argument.

    Raises:
      InputError: another model has the name, or an argument is missing or has no default.

    >>> from flax import linen as nn
    >>> from flaxact.layers import Act
    >>> @register(input_shape=(8, 8, 1))
    ... def tiny(act, num_classes=10, hidden=16):
    ...     return nn.Sequential([lambda x: x.reshape(len(x), -1) / 255, nn.Dense(hidden), Act(act),
    ...                           nn.Dense(num_classes)])
    >>> from flaxact.models import create_model
    >>> create_model("tiny(hidden=4)", "gelu").layers[1].features
    4
    """

    def define(make: Make) -> Make:
        name = _name(make)
        earlier = entries().get(name)
        _own_code.check_free("model", name, make, earlier and (earlier.make or register))
        check_source(source)
        own[name] = entry = ModelEntry(
            make=make, source=source, input_shape=input_shape, family=family, choices=choices or {}
        )
        try:
            _check_arguments(name, entry)
        except InputError:
            del own[name]
            raise
        return make

    return define


def _name(make: Callable[..., linen.Module]) -> str:
    name = make.__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() if inspect.isclass(make) else name


def _check_arguments(name: str, entry: ModelEntry) -> None:
    for needed in ("act", "num_classes"):
        if needed not in inspect.signature(entry.loaded()).parameters:
            raise InputError(f"the model {name!r} needs the arguments act and num_classes")
    for argument, parameter in entry.arguments().items():
        if parameter.default is parameter.empty:
            raise InputError(f"the model {name!r} needs a default for its argument {argument!r}")


def list_models(pattern: str = "*", *, family: str | None = None) -> tuple[str, ...]:
    """The names that ``create_model`` takes, in alphabetical order. Does not import jax.

    Args:
      pattern: a file-name pattern with ``*`` and ``?``.
      family: list only this family; see ``families``.

    Raises:
      InputError: an unknown family, or a pattern that matches no name.

    >>> list_models("cuda*")
    ('cuda_convnet',)
    """
    names = sorted(entries())
    if family is not None:
        if family not in families():
            raise unknown("family", family, families())
        names = [n for n in names if entries()[n].family == family]
    fitting = tuple(fnmatch.filter(names, pattern))
    if not fitting:
        raise unknown("model", pattern, names)
    return fitting


def families() -> tuple[str, ...]:
    """The families of the models.

    >>> "alexnet" in families()
    True
    """
    return tuple(sorted({entry.family for entry in entries().values()}))


def parse(text: str) -> spec_text.Call:
    """The name and arguments of a model's spec text. Does not import jax.

    ``package.module:Net``, or ``my.py:Net``, imports a Linen module class, or a function that returns a
    Linen module, and registers it.

    Raises:
      InputError: an unknown model, a text that is not a spec, or as ``register``.

    >>> str(parse("cuda_convnet(variant=18pct)"))
    'cuda_convnet(variant=18pct)'
    """
    call = spec_text.parse(_by_name(text))
    if call.name not in entries():
        raise unknown("model", call.name, entries())
    if call.args:
        raise InputError(
            f"{text!r}: write a model's arguments by name, as in cuda_convnet(width=0.5)"
        )
    return call


def _by_name(text: str) -> str:
    """A spec text with the model's name in place of its path; other texts are unchanged."""
    path = _PATH.fullmatch(text)
    if path is None:
        return text
    make = _own_code.definition(path["module"], path["name"])
    if make not in [entry.make for entry in own.values()]:
        register(input_shape=_SHAPE)(make)
    if (where := f"{path['module']}:{path['name']}") not in paths:
        paths.append(where)
    name = next(name for name, entry in own.items() if entry.make is make)
    return name + (path["arguments"] or "")


def entry(text: str) -> ModelEntry:
    """The catalogue's entry for a model's spec text."""
    name = parse(text).name  # first, as it may register the model
    return entries()[name]


def family(text: str) -> str:
    """The family of a model."""
    return entry(text).family


def source(text: str) -> str:
    """The source of a model: its paper's key in ``references.bib``, or a text."""
    return entry(text).source


def input_shape(text: str) -> tuple[int, int, int]:
    """(height, width, channels) of the images that a model was published for.

    >>> input_shape("cuda_convnet")
    (32, 32, 3)
    """
    return entry(text).input_shape
