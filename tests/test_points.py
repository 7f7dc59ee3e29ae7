"""A search over points of several values: its points, its halving, and a comparison from end to end."""

import csv
import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report import EPOCHS, results
from test_studies import TINY
from trainings import SMALL

import flaxact as fa
from flaxact.cli import main
from flaxact.cli.comparison import Comparison
from flaxact.data import load
from flaxact.figures import rendered
from flaxact.stored.schema import decode
from flaxact.studies import summary, tuning
from flaxact.studies._provenance import provenance
from flaxact.studies._records import Results, read_results
from flaxact.studies._settings import settings
from flaxact.studies.answer import answer
from flaxact.studies.plots import all_plots
from flaxact.studies.point_plots import point_plots
from flaxact.studies.points import EDGE, search_points, sobol_search
from flaxact.studies.report import cells
from flaxact.studies.search import budget, halving
from flaxact.studies.study import Study
from flaxact.training import Recipe

BOTH = ("learning_rate=1e-4..1e-1", "momentum=0.5..0.99")


@given(
    low=st.floats(-6, 0),
    width=st.floats(0.1, 6),
    least=st.floats(0, 0.9),
    share=st.floats(0.01, 0.99),
    trials=st.integers(2, 40),
)
def test_points_lie_in_their_ranges_and_are_reproducible(low, width, least, share, trials):
    ends = (10**low, 10 ** (low + width))
    most = least + share * (1 - least)
    tune = [f"learning_rate={ends[0]!r}..{ends[1]!r}", f"momentum={least!r}..{most!r}"]
    space = sobol_search(tune, 6, trials=trials)
    assert len({*space.points}) == trials
    for rate, momentum in space.points:
        assert ends[0] <= rate <= ends[1]
        assert least <= momentum <= most
    assert space.rates == tuple(sorted(rate for rate, _ in space.points))
    assert sobol_search(tune, 6, trials=trials) == space
    assert hash(space) == hash(sobol_search(tune, 6, trials=trials))


def test_points_are_even_on_their_scales():
    """Of 64 points of a Sobol sequence each eighth of a range has eight, and each 8 × 8 cell has one."""
    space = sobol_search(BOTH, 6, trials=64)
    cells = [
        (
            math.floor(8 * math.log(rate / 1e-4) / math.log(1e3)),
            math.floor(8 * math.log((1 - momentum) / 0.5) / math.log(0.02)),
        )
        for rate, momentum in space.points
    ]
    assert len({*cells}) == 64
    assert {cell[0] for cell in cells} == {cell[1] for cell in cells} == {*range(8)}


def valley(space, rate, momentum):
    """Scores that fall towards a point, and a list of what was asked for."""
    asked = []

    def train(points, epochs):
        asked.append((len(points), epochs))
        return [(distance(point, rate, momentum),) for point in points]

    return search_points(space, train), asked


def distance(point, rate, momentum):
    return abs(math.log(point[0] / rate)) + abs(math.log((1 - point[1]) / (1 - momentum)))


def test_points_are_halved_and_an_edge_is_said():
    space = sobol_search(BOTH, 6, trials=16)
    tuned, asked = valley(space, 0.003, 0.9)
    assert asked == [(16, 1), (8, 3), (4, 6)]
    assert budget(space) == 16 * 1 + 8 * 2 + 4 * 3
    assert tuned.edge == ""
    nearest = min(space.points, key=lambda p: distance(p, 0.003, 0.9))
    assert tuned.point == nearest
    assert tuned.best == nearest[0]
    assert [tried.point for tried in tuned.rates] == list(space.points)

    # With many points, the nearest to a corner is within 5% of both ends.
    space = sobol_search(BOTH, 6, trials=1024)
    both = "learning rate at the lower edge, momentum at the upper edge"
    assert valley(space, 1e-4, 0.99)[0].edge == both
    for rate, momentum in space.points[:50]:
        edge = valley(space, rate, momentum)[0].edge
        share = math.log(rate / 1e-4) / math.log(1e3)
        assert ("learning rate" in edge) == (not EDGE < share < 1 - EDGE)


