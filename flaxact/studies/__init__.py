"""A study: a grid of activations, learning rates and seeds, run, stored and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import attach
from flaxact.studies.study import Study

if TYPE_CHECKING:  # a study can be checked without jax; reporting it imports matplotlib
    from flaxact.studies._fit import check
    from flaxact.studies._folder import held
    from flaxact.studies._records import EpochRecord, Results, Run
    from flaxact.studies.budgets import with_budget
    from flaxact.studies.kept import load_trained
    from flaxact.studies.notebook import compare, read_results, show_report, table
    from flaxact.studies.points import sobol_search
    from flaxact.studies.report import write_report
    from flaxact.studies.runs import (
        Progress,
        finished,
        grown,
        missing,
        resumption,
        run,
        run_held,
    )

__all__ = [
    "EpochRecord", "Progress", "Results", "Run", "Study", "check", "compare", "finished", "grown",
    "held", "load_trained", "missing", "read_results", "resumption", "run", "run_held", "show_report",
    "sobol_search", "table", "with_budget", "write_report",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
