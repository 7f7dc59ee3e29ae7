"""What is stored: one reader that names file and place, digests, locks, kills, full disks, and fuzz."""

import copy
import errno
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import fuzzing
import killed_child as child
import pytest
from trainings import SMALL

import flaxact
from flaxact.cli import main
from flaxact.data import load
from flaxact.errors import LONGEST, InputError
from flaxact.reproduction import papers
from flaxact.reproduction._records import read_piece
from flaxact.reproduction.page import judge_paper
from flaxact.reproduction.run import stored_results
from flaxact.reproduction.workspace import UnavailableError, Workspace
from flaxact.stored import environment, files, schema
from flaxact.studies import _csv, _folder, _records, held, report, summary
from flaxact.studies import run as run_study
from flaxact.studies._results import write_results
from flaxact.studies.runs import finished, missing_cells
from flaxact.studies.study import Study, identity
from flaxact.training import Member, Recipe, rows_of
from flaxact.training.folder import record as training_records

ROOT = Path(__file__).parents[1]
STUDY = Study(("relu", "tanh"), "mlp(width=0.02)", seeds=(0, 1), recipe=Recipe(epochs=1))


def assert_one_line(error):
    text = str(error)
    assert 0 < len(text) <= LONGEST
    assert text.isprintable()


def configs():
    return [
        STUDY.config(activation, rate, seed, SMALL.digest)
        for activation, rate in STUDY.cells()
        for seed in STUDY.seeds
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a study as ``compare`` leaves it, and one of a training, with made-up results."""
    root = tmp_path_factory.mktemp("whole")
    study = root / "study"
    training = root / "training"
    for number in range(0, 4, 2):
        pair = configs()[number : number + 2]
        cell = study / "cells" / str(number)
        files.make_folder(cell)
        _folder.publish_cell(study, cell, {identity(c): child.run(c) for c in pair})
    write_results(STUDY, SMALL, study, "flaxact compare")
    for name in ("report.html", "results.csv", "results.md"):
        (study / name).write_text("")
    (study / "plots").mkdir()

    files.make_folder(training)
    (training / "probes.jsonl").write_text('{"step": 0, "seconds": 1.0, "sites": {}}\n')
    row = {name: [0.5, None] for name in training_records.METRICS}
    numbers = {"seconds": 1.0, "elapsed": 1.0, "compile_seconds": 1.0, "diverged_at": [-1, 2]}
    rows = [{"epoch": epoch, "step": 3 * epoch, **row, **numbers} for epoch in (0, 1)]
    training_records.write_begin(training, {"model": "a"}, Recipe())
    training_records.write_rows(training, rows)
    update = SimpleNamespace(step=3)
    training_records.write_result(training, {"model": "a"}, rows, update, recorded=["probes.jsonl"])

    workspace = Workspace(folder=root / "pieces")
    workspace.cached("a", lambda: {"x": [1.5, None]})
    paper = ROOT / "paper_repro" / "results" / "lu2019" / "reduced.json"
    (root / "lu2019").mkdir()
    stored = files.sealed(json.loads(paper.read_text()))
    (root / "lu2019" / "reduced.json").write_text(json.dumps(stored))
    return root


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


# One reader


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: expected JSON"),
        (b"{", "line 1, column 2: expected JSON"),
        (b"\xff\xfe", "byte 0: expected text in UTF-8"),
        (b"[" * 100_000, "expected JSON"),
        (b"1" * 5000, "expected JSON"),
        (b"[]", "expected names with values, not a list (0)"),
        (b'{"format": 1}', "expected a field 'runs'"),
        (b'{"format": 1, "runs": [{"layers": [{}]}]}', "runs[0].layers[0]: expected a field 'site'"),
        (b'{"format": 4}', "reads 1, 2 and 3: read it with the flaxact that wrote it, or a newer one"),
        (b'{"format": "\\u001b[2J\\n\\u0000' + b"x" * 5000 + b'"}', "has format"),
        (b'{"format": 2}', "expected a field 'study'"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_refused_in_one_line(tmp_path, capsys, content, said):
    (tmp_path / "results.json").write_bytes(content)
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "results.json" in error
    assert_one_line(error.removeprefix("flaxact: ").removesuffix("\n"))


@pytest.mark.parametrize("kind", ["folder", "loop", "below a file", "device"])
def test_what_is_no_file_is_refused_in_one_line(tmp_path, capsys, kind):
    path = tmp_path / "results.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_text("{}")
    place = path if kind == "below a file" else tmp_path
    assert main(["report", str(place)]) == 2
    assert_one_line(capsys.readouterr().err.removesuffix("\n"))


def test_the_place_in_a_file_is_named(place):
    path = place / "study" / "results.json"
    value = json.loads(path.read_text())
    del value["sha256"]
    value["format"] = 2
    for at, wrong, said in [
        (
            ("runs", 1, "epochs", 0, "train_loss"),
            "x",
            "runs[1].epochs[0].train_loss: expected a number",
        ),
        (
            ("runs", 3, "probes", 1, "sites"),
            [],
            "runs[3].probes[1].sites: expected names with values",
        ),
        (("study", "target_error"), 25, "study.target_error: expected from 0 to 1, not 25"),
        (
            ("runs", 0, "config", "seed"),
            None,
            "runs[0].config, seed: expected a whole number, not None",
        ),
        (
            ("runs", 0, "diverged_at"),
            True,
            "runs[0].diverged_at: expected a whole number, not True",
        ),
    ]:
        changed = copy.deepcopy(value)
        holder = changed
        for step in at[:-1]:
            holder = holder[step]
        holder[at[-1]] = wrong
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError) as refused:
            _records.read_results(path)
        assert said in str(refused.value)
    path.write_text(json.dumps(value))
    assert len(_records.read_results(path).runs) == 4  # of the former format, without a digest


COMMITTED = sorted((ROOT / "docs" / "results").glob("*/results.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_committed_results_are_read_and_give_the_committed_table(path):
    results = _records.read_results(path)
    committed = (path.parent / "results.md").read_text()
    for row in summary.rows(results):
        assert f"| {' | '.join(report.cells(results, row))} |" in committed
        for layer in report.layer_table(row)[1]:
            assert f"| {' | '.join(layer)} |" in committed


STORED = (ROOT / "paper_repro" / "results").glob("*/**/*.json")
PIECES = sorted(path for path in STORED if ".work" not in str(path))  # that is scratch


def test_committed_reproductions_are_read():
    assert len(PIECES) > 50
    for path in PIECES:
        if path.parent.parent.name == "results":
            assert stored_results(path.parent.name, path.stem, path.parents[1])
        else:
            assert read_piece(path).seconds >= 0


def test_messages_are_one_line_whatever_they_are_of():
    error = InputError("a\nb\x1b[2J\u202e\ud800" + 1000 * "x" + "end")
    assert_one_line(error)
    assert str(error).startswith("a b\\x1b[2J\\u202e\\ud800x")
    assert str(error).endswith("xend")


# Losses


def test_a_lost_result_is_named_and_trained_again_among_those_it_was_trained_with(tmp_path, caplog):
    data = load("mnist5k")
    study = Study(
        ("relu",), "mlp(width=0.02)", seeds=(0, 1, 2), recipe=Recipe(epochs=1, batch_size=400)
    )
    list(run_study(study, data, tmp_path))

    def runs():
        content = json.loads((tmp_path / "results.json").read_text())["runs"]
        for run in content:
            del run["compile_seconds"], run["epochs"][0]["seconds"]
        return content

    def stamps():
        return {p.parent.name: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/result.json")}

    before = runs()
    at = stamps()
    lost, edited = (before[i]["id"] for i in (1, 2))
    (tmp_path / "runs" / lost / "result.json").unlink()
    path = tmp_path / "runs" / edited / "result.json"
    path.write_text(path.read_text().replace('"train_error": 0.', '"train_error": 0.0'))
    (cell,) = missing_cells(study, data, tmp_path)
    assert (len(cell.members), cell.stored) == (3, (Member(1, 0.001), Member(2, 0.001)))
    caplog.clear()
    list(run_study(study, data, tmp_path))
    message = [record.getMessage() for record in caplog.records]
    assert any(f"{lost}/result.json is lost: trained again" in line for line in message)
    assert any(f"{edited}/result.json was changed or damaged" in line for line in message)
    assert runs() == before  # to the last bit
    assert {name for name in at if stamps()[name] != at[name]} == {lost, edited}
    assert not (tmp_path / "cells").exists()
    caplog.clear()
    assert missing_cells(study, data, tmp_path) == []
    assert not caplog.records


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", ["config.json", "recipe.toml", "metrics.jsonl", "probes.jsonl"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_training_notices_what_it_has_lost(place, caplog, name, how):
    folder = place / "training"
    path = folder / name
    before = (folder / name).read_bytes()
    path.unlink() if how == "gone" else path.write_bytes(before[:-3])
    assert training_records.is_finished(folder, {"model": "a"}, Recipe()) == (
        name != "probes.jsonl"
    )
    assert f"{path} differs from what the run stored" in caplog.text
    assert name == "probes.jsonl" or path.read_bytes() == before


def test_a_recording_that_lost_lines_is_not_gone_on_with(tmp_path, caplog):
    file = tmp_path / "probes.jsonl"
    file.write_text("one\ntwo\n")
    at = training_records.measured(tmp_path, ["probes.jsonl"])
    file.write_text("one\ntwo\nthree\nhalf")
    assert training_records.cut(tmp_path, at)
    assert file.read_text() == "one\ntwo\n"
    file.write_text("two\nthree\n")
    assert not training_records.cut(tmp_path, at)
    assert "the run starts over" in caplog.text


# Two at once


def test_a_second_comparison_is_refused(tmp_path, capsys):
    with held(tmp_path):
        assert main(["compare", "relu", "--model", "mlp(width=0.02)", "--out", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert f"in use by process {os.getpid()} on {socket.gethostname()} since" in output
    assert_one_line(output.strip())


# Killed, full


@pytest.mark.thorough
def test_killed_before_every_operation_on_files(tmp_path):
    """The results of a cell are there all at once or not at all; what is left over ends up the same."""
    process = subprocess.run(
        [sys.executable, child.__file__, str(tmp_path)], capture_output=True, text=True, check=False
    )
    lives = [json.loads(line) for line in process.stdout.splitlines()]
    assert process.returncode == 0, process.stderr
    assert len(lives) > 25
    assert [life["status"] for life in lives] == [-signal.SIGKILL] * (len(lives) - 1) + [0]
    assert [life["visible"] for life in lives] == sorted(life["visible"] for life in lives)
    assert {tuple(life["visible"]) for life in lives} == {(False, False), (True, True)}
    assert all(life["same"] and life["again"] == 0 for life in lives)


TINY = [
    "compare", "relu", "tanh", "--model", "mlp(width=0.02)", "--epochs", "1", "--batch-size", "400",
    "--seeds", "2", "--learning-rate", "0.003", "--out",
]  # fmt: skip
KILLS = 50
KILLED = "import sys, killed_child; killed_child.compare(int(sys.argv[1]), sys.argv[2:])"


def compared(folder, number=0):
    """Compare in a process that ends before an operation on the folder's files; how it ended."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(number), *TINY, str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def kept(folder):
    """What was measured, and the names of all that is there."""
    runs = json.loads((folder / "results.json").read_text())["runs"]
    for run in runs:
        del run["compile_seconds"]
        for epoch in run["epochs"]:
            del epoch["seconds"]
    return runs, sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_compare_killed_at_fifty_operations_on_files(tmp_path):
    whole = compared(tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    operations = int(whole.stdout.splitlines()[-1])
    assert operations > 50
    for i in range(KILLS):
        number = 1 + i * (operations - 1) // (KILLS - 1)
        folder = tmp_path / str(number)
        process = compared(folder, number)
        assert process.returncode == -signal.SIGKILL, process.stderr
        stored = len(list(folder.glob("runs/*/result.json")))
        assert main([*TINY, str(folder)]) == 0
        assert kept(folder) == kept(tmp_path / "whole"), (number, stored)
        shutil.rmtree(folder)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("operation", ["write_bytes", "replace", "mkdir"])
def test_a_disk_that_is_full_or_turns_read_only(tmp_path, monkeypatch, code, operation):
    child.store(tmp_path / "whole")
    holder = os if operation == "replace" else Path
    as_it_is = getattr(holder, operation)
    for number in range(1, 20):
        left = [number]

        def full(*arguments, left=left, **options):
            left[0] -= 1
            if left[0] <= 0:
                raise OSError(code, os.strerror(code))
            return as_it_is(*arguments, **options)

        folder = tmp_path / f"{number}"
        with monkeypatch.context() as patched:
            patched.setattr(holder, operation, full)
            message = None
            try:
                child.store(folder)
            except InputError as error:
                message = str(error)
        assert message is None or (os.strerror(code) in message and "\n" not in message)
        child.store(folder)
        assert child.files(folder) == child.files(tmp_path / "whole")
        if left[0] > 0:
            return
    pytest.fail("never came to an end")


# Interrupted

PROGRAM = (
    # A background job of a shell ignores interrupts, and so does what it starts.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from flaxact import interrupts; interrupts.begin(); print('ready', flush=True); "
    "from flaxact import cli; cli.run()"
)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "moment", ["modules load", "JAX starts", pytest.param("training", marks=pytest.mark.slow)]
)
def test_an_interrupt_is_one_line_and_130(tmp_path, moment):
    arguments = ["compare", "relu", "--model", "mlp(width=0.02)", "--epochs", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 200
    come = {
        "modules load": lambda: True,
        "JAX starts": lambda: "jaxlib" in maps.read_text(),
        "training": lambda: list(tmp_path.glob("cells/*/metrics.jsonl")),
    }[moment]
    while not come() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said
    assert said.endswith("flaxact: stopped; the same command goes on from what is done\n")
    assert "Traceback" not in said


# Fuzz


def flipped(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def without_a_line(content, rng):
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def inserted(content, rng):
    at = rng.randrange(len(content))
    what = rng.choice([b"\0", b"\xff", b"NaN", b"9" * 400, b"[" * 5000])
    return content[:at] + what + content[at:]


VALUES = (None, True, -1, 0, 2, 10**400, 1e308, "x", "\ud800\x1b", [], {}, [None], {"a": 1}, [[[]]])


def edited(content, rng):
    """One value of the JSON removed, replaced, doubled or wrapped; anywhere in it."""
    try:
        value = json.loads(content)
    except ValueError:
        return cut(content, rng)
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not keys:
            return cut(content, rng)
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
            holder = holder[key]
            continue
        action = rng.randrange(4)
        if action == 0:
            del holder[key]
        elif action == 1:
            holder[key] = rng.choice(VALUES)
        elif action == 2:
            holder[key] = [holder[key]]
        else:
            holder[key] = {"a": holder[key]}
        return json.dumps(value).encode()


CHANGES = (flipped, cut, without_a_line, inserted, edited, edited, edited)


def damage(path, rng):
    """Change a file, or put something else in its place."""
    content = path.read_bytes()
    kind = rng.randrange(40)
    if kind < 4:
        path.unlink()
    if kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(path)
    elif kind == 3:
        path.write_bytes(b"")
    elif kind >= 4:
        path.write_bytes(rng.choice(CHANGES)(content, rng))


def looked_at(root):
    """What the stored files under ``root`` come to, where they are still believed."""
    study = root / "study"
    training = root / "training"
    collected = {}

    def attempt(name, function):
        try:
            collected[name] = function()
        except (InputError, FileNotFoundError, UnavailableError) as error:
            if isinstance(error, InputError):
                assert_one_line(error)

    def compared():
        finished(STUDY, SMALL, study)
        with held(study):
            if missing_cells(STUDY, SMALL, study):
                raise InputError("some are trained again")
            write_results(STUDY, SMALL, study, "flaxact compare")
        runs = _records.read_results(study / "results.json").runs
        configs = [
            json.loads((study / "runs" / run.id / "config.json").read_text()) for run in runs
        ]
        return runs, configs

    def trained():
        training_records.check_configuration(training, {"model": "a"})
        if not training_records.is_finished(training, {"model": "a"}, Recipe()):
            raise InputError("is trained again")
        texts = [(training / name).read_bytes() for name in ("recipe.toml", "metrics.jsonl")]
        return rows_of(training), texts

    attempt("report", lambda: _records.read_results(study / "results.json"))
    attempt("compare", compared)
    attempt("train", trained)
    workspace = Workspace(folder=root / "pieces", compute=False)
    attempt("piece", lambda: workspace.cached("a", lambda: None))
    attempt("reproduce", lambda: stored_results("lu2019", "reduced", root)["results"])
    return collected


def fuzz(whole, tmp_path, count, seed):
    """How many of so many damages were found, and how many did not matter; no other end is right."""
    logging.getLogger("flaxact").setLevel(logging.ERROR)
    rng = random.Random(seed)
    ends = {"refused or trained again": 0, "the right result": 0}
    right = looked_at(whole)
    assert len(right) == 5
    names = sorted(p.relative_to(whole) for p in whole.rglob("*.json*") if p.is_file())
    names += [Path("training/recipe.toml")]
    root = shutil.copytree(whole, tmp_path / "fuzzed")
    for number in range(count):
        name = rng.choice(names)
        damage(root / name, rng)
        actual = looked_at(root)
        for what, value in actual.items():
            assert value == right[what], (seed, number, name, what)
        ends[
            "the right result" if actual.keys() == right.keys() else "refused or trained again"
        ] += 1
        shutil.rmtree(root)
        shutil.copytree(whole, root)
    return ends


@pytest.mark.thorough
def test_damaged_files_are_refused_or_do_not_matter(whole, tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    print(fuzz(whole, tmp_path, 150, seed), seed)  # shown where it fails


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fuzz_of_files(whole, tmp_path):
    print(fuzz(whole, tmp_path, fuzzing.INPUTS // 20, 1))


def unsealed(content):
    value = json.loads(content)
    del value["sha256"]
    return {**value, "format": 2}


def fuzz_without_digest(whole, tmp_path, count, seed):
    """Files of the former format: a report is refused in one line or can be made."""
    rng = random.Random(seed)
    mutations = 0
    content = json.dumps(
        unsealed((whole / "study" / "results.json").read_text()), indent=1
    ).encode()
    path = tmp_path / "results.json"
    for _ in range(count):
        path.write_bytes(rng.choice(CHANGES)(content, rng))
        try:
            results = _records.read_results(path)
        except InputError as error:
            assert_one_line(error)
            continue
        mutations += 1
        _csv.by_run(results)
        report._markdown(results)
        if mutations % 25 == 0:
            report.write_report(tmp_path)
    return mutations


@pytest.mark.thorough
def test_damaged_files_without_a_digest_give_a_report_or_one_line(whole, tmp_path):
    fuzz_without_digest(whole, tmp_path, 200, random.SystemRandom().randrange(10**6))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fuzz_of_files_without_a_digest(whole, tmp_path):
    print(fuzz_without_digest(whole, tmp_path, fuzzing.INPUTS // 4, 1))


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "path", [p for p in PIECES if p.parent.parent.name == "results"], ids=lambda p: p.parent.name
)
def test_damaged_results_of_a_paper_are_refused_or_judged(tmp_path, path):
    rng = random.Random(path.parent.name)
    name = path.parent.name
    scale = path.stem
    content = path.read_bytes()
    copied = tmp_path / name / path.name
    copied.parent.mkdir()
    for _ in range(40):
        copied.write_bytes(rng.choice(CHANGES)(content, rng))
        try:
            stored = stored_results(name, scale, tmp_path)
            judge_paper(papers.load(name), stored)
        except InputError as error:
            assert_one_line(error)


def test_ranges_say_what_they_are():
    assert str(schema.Range(0, 1)) == "from 0 to 1"
    assert str(schema.Range(0)) == "0 or more"


def test_results_from_a_checkout_say_their_commit():
    root = Path(flaxact.__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("flaxact is not imported from a checkout")
    actual = environment.commit()
    assert actual is not None
    assert re.fullmatch(r"[0-9a-f]{12,}(-dirty)?", actual)
