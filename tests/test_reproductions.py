"""Every file of paper_repro: it runs at its smallest scale, goes on, and its stored pages are its own."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flaxact.errors import InputError
from flaxact.statistics import Interval
from flaxact.studies import reproduced, reproduction
from flaxact.studies.claims import REFUTED, REPRODUCED, UNDECIDED, Claim, Published, shown
from tests.quick import QUICK

RESULTS = Path(__file__).parent.parent / "paper_repro" / "results"
STORED = sorted(path for path in RESULTS.glob("*/*.json"))


@pytest.fixture(scope="module", params=reproduction.names())
def smoke(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("reproductions")
    # A process of its own, for flags that halve the time of compilation.
    flags = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
    command = [sys.executable, "-m", "flaxact.cli", "reproduce", request.param, "--scale", "smoke"]
    subprocess.run(
        [*command, "--out", str(out)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_NUM_CPU_DEVICES": "1"},
        check=True,
        capture_output=True,
    )
    return request.param, out


def test_the_smoke_scale_measures_every_claim_and_writes_a_page(smoke):
    name, out = smoke
    paper = reproduction.module(name)
    stored = reproduction.stored_results(name, "smoke", out)
    measured = paper.measured(stored["results"])
    keys = [claim.key for claim in paper.CLAIMS]
    assert len(set(keys)) == len(keys)
    assert set(measured) == set(keys)
    for found in measured.values():
        assert isinstance(found, Interval)
        assert math.isnan(found.low) or found.low <= found.mean <= found.high
    page = (out / name / "smoke.md").read_text()
    assert all(claim.text.replace("|", "\\|") in page for claim in paper.CLAIMS)
    assert all(
        (out / name / part.split(")")[0]).exists()
        for part in page.split("](")[1:]
        if "svg)" in part
    )


def test_a_second_run_reads_what_is_there(smoke, monkeypatch):
    name, out = smoke
    before = reproduction.stored_results(name, "smoke", out)["results"]
    said = []
    reproduction.reproduce(name, "smoke", out, command="flaxact reproduce", say=said.append)
    assert not said
    assert reproduction.stored_results(name, "smoke", out)["results"] == before


@pytest.mark.parametrize("name", reproduction.names())
def test_a_reproduction_says_what_it_has_to(name):
    paper = reproduction.module(name)
    assert set(paper.SCALES) == set(reproduction.SCALES)
    assert all(settings.reduced for settings in paper.SCALES.values())
    assert f"flaxact reproduce {name}" in (paper.__doc__ or "")
    assert all(math.isfinite(claim.low) or math.isfinite(claim.high) for claim in paper.CLAIMS)
    assert all(claim.low <= claim.high for claim in paper.CLAIMS)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_stored_page_is_what_its_results_give(path, tmp_path):
    name, scale = path.parent.name, path.stem
    (tmp_path / name).mkdir()
    (tmp_path / name / path.name).write_bytes(path.read_bytes())
    reproduction.write_page(name, scale, tmp_path)
    assert (tmp_path / name / f"{scale}.md").read_text() == path.with_suffix(".md").read_text()
    stored = json.loads(path.read_text())
    assert {"command", "date", "jax", "flax", "python"} <= set(stored["environment"])


def test_a_verdict_is_of_the_whole_interval():
    claim = Claim("a", "", "", low=4, high=9)
    for interval, verdict in (
        (Interval(6, 5, 7), REPRODUCED), (Interval(6, 3, 7), UNDECIDED), (Interval(2, 1, 3), REFUTED),
        (Interval(20, 10, 30), REFUTED), (Interval(6, math.nan, math.nan), UNDECIDED),
        (Interval(math.inf, 10, math.inf), REFUTED), (None, UNDECIDED),
    ):  # fmt: skip
        assert claim.verdict(interval) == verdict
    assert shown(Interval(6, math.nan, math.nan)) == "6"


def test_what_is_remembered_is_not_published():
    with pytest.raises(InputError, match="evidence 'memory'"):
        Published("28.75%", "Table 1", "memory")


def test_bad_names_are_refused_before_anything_is_done(tmp_path):
    with pytest.raises(InputError, match="unknown reproduction 'lu'"):
        reproduction.reproduce("lu", "smoke", tmp_path)
    with pytest.raises(InputError, match="run flaxact reproduce"):
        reproduction.stored_results("lu2019", "full", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_piece_is_computed_once(tmp_path):
    work, calls = reproduction.Work(tmp_path), []
    for _ in range(2):
        assert work.piece("a/b", lambda: calls.append(1) or {"x": 1.5}) == {"x": 1.5}
    assert calls == [1]


def test_few_images_are_taken_over_the_whole_set():
    import numpy as np

    from flaxact.data import Split, few

    split = Split(np.arange(100).reshape(100, 1, 1, 1), np.arange(100))
    assert few(split, 5).labels.tolist() == [0, 24, 49, 74, 99]
    assert few(split, None) is split
    assert reproduced.title(reproduction) == (
        "Run a file of ``paper_repro/``: in pieces that are kept, with results, figures and a page"
    )
