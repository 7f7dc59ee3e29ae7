"""A study as local jobs: what compare gives, although one is killed and one sent elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import flaxact as fa
from flaxact.studies.launch import Machine, executor

OPTIONS = [
    "relu", "tanh", "--model", "mlp(width=0.02)", "--epochs", "12", "--batch-size", "400", "--seeds", "2",
    "--learning-rate", "0.01", "--out",
]  # fmt: skip


def results(folder):
    """What was measured of each run, without times and what follows from how often it was stopped."""
    runs = json.loads((folder / "results.json").read_text())["runs"]
    for run in runs:
        del run["compile_seconds"], run["runs_at_once"]
        for epoch in run["epochs"]:
            del epoch["seconds"]
    return {run["id"]: run for run in runs}


def stored(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/result.json")}


def flaxact(*arguments):
    """What the command says, in a process of its own, as submitit keeps what it logs to."""
    command = [sys.executable, "-m", "flaxact", *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stderr


def worker(folder, launched, before=None):
    """The process that trains, and not the one there was before."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert launched.poll() is None, launched.communicate()[1]
        for lock in folder.glob("cells/*/lock"):
            text = lock.read_text()
            if text and (found := json.loads(text)["pid"]) != before:
                return found
        time.sleep(0.02)
    raise TimeoutError("no job has begun")


@pytest.mark.slow
@pytest.mark.timeout(900)  # eight processes, one after another, on a machine that may be busy
def test_a_lost_job_costs_a_cell_and_one_sent_elsewhere_nothing(tmp_path):
    jobs = tmp_path / "jobs"
    here = tmp_path / "here"
    command = [sys.executable, "-m", "flaxact", "launch", "local", *OPTIONS, str(jobs)]
    launched = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    relu = worker(jobs, launched)
    os.kill(relu, signal.SIGKILL)
    tanh = worker(jobs, launched, relu)
    os.kill(tanh, signal.SIGUSR2)  # as Slurm does when a job's time is over
    _, output = launched.communicate(timeout=250)
    assert launched.returncode == 2, output
    assert "relu: failed" in output
    assert "tanh: done" in output
    assert "1 of the jobs failed (relu): run the command again to submit them" in output
    assert any("Requeued job" in log.read_text() for log in jobs.glob("jobs/*_log.*"))
    assert len(results(jobs)) == 2

    before = stored(jobs)
    output = flaxact("launch", "local", *OPTIONS, str(jobs))
    assert "relu: done" in output
    assert "tanh" not in output
    assert before.items() < stored(jobs).items()
    assert (jobs / "report.html").exists()
    flaxact("compare", *OPTIONS, str(here))
    assert results(jobs) == results(here)
    output = flaxact("launch", "local", *OPTIONS, str(jobs))
    assert "nothing to do: all 4 runs are there" in output


def test_clusters_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fa.InputError, match=r"cannot send jobs to slurm: .*srun"):
        executor("slurm", tmp_path, Machine())
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(fa.InputError, match=r"pip install 'flaxact\[cluster\]'"):
        executor("local", tmp_path, Machine())
