"""NNX: the same door for an activation as ``flaxact.layers`` has for Linen."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.errors import InputError

__dir__ = listing(__name__)


class ActivationParam(nnx.Param):
    """What an activation learns. Not for weight decay: ``nnx.Not(ActivationParam)``."""


class Act(nnx.Module):
    """A site of an activation in an NNX module, which owns what the activation learns.

    Within ``nnx.capture`` it tells what it gets and gives as "input" and "output", ``nnx.Intermediate``s,
    and takes a "gradient", an ``nnx.Perturbation``.

    >>> Act("relu")(jax.numpy.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    >>> Act("prelu", width=2)(jax.numpy.array([-1.0, 2.0]))
    Array([-0.25,  2.  ], dtype=float32)
    """

    def __init__(
        self, act: Activation | str, width: int | None = None, *, rngs: nnx.Rngs | None = None
    ):
        """Make the site.

        Args:
          act: an ``Activation``, a name or a spec text.
          width: channels of the input, the last axis; needed where the activation learns.
          rngs: streams: "params" for an activation that draws its weights, "activation" for one that
            is random in training.

        Raises:
          InputError: an activation that learns without a width, or that is random without ``rngs``.
        """
        self.act = get(act)
        self.deterministic = False  # set by module.train() and module.eval()
        self.learned = nnx.data({})
        if self.act.learned:
            if width is None:
                raise InputError(
                    f"{self.act} learns {', '.join(self.act.learned)}: give Act the width of its input"
                )
            parameters = self.act.parameters(width, rngs.params() if rngs else None)
            self.learned = nnx.data(jax.tree.map(ActivationParam, parameters))
        if self.act.stochastic:
            if rngs is None:
                raise InputError(f"{self.act} is random in training: give Act rngs")
            self.rngs = rngs["activation"].fork() if "activation" in rngs else rngs.default.fork()

    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation: any shape, channels last, floating dtype."""
        draws = self.act.stochastic and not self.deterministic
        y = self.act(x, key=self.rngs() if draws else None, **values(self.learned))
        if hasattr(self, "__captures__"):  # else sow and perturb would keep arrays in the module
            self.sow(nnx.Intermediate, "input", x)
            y = self.perturb("gradient", y)
            self.sow(nnx.Intermediate, "output", y)
        return y


def values(learned: dict[str, Any]) -> dict[str, Any]:
    """What an ``Act`` has learned, as arrays."""
    is_param = lambda leaf: isinstance(leaf, ActivationParam)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf[...], learned, is_leaf=is_param)
