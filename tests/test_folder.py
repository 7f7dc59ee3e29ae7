"""A run in a folder, and all that can happen to it: each fault is made to happen."""

import dataclasses
import functools
import itertools
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trainings_child as child
from trainings import (
    DENSE,
    PERCEPTRON,
    assert_same_bits,
    member,
    quick_compilation,
    random_data,
    trained,
)

import flaxact as fa
from flaxact.net import Net
from flaxact.training import Member, final_states, prepare, run
from flaxact.training.folder import orbax_store
from flaxact.training.folder import run as folder
from flaxact.training.folder.checkpoints import CheckpointError, Checkpoints, restore
from flaxact.training.group import Groups

RECIPE = child.CHILD
STEPS = 18
OPTIONS = child.OPTIONS
TIMES = ("seconds", "elapsed", "compile_seconds")


@pytest.fixture(autouse=True)
def _quick():
    with quick_compilation():
        yield


def running(place, **options):
    """A run as the child's, in this process."""
    arguments = {"net": child.NET, "recipe": RECIPE, "data": child.DATA, "members": child.MEMBERS}
    return run(**arguments | OPTIONS | {"folder": place} | options)


def epochs_of(*arguments, **options):
    return [epoch.number for epoch in running(*arguments, **options)]


def stopped_after(place, epochs, **options):
    """A run that its caller has left after so many epochs."""
    generator = running(place, **options)
    assert len(list(itertools.islice(generator, epochs + 1))) == epochs + 1
    generator.close()
    return place


def start(place, *arguments, environment=()):
    return subprocess.Popen(
        [sys.executable, child.__file__, str(place), *map(str, arguments)],
        env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **dict(environment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Its exit code, and what it said."""
    output, errors = process.communicate(timeout=120)
    return process.returncode, output + errors


def last_of(place):
    return restore(place / "checkpoints")


def rows_of(place):
    """The lines of metrics.jsonl without what a clock says."""
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def assert_equal_to(place, whole):
    """A run that was broken off and one that was not: their parameters bit for bit, and the rest."""
    mine = last_of(place)
    theirs = last_of(whole)
    assert mine.step == theirs.step
    assert_same_bits(mine.arrays, theirs.arrays)
    assert rows_of(place) == rows_of(whole)
    results = [json.loads((p / "result.json").read_text()) for p in (place, whole)]
    assert [r["config"] for r in results] == [results[1]["config"]] * 2
    assert [r["diverged_at"] for r in results] == [results[1]["diverged_at"]] * 2
    assert [row["epoch"] for row in results[0]["epochs"]] == list(range(RECIPE.epochs + 1))
    assert (place / "recipe.toml").read_text() == (whole / "recipe.toml").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to, in a process of its own; beside it, how long it took."""
    place = tmp_path_factory.mktemp("whole") / "run"
    process = start(place)
    assert process.stdout.readline() == "ready\n"
    ready = time.monotonic()
    code, output = ended(process)
    assert code == 0, output
    place.with_name("seconds").write_text(str(time.monotonic() - ready))
    assert last_of(place).step == STEPS
    return place


def test_a_folder_does_not_change_what_comes_out(whole):
    """Nor do checkpoints: against a training without either."""
    epochs, arrays = trained(child.NET, RECIPE, child.DATA, child.MEMBERS)
    assert_same_bits(arrays, last_of(whole).arrays)
    rows = rows_of(whole)
    for name, values in epochs.items():
        expected = [[None if np.isnan(v) else v for v in row] for row in values.tolist()]
        assert [row[name] for row in rows] == expected
    states = final_states(whole, child.NET, RECIPE, child.DATA, members=child.MEMBERS)
    np.testing.assert_array_equal(states.variables["params"]["w"], arrays["variables/params/w"])


# Killed


@pytest.mark.thorough
def test_killed_at_every_kind_of_place_in_turn(whole, tmp_path):
    """One run, killed time and again: by itself, so that it happens where it is meant to."""
    lives = [
        ("after config.json", 1), ("in a save", 2), ("in a row", 1), ("step", 6),
        ("before result.json", 1), ("after result.json", 1),
    ]  # fmt: skip
    steps = []
    for place, count in lives:
        process = start(tmp_path, place, count)
        code, output = ended(process)
        assert code == -signal.SIGKILL, (place, output)
        assert str(process.pid) in (tmp_path / "lock").read_text()  # is no obstacle to the next
        actual = last_of(tmp_path)
        steps.append(-1 if actual is None else actual.step)
        if place == "in a save":
            assert list((tmp_path / "checkpoints").glob("*.orbax-checkpoint-tmp*"))
    assert steps == sorted(steps)
    assert steps[-1] == STEPS
    assert epochs_of(tmp_path) == []
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))
    assert_equal_to(tmp_path, whole)


