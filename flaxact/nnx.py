"""An NNX layer that applies an activation, the counterpart of ``flaxact.layers.Act``."""

from __future__ import annotations

from typing import TypeVar

import jax
from flax import nnx

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.errors import InputError

__dir__ = listing(__name__)


class ActivationParam(nnx.Param):
    """A learned activation parameter. Exclude it from weight decay: ``nnx.Not(ActivationParam)``."""


Learned = TypeVar("Learned")  # a tree of parameters


class Act(nnx.Module):
    """A site of an activation in an NNX module; holds the activation's learned parameters.

    Within ``nnx.capture`` it records its input and output as ``nnx.Intermediate`` "input" and
    "output", and takes an ``nnx.Perturbation`` "gradient".

    >>> Act("relu")(jax.numpy.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    >>> Act("prelu", width=2)(jax.numpy.array([-1.0, 2.0]))
    Array([-0.25,  2.  ], dtype=float32)
    """

    def __init__(
        self, act: Activation | str, width: int | None = None, *, rngs: nnx.Rngs | None = None
    ):
        """Create the site.

        Args:
          act: an ``Activation``, a name or a spec text.
          width: channels of the input, the last axis; required for a learned activation.
          rngs: streams: "params" for an activation with random initial weights, "activation" for
            one that is random in training.

        Raises:
          InputError: a learned activation without a width, or a random one without ``rngs``.
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
        """Apply the activation to an array of any shape and floating dtype, channels last."""
        draws = self.act.stochastic and not self.deterministic
        y = self.act(x, key=self.rngs() if draws else None, **values(self.learned))
        if hasattr(self, "__captures__"):  # else sow and perturb would keep arrays in the module
            self.sow(nnx.Intermediate, "input", x)
            y = self.perturb("gradient", y)
            self.sow(nnx.Intermediate, "output", y)
        return y


def values(learned: Learned) -> Learned:
    """The learned parameters of an ``Act``, as arrays."""
    is_param = lambda leaf: isinstance(leaf, ActivationParam)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf[...], learned, is_leaf=is_param)