def study(*activations, tune=BOTH, **options):
    space = sobol_search(tune, 2, trials=4, **options)
    return Study(activations, "mlp(width=0.02)", seeds=(0, 1), recipe=Recipe(2, 400), search=space)


def test_every_activation_has_the_same_points_and_its_own_recipe():
    whole = study("relu", "tanh")
    assert whole.search_of("relu") == whole.search_of("tanh") == whole.search
    assert whole.learning_rates == whole.search.rates
    values = (("learning_rate", 0.01), ("momentum", 0.7))
    one = Study(**{**vars(whole), "best_values": (("relu", values),)})
    assert one.recipe_of("relu").momentum == 0.7
    assert one.recipe_of("tanh") == one.recipe
    plain = one.config("relu", 0.01, 0, "")
    assert plain == Study(**{**vars(whole), "recipe": Recipe(2, 400, momentum=0.7)}).config(
        "relu", 0.01, 0, ""
    )
    # What was found does not change what is searched, nor do the recipe's own values.
    configs = [tuning.tuning_config(each, "relu", "") for each in (whole, one)]
    assert configs[0] == configs[1]
    assert not {"momentum", "learning_rate"} & {*configs[0]}
    # At an equal budget an activation has its own rungs, and the same points.
    longer = Study(**{**vars(whole), "epochs_of": (("tanh", 6),)})
    assert longer.search_of("tanh").points == whole.search.points
    assert longer.search_of("tanh").rungs == (1, 3)


