"""flaxact: activations for JAX and Flax, and the means to ask why one trains better than another.

Every activation is a function here (``flaxact.elu(x, alpha=0.5)``); ``get("elu(alpha=0.5)")`` gives
it as a value. Importing flaxact does not import jax, and loads its parts when they are used.
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
