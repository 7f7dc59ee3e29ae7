"""Values and derivatives are within the rule of benchmarks/accuracy.py, which judges as it says."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.truth import points, true_pairs
from tests.references import REFERENCE, truth


def faults(spec: str, count: int) -> dict[str, str]:
    rows = accuracy.measured(spec, count, beside=False)
    actual = {key: fault for row in rows for key, fault in accuracy.broken(row).items()}
    return {key: text for key, (text, known) in actual.items() if not known}


@pytest.mark.sampled(23)
@pytest.mark.parametrize("spec", REFERENCE)
def test_values_and_derivatives_are_those_of_mpmath(spec):
    assert not faults(spec, 60)


@pytest.mark.slow
@pytest.mark.parametrize("spec", REFERENCE)
def test_values_and_derivatives_over_many_points(spec):
    assert not faults(spec, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["relu", "gelu", "silu", "mish", "elu", "softplus", "hard_swish"])
def test_no_further_from_the_truth_than_jax_nn(spec):
    for row in accuracy.measured(spec, 3000):
        assert row.jax[0] is not None
        assert not [key for key in accuracy.further(row) if key.endswith("jax.nn")]


def judged(function, spec: str = "tanh", order: int = 0) -> accuracy.Judged:
    x = points(200)
    true = true_pairs(spec, x)[order]
    return accuracy.judge(spec, order, x, function(x, true), true=true)


def test_the_truth_rounded_is_within_half_a_unit():
    for order in (0, 1):
        actual = judged(lambda x, true: true.astype(np.float32), order=order)
        assert 0.3 < actual.ulps <= 0.5
        assert actual.error < 1e-7


def test_an_error_of_some_units_is_seen():
    """Put where the values lie between 1/2 and 1, whose unit is 2^-24."""
    for units in (3, 50):
        actual = judged(lambda x, true, n=units: true + (abs(true) > 0.9) * n * 2.0**-24)
        assert actual.ulps == pytest.approx(units)
        assert abs(np.tanh(actual.at)) > 0.9


def test_near_zero_an_error_is_held_against_the_scale():
    right = judged(lambda x, true: true + (abs(true) < 0.2) * 5e-8)
    assert right.ulps == 0
    assert right.near_ulps > 100
    wrong = judged(lambda x, true: true + (abs(true) < 0.2) * 2e-7)
    assert wrong.ulps > 100
    assert wrong.error == pytest.approx(2e-7 / math.tanh(1), rel=0.01)


def test_nan_is_an_error_and_nan_is_asked_for_at_nan():
    assert judged(lambda x, true: np.where(x == 1, np.nan, true)).ulps == math.inf
    assert judged(lambda x, true: np.where(np.isnan(x), 0, true)).ulps == math.inf


def test_what_breaks_the_rule_and_what_is_nearer_is_reported():
    right = accuracy.Judged(1.0, 0.5, 0.0, 0.0, error=1e-8)
    wrong = accuracy.Judged(9.0, 0.25, 0.0, 0.0, error=2e-7)
    row = accuracy.Row("tanh", True, (wrong, wrong), (right, right))
    assert list(accuracy.broken(row)) == ["tanh, value"]  # the derivative is lean
    assert list(accuracy.further(row)) == ["tanh, value, jax.nn", "tanh, derivative, jax.nn"]
    assert not accuracy.broken(accuracy.Row("tanh", False, (right, right)))


def test_references_give_derivatives_and_limits():
    assert truth("tanh", 0.5, 1) == pytest.approx(1 / math.cosh(0.5) ** 2, rel=1e-15)
    assert truth("sine", 0.5, 3) == pytest.approx(-math.cos(0.5), rel=1e-15)
    assert truth("squareplus", -1e38) == pytest.approx(1e-38, rel=1e-15)  # all digits cancel
    limits = {"tanh": 1, "softplus": math.inf, "symlog": math.inf, "golu": math.inf}
    assert {spec: truth(spec, math.inf) for spec in limits} == limits
    assert truth("golu", -math.inf) == 0
    assert all(math.isnan(truth(spec, math.inf)) for spec in ("sine", "cosine"))
    assert math.isnan(truth("tanh", math.nan))


@pytest.mark.thorough
def test_main_writes_a_report(tmp_path):
    accuracy.main(["--activations", "elu", "--points", "20", "--write", str(tmp_path / "a.md")])
    written = (tmp_path / "a.md").read_text()
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| elu")]
    assert [row[0] for row in rows] == ["| elu", "| elu, exact"]
    assert float(rows[1][4]) <= 8
    assert "Beyond the rule\n\nNone." in written
    assert jnp.float32(rows[0][2].split()[0]) <= 4
