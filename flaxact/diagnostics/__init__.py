"""Diagnostics: what a net's activations look like, site by site, and why one trains better."""

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
