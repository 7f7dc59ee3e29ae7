"""Studies in a notebook: run a study with a progress bar, and show its report in a cell."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flaxact import data as datasets
from flaxact.data import Dataset
from flaxact.progress import Bar, rich_table
from flaxact.studies import report
from flaxact.studies._fit import check
from flaxact.studies._records import Results
from flaxact.studies.runs import run
from flaxact.studies.study import Study, check_folder
from flaxact.studies.together import read_together

if TYPE_CHECKING:
    from rich.table import Table


def compare(
    study: Study,
    data: Dataset | None = None,
    folder: Path | str = "flaxact-results",
    *,
    command: str = "",
) -> Results:
    """Train the missing runs of a study with a progress bar, and write its report.

    Runs that the folder already holds are not repeated.

    Args:
      study: the study whose missing runs are trained.
      data: the data set, whose name becomes the study's; None loads the one that the study names.
      folder: where runs and the report are stored.
      command: the command line, for the report.

    Raises:
      InputError: as ``run``; the data cannot be loaded; a batch is larger than the training set.
    """
    folder = Path(folder)
    check_folder(folder)
    if data is None:
        data = datasets.load(study.dataset, image_size=study.image_size)
    else:
        study = replace(study, dataset=data.name)
    check(study, data)
    with Bar("epochs", lines=True) as bar:
        for progress in run(study, data, folder, command=command):
            bar.show(progress.done, progress.total, progress.text)
    report.write_report(folder)
    return read_results(folder)


def read_results(folder: Path | str, *more: Path | str) -> Results:
    """The results that ``flaxact compare`` or ``run`` has stored in a folder, or in several as one.

    Several folders may differ only in activations, seeds, target error and versions.

    Raises:
      InputError: a folder has no results, its results are damaged, or several folders' results are
        not comparable.
    """
    return read_together([Path(folder), *map(Path, more)])


def table(results: Results) -> Table:
    """The main table of the report, one row per activation, as a rich table.

    A notebook shows it as it is. ``rich.print`` shows it on a terminal.
    """
    return rich_table(*report.table(results))


@dataclass(frozen=True)
class InlinePage:
    """A page that a notebook shows in a frame, so that its styles stay inside.

    Attributes:
      path: path of the HTML file.
      height: height of the frame, in pixels.
    """

    path: Path
    height: int = 800

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text("utf-8"))
        return (
            f'<iframe srcdoc="{page}" width="100%" height="{self.height}" '
            'style="border: 1px solid #8888"></iframe>'
        )


def show_report(folder: Path | str, height: int = 800) -> InlinePage:
    """Write the report of a folder again and show it; for the last line of a notebook cell.

    Args:
      folder: folder of a comparison.
      height: height of the frame, in pixels.

    Raises:
      InputError: as ``write_report``.
    """
    return InlinePage(report.write_report(Path(folder)), height)
