"""The recipe of a training as a value that TOML can store. Does not import jax."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Callable
from typing import Any, Literal, get_args

from flaxact.data.augment import catalogue as augmentations
from flaxact.data.options import bound
from flaxact.data.preprocess import catalogue as preprocessings
from flaxact.data.views import catalogue as views_of_images
from flaxact.errors import InputError, unknown
from flaxact.spec_text import checked, parse, value_text

Optimizer = Literal["sgd", "nesterov", "cuda_convnet", "adam", "adamw", "lion"]
Schedule = Literal["constant", "cosine", "steps", "plateau"]
Precision = Literal["float32", "bfloat16"]
OPTIMIZERS = get_args(Optimizer)
SCHEDULES = get_args(Schedule)
PRECISIONS = get_args(Precision)
ALWAYS = 6  # so many fields are always part of what a run is named by


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a net is trained on the mean cross-entropy of a batch.

    Attributes:
      epochs: passes over the training images. The last batch is dropped if it is not full.
      batch_size: images per step.
      learning_rate: the rate that the schedule's factor multiplies.
      momentum: decay of the velocity; the first beta of adam, adamw and lion; 0 for none.
      weight_decay: coefficient of L2 decay on kernels, added to the gradient; adamw and lion add it
        to the step, before the learning rate. Biases, normalization parameters and learned
        activation parameters don't decay.
      schedule: ``constant``; ``cosine``, down to zero at the end; ``steps``, which multiplies by
        ``decay_factor`` at each milestone; or ``plateau``, which multiplies by it when the mean
        training loss of an epoch has not improved on the best by 1 part in 10,000 for ``patience``
        epochs.
      optimizer: one of OPTIMIZERS; ``make_optimizer`` states their equations.
      milestones: milestones of ``steps``, in epochs; empty for 80% and 90% of the steps.
      decay_factor: decay factor of ``steps`` and ``plateau``.
      patience: patience of ``plateau``, in epochs.
      warmup_epochs: length of the linear warm-up, for every schedule.
      label_smoothing: share of the target that is spread evenly over the classes.
      gradient_clip: largest global norm of the gradient; None for no clipping.
      precision: dtype in which the net computes, ``float32`` or ``bfloat16``; parameters stay
        float32.
      activation_l1: weight of an L1 penalty on the activations' outputs, summed over units and
        averaged over examples.
      augment: random changes of the training images at every step, such as ``crop(padding=4)``.
      preprocess: changes made once to all images, such as ``gcn``.
      views: the crops of a test image whose predictions are averaged, such as ``ten(24)``; empty
        for the image itself.
      beta2: decay of the second moment in adam, and of the update's moment in adamw and lion; None
        for the default of their papers.
      target_error: stop after the first epoch at which every seed's mean training error, a
        fraction, is at or below this; None to train for all ``epochs``.
      max_seconds: stop after the first epoch that ends later than this, in seconds of wall-clock
        time; None to train for all ``epochs``.

    Raises:
      InputError: a value of another type or out of its range, or an unknown name.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    optimizer: Optimizer = "sgd"
    milestones: tuple[float, ...] = ()
    decay_factor: float = 0.1
    patience: int = 10
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    precision: Precision = "float32"
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
                raise InputError(f"{name} must be {allowed}, not {value_text(value)}")
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
        r"""Read a recipe from TOML texts with one field per line; omitted fields take their defaults.

        Later texts override earlier ones.

        Raises:
          InputError: the text is not TOML, names an unknown field, or gives a value that a recipe
            refuses.

        >>> Recipe.from_toml('epochs = 3\nschedule = "cosine"') == Recipe(epochs=3, schedule="cosine")
        True
        """
        return cls(**fields_in(*texts))

    def to_toml(self) -> str:
        """The TOML text that ``from_toml`` reads, with every field that is not None.

        >>> print(Recipe(augment=("crop(padding=4)", "flip")).to_toml())
        epochs = 10
        batch_size = 128
        ...
        augment = ["crop(padding=4)", "flip"]
        ...
        """
        values = {name: value for name, value in vars(self).items() if value is not None}
        # Of such values JSON's notation is TOML's too.
        lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items()]
        return "\n".join(lines) + "\n"

    def changed(self) -> dict[str, FieldValue]:
        """The first six fields, and every other field that differs from its default.

        Runs are identified by these, so a field that is added later does not change the names of
        old runs.
        """
        fields = dataclasses.fields(self)
        names = [
            field.name
            for i, field in enumerate(fields)
            if i < ALWAYS or getattr(self, field.name) != field.default
        ]
        return {name: getattr(self, name) for name in names}


def fields_in(*texts: str) -> dict[str, Any]:
    """The fields of a recipe in TOML texts; later texts override earlier ones.

    Raises:
      InputError: the text is not TOML, or names an unknown field.

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
    names = [field.name for field in dataclasses.fields(Recipe)]
    for name in fields:
        if name not in names:
            raise unknown("field of a recipe", name, names)
    return fields


FieldValue = str | float | tuple[str | float, ...] | None
_Range = tuple[Callable[..., bool], str]
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
_KINDS = {
    "int": int,
    "float": float,
    **dict.fromkeys(("str", "Optimizer", "Schedule", "Precision"), str),
}
_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS}
_SPECS = {  # the field: what an entry is called, and the entries by name
    "augment": ("augmentation", augmentations),
    "preprocess": ("preprocessing", preprocessings),
    "views": ("view", views_of_images),
}


def _typed(name: str, value: Any, declared: str) -> Any:
    """A field's value in its declared type; spec texts in their canonical form."""
    if declared.endswith(" | None"):
        return None if value is None else _typed(name, value, declared.removesuffix(" | None"))
    if declared.startswith("tuple"):
        if not isinstance(value, tuple | list):
            raise InputError(f"{name} must be a list, not {value_text(value)}")
        kind = declared.removeprefix("tuple[").removesuffix(", ...]")
        return tuple(_typed(f"each of {name}", item, kind) for item in value)
    value = checked(f"{name} must be {{}}", value, _KINDS[declared])
    is_spec = name.removeprefix("each of ") in _SPECS and (value or name != "views")
    return str(parse(value)) if is_spec else value
