"""A study is run once, keeps what is finished, and is checked before anything is trained."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import flaxact as fa
from flaxact import studies
from flaxact.cli import main
from flaxact.cli.comparison import Comparison
from flaxact.data import load, preprocess
from flaxact.studies._results import check_options
from flaxact.studies.runs import run_cell
from flaxact.studies.study import Study, check_folder, identity
from flaxact.training import Member, Recipe

STORED = Path(__file__).parents[1] / "docs" / "results" / "cifar10"
TINY = [
    "--model",
    "mlp(width=0.02)",
    "--epochs",
    "1",
    "--batch-size",
    "400",
    "--seeds",
    "2",
]


def compare(folder, *arguments):
    return main(["compare", *arguments, *TINY, "--learning-rate", "0.003", "--out", str(folder)])


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/result.json")}


def test_from_names_to_a_report_and_not_again(tmp_path, capsys, caplog):
    assert compare(tmp_path, "relu", "centered(relu)") == 0
    for name in ("report.html", "results.csv", "results.md", "results.json", "plots/layers.png"):
        assert (tmp_path / name).stat().st_size > 0
    stored = json.loads((tmp_path / "results.json").read_text())
    assert len(stored["runs"]) == 4
    for run in stored["runs"]:
        folder = tmp_path / "runs" / run["id"]
        assert identity(json.loads((folder / "config.json").read_text())) == run["id"]
        assert len(run["config"]) <= 12
        assert [list(probe["sites"]) for probe in run["probes"]] == [["act1", "act2", "act3"]] * 2
        assert [probe["epoch"] for probe in run["probes"]] == [0, 1]
        assert all(0 <= run["epochs"][0][name] <= 1 for name in ("train_error", "test_error"))
        assert run["epochs"][0]["seconds"] > 0

    before = stamps(tmp_path)
    output = capsys.readouterr()
    assert (
        "2/4 epochs: relu, epoch 1, best of 2 runs: training error" in output.err
    )  # a line an epoch
    assert re.search(r"^ centered\(relu\) +0\.003 +\d.*\nThe report: ", output.out, re.M | re.S)
    assert compare(tmp_path, "relu", "centered(relu)") == 0
    assert "nothing to do: all 4 runs are there" in capsys.readouterr().err
    assert stamps(tmp_path) == before

    # One more activation: only its runs are new, and the report has all three.
    assert compare(tmp_path, "relu", "centered(relu)", "identity") == 0
    assert before.items() <= stamps(tmp_path).items()
    assert len(stamps(tmp_path)) == 6
    assert "| identity |" in (tmp_path / "results.md").read_text()

    # The first study again: nothing to train, but the report is to be its own, which is said.
    before = stamps(tmp_path)
    with caplog.at_level("WARNING", "flaxact"):
        assert compare(tmp_path, "relu", "centered(relu)") == 0
    assert "showed relu, centered(relu), identity: the new report shows only" in caplog.text
    assert stamps(tmp_path) == before
    assert "| identity |" not in (tmp_path / "results.md").read_text()

    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert "centered(relu)" in (tmp_path / "report.html").read_text()

    # Other options are another comparison.
    before = stamps(tmp_path)
    capsys.readouterr()
    assert compare(tmp_path, "relu", "--option", "optimizer='adam'") == 2
    output = capsys.readouterr().err.splitlines()[-1]
    assert 'other options: optimizer was "sgd", is "adam". Choose another folder' in output
    assert stamps(tmp_path) == before


RECIPE = """
optimizer = "adam"
precision = "bfloat16"
epochs = 3
preprocess = ["standardize"]
views = "centre(24)"
"""


def test_a_recipe_of_ones_own_and_the_trained_variables(tmp_path, caplog):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    folder = tmp_path / "results"
    arguments = ["prelu", "--recipe", str(tmp_path / "recipe.toml"), "--keep-params"]
    arguments += ["--option", "augment=['random_crop(24)', 'flip']"]
    assert compare(folder, *arguments) == 0
    stored = json.loads((folder / "results.json").read_text())
    assert stored["study"]["recipe"] == {
        "epochs": 1,
        "batch_size": 400,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "optimizer": "adam",
        "precision": "bfloat16",
        "augment": ["random_crop(24)", "flip"],
        "preprocess": ["standardize"],
        "views": "centre(24)",
    }
    run = stored["runs"][1]
    assert 0.5 < run["untrained"]["test_error"] <= 1
    first, last = (probe["learned"]["act1"]["negative_slope"] for probe in run["probes"])
    assert first == {"mean": 0.25, "min": 0.25, "max": 0.25}
    assert last["min"] < last["mean"] < last["max"]

    model, variables = studies.load_trained(folder, "prelu", seed=1)
    slopes = variables["params"]["act1"]["activation"]["negative_slope"]
    assert slopes.mean() == pytest.approx(last["mean"], rel=1e-5)
    test = preprocess(["standardize"], load("mnist5k")).test
    logits = model.apply(variables, test.images[:, 2:26, 2:26], train=False)
    error = (logits.argmax(-1) != test.labels).mean()
    assert error == pytest.approx(run["epochs"][-1]["test_error"], abs=0.01)  # which is in bfloat16

    # A file that is lost is named, and its run trained again with the one it was trained with.
    path = folder / "runs" / run["id"] / "variables.npz"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(fa.InputError, match="is lost; the same comparison trains its run again"):
        studies.load_trained(folder, "prelu", seed=1)
    before = stamps(folder)
    with caplog.at_level("WARNING", "flaxact"):
        assert compare(folder, *arguments) == 0
    assert "variables.npz is lost: trained again" in caplog.text
    assert path.read_bytes() == content
    assert sum(before[path] != stamp for path, stamp in stamps(folder).items()) == 1
    path.write_bytes(content[:-1])
    with pytest.raises(fa.InputError, match="was changed or damaged"):
        studies.load_trained(folder, "prelu", seed=1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"seed": 7},
            "no run of relu, seed 7, learning rate 0.001; there are relu, tanh with seeds 0, 1, 2",
        ),
        ({"learning_rate": 0.5}, "no run of relu, learning rate 0.5"),
        ({}, "were not kept: flaxact compare --keep-params keeps them"),
    ],
)
def test_trained_variables_that_are_not_there(asked, said):
    with pytest.raises(fa.InputError, match=said):
        studies.load_trained(STORED, "relu", **asked)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"epochs": 6, "learning_rates": (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)}),
        ({"option": ("epochs=2", "learning_rate=0.5")}, {"epochs": 2, "learning_rates": (0.5,)}),
        ({"epochs": 4, "learning_rate": (0.1, 0.2)}, {"epochs": 4, "learning_rates": (0.1, 0.2)}),
    ],
)
def test_what_an_option_leaves_out_is_the_recipes_or_the_default(options, fields):
    (study,) = Comparison(("relu",), **options).studies()
    assert study.recipe.epochs == fields["epochs"]
    assert study.learning_rates == fields["learning_rates"]


def test_a_folder_of_an_earlier_format_has_options_too():
    options = {"model": "cuda_convnet", "dataset": "cifar10"}
    check_options(Study(("relu", "elu"), recipe=Recipe(10, 128), **options), STORED)
    with pytest.raises(fa.InputError, match=r"epochs was 10, is 11\. Choose another folder"):
        check_options(Study(("relu",), recipe=Recipe(11, 128), **options), STORED)


def test_a_field_that_is_given_twice_is_refused():
    with pytest.raises(fa.InputError, match="batch_size is given by --batch-size and by --option"):
        Comparison(("relu",), batch_size=8, option=("batch_size=9",)).studies()


@pytest.mark.slow
def test_a_killed_study_keeps_its_finished_cells(tmp_path):
    arguments = ["compare", "relu", "tanh", "elu", *TINY, "--learning-rate", "0.003"]
    command = [sys.executable, "-m", "flaxact", *arguments, "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(stamps(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = stamps(tmp_path)
    assert 2 <= len(before) < 6
    assert not (tmp_path / "report.html").exists()
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    after = stamps(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == 6


@pytest.mark.thorough
def test_more_seeds_train_only_the_new_ones(tmp_path):
    data = load("mnist5k")
    recipe = Recipe(epochs=1, batch_size=400)
    few, many = (
        Study(("relu",), "mlp(width=0.02)", seeds=seeds, recipe=recipe)
        for seeds in ((0,), (0, 1, 2))
    )
    list(studies.run(few, data, tmp_path))
    assert studies.missing(few, data, tmp_path) == {}
    assert studies.missing(many, data, tmp_path) == {"relu": [Member(1, 0.001), Member(2, 0.001)]}
    progress = list(studies.run(many, data, tmp_path))
    assert progress[-1].done == progress[-1].total == 2
    assert "relu, epoch 1, best of 2 runs" in progress[-2].text
    assert not list(tmp_path.glob("cells/*"))


def test_a_stopped_cell_goes_on_within_itself(tmp_path):
    """SIGTERM after the second of four epochs: two are left, and the results are the same."""
    data = load("mnist5k")
    study = Study(
        ("relu",), "mlp(width=0.02)", seeds=(0, 1), recipe=Recipe(epochs=4, batch_size=400)
    )
    members = studies.missing(study, data, tmp_path)["relu"]
    epochs = run_cell(study, data, tmp_path, "relu", members=members)
    assert [next(epochs).number for _ in range(3)] == [0, 1, 2]
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        next(epochs)
    assert studies.missing(study, data, tmp_path) == {"relu": members}
    again = [epoch.number for epoch in run_cell(study, data, tmp_path, "relu", members=members)]
    assert again == [3, 4]
    assert studies.missing(study, data, tmp_path) == {}
    list(run_cell(study, data, tmp_path / "whole", "relu", members=members))
    for path in stamps(tmp_path):
        one = json.loads(path.read_text())
        other = json.loads((tmp_path / "whole" / path.relative_to(tmp_path)).read_text())
        for epoch in one["epochs"] + other["epochs"]:
            del epoch["seconds"]
        assert one["epochs"] == other["epochs"]
        assert one["probes"] == other["probes"]


@pytest.mark.thorough
def test_a_diverged_run_is_stored_as_one(tmp_path):
    study = Study(
        ("relu",),
        "cuda_convnet(width=0.05)",
        seeds=(0,),
        learning_rates=(1e6,),
        recipe=Recipe(epochs=3, batch_size=400),
    )
    list(studies.run(study, load("mnist5k"), tmp_path))
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert run["diverged_at"] == len(run["epochs"]) < 3
    assert run["epochs"][-1]["train_loss"] is None
    studies.write_report(tmp_path)
    assert "diverged" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activations": ()}, "no activations"),
        ({"activations": ("rleu",)}, "did you mean 'relu'"),
        ({"activations": ("swish", "silu")}, "the activation silu is given twice"),
        ({"model": "cuda_convet"}, "did you mean 'cuda_convnet'"),
        ({"seeds": ()}, "seeds must be 1 or more"),
        ({"learning_rates": ()}, "no learning rate"),
        ({"learning_rates": (0.1, -1.0)}, "above 0, not -1.0"),
        ({"learning_rates": (0.1, 0.1)}, "0.1 is given twice"),
        ({"target_error": 25.0}, "between 0 and 1, not 25.0"),
        ({"image_size": 0}, "image size must be 1 or more"),
    ],
)
def test_studies_refused(options, said):
    with pytest.raises(fa.InputError, match=said):
        Study(**({"activations": ("relu",)} | options))


def test_folder_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below", "/proc/flaxact"):
        with pytest.raises(fa.InputError, match="cannot write to the folder"):
            check_folder(type(tmp_path)(folder))


def test_a_study_that_does_not_fit_its_data():
    data = load("mnist5k")
    with pytest.raises(fa.InputError, match="a batch of 5000 is larger than the 4000"):
        studies.check(Study(("relu",), recipe=Recipe(batch_size=5000)), data)
    with pytest.raises(fa.InputError, match="did you mean '19pct'"):
        studies.check(Study(("relu",), "cuda_convnet(variant=17pct)"), data)
