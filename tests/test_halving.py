"""Learning rates are chosen on a seed and images of their own, and only the best is evaluated."""

import json
import math

import numpy as np
import pytest
from test_report import run
from trainings import SMALL

import flaxact as fa
from flaxact import studies
from flaxact.cli.comparison import Comparison
from flaxact.data import Dataset, Split, load
from flaxact.studies import runs, summary, tuning
from flaxact.studies._folder import publish_cell
from flaxact.studies._records import read_results
from flaxact.studies.report import write_report
from flaxact.studies.search import TUNING_SEED, Search, halving
from flaxact.studies.study import Study, identity
from flaxact.training import Recipe

GRID = (0.001, 0.002, 0.004, 0.008)
BEST = {"relu": 0.002, "tanh": 0.02}  # tanh's lies beyond the grid


def study(**options):
    recipe = Recipe(epochs=4, batch_size=400)
    defaults = {"seeds": (0, 1), "recipe": recipe, "search": halving(GRID, 4)}
    return Study(("relu", "tanh"), "mlp(width=0.02)", **{**defaults, **options})


class MadeUp:
    """Scores that fall towards the best rate of an activation, in place of trainings."""

    asked: list = []  # noqa: RUF012

    def __init__(self, study, data, activation, scores):
        self.activation, self.scores, self.seconds = activation, scores, 1.0

    def train(self, rates, epochs):
        self.asked.append((self.activation, tuple(rates), epochs))
        for rate in rates:
            distance = abs(math.log(rate / BEST[self.activation]))
            self.scores[rate, epochs] = (0, min(1.0, 0.1 * distance), 1.0)
        return iter(())


@pytest.fixture
def made_up(monkeypatch):
    """Trainings of the search, and of the seeds, are made up; the list of what the search asked for."""

    def trained(study, data, folder, activation, members, stored):
        recorded = {}
        for member in members:
            config = study.config(activation, member.learning_rate, member.seed, data.digest)
            one = run(activation, member.learning_rate, member.seed, 0.1)
            recorded[identity(config)] = {**one, "config": config, "id": ""}
        publish_cell(folder, folder / "cells" / activation, recorded)
        return iter(())

    monkeypatch.setattr(MadeUp, "asked", [])
    monkeypatch.setattr(runs, "run_cell", trained)
    monkeypatch.setattr(tuning, "_Trainer", MadeUp)
    return MadeUp.asked


def test_seeds_are_trained_at_the_best_rate_only(tmp_path, made_up):
    data = load("mnist5k")
    assert studies.missing(study(), data, tmp_path).keys() == {"relu", "tanh"}
    progress = list(studies.run(study(), data, tmp_path))
    assert progress[-1].done == progress[-1].total
    results = read_results(tmp_path / "results.json")
    assert results.study.best_rates == {"relu": 0.002, "tanh": 0.016}
    trained = {(r.config["activation"], r.config["learning_rate"]) for r in results.runs}
    assert trained == {("relu", 0.002), ("tanh", 0.016)}
    assert len(results.runs) == 4
    assert results.tuned["tanh"].edge == ""
    assert [rate.rate for rate in results.tuned["tanh"].rates] == [*GRID, 0.016, 0.032]
    assert results.tuned["relu"].epochs == 4 * 1 + 2 * 1 + 1 * 2
    assert summary.missing_runs(results) == []
    assert [row.learning_rate for row in summary.rows(results)] == [0.002, 0.016]

    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "successive halving on seed 100, which is not evaluated" in page
    assert "Epochs trained: relu 8, tanh" in page
    assert studies.finished(study(), data, tmp_path)

    # More seeds: the search is not done again, nor where what it stored is read by another process.
    before = len(made_up)
    list(studies.run(study(seeds=(0, 1, 2)), data, tmp_path))
    assert len(made_up) == before
    assert len(read_results(tmp_path / "results.json").runs) == 6


