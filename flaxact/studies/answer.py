"""The conclusions of a study in sentences."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from flaxact.statistics import ratio_of_medians
from flaxact.studies import contrasts
from flaxact.studies._records import Results
from flaxact.studies.summary import Row, listed, rows


def answer(results: Results) -> list[str]:
    """The conclusions of a study as sentences, including the questions that remain open."""
    table_rows, target = rows(results), results.study.target_error
    if not table_rows:
        return ["No run has finished yet."]
    seeds = len(results.study.seeds)
    of = f"{seeds} seed{'s' * (seeds > 1)}"
    kinds = {"flops": "FLOPs", "time": "time"}
    equal = kinds.get(results.study.budget)
    epochs = [f"{name} {count}" for name, count in results.study.epochs_of.items()]
    sentences = [f"Trained at equal {equal}, in epochs: {listed(epochs)}."] if equal else []
    sentences += [_speed(table_rows, f"{100 * target:g}%", of)]
    tested = [row for row in table_rows if row.test_error is not None]
    if tested:
        sentences.append(_accuracy(results, tested, of))
    if sentence := contrasts.sentence(results):
        sentences.append(sentence)
    edges = [f"{row.activation} ({row.edge})" for row in table_rows if row.edge]
    if edges:
        where = (
            "values lie within 5% of an end of their range: better ones"
            if results.study.best_values
            else "learning rate is at the edge of those tried: a better one"
        )
        sentences.append(f"For {listed(edges)} the best {where} may lie beyond.")
    diverged = [f"{row.activation} ({row.diverged} of {of})" for row in table_rows if row.diverged]
    if diverged:
        sentences.append(f"Seeds diverged at every rate tried: {listed(diverged)}.")
    return sentences


def _speed(found: list[Row], target: str, of: str) -> str:
    reached = [row for row in found if len(row.epochs_to) == len(row.runs)]
    if not reached:
        return f"No activation came down to {target} training error with every seed."
    reached.sort(key=lambda row: statistics.median(row.epochs_to))
    best, others = reached[0], reached[1:]
    text = (
        f"{best.activation} came down to {target} training error first, after "
        f"{statistics.median(best.epochs_to):.1f} epochs (median of {of})"
    )
    if others:
        ratios = [
            f"{row.activation} took {ratio_of_medians(row.epochs_to, best.epochs_to):.1f} times as "
            "many" + (", the ranges over seeds overlapping" if _ranges_overlap(best, row) else "")
            for row in others
        ]
        text += "; " + listed(ratios, "; ")
    late = [row.activation for row in found if len(row.epochs_to) < len(row.runs)]
    if late:
        text += f". Not within these epochs with every seed: {listed(late)}"
    return text + "."


def _ranges_overlap(one: Row, other: Row) -> bool:
    return max(one.epochs_to) >= min(other.epochs_to)


def _accuracy(results: Results, tested: list[Row], of: str) -> str:
    means: Callable[[Row], float] = lambda row: row.test_error.mean  # type: ignore  # noqa: E731
    best, *others = sorted(tested, key=means)
    text = f"The lowest test error in the last epoch is {best.activation}'s, {means(best):.1%}"
    if len(best.runs) < 2:
        return text + "; one seed says nothing of how sure that is."
    apart = {frozenset((c.activation, c.other)) for c in contrasts.between_all(results) if c.apart}
    same = [row.activation for row in others if {best.activation, row.activation} not in apart]
    if same:
        text += f"; from it {of} do not tell apart {listed(same)} (paired tests, corrected by Holm)"
    return text + "."