def kill_at_random(root, whole, kills, seed):
    """Kill runs at random moments until so many have been; whichever end are looked at.

    The moments are uniform over a run's time, from when it is called to its end; returns how many fell
    into which part of it.
    """
    rng = random.Random(seed)
    actual = {"before a checkpoint": 0, "in a save": 0, "between": 0}
    began = time.monotonic()
    runs = 1
    length = float(whole.with_name("seconds").read_text())
    place = root / "0"
    while kills:
        process = start(place)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, length))
        process.kill()
        code, output = ended(process)
        assert code in (0, -signal.SIGKILL), output
        if code == 0:
            assert_equal_to(place, whole)
            place = root / str(runs)
            runs += 1
            continue
        kills -= 1
        half = list((place / "checkpoints").glob("*tmp*"))
        at = "in a save" if half else "between" if last_of(place) else "before a checkpoint"
        actual[at] += 1
        if (place / "result.json").exists():
            assert_equal_to(place, whole)
    assert last_of(place) is None or last_of(place).step <= STEPS
    epochs_of(place)
    assert_equal_to(place, whole)
    return f"{actual} in {runs} runs, seed {seed}, {time.monotonic() - began:.0f} s"


@pytest.mark.thorough
def test_killed_at_random_moments(whole, tmp_path):
    seed = random.SystemRandom().randrange(1000)
    print(kill_at_random(tmp_path, whole, kills=2, seed=seed))  # shown where it fails


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_fifty_random_moments(whole, tmp_path):
    seed = random.SystemRandom().randrange(1000)
    print(kill_at_random(tmp_path, whole, kills=50, seed=seed))


# Asked to stop


