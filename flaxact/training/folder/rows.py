"""The rows of a run's ``metrics.jsonl``, one per epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from flaxact.stored.schema import Count, Number, Positive

METRICS = ("train_loss", "train_error", "test_loss", "test_error")


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """A line of ``metrics.jsonl``: lists over the nets that train together; None if not finite."""

    epoch: Count
    step: Count
    train_loss: tuple[Number | None, ...]
    train_error: tuple[Number | None, ...]
    test_loss: tuple[Number | None, ...]
    test_error: tuple[Number | None, ...]
    diverged_at: tuple[int, ...]
    seconds: Positive
    elapsed: Positive
    compile_seconds: Positive


class MetricsRow(TypedDict):
    """An epoch as JSON: lists over the nets that train together; None for values that are not finite."""

    epoch: int
    step: int
    train_loss: list[float | None]
    train_error: list[float | None]
    test_loss: list[float | None]
    test_error: list[float | None]
    diverged_at: list[int]
    seconds: float
    elapsed: float
    compile_seconds: float
