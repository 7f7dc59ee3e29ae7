"""Facts that are computed from an activation, and a filter over all its facts."""

from flaxact._lazy import listing
from flaxact.facts.filter import NUMBERS, YES_OR_NO, select
from flaxact.facts.functions import (
    arrays_kept,
    computed,
    lipschitz,
    moments,
    roots,
    saturation,
    symmetry,
    transcendentals,
)

__all__ = [
    "NUMBERS",
    "YES_OR_NO",
    "arrays_kept",
    "computed",
    "lipschitz",
    "moments",
    "roots",
    "saturation",
    "select",
    "symmetry",
    "transcendentals",
]
__dir__ = listing(__name__)
