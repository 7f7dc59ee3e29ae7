"""Equal FLOPs or time: how many epochs each activation gets, and what is made of it."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from test_report import results, written

import flaxact as fa
from flaxact import studies
from flaxact.cli.comparison import Comparison
from flaxact.data import from_arrays
from flaxact.studies import Study, budgets, inner_plots, plots
from flaxact.studies._results import check_options, described
from flaxact.studies.search import halving
from flaxact.studies.tuning import tuning_config
from flaxact.training import Recipe

NAMES = ("relu", "maxout", "crelu")


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 255, (64, 8, 8)).astype(np.uint8)
    return from_arrays((images, np.arange(64) % 2))


def study(**options):
    recipe = Recipe(epochs=6, batch_size=16)
    return Study(NAMES, "mlp(width=0.02)", recipe=recipe, **options)


def test_equal_epochs_are_the_default(data, tmp_path):
    assert studies.with_budget(study(), data, tmp_path) == study()
    assert not list(tmp_path.iterdir())
    assert Comparison(("relu",)).studies()[0].budget == "epochs"
    assert Comparison(("relu",), budget="flops").studies()[0].budget == "flops"


def test_equal_flops_give_the_costlier_fewer_epochs(data, tmp_path, monkeypatch):
    """An ``mlp`` has half as many weights after crelu, and twice as many before maxout."""
    known = studies.with_budget(study(budget="flops"), data, tmp_path)
    epochs = dict(known.epochs_of)
    assert epochs["relu"] == 6
    assert epochs["crelu"] > 6 > epochs["maxout"]
    for name, cost in known.costs:
        assert epochs[name] == max(1, round(6 / cost))
    monkeypatch.setattr(budgets, "_operations", None)  # what is stored is not counted again
    assert studies.with_budget(study(budget="flops"), data, tmp_path) == known
    assert studies.with_budget(known, data, tmp_path) == known
    more = replace(study(budget="flops"), seeds=(0, 1))
    assert studies.with_budget(more, data, tmp_path).epochs_of == known.epochs_of


@pytest.mark.thorough
def test_flops_are_those_of_the_compiled_step(data):
    ratios = []
    for name in ("relu", "maxout"):
        step, _, arguments = budgets._step(study(), data, name)
        compiled = step.lower(*arguments).compile().cost_analysis()["flops"]
        ratios.append(budgets._operations(study(), data, name) / compiled)
    assert ratios == pytest.approx([1, 1], rel=0.1)


def test_flops_that_are_not_counted(data, tmp_path, monkeypatch):
    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", lambda _: None)
    with pytest.raises(fa.InputError, match="choose --budget time"):
        studies.with_budget(study(budget="flops"), data, tmp_path)
    with pytest.raises(fa.InputError, match="unknown budget 'flop'; did you mean 'flops'"):
        study(budget="flop")


def test_equal_time_is_measured_side_by_side_and_stored(data, tmp_path, monkeypatch):
    seconds = {"relu": 1.0, "maxout": 2.0, "crelu": 0.5}
    created = []

    def timer(study, data, name):
        created.append(name)
        return lambda: seconds[name]

    monkeypatch.setattr(budgets, "_timer", timer)
    known = studies.with_budget(study(budget="time"), data, tmp_path)
    assert dict(known.epochs_of) == {"relu": 6, "maxout": 3, "crelu": 12}
    assert created.count("relu") == 1
    (tmp_path / "budget.json").write_text("{")
    created.clear()
    assert studies.with_budget(study(budget="time"), data, tmp_path) == known
    assert created


@pytest.mark.thorough
def test_a_step_is_timed(data, monkeypatch):
    monkeypatch.setattr(budgets, "LEAST", 0.01)
    assert budgets._timer(study(), data, "relu")() > 0


def test_what_is_stated_in_epochs_is_scaled():
    recipe = Recipe(epochs=6, batch_size=16, schedule="steps", milestones=(3, 5), warmup_epochs=1)
    with_epochs = Study(
        NAMES, recipe=recipe, epochs_of=(("crelu", 12),), search=halving([0.1, 0.2], 6)
    )
    assert with_epochs.recipe_of("relu") is recipe
    of_crelu = with_epochs.recipe_of("crelu")
    assert (of_crelu.epochs, of_crelu.milestones, of_crelu.warmup_epochs) == (12, (6, 10), 2)
    assert with_epochs.search_of("relu") is with_epochs.search
    assert with_epochs.search_of("crelu") == halving([0.1, 0.2], 12)
    assert with_epochs.config("crelu", 0.1, 0, "d")["epochs"] == 12
    assert tuning_config(with_epochs, "crelu", "d")["search"]["epochs"] == 12
    plain = replace(with_epochs, epochs_of=())
    assert plain.config("relu", 0.1, 0, "d") == with_epochs.config("relu", 0.1, 0, "d")


def test_a_folder_has_one_budget(tmp_path):
    study_results = results()
    study_results["study"] |= {
        **json.loads(json.dumps(described(study()))),
        "activations": ["relu"],
    }
    del study_results["study"]["budget"]  # as earlier versions stored it
    (tmp_path / "results.json").write_text(json.dumps(study_results))
    check_options(study(), tmp_path)
    with pytest.raises(fa.InputError, match=r'budget was .*, is "flops"'):
        check_options(study(budget="flops"), tmp_path)


def test_a_report_says_what_was_equal(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "all_plots", lambda results: {})
    monkeypatch.setattr(inner_plots, "inner", lambda row: {})
    study_results = results({"relu": (0.1,), "crelu": (0.2,)}, rates=(0.1,))
    study_results["study"] |= {
        "budget": "flops", "epochs_of": {"relu": 4, "crelu": 8}, "costs": {"relu": 1, "crelu": 0.51},
    }  # fmt: skip
    text = (written(tmp_path, study_results) / "results.md").read_text()
    assert "Trained at equal FLOPs, in epochs: relu 4, crelu 8." in text
    assert "crelu 8 epochs at a cost of 0.51, 102% of the budget" in text


@pytest.mark.thorough
def test_a_study_of_equal_flops_trains_so_many_epochs(data, tmp_path):
    recipe = Recipe(epochs=2, batch_size=16)
    small = Study(("relu", "crelu"), "mlp(width=0.02)", seeds=(0,), recipe=recipe, budget="flops")
    actual = studies.compare(small, data, tmp_path)
    counts = {run.config["activation"]: len(run.epochs) for run in actual.runs}
    assert counts == actual.study.epochs_of
    assert counts["crelu"] > counts["relu"] == 2
