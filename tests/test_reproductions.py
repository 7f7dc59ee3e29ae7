"""Every file of paper_repro: it runs at its smallest scale, resumes, and its stored pages are its own."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flaxact.errors import InputError
from flaxact.reproduction import page, papers, run
from flaxact.reproduction.claim import Claim, Outcome, Published, format_interval
from flaxact.reproduction.workspace import UnavailableError, Workspace
from flaxact.statistics import Interval
from tests.quick import QUICK

RESULTS = Path(__file__).parent.parent / "paper_repro" / "results"
STORED = sorted(path for path in RESULTS.glob("*/*.json"))


@pytest.fixture(scope="module", params=papers.names())
def smoke(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("reproductions")
    # A process of its own, for flags that halve the time of compilation.
    flags = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
    command = [sys.executable, "-m", "flaxact", "reproduce", request.param, "--scale", "smoke"]
    subprocess.run(
        [*command, "--out", str(out)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_NUM_CPU_DEVICES": "1"},
        check=True,
        capture_output=True,
    )
    return request.param, out


def test_the_smoke_scale_measures_every_claim_and_writes_a_page(smoke):
    name, out = smoke
    paper = papers.load(name)
    stored = run.stored_results(name, "smoke", out)
    measured = paper.measured(papers.results_of(paper, stored))
    keys = [claim.key for claim in paper.CLAIMS]
    assert len(set(keys)) == len(keys)
    assert set(measured) == set(keys)
    for interval in measured.values():
        assert isinstance(interval, Interval)
        assert math.isnan(interval.low) or interval.low <= interval.mean <= interval.high
    text = (out / name / "smoke.md").read_text()
    assert all(claim.text.replace("|", "\\|") in text for claim in paper.CLAIMS)
    assert all(
        (out / name / part.split(")")[0]).exists()
        for part in text.split("](")[1:]
        if "svg)" in part
    )
    check_that_a_second_run_reads_what_is_there(name, out)


def check_that_a_second_run_reads_what_is_there(name, out):
    before = run.stored_results(name, "smoke", out)["results"]
    logged = []
    run.reproduce(name, "smoke", out, command="flaxact reproduce", log=logged.append)
    assert not logged
    assert run.stored_results(name, "smoke", out)["results"] == before


@pytest.mark.parametrize("name", papers.names())
def test_a_reproduction_says_what_it_has_to(name):
    paper = papers.load(name)
    assert set(paper.SCALES) == set(papers.SCALES)
    assert all(settings.reduced for settings in paper.SCALES.values())
    text = paper.__doc__ or ""
    assert f"flaxact reproduce {name}" in text
    for heading in ("Claim", "Protocol", "Differences", "Result", "Time", "Command"):
        begins = re.search(rf"^{heading}\b[^\n]*:", text, re.M)
        assert begins, f"{name}: no paragraph of the docstring begins with '{heading}:'"
    assert all(math.isfinite(claim.low) or math.isfinite(claim.high) for claim in paper.CLAIMS)
    assert all(claim.low <= claim.high for claim in paper.CLAIMS)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_stored_page_is_what_its_results_give(path, tmp_path):
    name = path.parent.name
    scale = path.stem
    (tmp_path / name).mkdir()
    (tmp_path / name / path.name).write_bytes(path.read_bytes())
    run.write_page(name, scale, tmp_path)
    assert (tmp_path / name / f"{scale}.md").read_text() == path.with_suffix(".md").read_text()
    stored = json.loads(path.read_text())
    assert {"command", "date", "jax", "flax", "python"} <= set(stored["environment"])


def test_a_verdict_is_of_the_whole_interval():
    claim = Claim("a", "", "", low=4, high=9)
    for interval, outcome in (
        (Interval(6, 5, 7), Outcome.INSIDE),
        (Interval(6, 3, 7), Outcome.OPEN),
        (Interval(2, 1, 3), Outcome.OUTSIDE),
        (Interval(20, 10, 30), Outcome.OUTSIDE),
        (Interval(6, math.nan, math.nan), Outcome.OPEN),
        (Interval(math.inf, 10, math.inf), Outcome.OUTSIDE),
        (None, Outcome.OPEN),
        (Interval(6, 5, 7, level=0.9), Outcome.OPEN),
    ):
        assert claim.outcome(interval) is outcome
    assert format_interval(Interval(6, math.nan, math.nan)) == "6"


def test_what_is_remembered_is_not_published():
    with pytest.raises(InputError, match="evidence 'memory'"):
        Published("28.75%", "Table 1", "memory")


def test_bad_names_are_refused_before_anything_is_done(tmp_path):
    with pytest.raises(InputError, match="unknown reproduction 'lu'"):
        run.reproduce("lu", "smoke", tmp_path)
    with pytest.raises(InputError, match="run flaxact reproduce"):
        run.stored_results("lu2019", "full", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_piece_is_computed_once(tmp_path):
    workspace = Workspace(folder=tmp_path)
    calls = []
    for _ in range(2):
        assert workspace.cached("a/b", lambda: calls.append(1) or {"x": 1.5}) == {"x": 1.5}
    assert calls == [1]


def test_a_piece_that_another_process_computes_is_left_to_it(tmp_path):
    first = Workspace(folder=tmp_path)
    second = Workspace(folder=tmp_path)

    def compute():
        with pytest.raises(UnavailableError, match="a"):
            second.cached_all({"a": lambda: 2, "b": lambda: 3})  # it computes b, and leaves a
        return 1

    assert first.cached("a", compute) == 1
    assert second.missing == ["a"]
    assert second.cached_all({"a": lambda: 2, "b": lambda: 4}) == [1, 3]
    assert (first.computed, second.computed) == (1, 1)


def test_stored_pieces_alone_make_what_they_can(tmp_path):
    workspace = Workspace(folder=tmp_path)
    workspace.cached("a", lambda: 1)
    workspace = Workspace(folder=tmp_path, compute=False)
    assert workspace.attempt(lambda: workspace.cached("a", lambda: 2)) == 1
    assert workspace.attempt(lambda: workspace.cached("b", lambda: 2)) is None
    assert workspace.missing == ["b"]
    assert not list(tmp_path.glob("b*"))


def test_a_study_waits_for_the_pieces_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "WAIT_SECONDS", 0.0)
    other = Workspace(folder=tmp_path)
    passes = []

    class Paper:
        @staticmethod
        def study(settings, workspace):
            passes.append(1)
            if len(passes) == 1:  # another process is at it
                workspace.missing.append("a")
                raise UnavailableError
            if len(passes) == 2:
                other.cached("a", lambda: 5)
            return {"a": workspace.cached("a", lambda: 6)}

    results, workspace = run._study(Paper, None, Workspace(folder=tmp_path))
    assert results == {"a": 5}
    assert not workspace.missing
    empty = Workspace(folder=tmp_path / "none", compute=False)
    with pytest.raises(InputError, match=r"lacks pieces .* a; run it without --stored"):
        run._study(Paper, None, empty)


def test_few_images_are_taken_over_the_whole_set():
    import numpy as np

    from flaxact.data import Split, few

    split = Split(np.arange(100).reshape(100, 1, 1, 1), np.arange(100))
    assert few(split, 5).labels.tolist() == [0, 24, 49, 74, 99]
    assert few(split, None) is split
    assert page.title(papers.load("lu2019")) == (
        "Lu et al. 2019: narrow deep ReLU nets are born dead, and training collapses them to a constant"
    )
