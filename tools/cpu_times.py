"""A pytest plugin that tells the CPU seconds of each test function, those of its processes included.

``python -m pytest -p tools.cpu_times -n 2`` lists the costliest at the end. On a shared machine these
numbers are steady where wall times are not; use them to decide what ``make test`` can afford.
"""

import collections
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHOWN = 80  # test functions
_seconds: dict[str, float] = collections.defaultdict(float)
_cases: collections.Counter[str] = collections.Counter()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _timed(item: pytest.Item) -> Iterator[None]:
    before = _cpu_seconds()
    yield
    item.user_properties.append(("cpu_seconds", _cpu_seconds() - before))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Time the fixtures."""
    yield from _timed(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Time the test."""
    yield from _timed(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Time what ends the fixtures."""
    yield from _timed(item)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of one case; the workers of xdist send them along."""
    if report.when == "teardown":
        function = report.nodeid.partition("[")[0]
        _cases[function] += 1
        _seconds[function] += sum(
            float(value) for name, value in report.user_properties if name == "cpu_seconds"
        )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the costliest files and functions."""
    files: dict[str, float] = collections.defaultdict(float)
    for function, seconds in _seconds.items():
        files[function.partition("::")[0]] += seconds
    terminalreporter.section(f"CPU seconds: {sum(files.values()):.0f} in all")
    for name, seconds in sorted(files.items(), key=lambda row: -row[1]):
        terminalreporter.line(f"{seconds:8.1f}  {Path(name).name}")
    terminalreporter.section("CPU seconds by test function")
    for name, seconds in sorted(_seconds.items(), key=lambda row: -row[1])[:SHOWN]:
        terminalreporter.line(f"{seconds:8.1f}  {_cases[name]:4d} cases  {name}")
