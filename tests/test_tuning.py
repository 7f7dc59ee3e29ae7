"""The search over learning rates: what it trains, what it keeps, and where it widens."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxact.reproduction.tuning import Search, parabola_optimum, search

GRID = tuple(0.001 * 2**i for i in range(5))


def valley(best):
    """Scores that fall towards a rate, and a list of what was asked for."""
    asked = []

    def train(rates, epochs):
        asked.append((tuple(rates), epochs))
        return [(abs(math.log(rate / best)),) for rate in rates]

    return train, asked


@given(st.floats(0.001, 0.016))
def test_the_nearest_rate_of_the_grid_wins(best):
    train, _ = valley(best)
    tuned = search(Search(rates=GRID, rungs=(1, 3), keep=(3, 2), epochs=9, widenings=0), train)
    assert tuned.best == min(GRID, key=lambda rate: (abs(math.log(rate / best)), rate))


def test_rungs_drop_rates():
    train, asked = valley(0.004)
    tuned = search(Search(rates=GRID, rungs=(1, 3), keep=(3, 2), epochs=9, widenings=0), train)
    assert [(len(rates), epochs) for rates, epochs in asked] == [(5, 1), (3, 3), (2, 9)]
    assert sorted(tried.epochs for tried in tuned.rates) == [1, 1, 3, 9, 9]
    assert tuple(tried.rate for tried in tuned.rates) == GRID


@pytest.mark.parametrize(("best", "edge"), [(1e-6, "lowest"), (10.0, "highest")])
def test_a_grid_is_widened_at_its_edge(best, edge):
    train, _ = valley(best)
    tuned = search(Search(rates=GRID, epochs=1, widenings=2), train)
    assert len(tuned.rates) == len(GRID) + 4
    assert tuned.edge == edge
    actual = search(Search(rates=GRID, epochs=1, widenings=10), train)
    assert actual.edge == ""
    assert actual.best == pytest.approx(best, rel=1)


@given(st.floats(-7, -3), st.floats(0.1, 3))
def test_a_parabola_in_logarithms_is_found_exactly(center, bend):
    rates = [math.exp(center + d) for d in (-0.9, 0.1, 0.8)]
    values = [math.exp(2 + bend * (math.log(rate) - center) ** 2) for rate in rates]
    actual = parabola_optimum(rates, values)
    assert actual is not None
    assert actual == pytest.approx((math.exp(center), math.exp(2)), rel=1e-6)


def test_an_edge_has_no_parabola():
    assert parabola_optimum([1, 2, 4], [3.0, 2.0, 1.0]) is None
    assert parabola_optimum([1, 2], [1.0, 2.0]) is None
