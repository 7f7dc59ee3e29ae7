"""How a net is trained, as a value."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from flaxact.errors import InputError, unknown

if TYPE_CHECKING:
    import optax

SCHEDULES = ("constant", "cosine", "steps")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """SGD with momentum on the mean cross-entropy of a batch.

    Attributes:
      epochs: passes over the training images; a last batch that is not full is left out.
      batch_size: images a step.
      learning_rate: at the start.
      momentum: of the heavy ball; 0 for none.
      weight_decay: times a parameter, added to its gradient; not for what an activation learns.
      schedule: ``constant``; ``cosine``, to zero at the end; or ``steps``, divided by 10 after 80%
        and again after 90% of the steps.

    Raises:
      InputError: a value out of its range, or an unknown schedule.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"the learning rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, not {self.momentum}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight decay must be 0 or more, not {self.weight_decay}")
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)

    def optimizer(self, learning_rate: Any, total_steps: int) -> optax.GradientTransformation:
        """The optimiser; ``learning_rate`` may be traced, so that a sweep compiles once."""
        import optax

        from flaxact.layers import decays

        factor = {
            "constant": lambda: optax.constant_schedule(1.0),
            "cosine": lambda: optax.cosine_decay_schedule(1.0, total_steps),
            "steps": lambda: optax.piecewise_constant_schedule(
                1.0, {int(0.8 * total_steps): 0.1, int(0.9 * total_steps): 0.1}
            ),
        }[self.schedule]()
        sgd = optax.sgd(lambda count: learning_rate * factor(count), self.momentum or None)
        if not self.weight_decay:
            return sgd
        return optax.chain(optax.add_decayed_weights(self.weight_decay, decays), sgd)
