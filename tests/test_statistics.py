import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from flaxact.reproduction.comparisons import speedup
from flaxact.statistics import (
    Crossing,
    Interval,
    contrast_interval,
    crossing,
    difference_interval,
    first_crossing,
    mean_interval,
    mixed_slope,
    ratio_interval,
    ratio_of_medians,
    share_interval,
)

values = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(values)
def test_interval_is_scipys(sample):
    assume(np.std(sample) > 1e-6)
    interval = mean_interval(sample, 0.9)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    assert interval.mean == pytest.approx(np.mean(sample), abs=1e-9)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.thorough
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


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20),
    st.floats(0.01, 1),
    st.floats(0.1, 2),
)
def test_a_crossing_lies_between_the_records_around_it(values, target, spacing):
    points = [(spacing * (i + 0.5), value) for i, value in enumerate(values)]
    reached = crossing(points, target)
    below = [i for i, (_, value) in enumerate(points) if value is not None and value <= target]
    if not below:
        assert reached.high == math.inf
        assert reached.low == (points[-1][0] if points else 0)
        return
    first = below[0]
    assert reached.high <= points[first][0]
    if first == 0:
        assert reached == Crossing(0.0, points[0][0])
    elif points[first - 1][1] is None:
        assert reached == Crossing(points[first - 1][0], points[first][0])
    else:
        assert reached.exact
        assert points[first - 1][0] <= reached.low <= points[first][0]


@given(values, values, st.floats(0.5, 0.999))
def test_welchs_interval_is_scipys(one, other, level):
    assume(min(np.std(one), np.std(other)) > 1e-3)
    interval = difference_interval(one, other, level)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert contrast_interval([one, other], [1, -1], level) == interval


@given(values, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_an_interval_knows_itself_at_other_levels(sample, level, other):
    assume(np.std(sample) > 1e-3)
    interval = mean_interval(sample, level)
    assert interval.at_level(other) == mean_interval(sample, other)
    clipped = interval.clipped(-1, 1)
    assert clipped.at_level(other) == mean_interval(sample, other).clipped(-1, 1)
    assert clipped.level == level


@given(st.integers(1, 50), st.data())
def test_a_share_lies_in_its_interval(of, draw):
    count = draw.draw(st.integers(0, of))
    interval = share_interval(count, of)
    assert 0 <= interval.low <= count / of <= interval.high <= 1
    assert interval.low < interval.high  # also where all seeds agree


@pytest.mark.thorough
def test_a_bound_from_extremes_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        slow = rng.lognormal(2, 0.3, 4)
        fast = rng.lognormal(0, 0.3, 4)
        cap = np.sort(slow)[-2]  # one seed is censored
        times = [Crossing(min(t, cap), t if t <= cap else math.inf) for t in slow]
        ratio = speedup(times, [Crossing(t, t) for t in fast])
        assert ratio.level == 1 - 2 * 0.5**4
        covered.append(ratio.low <= math.exp(2))
    assert np.mean(covered) >= 0.875


@pytest.mark.thorough
def test_a_ratios_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    actual = [
        ratio_interval(rng.lognormal(1, 0.1, 5), rng.lognormal(0, 0.3, 5)) for _ in range(2000)
    ]
    share = np.mean([interval.low <= math.e <= interval.high for interval in actual])
    assert share == pytest.approx(0.95, abs=0.015)


@pytest.mark.thorough
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.5])
def test_a_mixed_slope_covers_at_least_as_often_as_it_says(spread):
    """On the design of data_size: three draws at three sizes, one draw at three more."""
    rng = np.random.default_rng(2)
    x = np.log([1563, 3125, 6250] * 3 + [12500, 25000, 50000])
    groups = np.array([0] * 3 + [1] * 3 + [2] * 3 + [0] * 3)
    covered = []
    for _ in range(400):
        draws = rng.normal(0, spread, 3)[groups]
        y = 0.4 * x + draws + rng.normal(0, 0.1, len(x))
        slope, _ = mixed_slope(x - 9, y, groups)
        covered.append(slope.low <= 0.4 <= slope.high)
    assert np.mean(covered) >= 0.92
