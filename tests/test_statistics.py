import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from flaxact.statistics import Interval, first_crossing, mean_interval, ratio_of_medians

values = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(values)
def test_interval_is_scipys(sample):
    assume(np.std(sample) > 1e-6)
    interval = mean_interval(sample, 0.9)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    assert interval.mean == pytest.approx(np.mean(sample), abs=1e-9)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(5, 2, 3)) for _ in range(2000)]
    assert np.mean([i.low <= 5 <= i.high for i in intervals]) == pytest.approx(0.95, abs=0.015)


def test_one_value_says_nothing_of_spread():
    interval = mean_interval([0.3])
    assert interval.mean == 0.3
    assert math.isnan(interval.low)
    assert interval.overlaps(Interval(9.0, 8.0, 10.0))


def test_overlap():
    assert Interval(1, 0, 2).overlaps(Interval(2, 2, 3))
    assert not Interval(1, 0, 2).overlaps(Interval(3, 2.1, 4))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1))
def test_first_crossing(curve, target):
    crossing = first_crossing(curve, target)
    below = [i for i, value in enumerate(curve, 1) if value <= target]
    if not below:
        assert crossing is None
        return
    assert below[0] - 1 <= crossing <= below[0]
    if below[0] > 1:
        at = np.interp(
            crossing, [below[0] - 1, below[0]], [curve[below[0] - 2], curve[below[0] - 1]]
        )
        assert at == pytest.approx(target, abs=1e-9)


def test_diverged_epochs_cross_nothing():
    assert first_crossing([None, None], 0.5) is None
    assert first_crossing([0.9, None, 0.4], 0.5) == 3.0


@given(values, st.floats(0.1, 10))
def test_ratio_of_medians_scales(sample, factor):
    assume(abs(np.median(sample)) > 1e-3)
    assert ratio_of_medians([factor * v for v in sample], sample) == pytest.approx(factor)
