"""Kills of what a study stores, at every operation on its files; a helper of test_stored.py without jax.

python killed_child.py FOLDER

A cell of two runs is trained already. Storing its results, writing the report and removing the cell is
killed before the first operation on files, then before the second, and so on, each time in a forked
process, and each time brought to an end by a second one. Prints a line of JSON for each.
"""

import json
import os
import signal
import sys
from pathlib import Path

from flaxact.stored.files import make_folder, write_json
from flaxact.studies import _folder
from flaxact.studies.study import Study, identity

STUDY = Study(("relu",), "mlp(width=0.02)", seeds=(0, 1))
CONFIGS = [STUDY.config("relu", 0.001, seed, "digest") for seed in STUDY.seeds]
CELL = "cells/" + identity({"runs": [identity(config) for config in CONFIGS]})
EVENTS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "os.link",
}  # fmt: skip


def kill_at(number, root):
    """Kill this process before its so-manieth change of a file under ``root``; returns a counter."""
    left = [number]
    root = str(root)

    def hook(event, arguments):
        if event not in EVENTS or not str(arguments[0]).startswith(root):
            return
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: number - left[0]


def compare(number, arguments):
    """The command, killed before its so-manieth operation on files of ``--out``; 0 only counts them."""
    from flaxact.cli import main

    operations = kill_at(number, arguments[-1])
    code = main(arguments)
    print(operations())
    sys.exit(code)


def probe(epoch):
    measures = dict.fromkeys(
        (
            "mean",
            "variance",
            "mean_to_std",
            "zeros",
            "dead",
            "saturated_low",
            "saturated_high",
            "slope_second_moment",
            "gradient_norm",
        ),
        0.25 + epoch,
    )
    slope = {"mean": 0.25, "min": 0.25 - epoch, "max": 0.25 + epoch}
    return {"epoch": epoch, "sites": {"act1": measures}, "learned": {"act1": {"slope": slope}}}


def run(config):
    metrics = {"train_error": 0.5, "train_loss": 1.0, "test_error": 0.4, "test_loss": 1.0}
    members = [{"seed": seed, "learning_rate": 0.001} for seed in STUDY.seeds]
    return {
        "config": config,
        "members": members,
        "epochs": [{"epoch": 1, **metrics, "seconds": 0.5}],
        "compile_seconds": 1.0,
        "runs_at_once": 2,
        "diverged_at": None,
        "untrained": {"test_error": 0.9, "test_loss": 2.3},
        "probes": [probe(0), probe(1)],
        "inputs": {"act1": [i / 32 for i in range(33)]},
    }


def store(folder):
    """What ``compare`` does once a cell is trained: as ``run_held``, without data and jax."""
    with _folder.held(folder):
        stored = _folder.StoredRuns(folder, with_variables=True)
        if any(stored.run(config) is None for config in CONFIGS):
            cell = folder / CELL
            make_folder(cell)
            write_json(cell / "result.json", {})
            variables = [(identity(config), b"variables") for config in CONFIGS]
            _folder.publish_cell(folder, cell, {identity(c): run(c) for c in CONFIGS}, variables)
        stored = _folder.StoredRuns(folder)
        write_json(folder / "results.json", [stored.fields(c) for c in CONFIGS])


def files(folder):
    """By path the content of every file, and the empty folders."""
    collected = {}
    for path in sorted(folder.rglob("*")):
        if path.name != "lock" and (path.is_file() or not any(path.iterdir())):
            collected[str(path.relative_to(folder))] = path.read_text() if path.is_file() else None
    return collected


def in_a_process(function, *arguments):
    """Its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(folder, number):
    kill_at(number, folder)
    store(folder)


def main(root):
    whole = root / "whole"
    assert in_a_process(store, whole) == 0
    for number in range(1, 1000):
        folder = root / str(number)
        status = in_a_process(killed, folder, number)
        stored = _folder.StoredRuns(folder)
        visible = [stored.run(config) is not None for config in CONFIGS]
        again = in_a_process(store, folder)
        same = files(folder) == files(whole)
        actual = {"status": status, "visible": visible, "again": again, "same": same}
        print(json.dumps(actual), flush=True)
        if status == 0:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