def test_only_the_momentum_at_one_rate():
    space = study("relu", tune=("momentum=0..0.9",), learning_rate=0.01).search
    assert space.rates == (0.01,)
    assert space.values(space.points[1]) == {"learning_rate": 0.01, "momentum": space.points[1][0]}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_points_are_trained_with_their_own_values(momentum):
    recipe = Recipe(epochs=1, batch_size=16, momentum=momentum)  # which points override
    space = sobol_search(("momentum=0..0.99",), 1, trials=2, learning_rate=0.01)
    small = Study(("relu",), "mlp(depth=1, width=0.02)", recipe=recipe, search=space)
    scores = {}
    (epoch,) = tuning._Trainer(small, SMALL, "relu", scores).train(space.points, 1)
    assert [(m.learning_rate, m.momentum) for m in epoch.members] == [
        (0.01, point[0]) for point in space.points
    ]
    assert scores.keys() == {(point, 1) for point in space.points}
    assert len({*scores.values()}) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tune": ("learning-rates=1..2",)}, "unknown value to tune.*did you mean 'learning_rate'"),
        (
            {"tune": ("negative_slope=0..1",)},
            r"swept by a range.*leaky_relu\(negative_slope=0..1:8",
        ),
        ({"tune": ("learning_rate=0.1..0.01",)}, "the first number must be the lower one"),
        ({"tune": ("learning_rate=0.1..0.1",)}, "the first number must be the lower one"),
        ({"tune": ("learning_rate=nan..0.1",)}, "the first number must be the lower one"),
        ({"tune": ("learning_rate=0..0.1",)}, "both ends must be above 0, and finite"),
        ({"tune": ("learning_rate=1..inf",)}, "both ends must be above 0, and finite"),
        ({"tune": ("learning_rate=1..1.0000001",)}, "do not have 16 different values"),
        ({"tune": ("momentum=0.5..1",)}, "at least 0 and below 1"),
        ({"tune": ("momentum=-0.5..0.5",)}, "at least 0 and below 1"),
        ({"tune": ("learning_rate",)}, "cannot read 'learning_rate': give a name and a range"),
        ({"tune": ("learning_rate=1..2..3",)}, "cannot read"),
        ({"tune": (BOTH[0], BOTH[0])}, "learning_rate is tuned twice"),
        ({"tune": BOTH[:1], "trials": 1}, "must be from 2 to 1024, not 1"),
        ({"tune": BOTH[:1], "trials": 10**9}, "must be from 2 to 1024"),
        ({"trials": 8}, "--trials is the number of points of --tune, which is not given"),
        ({"tune": BOTH[:1], "search": "grid"}, "leave out --search grid"),
        ({"tune": BOTH[:1], "learning_rate": (0.1, 0.2)}, "by --learning-rate and by --tune"),
        ({"tune": BOTH[1:], "learning_rate": (0.1, 0.2)}, "give one learning rate"),
        ({"tune": BOTH[1:]}, "give one learning rate"),
        ({"tune": BOTH, "momentum": 0.9}, "momentum is given by --momentum and by --tune"),
        (
            {"tune": BOTH, "option": ("momentum=0.5",)},
            "momentum is given by --tune and by --option",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused(options, said):
    with pytest.raises(fa.InputError, match=said):
        Comparison(("relu",), **options).studies()


def test_nothing_is_tuned_in_python_without_ranges():
    with pytest.raises(fa.InputError, match="nothing to tune"):
        sobol_search((), 6)
    with pytest.raises(fa.InputError, match="tuned and given: give one of the two"):
        sobol_search(BOTH, 6, learning_rate=0.1)


# A finished search as flaxact stored it before there were searches over points.
OLD = """{"id": "f0c37117a93d", "config": {"activation": "relu", "model": "mlp(width=0.02)", "dataset":
"mnist5k", "data": "6f905afd6aae", "image_size": null, "seed": 100, "epochs": 4, "batch_size": 400,
"momentum": 0.9, "weight_decay": 0.0, "schedule": "constant", "search": {"rates": [0.001, 0.002, 0.004],
"rungs": [1, 2], "keep": [2, 1], "epochs": 4, "widenings": 3}, "held_out": 0.2, "tuning": 1}, "scores":
[[0.001, 1, [0, 0.069315, 1.0]], [0.002, 1, [0, 0.0, 1.0]], [0.004, 1, [0, 0.069315, 1.0]], [0.001, 2, [0,
0.069315, 1.0]], [0.002, 2, [0, 0.0, 1.0]], [0.002, 4, [0, 0.0, 1.0]]], "seconds": 1.0, "tuned": {"best":
0.002, "edge": "", "rates": [{"rate": 0.001, "epochs": 2, "score": [0, 0.069315, 1.0]}, {"rate": 0.002,
"epochs": 4, "score": [0, 0.0, 1.0]}, {"rate": 0.004, "epochs": 1, "score": [0, 0.069315, 1.0]}]},
"sha256": "abbea338df9d49738b77225c703993a93bd8849c93e0003956dc029dad141683"}"""


def test_a_search_that_was_stored_before_is_read_and_stored_alike(tmp_path):
    old = json.loads(OLD)
    path = tmp_path / "tuning" / f"{old['id']}.json"
    path.parent.mkdir()
    path.write_text(OLD)
    grid = Study(
        ("relu",),
        "mlp(width=0.02)",
        recipe=Recipe(4, 400),
        search=halving((0.001, 0.002, 0.004), 4),
    )
    data = load("mnist5k")
    resolved = tuning.resolved(grid, data, tmp_path)
    assert resolved.best_rates == (("relu", 0.002),)
    assert resolved.best_values == ()
    list(tuning.tune(grid, data, tmp_path, "relu"))  # every score is there: nothing is trained
    again = json.loads(path.read_text())
    assert again == old | {"seconds": 0.0, "sha256": again["sha256"]}


def decoded(stored):
    return decode(Results, json.loads(json.dumps(stored)))


def test_the_report_says_what_was_chosen_and_what_is_at_an_edge():
    stored = results({"relu": (0.1,)}, rates=(0.01,))
    space = sobol_search(BOTH, EPOCHS, trials=4)
    tried = [
        {"rate": rate, "epochs": 4, "score": score, "point": [rate, momentum]}
        for (rate, momentum), score in zip(
            space.points, [(1, 1.0)] * 3 + [(0, 0.2, 1.0)], strict=True
        )
    ]
    tuned = {
        "best": 0.01,
        "edge": "momentum at the upper edge",
        "rates": tried,
        "epochs": 16,
        "seconds": 1.0,
        "point": space.points[3],
    }
    assert "names" not in str(settings(decoded(stored)))
    stored["tuned"] = {"relu": tuned}
    stored["study"] |= {
        "search": asdict(space),
        "best_rates": {"relu": 0.01},
        "best_values": {"relu": {"learning_rate": 0.01, "momentum": 0.98}},
    }
    searched = decoded(stored)
    (row,) = summary.rows(searched)
    assert cells(searched, row)[1] == "0.01, momentum 0.98 (momentum at the upper edge)"
    assert (
        "For relu (momentum at the upper edge) the best values lie within 5% of an end of their range"
        in " ".join(answer(searched))
    )
    (tuning_text,) = [text for title, text in provenance(searched) if title == "tuning"]
    assert "4 points of a Sobol sequence scrambled with seed 0" in tuning_text
    (recipe,) = [text for title, text in provenance(searched) if title == "training"]
    assert "momentum" not in recipe
    assert "learning_rates" not in all_plots(searched)
    assert list(point_plots(searched)) == ["tuned_learning_rate", "tuned_momentum"]
    lost = [{**each, "score": (1, 1.0)} for each in tried]
    stored["tuned"] = {"relu": {**tuned, "rates": lost}}
    for figure, _ in point_plots(decoded(stored)).values():
        assert rendered(figure, "svg")
    assert settings(searched)["search"]["points"] == [list(point) for point in space.points]


@pytest.mark.thorough  # compiles and reports several times; the parts are tested above
def test_a_comparison_whose_search_is_interrupted(tmp_path, monkeypatch, capsys):
    arguments = [
        "compare",
        "relu",
        "tanh",
        *TINY,
        "--epochs",
        "2",
        "--tune",
        *BOTH,
        "--trials",
        "4",
    ]
    arguments += ["--out", str(tmp_path)]
    store = tuning._store

    def stopped(*parts, **more):
        store(*parts, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_store", stopped)
        assert main(arguments) != 0
    (path,) = (tmp_path / "tuning").iterdir()
    first = json.loads(path.read_text())
    assert [row[1] for row in first["scores"]] == [1] * 4
    assert first["tuned"] is None
    main(["status", str(tmp_path)])
    assert "search of relu's learning rate and momentum, after 1 epochs" in capsys.readouterr().out

    assert main(arguments) == 0
    whole = json.loads(path.read_text())
    assert whole["scores"][:4] == first["scores"]
    assert [row[1] for row in whole["scores"]] == [1] * 4 + [2] * 2
    results = read_results(tmp_path / "results.json")
    assert summary.missing_runs(results) == []
    points = {name: [t.point for t in each.rates] for name, each in results.tuned.items()}
    assert points["relu"] == points["tanh"] == list(results.study.search.points)
    assert {name: each.epochs for name, each in results.tuned.items()} == {"relu": 6, "tanh": 6}
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        best = results.study.best_values[row["activation"]]
        assert best == dict(zip(BOTH_NAMES, results.tuned[row["activation"]].point, strict=True))
        assert {name: float(row[name]) for name in best} == best
    text = (tmp_path / "results.md").read_text()
    for best in results.study.best_values.values():
        assert f"{best['learning_rate']:g}, momentum {best['momentum']:g}" in text
    page = (tmp_path / "report.html").read_text()
    assert "Every activation has the same points and the same budget" in page
    assert 'id="tuned_momentum"' in page
    assert 'id="learning_rates"' not in page

    assert main(arguments) == 0
    assert "nothing to do: all 4 runs are there" in capsys.readouterr().err


BOTH_NAMES = ("learning_rate", "momentum")
