"""Stored results of 2026-11-25 and of earlier protocols, in the form that the papers have now.

A function goes when its paper's results are run again, and this file with the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from flaxact.reproduction.papers import StoredResults
from flaxact.reproduction.tuning import TriedRate, Tuned, error_score

IOFFE_STEPS = 333  # per epoch; not stored then


def clevert2015(results: StoredResults) -> StoredResults:
    """Convert results with the searches of part two as rates and errors."""
    if "tuned" in results["shift"]["relu"]:
        return results
    shift = {}
    for name, runs in results["shift"].items():
        tuned = _tuned(runs["rate"], runs["rates"], runs["tuning"])
        shift[name] = {**runs, "tuned": tuned}
    return {**results, "shift": shift}


def cost(results: StoredResults) -> StoredResults:
    """Convert results of older runs: other program names, and gradients timed without the value."""
    if "seconds" in results:
        return results
    names = {"forward": "value", "with backward": "gradient alone"}
    seconds = {}
    for title, times in results.items():
        kind, _, rest = title.partition(", ")
        seconds[f"{names.get(kind, kind)}, {rest}"] = times
    return {"seconds": seconds}


def glorot2011(results: StoredResults) -> StoredResults:
    """Convert results with searches as rates and errors, and penalized runs without a score."""
    if "penalised" not in results:
        return results
    trained = {}
    for name, runs in results["trained"].items():
        tuned = _tuned(runs["rate"], results["rates"], runs["tuning"])
        trained[name] = {**runs, "tuned": tuned}
    return {**results, "trained": trained, "swept": results["penalised"]}


def ioffe2015(results: StoredResults) -> StoredResults:
    """Convert results with searches as rates and errors, and runs at best and small weights together."""
    if "sweep" not in results:
        return results
    searched: dict[str, object] = {}
    pair: dict[str, object] = {}
    for norm, sweep in results["sweep"].items():
        _, best = results["chosen"]["best"][norm]
        searched[norm] = {
            f"{std:g}": _tuned(best, results["rates"], errors) for std, errors in sweep
        }
        caffe = results["pair"][norm]
        tuned = _tuned(caffe["rate"], results["pair_rates"], caffe["tuning"])
        pair[norm] = {**caffe, "tuned": tuned}
    runs = {
        which: {
            norm: {**stored, "steps_per_epoch": IOFFE_STEPS}
            for norm, stored in results[which].items()
        }
        for which in results["chosen"]
    }
    return {"searched": searched, "chosen": results["chosen"], "runs": runs, "pair": pair}


def mishkin2016(results: StoredResults) -> StoredResults:
    """Convert results in which an accuracy of exactly 0 stands for a diverged run."""
    accuracy = {
        row: [[value or None for value in seed] for seed in seeds]
        for row, seeds in results["accuracy"].items()
    }
    return {"accuracy": accuracy}


def _tuned(best: float, rates: Sequence[float], errors: Sequence[float]) -> dict[str, object]:
    """A search without rungs."""
    tried = (
        TriedRate(rate=rate, score=error_score(error))
        for rate, error in zip(rates, errors, strict=True)
    )
    return asdict(Tuned(best=best, edge="", rates=tuple(tried)))
