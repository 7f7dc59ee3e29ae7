"""The one layer by which an activation enters a Linen net."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.activations import Activation, get

LEARNED = (
    "activation"  # the name of an Act's parameter, and of the random stream that it draws from
)
HYPERPARAMETERS = "hyperparameters"  # the collection of hyperparameters that are arrays


class Act(nn.Module):
    """A named site of an activation. Models apply activations only through it.

    What the activation learns is the site's parameter "activation", a dictionary. One that is random
    in training draws from the stream "activation", where ``apply`` is given one (``rngs={"activation":
    key}``), and else does what it does in testing. What the collection "hyperparameters" holds for the
    site stands in for the numbers that the activation was made with. The output is sown, so that a probe
    can read every site of any model that uses it; where nobody asks for intermediates this costs nothing.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([-1.0, 2.0])
    >>> Act("relu").apply({}, x)
    Array([0., 2.], dtype=float32)
    >>> Act("prelu").init(jax.random.key(0), x)["params"]
    {'activation': {'negative_slope': Array([0.25, 0.25], dtype=float32)}}
    """

    act: Activation | str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation: any shape, channels last, floating dtype.

        Raises:
          InputError: a width that the activation cannot take.
        """
        act = get(self.act)
        learned = {}
        if act.learned:
            learned = self.param(LEARNED, lambda key: act.parameters(x.shape[-1], key))
        draws = act.stochastic and self.has_rng(LEARNED)
        key = self.make_rng(LEARNED) if draws else None
        y = act(x, key=key, **learned, **self.variables.get(HYPERPARAMETERS, {}))
        self.sow("intermediates", "output", y)
        return y
