"""A run in a folder as a process that is killed, by others or by itself at a chosen place.

python trainings_child.py FOLDER [PLACE COUNT]
"""

import functools
import os
import signal
import sys
import threading
import time
from pathlib import Path

from trainings import DENSE, RECIPE, SMALL

from flaxact.training import Member, run
from flaxact.training.folder import run as folder
from flaxact.training.folder.checkpoints import Checkpoints
from flaxact.training.group import Groups

NET = DENSE
DATA = SMALL
CHILD = RECIPE.from_toml("epochs = 6\nbatch_size = 16\nlearning_rate = 0.01")
MEMBERS = Member(0), Member(1, learning_rate=0.02)
OPTIONS = {"save_seconds": 0.0, "steps_per_update": 1}  # a checkpoint every step


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def counted(function, count, done):
    """The function, which at its so-manieth call does something else first, with its arguments."""
    calls = 0

    @functools.wraps(function)
    def counting(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == count:
            done(*arguments)
        return function(*arguments, **options)

    return counting


def half_a_row(path, row):
    with path.open("a") as file:
        file.write('{"epoch": 1, "st')
    kill()


def when_a_checkpoint_is_half_written(checkpoints, *_):
    """As soon as orbax's folder is there, before it gets its name."""

    def watch():
        while not any(checkpoints._folder.glob("*.orbax-checkpoint-tmp*")):
            time.sleep(0.0001)
        kill()

    threading.Thread(target=watch, daemon=True).start()


def on_replacing(name, after):
    """Kill when a file of this name gets its place: before, or after."""
    replace = os.replace

    def replacing(source, target):
        if Path(target).name == name and not after:
            kill()
        replace(source, target)
        if Path(target).name == name:
            kill()

    os.replace = replacing


PLACES = {
    "step": lambda n: setattr(Groups, "advance", counted(Groups.advance, n, lambda *_: kill())),
    "in a save": lambda n: setattr(
        Checkpoints, "save", counted(Checkpoints.save, n, when_a_checkpoint_is_half_written)
    ),
    "in a row": lambda n: setattr(
        folder, "append_line", counted(folder.append_line, n, half_a_row)
    ),
    "after config.json": lambda n: on_replacing("config.json", after=True),
    "before result.json": lambda n: on_replacing("result.json", after=False),
    "after result.json": lambda n: on_replacing("result.json", after=True),
}


def main(place):
    print("ready", flush=True)
    for epoch in run(NET, CHILD, DATA, MEMBERS, folder=Path(place), **OPTIONS):
        print(epoch.number, flush=True)


if __name__ == "__main__":
    if sys.argv[2:]:
        PLACES[sys.argv[2]](int(sys.argv[3]))
    main(sys.argv[1])