def terminate(*_):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.sampled(7)
@pytest.mark.parametrize(
    ("at", "stops_at"),
    [
        ((prepare, "compiled", 1), 0),
        ((Groups, "start", 1), 0),
        ((Groups, "advance", 1), 1),
        ((Groups, "advance", 5), 5),
        ((Groups, "metrics", 3), 6),  # the epochs 0, 1 and 2
        ((Groups, "advance", STEPS), STEPS),
    ],
)
def test_sigterm_ends_after_the_step_and_saves(whole, tmp_path, monkeypatch, at, stops_at):
    owner, name, count = at
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, child.counted(getattr(owner, name), count, terminate))
        with pytest.raises(SystemExit) as stopped:
            epochs_of(tmp_path, save_seconds=1e9)
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert last_of(tmp_path).step == stops_at
    assert not (tmp_path / "result.json").exists()
    assert epochs_of(tmp_path) == list(range(stops_at // 3 + 1, RECIPE.epochs + 1))
    assert_equal_to(tmp_path, whole)


@pytest.mark.thorough
def test_sigterm_from_outside_exits_143(whole, tmp_path):
    process = start(tmp_path)
    assert process.stdout.readline() == "ready\n"
    while (line := process.stdout.readline()) and line != "1\n":
        pass
    process.send_signal(signal.SIGTERM)
    code, output = ended(process)
    assert code == 143, output
    assert 3 <= last_of(tmp_path).step < STEPS
    epochs_of(tmp_path)
    assert_equal_to(tmp_path, whole)


# Damaged


def newest(place):
    return max((place / "checkpoints").glob("[0-9]*"))


def big_file(checkpoint):
    return max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_a_bit(checkpoint):
    path = big_file(checkpoint)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "truncated": lambda c: os.truncate(big_file(c), big_file(c).stat().st_size // 2),
    "one bit": flip_a_bit,
    "a missing file": lambda c: big_file(c).unlink(),
    "no metadata": lambda c: (c / "_CHECKPOINT_METADATA").unlink(),
    "empty": lambda c: [shutil.rmtree(c), c.mkdir()],
}


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was left after two epochs."""
    with quick_compilation():
        return stopped_after(tmp_path_factory.mktemp("half") / "run", 2)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    whole, half, tmp_path, caplog, damage
):
    place = shutil.copytree(half, tmp_path / "run")
    bad = newest(place)
    DAMAGES[damage](bad)
    with caplog.at_level(logging.WARNING):
        epochs_of(place)
    assert [
        r.message for r in caplog.records if f"checkpoint {int(bad.name)} is damaged" in r.message
    ]
    assert (place / "checkpoints" / f"damaged-{bad.name}").is_dir()
    assert_equal_to(place, whole)


def test_nothing_but_damaged_checkpoints_is_an_error_and_no_fresh_start(half, tmp_path):
    place = shutil.copytree(half, tmp_path / "run")
    for checkpoint in (place / "checkpoints").glob("[0-9]*"):
        flip_a_bit(checkpoint)
    sizes = {p.stat().st_size for p in place.rglob("*") if p.is_file()}
    metrics = (place / "metrics.jsonl").read_text()
    for _ in range(2):  # nor at a second try
        with pytest.raises(fa.InputError, match=r"no checkpoint in .* can be read"):
            epochs_of(place)
    assert (place / "metrics.jsonl").read_text() == metrics
    assert sizes <= {p.stat().st_size for p in place.rglob("*") if p.is_file()}
    assert len(list((place / "checkpoints").glob("damaged-*"))) == 3
    assert not list((place / "checkpoints").glob("[0-9]*"))


@pytest.mark.parametrize("where", ["config.json", "metrics.jsonl"])
def test_a_damaged_text(whole, half, tmp_path, where):
    """The lines are in the checkpoints too; without a configuration nothing is gone on with."""
    place = shutil.copytree(half, tmp_path / "run")
    os.truncate(place / where, 30)
    if where == "config.json":
        with pytest.raises(fa.InputError, match=r"config\.json cannot be read"):
            epochs_of(place)
        return
    epochs_of(place)
    assert_equal_to(place, whole)


# A disk that is full


def test_a_failed_save_is_raised_at_the_next_step(whole, tmp_path, monkeypatch):
    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    steps = []
    advance = Groups.advance

    def noted(groups, step, many):
        steps.append(step)
        advance(groups, step, many)

    with monkeypatch.context() as patched:
        patched.setattr(orbax_store, "write", child.counted(orbax_store.write, 6, full))
        patched.setattr(Groups, "advance", noted)
        with pytest.raises(CheckpointError, match=r"checkpoint 5 could not be written .*No space"):
            epochs_of(tmp_path)
    assert steps == [0, 1, 2, 3, 4, 5]  # the one after the save, and no more
    assert last_of(tmp_path).step == 4
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))
    epochs_of(tmp_path)
    assert_equal_to(tmp_path, whole)


def test_the_last_save_that_fails_leaves_no_result(whole, tmp_path, monkeypatch):
    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(orbax_store, "write", child.counted(orbax_store.write, STEPS + 1, full))
        with pytest.raises(CheckpointError, match=f"checkpoint {STEPS} could not"):
            epochs_of(tmp_path)
    assert not (tmp_path / "result.json").exists()
    assert epochs_of(tmp_path) == [RECIPE.epochs]
    assert_equal_to(tmp_path, whole)


# Two at once


@pytest.mark.thorough
def test_a_second_process_is_told_of_the_first(tmp_path):
    first = running(tmp_path)
    next(first)
    code, output = ended(start(tmp_path))
    assert code == 1
    assert (
        f"{tmp_path} is in use by process {os.getpid()} on {socket.gethostname()} since" in output
    )
    assert len(list(first)) == RECIPE.epochs  # and is not disturbed


# Gone on in with something else


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "vgg11"}, 'model was "", is "vgg11"'),
        ({"net": PERCEPTRON}, 'variables was "'),
        ({"data": random_data(seed=1)}, 'data was "'),
        (
            {"data": dataclasses.replace(child.DATA, name="large")},
            'dataset was "small", is "large"',
        ),
        ({"members": [0, 1, 2]}, '"learning_rate": 0.02}], is [{"seed": 0}, {"seed": 1}'),
        ({"recipe": {"batch_size": 8}}, "batch_size was 16, is 8"),
        ({"recipe": {"precision": "bfloat16"}}, 'precision was the default, is "bfloat16"'),
        ({"recipe": {"learning_rate": 0.02}}, "learning_rate was 0.01, is 0.02"),
        ({"recipe": {"epochs": 7}}, "epochs was 6, is 7"),
        ({"recipe": {"augment": ("flip",)}}, 'augment was the default, is ["flip"]'),
    ],
)
def test_another_run_in_the_folder_is_refused(half, tmp_path, options, said):
    place = shutil.copytree(half, tmp_path / "run")
    if "recipe" in options:
        options = {"recipe": dataclasses.replace(RECIPE, **options["recipe"])}
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != "lock"}
    with pytest.raises(fa.InputError) as refused:
        epochs_of(place, **options)
    text = str(refused.value)
    assert said in text
    assert text.startswith(f"{place} holds another run: ")
    assert text.count(", is ") == 1 + text.count(";")
    assert before == {p: p.read_bytes() for p in before}


@pytest.mark.thorough
def test_another_number_of_devices_is_said(whole, half, tmp_path):
    place = shutil.copytree(half, tmp_path / "run")
    code, output = ended(start(place, environment={"JAX_NUM_CPU_DEVICES": "2"}.items()))
    assert code == 0, output
    assert "saved on 1 devices and resumes on 2: the last bits may differ" in output
    mine = last_of(place)
    theirs = last_of(whole)
    for name, array in theirs.arrays.items():
        np.testing.assert_allclose(mine.arrays[name], array, rtol=1e-4, atol=1e-6)


# Diverged


def test_what_diverges_is_recorded_and_no_checkpoint_holds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "Checkpoints", functools.partial(Checkpoints, keep=STEPS + 1))
    members = [Member(0), Member(1, learning_rate=1e38), Member(2, learning_rate=3e38)]
    epochs_of(tmp_path / "wild", members=members)
    result = json.loads((tmp_path / "wild" / "result.json").read_text())
    first, *wild = result["diverged_at"]
    assert first == -1
    assert all(0 <= step < 4 for step in wild)
    rows = rows_of(tmp_path / "wild")
    assert [row["diverged_at"] for row in rows[2:]] == [result["diverged_at"]] * 5
    assert [row["test_loss"][1:] for row in rows[2:]] == [[None, None]] * 5
    steps = sorted((tmp_path / "wild" / "checkpoints").glob("[0-9]*"))
    assert len(steps) == STEPS + 1
    for path in steps:
        arrays, _ = orbax_store.read(path, int(path.name))
        names = [name for name in arrays if name.startswith(("variables", "opt_state"))]
        assert len(names) >= 4
        for name in names:
            assert np.isfinite(arrays[name]).all(), (path, name)
    epochs_of(tmp_path / "tame", members=[0, 1, 2])
    both = [last_of(tmp_path / name).arrays for name in ("wild", "tame")]
    assert_same_bits(member(both[0], 0), member(both[1], 0))


def test_a_run_of_which_all_have_diverged_is_finished(tmp_path, monkeypatch):
    def poisoned(variables, images, *, train, key):
        logits, variables = DENSE.apply(variables, images, train=train, key=key)
        return logits * (np.nan if train else 1.0), variables

    arguments = {"net": Net(DENSE.init, poisoned)}
    assert epochs_of(tmp_path, **arguments) == [0, 1]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["diverged_at"] == [0, 0]
    assert result["steps"] == 3
    assert np.isfinite(last_of(tmp_path).arrays["variables/params/w"]).all()
    monkeypatch.setattr(folder, "updates", None)
    assert epochs_of(tmp_path, **arguments) == []


# Finished


def test_a_finished_run_does_nothing(whole, monkeypatch):
    def files():
        kept = [p for p in whole.rglob("*") if p.is_file() and p.name != "lock"]
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in kept}

    before = files()
    for name in ("updates", "restore", "Checkpoints"):
        monkeypatch.setattr(folder, name, None)
    assert epochs_of(whole) == []
    assert files() == before
    with pytest.raises(fa.InputError, match="epochs was 6, is 9"):
        epochs_of(whole, recipe=dataclasses.replace(RECIPE, epochs=9))


def test_nothing_in_a_folder_is_executed(half):
    """It holds JSON, TOML, and arrays; no file begins or is named as a pickle."""
    files = [p for p in half.rglob("*") if p.is_file()]
    assert len(files) > 10
    for path in files:
        assert path.suffix not in (".pkl", ".pickle", ".py")
        assert not path.read_bytes().startswith(b"\x80")
        assert Path(path).stat().st_mode & 0o111 == 0
