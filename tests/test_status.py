"""Long work is seen: a line when nothing is new, the state of a folder, a page, a command at the end."""

import json
import re
import threading
import time
import urllib.request

import pytest
from test_report import results

import flaxact as fa
from flaxact import progress as _shown
from flaxact.cli import main, watching
from flaxact.studies.status import status


@pytest.fixture
def folder(tmp_path):
    study_results = results(rates=(0.1,), levels={"relu": (0.02,), "tanh": (None,)})
    study_results["runs"] = [r for r in study_results["runs"] if r["config"]["seed"] < 2]
    (tmp_path / "results.json").write_text(json.dumps(study_results))
    cell = tmp_path / "cells" / "abc"
    cell.mkdir(parents=True)
    config = {"model": "cuda_convnet with relu", "members": [{"seed": 2}], "epochs": 4}
    (cell / "config.json").write_text(json.dumps(config))
    (cell / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": 3}\n{"epo')
    return tmp_path


def test_the_state_of_a_folder(folder, capsys):
    lines = status(folder)
    assert lines[0].endswith("cuda_convnet on mnist5k, 3 seeds")
    assert re.search(r"relu: 2 of 3 runs, test error \d+\.\d% to \d+\.\d%$", lines[1])
    assert lines[2].endswith("tanh: 2 of 3 runs, 2 diverged")
    assert lines[3].endswith("in training: cuda_convnet with relu, 1 runs, epoch 3 of 4")
    assert lines[4].startswith("no process works there")
    assert main(["status", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_a_folder_without_a_comparison(tmp_path):
    with pytest.raises(fa.InputError, match=r"no results\.json in"):
        status(tmp_path)


def test_the_watched_page_reloads_and_is_made_again(folder):
    (folder / "results.json").rename(folder / "away")
    assert "no results.json" in watching.page(folder)
    (folder / "away").rename(folder / "results.json")
    text = watching.page(folder)
    assert '<meta http-equiv="refresh" content="15">' in text
    assert "<pre>" in text
    assert "refresh" not in (folder / "report.html").read_text()


def test_the_page_is_served_on_this_machine(folder, monkeypatch, capsys):
    monkeypatch.setattr(watching, "page", lambda folder: "<p>é</p>")
    threading.Thread(target=watching.watch_report, args=(folder, 0), daemon=True).start()
    deadline = time.monotonic() + 60
    message = ""
    while "http" not in message and time.monotonic() < deadline:
        time.sleep(0.02)
        message += capsys.readouterr().out
    url = re.search(r"http://127\.0\.0\.1:\d+", message)[0]
    assert urllib.request.urlopen(url).read().decode() == "<p>é</p>"


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "done"), (KeyboardInterrupt, "stopped"), (ValueError, "failed")]
)
def test_a_command_at_the_end_is_told_the_outcome(tmp_path, error, outcome):
    def work():
        with watching.notified(
            f"echo $FLAXACT_OUTCOME $FLAXACT_FOLDER > {tmp_path}/told", tmp_path
        ):
            if error:
                raise error

    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    assert (tmp_path / "told").read_text() == f"{outcome} {tmp_path}\n"


def test_a_log_gets_a_line_when_nothing_is_new(monkeypatch, capsys):
    monkeypatch.setattr(_shown, "SILENT", 0.2)
    with _shown.Bar("epochs", lines=True) as bar:
        message = ""
        for done in (0, 1):
            bar.show(done, 4, "relu: compiling" if done else "starting to compile")
            deadline = time.monotonic() + 60
            while (
                f"{done}/4 epochs: " not in message
                or "at work" not in message.split(f"{done}/4", 1)[1]
            ):
                assert time.monotonic() < deadline
                time.sleep(0.05)
                message += capsys.readouterr().err
    assert message.startswith("0/4 epochs: starting to compile\n")
    assert re.search(
        r"1/4 epochs: relu: compiling \(at work, \d+:\d\d so far, about \d+:\d\d left\)", message
    )
