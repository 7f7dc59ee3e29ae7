"""The page that puts the reproductions together says what their verdicts say, and nothing else."""

import math

import pytest

from flaxact.cli import main
from flaxact.errors import InputError
from flaxact.statistics import Interval
from flaxact.studies import evidence, reproduction
from flaxact.studies.claims import REFUTED, REPRODUCED, UNDECIDED
from paper_repro import summary

NAMED = [name for sentence in summary.SENTENCES for name in sentence.evidence()]


def test_every_piece_of_evidence_is_a_claim_of_a_reproduction():
    assert NAMED
    for paper, key, side in NAMED:
        assert evidence.claim(paper, key).key == key
        assert side in ("for", "against")
    with pytest.raises(InputError, match="unknown claim of lu2019 'bond'; did you mean 'bound'"):
        evidence.claim("lu2019", "bond")


def test_every_sentence_has_evidence_or_says_that_it_has_none():
    assert all(sentence.evidence() or sentence.open for sentence in summary.SENTENCES)


def inside(claim):
    """A value for which a claim holds, and one for which it does not."""
    low = claim.low if math.isfinite(claim.low) else claim.high - 1
    high = claim.high if math.isfinite(claim.high) else low + 1
    middle = (low + high) / 2
    outside = claim.high + 1 if math.isfinite(claim.high) else claim.low - 1
    return middle, outside


@pytest.mark.parametrize("verdict", [REPRODUCED, REFUTED, UNDECIDED])
def test_sides_follow_the_verdicts(verdict, monkeypatch):
    stored, by_name = {}, {}
    for paper in reproduction.names():
        module = reproduction.module(paper)
        measured = {}
        for claim in module.CLAIMS:
            middle, outside = inside(claim)
            value = {REPRODUCED: middle, REFUTED: outside, UNDECIDED: middle}[verdict]
            end = math.nan if verdict == UNDECIDED else value
            measured[claim.key] = Interval(value, end, end)
        by_name[paper] = measured
        monkeypatch.setattr(module, "measured", lambda results, of=measured: of)
        environment = {"device": "cpu", "date": "today"}
        stored[paper] = "reduced", {"results": {}, "seconds": 60.0, "environment": environment}
    page = evidence.page(stored)
    for sentence in summary.SENTENCES:
        n, m = len(sentence.supports), len(sentence.limits)
        counts = {REPRODUCED: (n, m, 0), REFUTED: (m, n, 0), UNDECIDED: (0, 0, n + m)}[verdict]
        part = page.split(f"## {sentence.text}\n", 1)[1].split("\n## ")[0]
        if n + m:
            assert "Evidence: {} for, {} against, {} open.".format(*counts) in part
        assert sentence.open in part


def test_a_smoke_run_is_no_evidence(tmp_path, capsys):
    (tmp_path / "lu2019").mkdir()
    (tmp_path / "lu2019" / "smoke.json").write_text("{}")
    assert evidence.found("lu2019", tmp_path) is None
    assert main(["reproduce", "summary", "--out", str(tmp_path)]) == 2
    assert "has no results of a reduced or full run" in capsys.readouterr().err


def test_papers_are_listed_with_their_results(tmp_path, capsys):
    (tmp_path / "lu2019").mkdir()
    (tmp_path / "lu2019" / "reduced.json").write_text("{}")
    assert main(["reproduce", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in reproduction.names())
    assert said.count("reduced") == 1
    assert main(["reproduce", "lu2018", "--out", str(tmp_path)]) == 2
    assert "unknown reproduction 'lu2018'; did you mean 'lu2019'" in capsys.readouterr().err
