import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime

import pytest

from flaxact.errors import InputError
from flaxact.training.folder.lock import locked

# Holds the folder until it is told to go on; says what came of it.
HOLDER = """
import sys
from pathlib import Path
from flaxact.errors import InputError
from flaxact.training.folder.lock import locked
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except InputError as error:
    print(error, flush=True)
"""
# The same, but a forked child goes on when it is killed.
WITH_CHILD = HOLDER.replace(
    'print("held", flush=True)',
    """import os, time
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)""",
)


def start(script, folder):
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_second_run_is_told_who_is_first(tmp_path):
    folder = tmp_path / "run"  # is made
    with start(HOLDER, folder) as first:
        assert first.stdout.readline() == "held\n"
        in_use = f"{re.escape(str(folder))} is in use"
        with pytest.raises(InputError, match=in_use) as refused, locked(folder):
            pytest.fail("two runs in one folder")
        message = re.search(r"process (\d+) on (\S+) since (\S+):", str(refused.value))
        assert message is not None
        assert message[1] == str(first.pid)
        assert message[2] == socket.gethostname()
        assert abs(datetime.fromisoformat(message[3]).timestamp() - time.time()) < 60
        first.communicate("\n")
        with locked(folder):
            pass


def test_a_killed_process_holds_nothing(tmp_path):
    with start(HOLDER, tmp_path) as first:
        assert first.stdout.readline() == "held\n"
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert str(first.pid) in (tmp_path / "lock").read_text()  # it had no time to say
        with locked(tmp_path):
            assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_what_a_killed_process_forked_holds_nothing(tmp_path):
    with start(WITH_CHILD, tmp_path) as first:
        child = int(first.stdout.readline())
        first.send_signal(signal.SIGKILL)
        first.wait()
        try:
            os.kill(child, 0)  # is alive
            with locked(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_of_many_at_once_one_gets_it(tmp_path):
    processes = [start(HOLDER, tmp_path) for _ in range(4)]
    output = [process.stdout.readline() for process in processes]
    for process in processes:
        process.communicate("\n")
    assert output.count("held\n") == 1
    assert sum("is in use by" in line for line in output) == 3


def test_twice_in_one_process_is_refused_and_an_error_frees_it(tmp_path):
    def fails():
        with locked(tmp_path):
            with pytest.raises(InputError, match=f"process {os.getpid()} on"), locked(tmp_path):
                pytest.fail("two runs in one folder")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with locked(tmp_path):
        pass


def test_a_first_run_that_has_not_said_who_it_is(tmp_path):
    with (tmp_path / "lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="in use by another process"), locked(tmp_path):
            pytest.fail("two runs in one folder")


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuses(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with pytest.raises(InputError, match="no file locks"), locked(tmp_path):
        pytest.fail("not locked")


def test_a_system_without_locks_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(InputError, match="this system has no file locks"), locked(tmp_path):
        pytest.fail("not locked")
