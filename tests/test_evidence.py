"""The page that puts the reproductions together says what their verdicts say, and nothing else."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from flaxact.cli import main
from flaxact.errors import InputError
from flaxact.reproduction import papers
from flaxact.reproduction.answer import VOTES, Sentence, Vote, fill_in, parse_claim_name
from flaxact.reproduction.claim import (
    Claim,
    ClaimKind,
    Judged,
    Outcome,
    Published,
    format_interval,
    judge,
)
from flaxact.reproduction.comparisons import speedup
from flaxact.reproduction.summary import stored_runs, summary_page
from flaxact.statistics import Crossing, Interval, crossing, mean_interval

summary = papers.load_summary()
NAMES = [name for sentence in summary.SENTENCES for name in sentence.claims]
PRIMARY = [sentence.primary for sentence in summary.SENTENCES]
PUBLISHED = Published("2", "Table 1")


@pytest.mark.parametrize("name", NAMES)
def test_every_piece_of_evidence_is_a_claim(name):
    paper, key = parse_claim_name(name)
    assert f"{paper}.{key}" == name


def test_an_unknown_claim_is_named_with_the_nearest():
    with pytest.raises(InputError, match="unknown claim of lu2019 'bond'; did you mean 'bound'"):
        parse_claim_name("lu2019.bond")


def test_a_number_votes_once():
    quantities = [
        (paper, next(c.quantity for c in papers.load(paper).CLAIMS if c.key == key))
        for paper, key in map(parse_claim_name, PRIMARY)
    ]
    assert len(set(quantities)) == len(quantities)


@pytest.mark.parametrize("sentence", summary.SENTENCES, ids=lambda sentence: sentence.primary)
def test_a_sentence_has_a_conclusion_for_whatever_its_primary_claim_says(sentence):
    assert set(Vote) <= set(sentence.conclusion) <= {*Vote, "unmeasured"}
    assert all(sentence.conclusion.values())
    assert sentence.primary not in sentence.also
    for text in sentence.conclusion.values():
        fill_in(text, {})  # every name in braces is a claim


def judged(claim, scale, outcome):
    return Judged(claim, claim.kind(scale), Interval(1.0, 0.9, 1.1), outcome)


def everything(outcome, scale="full"):
    """All claims of all papers with one outcome."""
    return {
        paper: {c.key: judged(c, scale, outcome) for c in papers.load(paper).CLAIMS}
        for paper in papers.names()
    }


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("scale", ["reduced", "full"])
def test_a_page_says_what_the_primary_claims_say(outcome, scale):
    actual = everything(outcome, scale)
    environment = {"device": "cpu", "date": "today"}
    stored = {
        paper: {"results": {}, "scale": scale, "seconds": 60.0, "environment": environment}
        for paper in actual
    }
    page = summary_page(summary, stored, actual)
    for sentence in summary.SENTENCES:
        paper, key = parse_claim_name(sentence.primary)
        primary = actual[paper][key]
        vote = VOTES[outcome] if primary.decides else Vote.OPEN
        assert sentence.vote(actual) == vote
        part = page.split(f"## {sentence.text}\n", 1)[1].split("\n## ")[0]
        conclusion = fill_in(sentence.conclusion[vote], actual)
        assert part.strip().startswith(f"**{vote.capitalize()}.** {conclusion}")
    for paper in actual:  # none is left out
        for claim in papers.load(paper).CLAIMS:
            assert claim.text.replace("|", "\\|") in page


SENTENCE = Sentence(
    text="It is so.",
    primary="lu2019.bound",
    conclusion={Vote.FOR: "Yes.", Vote.AGAINST: "No.", Vote.OPEN: "Not known."},
)


@pytest.mark.parametrize("outcome", Outcome)
def test_a_re_test_never_votes(outcome, monkeypatch):
    claim = Claim("bound", "It is twice.", "ratio", low=2, published=PUBLISHED)
    actual = {"lu2019": {"bound": judged(claim, "reduced", outcome)}}
    assert actual["lu2019"]["bound"].kind is ClaimKind.RETEST
    assert SENTENCE.vote(actual) == Vote.OPEN
    assert actual["lu2019"]["bound"].verdict == "not tested at its size"
    actual = {"lu2019": {"bound": judged(claim, "full", outcome)}}
    assert SENTENCE.vote(actual) == VOTES[outcome]


@pytest.mark.parametrize("outcome", Outcome)
def test_a_limit_never_votes(outcome):
    sentence = dataclasses.replace(SENTENCE, also=("lu2019.width3",))
    limit = Claim("width3", "It is less.", "ratio", high=2)
    for primary in Outcome:
        bound = Claim("bound", "It is twice.", "ratio", low=2)
        actual = {
            "lu2019": {
                "bound": judged(bound, "full", primary),
                "width3": judged(limit, "full", outcome),
            }
        }
        assert sentence.vote(actual) == VOTES[primary]


def test_a_retired_claim_never_votes():
    claim = Claim("bound", "It is twice.", "ratio", low=2, retired="It tests nothing.")
    actual = {"lu2019": {"bound": judged(claim, "full", Outcome.INSIDE)}}
    assert SENTENCE.vote(actual) == Vote.OPEN
    assert actual["lu2019"]["bound"].verdict == "retired"


def test_left_censored_crossings_only_bound_a_ratio():
    early = [Crossing(0.0, 0.5)] * 6
    exact = [Crossing(2.0, 2.0), Crossing(2.2, 2.2)] * 3
    ratio = speedup(exact, early)
    assert ratio.high == math.inf
    assert ratio.low == pytest.approx(4.0)
    assert Claim("a", "", "", high=2).outcome(ratio) is Outcome.OUTSIDE  # at least 4
    assert Claim("a", "", "", low=10).outcome(ratio) is Outcome.OPEN  # it may be 10 or more
    assert Claim("a", "", "", high=100).outcome(ratio) is Outcome.OPEN
    assert Claim("a", "", "", low=3).outcome(ratio) is Outcome.INSIDE


def test_few_censored_seeds_decide_nothing():
    exact = [Crossing(2.0, 2.0)] * 3
    never = [Crossing(80.0, math.inf)] * 3
    ratio = speedup(never, exact)
    assert ratio.level == pytest.approx(0.75)
    assert Claim("a", "", "", low=2).outcome(ratio) is Outcome.OPEN
    assert Claim("a", "", "", low=2).outcome(speedup(never * 2, exact * 2)) is Outcome.INSIDE


def test_a_family_is_judged_together():
    values = {f"c{i}": mean_interval([0.1 + i, 0.9 + i, 0.6 + i, 0.2 + i]) for i in range(4)}
    alone = [Claim(key, "", "", low=0.0) for key in values]
    family = [dataclasses.replace(claim, family="all") for claim in alone]
    decided = [
        sum(each.outcome is Outcome.INSIDE for each in judge(claims, values, "reduced").values())
        for claims in (alone, family)
    ]
    assert decided == [3, 3]  # c0 [-0.13, 1.03] is open in both
    narrow = {
        **values,
        "c0": mean_interval([0.2, 0.3, 0.5, 0.2, 0.1]),
    }  # p = 0.019
    many = [Claim(f"c{i}", "", "", low=0.0, family="all") for i in range(4)]
    weak = {f"c{i}": narrow["c0"] for i in range(4)}
    assert judge([dataclasses.replace(many[0], family="")], weak, "full")["c0"].outcome is (
        Outcome.INSIDE
    )
    assert all(each.outcome is Outcome.OPEN for each in judge(many, weak, "full").values())


def test_a_smoke_run_is_no_evidence(tmp_path, capsys):
    (tmp_path / "lu2019").mkdir()
    (tmp_path / "lu2019" / "smoke.json").write_text("{}")
    assert stored_runs(tmp_path) == {}
    assert main(["reproduce", "summary", "--out", str(tmp_path)]) == 2
    assert "has no results of a reduced or full run" in capsys.readouterr().err


def test_papers_are_listed_with_their_results(tmp_path, capsys):
    (tmp_path / "lu2019").mkdir()
    (tmp_path / "lu2019" / "reduced.json").write_text("{}")
    assert main(["reproduce", "--out", str(tmp_path)]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in papers.names())
    assert listing.count("reduced") == 1
    assert main(["reproduce", "lu2018", "--out", str(tmp_path)]) == 2
    assert "unknown reproduction 'lu2018'; did you mean 'lu2019'" in capsys.readouterr().err


def test_the_figures_of_the_earlier_run_on_all_images_are_those_of_its_results():
    root = Path(__file__).parent.parent
    runs = json.loads((root / "docs" / "results" / "cifar10" / "results.json").read_text())["runs"]

    def reached(activation, rate, target):
        config = {"activation": activation, "learning_rate": rate}
        curves = [run["epochs"] for run in runs if config.items() <= run["config"].items()]
        return [
            crossing([(e["epoch"] - 0.5, e["train_error"]) for e in curve], target)
            for curve in curves
        ]

    texts = [
        summary.HEADLINE[0].otherwise,
        summary.SENTENCES[0].note,
    ]
    for target in (0.4, 0.38):
        ratio = speedup(reached("tanh", 0.004, target), reached("relu", 0.001, target))
        for text in texts:
            assert format_interval(ratio) in text
