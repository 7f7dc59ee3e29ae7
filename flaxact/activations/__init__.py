"""Activations as plain functions, each with declared facts such as its range and kinks.

Each public file of this package is a family of activations, and each activation is one definition
in it. There is no list of names to edit.
"""

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

from flaxact.activations import _spec
from flaxact.activations._define import activation
from flaxact.activations._describe import cite, describe
from flaxact.activations._get import bind, get
from flaxact.activations._libraries import aliases
from flaxact.activations._names import names
from flaxact.activations._spec import Activation, Spec
from flaxact.errors import hint, nearest

if TYPE_CHECKING:  # for editors and type checkers, which cannot see what is found below
    from flaxact.activations.approximators import *  # noqa: F403
    from flaxact.activations.basis_sums import *  # noqa: F403
    from flaxact.activations.bounded_gates import *  # noqa: F403
    from flaxact.activations.combinations import *  # noqa: F403
    from flaxact.activations.complex_valued import *  # noqa: F403
    from flaxact.activations.concatenated import *  # noqa: F403
    from flaxact.activations.coordinates import *  # noqa: F403
    from flaxact.activations.dynamic import *  # noqa: F403
    from flaxact.activations.elu_variants import *  # noqa: F403
    from flaxact.activations.gelu_variants import *  # noqa: F403
    from flaxact.activations.glu_variants import *  # noqa: F403
    from flaxact.activations.kernel_shaping import *  # noqa: F403
    from flaxact.activations.linear_above_zero import *  # noqa: F403
    from flaxact.activations.mish_variants import *  # noqa: F403
    from flaxact.activations.output_transforms import *  # noqa: F403
    from flaxact.activations.over_axis import *  # noqa: F403
    from flaxact.activations.periodic import *  # noqa: F403
    from flaxact.activations.rectified import *  # noqa: F403
    from flaxact.activations.sigmoidal import *  # noqa: F403
    from flaxact.activations.softmax_variants import *  # noqa: F403
    from flaxact.activations.softplus_variants import *  # noqa: F403
    from flaxact.activations.stochastic import *  # noqa: F403
    from flaxact.activations.surrogate import *  # noqa: F403
    from flaxact.activations.swish_variants import *  # noqa: F403
    from flaxact.activations.tanh_variants import *  # noqa: F403
    from flaxact.activations.thresholds import *  # noqa: F403
    from flaxact.activations.transforms import *  # noqa: F403
    from flaxact.activations.unbounded import *  # noqa: F403
    from flaxact.activations.winner_take_all import *  # noqa: F403

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

# pyright: reportUnsupportedDunderAll=false
__all__ = [  # noqa: PLE0604
    "Activation",
    "Spec",
    "activation",
    "bind",
    "cite",
    "describe",
    "get",
    "names",
    *names("activation"),
    *names("transform"),
]


def __getattr__(name: str) -> Any:
    spec = _spec.catalogue.get(name) or _spec.catalogue.get(aliases().get(name, ""))
    if spec is None or not spec.function.__module__.startswith(f"{__name__}."):
        close = None if name.startswith("_") else nearest(name, __all__)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message + hint(close) if close else message)
    return getattr(sys.modules[spec.function.__module__], spec.name)


def __dir__() -> list[str]:
    return sorted(__all__)
