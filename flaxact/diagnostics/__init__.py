"""Diagnostics: measure a net's activations site by site, to see why one trains better than another."""

from typing import TYPE_CHECKING

from flaxact._lazy import attach
from flaxact.diagnostics.capture import Captured, Site, capture
from flaxact.diagnostics.measures import measure
from flaxact.diagnostics.probe import make_probe, probe

if TYPE_CHECKING:
    from flaxact.diagnostics import (
        isometry,
        maps,
        measures,
        network,
        nnx,
        pictures,
        predict,
        record,
    )

__all__ = [
    "Captured", "Site", "capture", "isometry", "make_probe", "maps", "measure", "measures", "network",
    "nnx", "pictures", "predict", "probe", "record",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
