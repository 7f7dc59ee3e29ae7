"""The layer through which a Linen model applies an activation."""

from __future__ import annotations

from typing import Any

import jax
from flax import errors
from flax import linen as nn

from flaxact.activations import Activation, get
from flaxact.errors import InputError

LEARNED = (
    "activation"  # the name of an Act's parameter, and of the random stream that it draws from
)
HYPERPARAMETERS = "hyperparameters"  # the collection of hyperparameters that are arrays


class Act(nn.Module):
    """A named site of an activation. Models apply activations only through this layer.

    Learned parameters are the site's parameter "activation", a dictionary. An activation that is
    random in training draws from the stream "activation" if ``apply`` gets one
    (``rngs={"activation": key}``); otherwise it acts as in testing. Values in the
    collection "hyperparameters" override the activation's own. The output is sown, so that a probe
    can read every site; this costs nothing unless intermediates are requested.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([-1.0, 2.0])
    >>> Act("relu").apply({}, x)
    Array([0., 2.], dtype=float32)
    >>> Act("prelu").init(jax.random.key(0), x)["params"]
    {'activation': {'negative_slope': Array([0.25, 0.25], dtype=float32)}}
    """

    act: Activation | str

    def __post_init__(self):
        if isinstance(self.act, CalledSite):
            self.act = Activation(self.act.spec, self.act.changed)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation to an array of any shape and floating dtype, channels last.

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


class CalledSite(Activation):
    """An activation that becomes an ``Act`` layer when a Linen module calls it as a function.

    So a net that calls ``self.act(x)`` in a compact method has sites that learn, draw and are probed.

    >>> import jax.numpy as jnp
    >>> act = get("prelu")
    >>> net = nn.Sequential([CalledSite(act.spec, act.changed)])
    >>> net.init(jax.random.key(0), jnp.ones(1))["params"]
    {'Act_0': {'activation': {'negative_slope': Array([0.25], dtype=float32)}}}
    """

    def __call__(self, x: jax.Array, *, key: jax.Array | None = None, **parameters: Any):
        """Apply it as an ``Act`` of the module that is being called, or outside of one as a function.

        Raises:
          InputError: the module calls it in a method without ``@nn.compact``.
        """
        if key is not None or parameters:
            return super().__call__(x, key=key, **parameters)
        try:
            return Act(self)(x)
        except errors.CallCompactUnboundModuleError:
            return super().__call__(x)
        except errors.AssignSubModuleError:
            raise InputError(
                f"the net calls {self} in a method without @nn.compact: make it one, or assign "
                "flaxact.layers.Act(self.act) in setup"
            ) from None
