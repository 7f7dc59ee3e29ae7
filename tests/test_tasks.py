"""Activations over tasks: ranks, what is told apart, and the page."""

import json
import shutil

import numpy as np
import pytest
from test_report import results

import flaxact as fa
from flaxact import studies
from flaxact.cli import compare, main
from flaxact.cli.comparison import Comparison
from flaxact.data import Dataset, Split, catalogue
from flaxact.statistics import critical_difference
from flaxact.stored.files import write_json
from flaxact.studies.several import comparisons, task_folders
from flaxact.studies.study import Study
from flaxact.studies.tasks import ranking, read_tasks

LEVELS = {"relu": (0.02,), "elu": (0.03,), "tanh": (0.2,), "identity": (0.4,)}


@pytest.fixture
def folders(tmp_path):
    comparisons = []
    for i, dataset in enumerate(("mnist", "cifar10", "svhn")):
        levels = {name: (level[0] + 0.02 * i,) for name, level in LEVELS.items()}
        if i == 2:
            levels = {**levels, "tanh": (None,), "gelu": (0.01,)}
        study_results = results(levels, rates=(0.1,))
        study_results["study"]["dataset"] = dataset
        folder = tmp_path / dataset
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(study_results))
        comparisons.append(folder)
    return comparisons


def test_ranks_are_of_the_activations_that_all_tasks_have(folders):
    result = ranking(read_tasks(folders))
    assert result.activations == ("relu", "elu", "identity", "tanh")[:2] + result.activations[2:]
    assert "gelu" not in result.activations
    assert result.ranks[:2] == (1.0, 2.0)
    assert dict(zip(result.activations, result.ranks, strict=True))["tanh"] == pytest.approx(10 / 3)
    assert result.difference == critical_difference(4, 3)
    assert result.p_value is not None
    assert result.p_value < 0.05
    assert result.reference == "relu"
    assert sum(result.against["identity"]) == 3
    assert result.against["identity"][2] == 3


def test_the_command_writes_a_page_and_a_table(folders, tmp_path, capsys):
    out = tmp_path / "ranks"
    names = list(map(str, folders))
    assert main(["ranks", *names, "--reference", "elu", "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "better / like / worse than elu" in output
    assert "relu" in output
    page = (out / "ranks.html").read_text()
    assert "Friedman" in page
    assert "diverged (4)" in page
    assert (out / "ranks.md").read_text().count("\n| ") >= 5
    assert (out / "ranks.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f[:1], "two or more folders of comparisons"),
        (lambda f: [f[0], f[0]], "is given twice"),
        (lambda f: [f[0], f[0] / "none"], "no results.json in"),
    ],
)
def test_folders_refused(folders, change, said):
    with pytest.raises(fa.InputError, match=said):
        read_tasks(change(folders))
    with pytest.raises(fa.InputError, match="the reference gelu is not in every comparison"):
        ranking(read_tasks(folders), "gelu")


def test_a_folder_of_several_comparisons_counts_as_all_of_them(folders, tmp_path):
    assert comparisons(tmp_path) == sorted(folders)
    assert comparisons(folders[0]) == [folders[0]]
    names = {task.name for task in read_tasks([tmp_path])}
    assert names == {task.name for task in read_tasks(folders)}


def stripes():
    labels = np.arange(32) % 2
    images = np.zeros((32, 8, 8, 1), np.uint8) + np.uint8(200) * labels[:, None, None, None]
    split = Split(images.astype(np.uint8), labels)
    return Dataset("stripes", split, split, num_classes=2)


MODELS = ("mlp(width=0.005)", "mlp(width=0.01)")


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A command that compares on two nets."""
    monkeypatch.setitem(catalogue.own, "stripes", stripes)
    options = ["--dataset", "stripes", "--epochs", "1", "--batch-size", "8", "--seeds", "1"]
    options += ["--learning-rate", "0.003", "--out", str(tmp_path / "out")]
    return ["compare", "relu", "tanh", "--model", *MODELS, *options]


def check_several(words, out, capsys):
    """Compare, lose one of the two comparisons, and compare again."""
    assert main(words) == 0
    told = capsys.readouterr()
    assert "2 of 2: mlp(width=0.01) on stripes" in told.err
    assert "mlp(width=0.005) on stripes" in told.out
    folders = comparisons(out)
    assert [f.name for f in folders] == ["mlp_width=0.005-stripes", "mlp_width=0.01-stripes"]
    page = (out / "ranks.html").read_text()
    stored = {p: p.stat().st_mtime_ns for p in folders[0].glob("**/*.json")}
    shutil.rmtree(folders[1])
    (out / "ranks.html").unlink()
    assert main(words) == 0
    assert "nothing to do: all 2 runs are there" in capsys.readouterr().err
    assert stored == {p: p.stat().st_mtime_ns for p in folders[0].glob("**/*.json")}
    assert (out / "ranks.html").read_text() == page
    assert main(["status", str(out)]) == 0
    assert capsys.readouterr().out.count("finished. The report: ") == 2
    assert main([*words[:-1], str(folders[0])]) == 2
    assert "holds a comparison on one model and data set" in capsys.readouterr().err


def test_several_models_are_compared_and_ranked_in_one_command(
    words, tmp_path, monkeypatch, capsys
):
    """What would be trained, and the report of each, are left out."""

    def run(study, data, folder, command):
        study_results = results({"relu": (0.1,), "tanh": (0.2,)}, seeds=(0,), rates=(0.003,))
        study_results["study"] |= {"model": study.model, "dataset": study.dataset}
        write_json(folder / "results.json", study_results)
        yield studies.Progress(1, 1, "done")

    monkeypatch.setattr(studies, "run_held", run)
    monkeypatch.setattr(studies, "finished", lambda _, __, out: (out / "results.json").exists())
    monkeypatch.setattr(compare, "report", lambda folder: None)
    check_several(words, tmp_path / "out", capsys)


@pytest.mark.thorough
def test_several_models_are_trained(words, tmp_path, capsys):
    check_several(words, tmp_path / "out", capsys)


def test_a_task_is_given_once_and_has_a_folder_of_its_own(tmp_path):
    with pytest.raises(fa.InputError, match="mlp on mnist5k is given twice"):
        task_folders([Study(("relu",), "mlp")] * 2, tmp_path)
    with pytest.raises(fa.InputError, match="would share the folder"):
        task_folders([Study(("relu",), "mlp", name) for name in ("a/b", "a_b")], tmp_path)
    assert task_folders([Study(("relu",), "mlp")], tmp_path) == [tmp_path]
    for options in ({"model": ()}, {"dataset": ()}):
        with pytest.raises(fa.InputError, match="name one or more, or leave the option out"):
            Comparison(("relu",), **options).studies()
