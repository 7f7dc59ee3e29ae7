"""What a study tells apart: paired by seed, corrected, and with seeds added until it is decided."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from test_report import record, results, run

import flaxact as fa
from flaxact import models, studies
from flaxact.data import load
from flaxact.net import from_linen
from flaxact.statistics import holm
from flaxact.stored.schema import decode
from flaxact.studies import contrasts, runs
from flaxact.studies._folder import publish_cell
from flaxact.studies._records import Results
from flaxact.studies.report import write_report
from flaxact.studies.study import Study, identity
from flaxact.training import Recipe

CLOSE = {"relu": (0.02,), "elu": (0.021,), "tanh": (0.3,)}


def test_seeds_share_initial_weights_across_activations():
    images = jnp.zeros((1, 8, 8, 1))
    nets = [
        from_linen(models.create_model("mlp(width=0.02)", name, num_classes=3))
        for name in ("relu", "tanh")
    ]
    one, other = (net.init(jax.random.key(3), images) for net in nets)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, other))


def test_differences_are_to_the_reference_and_corrected():
    study_results = results(CLOSE, rates=(0.1,))
    study_results["study"]["reference"] = "elu"
    study_results = decode(Results, json.loads(json.dumps(study_results)))
    rows = contrasts.to_reference(study_results)
    assert [(c.activation, c.other) for c in rows] == [("relu", "elu"), ("tanh", "elu")]
    assert [c.apart for c in rows] == [False, True]
    assert [c.adjusted for c in rows] == holm([c.paired.p_value for c in rows])
    assert rows[0].more_seeds is None or rows[0].more_seeds > 0
    assert rows[1].more_seeds == 0
    assert rows[1].paired.difference.mean == pytest.approx(0.215, abs=0.02)
    assert contrasts.groups(study_results) == [("relu", "elu"), ("tanh",)]


def test_seeds_that_diverged_are_left_out_of_pairs():
    study_results = results(CLOSE, rates=(0.1,))
    lost = [r for r in study_results["runs"] if r["config"]["activation"] == "tanh"]
    study_results["runs"] = [r for r in study_results["runs"] if r not in lost[1:]]
    study_results = decode(Results, json.loads(json.dumps(study_results)))
    relu, elu = (c.activation for c in contrasts.to_reference(record(CLOSE, rates=(0.1,))))
    assert (relu, elu) == ("elu", "tanh")
    last = contrasts.to_reference(study_results)[1]
    assert last.paired is None
    assert not last.apart
    assert contrasts.cells(last)[1] == "fewer than 2 seeds to compare"


def test_the_report_has_the_differences(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results(CLOSE, rates=(0.1,))))
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    for said in (
        "Test error less that of relu, paired by seed",
        "Not told apart by their test errors",
    ):
        assert said in page
    table = (tmp_path / "results.md").read_text()
    assert "| tanh | +2" in table
    assert "| yes |" in table
    assert (tmp_path / "plots" / "differences.svg").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reference": "tahn"}, "did you mean 'tanh'"),
        ({"reference": "gelu"}, "the reference gelu is not among the activations: relu, tanh"),
        ({"until_decided": 2}, "3 or more, not 2"),
        ({"activations": ("relu",), "until_decided": 9}, "two or more activations"),
    ],
)
def test_comparisons_refused(options, said):
    with pytest.raises(fa.InputError, match=said):
        Study(**({"activations": ("relu", "tanh")} | options))


@pytest.mark.parametrize(("other", "seeds"), [("identity", 7), ("tanh", 9)])
def test_seeds_are_added_until_it_is_decided_or_at_the_cap(tmp_path, monkeypatch, other, seeds):
    """Identity is clearly worse than relu; tanh is the same. Trainings are made up."""
    level = {"relu": 0.02, "identity": 0.3, "tanh": 0.02}

    def trained(study, data, folder, activation, members, stored):
        records = {}
        for member in members:
            config = study.config(activation, member.learning_rate, member.seed, data.digest)
            one = run(activation, member.learning_rate, member.seed, level[activation])
            records[identity(config)] = {**one, "config": config, "id": ""}
        publish_cell(folder, folder / "cells" / activation, records)
        return iter(())

    monkeypatch.setattr(runs, "run_cell", trained)
    data = load("mnist5k")
    study = Study(
        ("relu", other),
        "mlp(width=0.02)",
        seeds=(0, 1, 2),
        recipe=Recipe(epochs=4, batch_size=400),
        until_decided=9,
    )
    list(studies.run(study, data, tmp_path))
    content = json.loads(Path(tmp_path / "results.json").read_text())
    assert len(content["study"]["seeds"]) <= seeds
    assert (len(content["study"]["seeds"]) == 9) == (other == "tanh")
    write_report(tmp_path)
    assert studies.finished(study, data, tmp_path)
    monkeypatch.setattr(runs, "run_cell", None)  # nothing is trained again
    list(studies.run(study, data, tmp_path))
    assert studies.grown(study, tmp_path).seeds == tuple(content["study"]["seeds"])
