"""How a net is trained, as a value that can be written down and read again; does not import jax."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from flaxact._grammar import HUGE, parse, shown, type_names
from flaxact.data.augment import catalogue as augmentations
from flaxact.data.options import bound
from flaxact.data.preprocess import catalogue as preprocessings
from flaxact.data.views import catalogue as views_of_images
from flaxact.errors import InputError, unknown

OPTIMIZERS = ("sgd", "nesterov", "cuda_convnet", "adam", "adamw", "lion")
SCHEDULES = ("constant", "cosine", "steps", "plateau")
PRECISIONS = ("float32", "bfloat16")
ALWAYS = 6  # so many fields are always part of what a run is named by


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a net is trained on the mean cross-entropy of a batch.

    Attributes:
      epochs: passes over the training images; a last batch that is not full is left out.
      batch_size: images a step.
      learning_rate: what the schedule's factor multiplies.
      momentum: share of the velocity that is kept; the first beta of adam, adamw and lion; 0 for none.
      weight_decay: times a kernel, added to its gradient; in adamw and lion to the step, before the
        learning rate. Biases, normalisations and what an activation learns don't decay.
      schedule: ``constant``; ``cosine``, to zero at the end; ``steps``, times ``decay_factor`` at each
        milestone; ``plateau``, times it once an epoch's mean training loss has not improved on the best
        by a part in 10,000 for ``patience`` epochs.
      optimizer: one of OPTIMIZERS; their equations are at ``make_optimizer``.
      milestones: of ``steps``, in epochs; none for after 80% and again after 90% of the steps.
      decay_factor: of ``steps`` and ``plateau``.
      patience: of ``plateau``, in epochs.
      warmup_epochs: how long the learning rate rises linearly, whatever the schedule.
      label_smoothing: share of the target that is spread evenly over the classes.
      gradient_clip: largest length of the gradient of all parameters together; None for any.
      precision: what the net computes in, ``float32`` or ``bfloat16``; parameters stay in float32.
      activation_l1: weight of the sum over units, and mean over examples, of the absolute outputs of
        the activations, which is added to the loss.
      augment: what is done to training images anew each time, such as ``crop(padding=4)``.
      preprocess: what is done once to all images, such as ``gcn``.
      views: the parts of a test image whose predictions are averaged, such as ``ten(24)``; empty for
        the image.
      beta2: decay of the second average in adam, adamw and lion; None for their papers' default.
      target_error: training stops after an epoch whose mean training error, as a fraction, is down to
        this for every seed; None for after ``epochs``.
      max_seconds: training stops after an epoch that ends later than this, in seconds of wall-clock
        time; None for after ``epochs``.

    Raises:
      InputError: a value of another type or out of its range, or an unknown name.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    optimizer: str = "sgd"
    milestones: tuple[float, ...] = ()
    decay_factor: float = 0.1
    patience: int = 10
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    precision: str = "float32"
    activation_l1: float = 0.0
    augment: tuple[str, ...] = ()
    preprocess: tuple[str, ...] = ()
    views: str = ""
    beta2: float | None = None
    target_error: float | None = None
    max_seconds: float | None = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _typed(field.name, getattr(self, field.name), str(field.type))
            object.__setattr__(self, field.name, value)
        for name, (fits, allowed) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not fits(value):
                raise InputError(f"{name} must be {allowed}, not {_in_message(value)}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        for name, (kind, catalogue) in _SPECS.items():
            texts = getattr(self, name)
            for text in (texts,) if isinstance(texts, str) else texts:
                if text:
                    bound(kind, text, catalogue)

    @classmethod
    def from_toml(cls, *texts: str) -> Recipe:
        r"""The recipe that texts say, a field a line; what they leave out is as by default.

        A later text goes before an earlier one.

        Raises:
          InputError: it is not TOML, names an unknown field, or gives what a recipe cannot have.

        >>> Recipe.from_toml('epochs = 3\nschedule = "cosine"') == Recipe(epochs=3, schedule="cosine")
        True
        """
        return cls(**fields_in(*texts))

    def to_toml(self) -> str:
        """The text that ``from_toml`` reads: every field but those that are None.

        >>> print(Recipe(augment=("crop(padding=4)", "flip")).to_toml())
        epochs = 10
        batch_size = 128
        ...
        augment = ["crop(padding=4)", "flip"]
        ...
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        # Of such values JSON's notation is TOML's too.
        lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in given.items()]
        return "\n".join(lines) + "\n"

    def changed(self) -> dict[str, Any]:
        """The first six fields, and those others that are not as by default.

        A run is named by these: a field that is added later leaves the names of old runs as they are.
        """
        fields = dataclasses.fields(self)
        chosen = [
            field.name
            for i, field in enumerate(fields)
            if i < ALWAYS or getattr(self, field.name) != field.default
        ]
        return {name: getattr(self, name) for name in chosen}


