"""Run a paper in stored pieces, and write its results, figures and page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from flaxact.errors import InputError, unknown
from flaxact.reproduction import papers
from flaxact.reproduction._records import read_reproduction
from flaxact.reproduction.papers import Paper, StoredResults
from flaxact.reproduction.workspace import Workspace, run_environment
from flaxact.stored.files import make_folder, sealed, write_json, write_whole

WAIT_SECONDS = 20.0  # for the pieces of other processes


def reproduce(
    name: str,
    scale: str,
    out: Path,
    *,
    command: str = "",
    data_dir: Path | None = None,
    compute: bool = True,
    log: Callable[[str], object] = lambda text: None,
) -> Path:
    """Run a reproduction at a scale and write its results, figures and page; resumes after a stop.

    Stored pieces are read, even if another machine has computed them; missing pieces are computed.
    Several processes may run the same reproduction at once and share its pieces.

    Args:
      name: one of ``papers.names()``.
      scale: one of ``papers.SCALES`` that the reproduction has.
      out: folder of the results: ``out/name/scale.json``, ``.md``, its figures, its pieces in
        ``out/name/scale/``, and checkpoints in ``out/name/scale.work/``.
      command: the command that repeats this run, for the page.
      data_dir: the folder of TFDS's data sets.
      compute: False to write the page from the stored pieces alone; the page lists what is missing.
      log: called with progress messages.

    Returns:
      The path of the page.

    Raises:
      InputError: an unknown name or scale, or as raised by data and training.
    """
    paper = papers.load(name)
    if scale not in paper.SCALES:
        raise unknown("scale", scale, paper.SCALES)
    settings = paper.SCALES[scale]
    folder = out / name
    make_folder(folder)
    workspace = Workspace(folder=folder / scale, data_dir=data_dir, log=log, compute=compute)
    results, workspace = _study(paper, settings, workspace)
    record = {
        "name": name,
        "scale": scale,
        "settings": asdict(settings),
        "environment": {"command": command, **run_environment()},
        "seconds": round(workspace.seconds, 1),
        "data": workspace.data_notes,
        "missing": workspace.missing,
        "results": results,
    }
    write_json(folder / f"{scale}.json", sealed(record))
    return write_page(name, scale, out)


def _study(
    paper: Paper, settings: object, workspace: Workspace
) -> tuple[dict[str, Any], Workspace]:
    """The results of a study, after every piece that is to be computed is stored."""
    while True:
        workspace = replace(workspace, seconds=0.0, missing=[], computed=0, data_notes={})
        results = workspace.attempt(lambda: paper.study(settings, workspace))  # noqa: B023
        if not workspace.missing or not workspace.compute:
            if results is None:
                pieces = ", ".join(workspace.missing[:5])
                raise InputError(
                    f"{workspace.folder} lacks pieces that this study needs: {pieces}; "
                    "run it without --stored to compute them"
                )
            value = asdict(results) if hasattr(paper, "Results") else results
            return json.loads(json.dumps(value)), workspace
        if not workspace.computed:
            workspace.log(f"waiting for other processes: {', '.join(workspace.missing)}")
            time.sleep(WAIT_SECONDS)


def write_page(name: str, scale: str, out: Path) -> Path:
    """Write the page and the figures again from ``out/name/scale.json``.

    Raises:
      InputError: there are no such results.
    """
    from flaxact.figures import rendered
    from flaxact.reproduction.page import paper_page

    paper = papers.load(name)
    stored = stored_results(name, scale, out)
    files = {}
    for title, figure in paper.figures(papers.results_of(paper, stored)).items():
        files[title] = f"{scale}-{title.lower().replace(' ', '-')}.svg"
        write_whole(out / name / files[title], rendered(figure, "svg"))
    page = out / name / f"{scale}.md"
    write_whole(page, paper_page(paper, stored, files).encode())
    return page


def stored_results(name: str, scale: str, out: Path) -> StoredResults:
    """The results that ``reproduce`` has written.

    Raises:
      InputError: there are no results, or they cannot be read.
    """
    path = out / name / f"{scale}.json"
    try:
        return read_reproduction(path)
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}: run flaxact reproduce {name} --scale {scale} --out {out}"
        ) from None
