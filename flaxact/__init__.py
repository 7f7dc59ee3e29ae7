"""Activations for JAX and Flax, and tools to measure why a net trains better with one than another.

Every activation is a function of this package, as in ``flaxact.elu(x, alpha=0.5)``.
``get("elu(alpha=0.5)")`` returns the same activation as a hashable object. ``import flaxact`` does
not import jax; submodules are loaded on first use.
"""

from flaxact._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flaxact import (
        activations,
        data,
        diagnostics,
        errors,
        facts,
        gallery,
        initializers,
        layers,
        models,
        net,
        nnx,
        statistics,
        studies,
        theory,
        training,
    )
    from flaxact.activations import *  # noqa: F403
    from flaxact.errors import InputError

    __all__ = [  # noqa: PLE0604
        *activations.__all__, "InputError", "activations", "data", "diagnostics", "errors", "facts",
        "gallery", "initializers", "layers", "models", "net", "nnx", "statistics", "studies", "theory",
        "training",
    ]  # fmt: skip

# pyright: reportUnsupportedDunderAll=false
__version__ = "0.2.0"
__getattr__, __dir__ = attach(__name__)
