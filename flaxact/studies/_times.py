"""The time that a study spent on each task, summed over all processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from flaxact.stored.files import DamagedError, make_folder, read_json, write_json

PATH = "times.json"
REPORT = "making the report"


def read_times(folder: Path) -> dict[str, float]:
    """Seconds by task; empty if unknown."""
    try:
        value = read_json(folder / PATH)
    except (FileNotFoundError, DamagedError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        name: float(seconds)
        for name, seconds in value.items()
        if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
    }


def add_times(folder: Path, seconds: Mapping[str, float]) -> None:
    """Add the time of a training; the time of an earlier report is dropped."""
    times = {name: value for name, value in read_times(folder).items() if name != REPORT}
    for name, value in seconds.items():
        times[name] = round(times.get(name, 0.0) + max(0.0, value), 2)
    make_folder(folder)
    write_json(folder / PATH, times)


def report_time(folder: Path, seconds: float) -> float:
    """The time of the first report after the last training; ``seconds`` if this is that report."""
    times = read_times(folder)
    if REPORT not in times:
        times[REPORT] = round(seconds, 2)
        write_json(folder / PATH, times)
    return times[REPORT]


def in_words(times: Mapping[str, float]) -> str:
    """The times in descending order and their sum, as text.

    >>> in_words({"compiling": 60.2, "training": 90.0})
    'training 90 s, compiling 60 s; 150 s in all'
    """
    parts = sorted(times.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {value:.0f} s" for name, value in parts)
    return f"{listed}; {sum(times.values()):.0f} s in all"
