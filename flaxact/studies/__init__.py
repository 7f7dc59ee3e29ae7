"""A study: a grid of activations, learning rates and seeds, run, stored and reported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flaxact.studies.study import Study

if TYPE_CHECKING:
    from flaxact.studies.report import write_report
    from flaxact.studies.runs import Progress, check, finished, missing, run

_HOME: dict[str, str] = {
    **dict.fromkeys(("Progress", "check", "finished", "missing", "run"), "runs"),
    "write_report": "report",
}
__all__ = ["Progress", "Study", "check", "finished", "missing", "run", "write_report"]


def __getattr__(name: str) -> Any:
    # A study can be checked without jax; running it imports jax, reporting it matplotlib.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
