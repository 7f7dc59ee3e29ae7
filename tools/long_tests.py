"""Write tests/long_tests.txt, the tests that `make test` leaves to `make test-all`, from measured times.

    python -m pytest -n 2 --junitxml=times.xml
    python tools/long_tests.py times.xml --seconds 2

A test that is neither listed nor marked is in `make test`. A case of a test over a catalogue is listed
only if most of the cases are long, so that the catalogue stays whole.
"""

from __future__ import annotations

import argparse
import collections
import statistics
from pathlib import Path
from xml.etree import ElementTree

LIST = Path(__file__).parents[1] / "tests" / "long_tests.txt"
FEW = 5  # cases
SMOKE = "tests.test_reproductions::test_the_smoke_scale_measures_every_claim_and_writes_a_page"
STAY = {  # the main job, end to end, and the shortest reproductions
    "tests.test_studies::test_from_names_to_a_report_and_not_again",
    f"{SMOKE}[lecun1998]",
    f"{SMOKE}[lu2019]",
}


def times(report: Path) -> dict[str, dict[str, float]]:
    """Seconds by test and case, from a report in JUnit's format."""
    seconds: dict[str, dict[str, float]] = collections.defaultdict(dict)
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        seconds[name.partition("[")[0]][name] = float(case.get("time") or 0)
    return seconds


def long_ones(seconds: dict[str, dict[str, float]], limit: float) -> list[str]:
    """The names of the tests that take ``limit`` seconds or more, sorted."""
    names = []
    for cases in seconds.values():
        whole = len(cases) > FEW and statistics.median(cases.values()) < limit / 2
        if not whole:
            names += [name for name, each in cases.items() if each >= limit]
    return sorted(set(names) - STAY)


def main() -> None:
    """Add to the list, or write it anew from a run that left nothing out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="from which on a test is long")
    parser.add_argument("--anew", action="store_true", help="drop the names that are listed")
    options = parser.parse_args()
    listed = set() if options.anew else set(LIST.read_text("utf-8").split("\n")) - {""}
    names = listed | set(long_ones(times(options.report), options.seconds))
    LIST.write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8")


if __name__ == "__main__":
    main()
