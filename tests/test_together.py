"""Several folders as one comparison, and in what two differ."""

import json

import pytest
from test_report import record, results, run

import flaxact as fa
from flaxact import studies
from flaxact.cli import main
from flaxact.statistics import compare_paired
from flaxact.studies import inner_plots, plots, report
from flaxact.studies.contrasts import points
from flaxact.studies.diff import changes, sentences
from flaxact.studies.together import read_together

A = {"relu": (0.02,), "tanh": (0.2,)}
B = {"relu": (0.02,), "elu": (0.05,)}


@pytest.fixture
def folder(tmp_path):
    """A function that stores a comparison in a folder of a name."""

    def stored(name, levels, change=lambda study_results: None, **options):
        study_results = results(levels, rates=(0.1,), **options)
        change(study_results)
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(study_results))
        return tmp_path / name

    return stored


def test_folders_together_have_the_activations_and_seeds_of_all(folder):
    first = folder("a", A)
    second = folder("b", B, seeds=(2, 3), change=lambda f: f["environment"].update(jax="1.1"))
    joined = studies.read_results(first, second)
    assert joined.study.activations == ("relu", "tanh", "elu")
    assert joined.study.seeds == (0, 1, 2, 3)
    assert len(joined.runs) == 6 + 4 - 1  # relu with seed 2 is in both
    assert joined.environment.jax == "1 and 1.1"
    assert joined.environment.command == "flaxact compare <relu> & tanh"
    assert len(joined.to_pandas()) == 9 * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda f: f["study"].update(epochs=5),
            r"not one comparison: epochs 4 and 5\. flaxact diff",
        ),
        (lambda f: f["study"].update(dataset="mnist"), "dataset mnist5k and mnist"),
        (lambda f: f["study"].update(recipe={"optimizer": "adam"}), "optimizer sgd and adam"),
        (lambda f: f["study"].update(learning_rates=[0.1, 0.2]), "learning rates 0.1 and 0.1 0.2"),
        (
            lambda f: f["study"].update(epochs=5, batch_size=8, momentum=0),
            "epochs 4 and 5 and 2 more",
        ),
        (
            lambda f: f["runs"].__setitem__(0, run("relu", 0.1, 0, 0.3)),
            "relu at 0.1 with seed 0 has other errors in",
        ),
    ],
)
def test_folders_that_are_not_comparable(folder, change, said):
    names = [folder("a", A), folder("b", B, change=change)]
    with pytest.raises(fa.InputError, match=said):
        read_together(names)


def test_the_report_of_several_folders(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "all_plots", lambda results: {})  # they take long to draw
    monkeypatch.setattr(inner_plots, "inner", lambda row: {})
    names = [str(folder(name, levels)) for name, levels in (("a", A), ("b", B))]
    out = tmp_path / "out"
    assert main(["report", *names, "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert f"The report: {out}/report.html" in output
    for name in ("relu", "tanh", "elu"):
        assert f" {name} " in output
        assert f"| {name} |" in (out / "results.md").read_text()
    assert not (out / "results.json").exists()
    assert (out / "epochs.csv").read_text().count("\n") == 1 + 9 * 4
    assert main(["report", *names, "--watch"]) == 2
    assert "--watch shows one folder, not 2" in capsys.readouterr().err
    assert main(["report"]) == 2
    assert "no folder given" in capsys.readouterr().err
    assert main(["diff", names[0], str(tmp_path)]) == 2
    assert "name one of its comparisons: " in capsys.readouterr().err


def test_the_report_of_a_folder_that_holds_several(folder, tmp_path, monkeypatch, capsys):
    for dataset in ("mnist", "svhn"):
        folder(dataset, A, change=lambda f, dataset=dataset: f["study"].update(dataset=dataset))
    written = []
    monkeypatch.setattr(report, "write_report", lambda path, _: written.append(path.name))
    assert main(["report", str(tmp_path)]) == 0
    assert written == ["mnist", "svhn"]
    assert (tmp_path / "ranks.html").exists()


def change_settings(found):
    found["study"] |= {"epochs": 8, "recipe": {"augment": ["flip"], "optimizer": "adam"}}
    found["environment"]["jax"] = "1.1"
    for run_ in found["runs"]:
        run_["config"]["own_code"] = "abc"


SAID = [
    "epochs: 4 → 8", "optimizer: sgd → adam", "augment: none → flip", "jax: 1 → 1.1",
    "activations of the first only: tanh", "activations of the second only: elu",
    "seeds of the first only: 0", "seeds of the second only: 3, 4",
    "the code of relu or of its model: none → abc",
    "Of 2 runs that both have, 0 have the same errors.",
]  # fmt: skip


def last_errors(found):
    runs = {r.config["seed"]: r for r in found.runs if r.config["activation"] == "relu"}
    return [runs[seed].epochs[-1].test_error for seed in (1, 2)]


def test_what_differs_is_said(folder, capsys):
    levels = {"relu": (0.1,), "elu": (0.05,)}
    names = [folder("a", A), folder("b", levels, change=change_settings, seeds=(1, 2, 3, 4))]
    one, other = map(studies.read_results, names)
    lines = sentences(one, other)
    assert set(SAID) <= set(lines)
    (change,) = changes(one, other)
    expected = compare_paired(last_errors(other), last_errors(one))
    assert change.test_error.pairs == 2
    assert change.test_error.difference.mean == pytest.approx(expected.difference.mean)
    assert change.adjusted == pytest.approx(expected.p_value)
    assert main(["diff", *map(str, names)]) == 0
    output = capsys.readouterr().out
    assert "epochs: 4 → 8" in output
    assert points(expected.difference) in output
    assert "paired by seed" in output


def test_the_same_twice_differs_in_nothing():
    lines = sentences(record(A, rates=(0.1,)), record(A, rates=(0.1,)))
    assert lines == [
        "The settings are the same.",
        "Of 6 runs that both have, 6 have the same errors.",
    ]
    (relu, _) = changes(record(A, rates=(0.1,)), record(A, rates=(0.1,)))
    assert relu.adjusted == 1.0