def test_a_stopped_search_goes_on_with_the_scores_it_has(tmp_path, made_up):
    data = load("mnist5k")
    whole = study()
    list(tuning.tune(whole, data, tmp_path, "relu"))
    (path,) = (tmp_path / "tuning").iterdir()
    value = json.loads(path.read_text())
    value["scores"] = [row for row in value["scores"] if row[1] == 1]
    value["tuned"] = None
    tuning._store(
        tmp_path,
        value["config"],
        {(r, e): tuple(s) for r, e, s in value["scores"]},
        None,
        seconds=1.0,
    )
    assert tuning.resolved(whole, data, tmp_path).best_rates == ()
    made_up.clear()
    list(tuning.tune(whole, data, tmp_path, "relu"))
    assert [epochs for _, _, epochs in made_up] == [2, 4]
    assert tuning.resolved(whole, data, tmp_path).best_rates == (("relu", 0.002),)

    path.write_text(path.read_text().replace("0.002", "0.004"))  # a changed file is not believed
    assert tuning.resolved(whole, data, tmp_path).best_rates == ()


def test_the_validation_images_are_not_trained_on_and_no_test_image_is_used():
    rng = np.random.default_rng(0)
    images = rng.permutation(1000 * 64).reshape(1000, 8, 8, 1) % 251 / 1.0
    images[:, 0, 0, 0] = np.arange(1000) / 4  # each is told by its first pixel
    labels = rng.integers(0, 3, 1000)
    data = Dataset("own", Split(images, labels), Split(images[:7] * 0, labels[:7]), 3)
    validation = tuning.validation_set(data)
    trained = validation.train.images[:, 0, 0, 0]
    held = validation.test.images[:, 0, 0, 0]
    assert len(trained) == 1000
    assert len({*held}) == len(held) == 200
    assert not {*trained} & {*held}
    assert len({*trained}) == 800


def test_a_rate_that_goes_on_is_as_one_that_was_never_stopped():
    small = Study(
        ("relu",),
        "mlp(depth=1, width=0.02)",
        recipe=Recipe(epochs=3, batch_size=16),
        search=halving(GRID, 3),
    )
    by_rungs, at_once = {}, {}
    trainer = tuning._Trainer(small, SMALL, "relu", by_rungs)
    assert [e.number for e in trainer.train(GRID[:2], 1)] == [1]
    assert [e.number for e in trainer.train(GRID[:2], 3)] == [2, 3]
    list(tuning._Trainer(small, SMALL, "relu", at_once).train(GRID[:2], 3))
    trainer.at_once = 2  # as on an accelerator: the third is trained with itself
    assert [len(e.members) for e in trainer.train(GRID[:3], 1)] == [2]
    assert (GRID[2], 1) in by_rungs
    for rate in GRID[:2]:
        assert by_rungs[rate, 3] == pytest.approx(at_once[rate, 3], rel=1e-6)
    assert by_rungs[GRID[0], 3] != by_rungs[GRID[1], 3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"search": halving(GRID, 5)}, "the search ends after 5 epochs and the recipe after 4"),
        ({"seeds": (0, TUNING_SEED)}, "seed 100 chooses the learning rate and is not evaluated"),
        ({"search": Search(rates=(0.1, -1.0), epochs=4)}, "above 0, not -1.0"),
        ({"search": Search(rates=(), epochs=4)}, "no learning rate given"),
    ],
)
def test_searches_refused(options, said):
    with pytest.raises(fa.InputError, match=said):
        study(**options)


@pytest.mark.parametrize(
    ("options", "rates", "searched"),
    [
        ({}, 6, True),
        ({"search": "grid"}, 6, False),
        ({"learning_rate": (0.1,)}, 1, False),
        ({"learning_rate": (0.4, 0.1, 0.2)}, 3, True),
    ],
)
def test_what_the_command_line_searches(options, rates, searched):
    created = Comparison(("relu",), **options).studies()[0]
    assert len(created.learning_rates) == rates
    assert (created.search is not None) == searched
