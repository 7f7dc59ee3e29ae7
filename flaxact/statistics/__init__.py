"""The statistics that results are reported with: intervals, paired comparisons, tests over tasks."""

from flaxact._lazy import listing
from flaxact.statistics.intervals import (
    Crossing,
    Interval,
    contrast_interval,
    crossing,
    difference_interval,
    first_crossing,
    geometric_interval,
    mean_interval,
    median_interval,
    mixed_slope,
    ratio_interval,
    ratio_of_medians,
    share_interval,
)
from flaxact.statistics.paired import (
    Paired,
    anytime_interval,
    anytime_p_value,
    compare_paired,
    hedges_g,
    holm,
    improvement_probability,
    needed_pairs,
    not_told_apart,
    paired_p_value,
)
from flaxact.statistics.ranks import (
    Friedman,
    critical_difference,
    friedman,
    mean_ranks,
    task_ranks,
    within,
)

__all__ = [
    "Crossing", "Friedman", "Interval", "Paired", "anytime_interval", "anytime_p_value",
    "compare_paired", "contrast_interval", "critical_difference", "crossing", "difference_interval",
    "first_crossing", "friedman", "geometric_interval", "hedges_g", "holm",
    "improvement_probability", "mean_interval", "mean_ranks", "median_interval", "mixed_slope",
    "needed_pairs", "not_told_apart", "paired_p_value", "ratio_interval", "ratio_of_medians",
    "share_interval", "task_ranks", "within",
]  # fmt: skip
__dir__ = listing(__name__)
