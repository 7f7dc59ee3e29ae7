"""Ranges in spec texts, and sweeps in reports."""

import itertools
import math

import pytest
from test_report import record, results, written

import flaxact as fa
from flaxact.studies import Study, inner_plots, plots
from flaxact.studies.ranges import expanded
from flaxact.studies.sweep_plots import curve, heat_map, sweep_plots
from flaxact.studies.sweeps import sweeps


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("relu", ["relu"]),
        ("elu(alpha=0.5)", ["elu(alpha=0.5)"]),
        ("leaky_relu(0..1:3)", ["leaky_relu(0)", "leaky_relu(0.5)", "leaky_relu(1)"]),
        ("elu(alpha=-1..1:3)", ["elu(alpha=-1)", "elu(alpha=0)", "elu(alpha=1)"]),
        ("elu(alpha=1e-2..1:3log)", ["elu(alpha=0.01)", "elu(alpha=0.1)", "elu(alpha=1)"]),
        ("elu(alpha=.5|1e1)", ["elu(alpha=.5)", "elu(alpha=1e1)"]),
        (
            "scaled(elu(1|2), output=2..3:2)",
            [f"scaled(elu({a}), output={o})" for a in (1, 2) for o in (2, 3)],
        ),
    ],
)
def test_a_range_stands_for_many(text, texts):
    assert expanded(text) == texts


def test_equal_distances_and_equal_factors():
    linear = [float(t[10:-1]) for t in expanded("elu(alpha=0..0.7:8)")]
    assert linear == pytest.approx([0.1 * i for i in range(8)])
    log = [float(t[10:-1]) for t in expanded("elu(alpha=0.001..2:6log)")]
    assert [b / a for a, b in itertools.pairwise(log)] == pytest.approx(
        [2000 ** (1 / 5)] * 5, rel=1e-4
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "elu(alpha=0..1)",
            r"the range 0\.\.1 in .* a number of values from 2 to 100, as in 0\.\.1:5",
        ),
        ("elu(alpha=0..1:1)", "from 2 to 100"),
        ("elu(alpha=0..1:1000)", "from 2 to 100"),
        ("elu(alpha=0..1:5log)", "its ends must be above 0"),
        ("elu(alpha=0..x:5)", "cannot read"),
        ("elu(alpha=0..1:5lg)", "cannot read"),
        ("elu(alpha=1|)", "cannot read"),
        ("elu(alpah=0..1:5)", "did you mean 'alpha'"),
        ("elu(alpha=1|1)", "the activation elu is given twice"),
        ("leaky_relu(negative_slope=1..2:2, 3)", "positional value follows"),
    ],
)
def test_ranges_refused(text, said):
    with pytest.raises(fa.InputError, match=said):
        Study((text,))


def test_a_study_has_an_activation_for_each_value():
    study = Study(("relu", "leaky_relu(negative_slope=0..1:5)"))
    assert study.activations == (
        "relu",
        *(f"leaky_relu(negative_slope={v})" for v in (0.0, 0.25, 0.5, 0.75, 1.0)),
    )


def levels(*texts):
    names = Study(texts).activations
    return {name: (0.02 * (i + 1),) for i, name in enumerate(names)}


def test_sweeps_are_seen_in_results():
    """Also those that were written one by one, with a default among them."""
    names = ("relu", "elu", "elu(alpha=0.5)", "elu(alpha=2)", "leaky_relu(0.2)", "leaky_relu(0.3)")
    (sweep,) = sweeps(record(levels(*names), rates=(0.1,)))
    assert (sweep.name, sweep.names) == ("elu", ("alpha",))
    assert sweep.values == ((0.5,), (1.0,), (2.0,))
    assert [row.activation for row in sweep.rows] == ["elu(alpha=0.5)", "elu", "elu(alpha=2.0)"]
    study_results = record(levels("scaled(elu(alpha=1|2), output=2|3)"), rates=(0.1,))
    (grid,) = sweeps(study_results)
    assert grid.name == "scaled(elu)"
    assert set(grid.names) == {"output", "alpha of elu"}
    assert len(grid.values) == 4
    three = record(
        levels("scaled(elu, output=1|2)", "scaled(elu, input=2, output=3)"), rates=(0.1,)
    )
    assert sweeps(three) == []  # two numbers that do not fill a grid


def test_an_activation_that_is_not_defined_here_is_swept_too():
    own = {f"own(beta={beta})": (beta / 10,) for beta in (1, 2, 3)}
    (sweep,) = sweeps(record(own, rates=(0.1,)))
    assert (sweep.name, sweep.names, sweep.values[0]) == ("own", ("beta",), (1.0,))


def test_the_curve_shows_means_bands_and_what_diverged():
    text = "leaky_relu(negative_slope=0.001..1:4log)"
    study_results = record(
        {**levels("relu", text), "leaky_relu(negative_slope=1.0)": (None,)}, rates=(0.1,)
    )
    (sweep,) = sweeps(study_results)
    axes = curve(study_results, sweep).axes[0]
    line = axes.lines[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "negative slope"
    assert list(line.get_xdata()) == [0.001, 0.01, 0.1, 1.0]
    means = [row.test_error.mean for row in sweep.rows[:3]]
    assert list(line.get_ydata()[:3]) == means
    assert math.isnan(line.get_ydata()[3])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(max(row.test_error.high for row in sweep.rows[:3]))
    ((_, caption),) = sweep_plots(study_results).values()
    for said in ("95% Student-t interval", "the dashed line is relu", "× marks", "optimistic"):
        assert said in caption
    assert list(axes.lines[-1].get_xdata()) == [1.0]


def test_the_heat_map_has_the_error_of_every_pair(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "all_plots", lambda results: {})  # they take long to draw
    monkeypatch.setattr(inner_plots, "inner", lambda row: {})
    study_results = results(levels("scaled(elu(alpha=1|2|4), output=2|3)"), rates=(0.1,))
    folder = written(tmp_path, study_results)
    assert (folder / "plots" / "sweep_1.svg").exists()
    assert 'id="sweep_1"' in (folder / "report.html").read_text()
    (sweep,) = sweeps(fa.studies.read_results(folder))
    axes = heat_map(sweep).axes[0]
    assert {text.get_text() for text in axes.texts} == {
        f"{100 * row.test_error.mean:.3g}" for row in sweep.rows
    }
    assert axes.images[0].get_array().shape in ((2, 3), (3, 2))
