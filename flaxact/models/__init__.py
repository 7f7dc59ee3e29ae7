"""The model zoo, one file per family (see ``_catalogue``), and your own registered models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import attach
from flaxact.models._catalogue import (
    families,
    family,
    input_shape,
    list_models,
    parse,
    register,
    source,
)
from flaxact.models._create import create_model, sites

if TYPE_CHECKING:  # what follows imports jax
    from flaxact.models._describe import describe, multiply_accumulates, parameters
    from flaxact.models._torchvision import load_torchvision
    from flaxact.models._zoo import ZooModel

__all__ = [
    "ZooModel", "create_model", "describe", "families", "family", "input_shape", "list_models",
    "load_torchvision", "multiply_accumulates", "parameters", "parse", "register", "sites", "source",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
