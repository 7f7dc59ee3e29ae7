"""What a run leaves for TensorBoard and the profiler, and `flaxact train`."""

import json
import logging
import struct
import sys

import pytest

import flaxact as fa
from flaxact.cli import main
from flaxact.training import Member, Recipe, run
from tests.trainings import DENSE, RECIPE, SMALL

LONG = Recipe(epochs=6, batch_size=16, learning_rate=0.01)


def scalars(path):
    """(step, tag, value) of an event file, whose records are length, checksum, data, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data = path.read_bytes()
    collected = []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]
        collected += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
    return collected


def test_tensorboard_has_the_metrics_of_every_member(tmp_path):
    members = [Member(0), Member(1, 0.1)]
    epochs = list(run(DENSE, RECIPE, SMALL, members, folder=tmp_path, tensorboard=True))
    folders = sorted((tmp_path / "tensorboard").iterdir())
    assert [f.name for f in folders] == ["seed 0", "seed 1, learning_rate 0.1"]
    for i, folder in enumerate(folders):
        (file,) = folder.iterdir()
        actual = {(step, tag): value for step, tag, value in scalars(file)}
        assert actual[2, "test_error"] == pytest.approx(epochs[-1].test_error[i])
        assert actual[1, "train_loss"] == pytest.approx(epochs[1].train_loss[i])
        assert (0, "train_loss") not in actual  # nothing was trained yet


def test_tensorboard_that_is_not_installed_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(fa.InputError, match=r"pip install 'flaxact\[tensorboard\]'"):
        next(run(DENSE, RECIPE, SMALL, [0], folder=tmp_path, tensorboard=True))


@pytest.mark.thorough
@pytest.mark.parametrize("loop", ["scan", "dispatch"])
def test_a_profile_is_written(tmp_path, loop):
    list(run(DENSE, LONG, SMALL, [0], folder=tmp_path, profile=True, loop=loop, steps_per_update=1))
    (trace,) = tmp_path.glob("profile/plugins/profile/*/*.xplane.pb")
    assert trace.stat().st_size > 1000


TRAIN = ["train", "leaky_relu", "--model", "mlp(depth=1, hidden=4)", "--option", "epochs=1"]


def test_train_writes_a_run_and_goes_no_further_the_second_time(tmp_path, capsys):
    out = tmp_path / "run"
    file = tmp_path / "recipe.toml"
    file.write_text("batch_size = 500\nlearning_rate = 0.5\nschedule = 'cosine'\n")
    command = [
        *TRAIN,
        "--recipe",
        str(file),
        "--seeds",
        "2",
        "--momentum",
        "0.5",
        "0.9",
        "--sweep",
        "negative_slope=0.1,0.3",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    result = json.loads((out / "result.json").read_text())
    assert len(result["config"]["members"]) == 8
    assert result["config"]["members"][0] == {
        "seed": 0,
        "momentum": 0.5,
        "hyperparameters": {"negative_slope": 0.1},
    }
    assert (result["config"]["batch_size"], result["config"]["schedule"]) == (500, "cosine")
    assert result["steps"] == 8
    assert "epoch 1: training error" in capsys.readouterr().err
    assert Recipe.from_toml((out / "recipe.toml").read_text()).epochs == 1
    before = (out / "result.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--option", "epoch=3"], "did you mean 'epochs'"),
        (["--option", "epochs"], "cannot read the recipe as TOML"),
        (["--recipe", "nowhere.toml"], "cannot read the recipe nowhere.toml"),
        (["--sweep", "negative_slope"], "not 'negative_slope'"),
        (["--sweep", "negative_slop=1,2"], "did you mean 'negative_slope'"),
        (["--stream"], "--image-size"),
        (["--option", "augment=['flop']"], "did you mean 'flip'"),
        (["--processes", "2"], "give all three"),
        (["--dataset", "mnits"], "did you mean 'mnist'"),
    ],
)
def test_what_train_refuses_in_one_line(tmp_path, capsys, more, said):
    assert main([*TRAIN, "--out", str(tmp_path / "run"), *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_run_logs_nothing_where_nothing_is_wrong(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "flaxact"):
        list(run(DENSE, RECIPE, SMALL, [0], folder=tmp_path))
    assert [record.message for record in caplog.records if record.name == "flaxact"] == []
