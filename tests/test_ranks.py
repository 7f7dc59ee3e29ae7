"""Ranks over tasks: published quantiles, SciPy's Friedman test, and its error rate."""

import math

import numpy as np
import pytest
from scipy import stats

from flaxact.statistics import critical_difference, friedman, mean_ranks, task_ranks, within

# Demšar (2006), table 5 (a): critical values of the two-tailed Nemenyi test at 0.05.
Q = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize("methods", [2, 5, 10])
def test_the_critical_difference_has_the_published_quantiles(methods):
    expected = Q[methods] * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=2e-3)


def test_friedmans_statistic_is_scipys_and_ties_share_a_rank():
    table = np.random.default_rng(0).integers(0, 5, (9, 4)) / 10
    result = friedman(table)
    assert result.statistic == pytest.approx(stats.friedmanchisquare(*table.T).statistic)
    assert np.sum(task_ranks(table), axis=1) == pytest.approx(np.full(9, 10.0))
    assert sum(mean_ranks(table)) == pytest.approx(10.0)


def test_demsars_example():
    """Section 3.2.3: four classifiers on 14 data sets, mean ranks 3.143, 2.000, 2.893 and 1.964."""
    ranks = [3.143, 2.000, 2.893, 1.964]
    chi = 12 * 14 / (4 * 5) * (sum(r**2 for r in ranks) - 4 * 25 / 4)
    assert chi == pytest.approx(9.28, abs=0.02)
    assert critical_difference(4, 14, 0.1) == pytest.approx(1.12, abs=0.01)
    groups = within(ranks, critical_difference(4, 14, 0.1))
    assert groups == [(3, 1, 2), (2, 0)]


def test_what_has_no_test():
    assert friedman([[1.0, 2.0]] * 5) is None
    assert friedman([[1.0, 2.0, 3.0]]) is None
    assert friedman([[1.0, 1.0, 1.0]] * 3) is None
    assert friedman([[1.0, 2.0, 3.0]] * 3).p_value == 0.0


@pytest.mark.slow
def test_friedman_errs_as_seldom_as_it_says():
    tables = np.random.default_rng(1).normal(size=(2000, 12, 5))
    wrong = [friedman(table).p_value <= 0.05 for table in tables]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.015)
