"""The commands that read stored comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.studies import Results


def show_report(
    folders: tyro.conf.Positional[tuple[Path, ...]],
    *,
    out: Path = Path("flaxact-report"),
    watch: bool = False,
    port: int = 8765,
) -> None:
    """Write tables, plots and report.html again from results.json, also of several folders together.

    Args:
      folders: Folders of flaxact compare. Several folders with the same settings give one report. A
        folder with several comparisons gets a report of each, and their ranks.
      out: Folder of the joint report.
      watch: Serve the report on this machine as a page that reloads itself, also during training; stop
        with Ctrl-C.
      port: Port of that page.
    """
    from flaxact.studies.several import comparisons

    first, *more = folders or [None]
    if first is None:
        raise InputError("no folder given: name one where flaxact compare has written")
    if watch and more:
        raise InputError(f"--watch shows one folder, not {len(folders)}")
    if watch:
        from flaxact.cli.watching import watch_report

        watch_report(first, port)
        return
    if more:
        from flaxact.studies.together import read_together

        report(out, read_together(folders))
        return
    within = comparisons(first)
    for folder in within:
        report(folder)
    if len(within) > 1:
        rank(within, None, first)


def report(folder: Path, results: Results | None = None) -> None:
    """Write a report into a folder and print its tables; None reads the folder's stored results."""
    from flaxact.progress import print_table
    from flaxact.studies._records import read_folder
    from flaxact.studies.report import difference_table, table, write_report

    path = write_report(folder, results)
    results = read_folder(folder) if results is None else results
    print_table(*table(results))
    heading, titles, rows = difference_table(results)
    if rows:
        print(heading)
        print_table(titles, rows)
    print(f"The report: {path}")


def diff(first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path]) -> None:
    """Print the differences between two comparisons: settings, versions, and results with intervals.

    Args:
      first: Folder of flaxact compare.
      second: Another folder of flaxact compare.
    """
    from flaxact.progress import print_table
    from flaxact.studies import diff as difference
    from flaxact.studies._records import read_folder

    one = read_folder(first)
    other = read_folder(second)
    print("\n".join(difference.sentences(one, other)))
    titles, rows = difference.table(one, other)
    if not rows:
        print("No activation has runs in both.")
        return
    print_table(titles, rows)
    print(difference.MEANING)


def show_status(folder: tyro.conf.Positional[Path]) -> None:
    """Print the progress of a comparison: finished runs, current trainings and working processes.

    Args:
      folder: Folder of flaxact compare.
    """
    from flaxact.studies.several import comparisons
    from flaxact.studies.status import status

    for comparison in comparisons(folder):
        print("\n".join(status(comparison)))


def show_ranks(
    folders: tyro.conf.Positional[tuple[Path, ...]],
    *,
    reference: str | None = None,
    out: Path = Path("flaxact-ranks"),
) -> None:
    """Rank activations over several comparisons: Friedman's test and a critical-difference diagram.

    Args:
      folders: Folders of flaxact compare. A folder with several comparisons stands for all of them.
      reference: The activation whose wins and losses are counted; the first by default.
      out: Folder of the page.
    """
    rank(folders, reference, out)


def rank(folders: Sequence[Path], reference: str | None, out: Path) -> None:
    """Print the ranks of activations over comparisons, and write their page."""
    from flaxact.progress import print_table
    from flaxact.studies import tasks

    result = tasks.ranking(tasks.read_tasks(folders), reference)
    path = tasks.write_ranking(result, out)
    print("\n".join(tasks.sentences(result)))
    print_table(*tasks.table(result))
    print(f"The ranks: {path}")
