"""Activations over tasks: ranks, what is told apart, and the page."""

import json

import pytest
from test_report import results

import flaxact as fa
from flaxact.cli import main
from flaxact.statistics import critical_difference
from flaxact.studies.tasks import ranking, read_tasks

LEVELS = {"relu": (0.02,), "elu": (0.03,), "tanh": (0.2,), "identity": (0.4,)}


@pytest.fixture
def folders(tmp_path):
    made = []
    for i, dataset in enumerate(("mnist", "cifar10", "svhn")):
        levels = {name: (level[0] + 0.02 * i,) for name, level in LEVELS.items()}
        if i == 2:
            levels = {**levels, "tanh": (None,), "gelu": (0.01,)}
        found = results(levels, rates=(0.1,))
        found["study"]["dataset"] = dataset
        folder = tmp_path / dataset
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(found))
        made.append(folder)
    return made


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
    said = capsys.readouterr().out
    assert "better / like / worse than elu" in said
    assert "relu" in said
    page = (out / "ranks.html").read_text()
    assert "Friedman" in page
    assert "diverged (4)" in page
    assert (out / "ranks.md").read_text().count("\n| ") >= 5
    assert (out / "ranks.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f[:1], "two folders of comparisons or more"),
        (lambda f: [f[0], f[0]], "is given twice"),
        (lambda f: [f[0], f[0] / "none"], "no results.json in"),
    ],
)
def test_folders_refused(folders, change, said):
    with pytest.raises(fa.InputError, match=said):
        read_tasks(change(folders))
    with pytest.raises(fa.InputError, match="the reference gelu is not in every comparison"):
        ranking(read_tasks(folders), "gelu")