def fields_in(*texts: str) -> dict[str, Any]:
    """The fields of a recipe that TOML texts say; a later text overrides an earlier one.

    Raises:
      InputError: it is not TOML, or names an unknown field.

    >>> fields_in("epochs = 3", "epochs = 5")
    {'epochs': 5}
    """
    fields: dict[str, Any] = {}
    for text in texts:
        try:
            fields |= tomllib.loads(text)
        except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
            raise InputError(f"cannot read the recipe as TOML: {error}") from None
        except RecursionError:
            raise InputError("cannot read the recipe as TOML: too many brackets") from None
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in fields:
        if name not in known:
            raise unknown("field of a recipe", name, known)
    return fields


_Range = tuple[Callable[[Any], bool], str]
_ABOVE_0: _Range = (lambda x: 0 < x < math.inf, "above 0")
_FROM_0: _Range = (lambda x: 0 <= x < math.inf, "0 or more")
_FROM_1: _Range = (lambda x: x >= 1, "1 or more")
_SHARE: _Range = (lambda x: 0 <= x < 1, "at least 0 and below 1")
_RANGES: dict[str, _Range] = {
    **dict.fromkeys(("epochs", "batch_size", "patience"), _FROM_1),
    **dict.fromkeys(("learning_rate", "gradient_clip", "max_seconds"), _ABOVE_0),
    **dict.fromkeys(("weight_decay", "warmup_epochs", "activation_l1"), _FROM_0),
    **dict.fromkeys(("momentum", "beta2", "label_smoothing", "target_error"), _SHARE),
    "decay_factor": (lambda x: 0 < x < 1, "above 0 and below 1"),
    "milestones": (
        lambda epochs: list(epochs) == sorted({e for e in epochs if 0 < e < math.inf}),
        "epochs above 0, each later than the one before",
    ),
}
_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS}
_SPECS = {  # the field: what an entry is called, and the entries by name
    "augment": ("augmentation", augmentations),
    "preprocess": ("preprocessing", preprocessings),
    "views": ("view", views_of_images),
}


def _in_message(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # a whole number of thousands of digits
        return shown(value)


def _typed(name: str, value: Any, wanted: str) -> Any:
    """A field's value as the type that it is declared with, spec texts in their usual form."""
    if wanted.endswith(" | None"):
        return None if value is None else _typed(name, value, wanted.removesuffix(" | None"))
    if wanted.startswith("tuple"):
        if not isinstance(value, tuple | list):
            raise InputError(f"{name} must be a list, not {_in_message(value)}")
        kind = wanted.removeprefix("tuple[").removesuffix(", ...]")
        return tuple(_typed(f"each of {name}", item, kind) for item in value)
    if wanted == "str" and isinstance(value, str):
        is_spec = name.removeprefix("each of ") in _SPECS and (value or name != "views")
        return str(parse(value)) if is_spec else value
    if wanted == "int" and isinstance(value, Integral) and not isinstance(value, bool):
        whole = int(value)
        if abs(whole) >= HUGE:
            raise InputError(f"{name} must be a whole number of at most 64 bits, not a huge one")
        return whole
    if wanted == "float" and isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond any float
            return math.inf
    allowed = {"str": "a text", "int": type_names[int], "float": type_names[float]}[wanted]
    raise InputError(f"{name} must be {allowed}, not {_in_message(value)}")
