"""Makes notebooks/*.ipynb from their sources, notebooks/*.py, and runs them.

    python tools/notebooks.py             # all: run at full settings, keep short outputs
    python tools/notebooks.py 4 --no-run  # the one whose name begins with 4, without running it
    python tools/notebooks.py --html OUT  # pages to look at, from the .ipynb files as they are

Needs flaxact[notebooks]. A cell whose source has not changed keeps its outputs with --no-run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
LARGEST = 250_000  # letters of an output that is kept: a report is larger
QUICK = "FLAXACT_QUICK"  # the environment variable that asks for small settings


def sources() -> list[Path]:
    """The sources in order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def unrun(source: Path) -> Any:
    """The notebook of a source, without outputs; the same each time."""
    notebook = jupytext.reads(source.read_text("utf-8"), fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "accelerator": "GPU",  # what Colab offers
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
    return nbformat.from_dict(notebook)


def ran(source: Path, folder: Path, *, quick: bool = False, timeout: int = 3600) -> Any:
    """The notebook of a source with all of its outputs.

    Args:
      source: its path.
      folder: where it runs, and what it writes is left.
      quick: with small settings.
      timeout: seconds for a cell.

    Raises:
      CellExecutionError: a cell fails.
    """
    notebook = unrun(source)
    root = str(FOLDER.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {k: v for k, v in os.environ.items() if k != QUICK} | {"PYTHONPATH": paths}
    if quick:
        environment[QUICK] = "1"
    client = NotebookClient(
        notebook,
        timeout=timeout,
        startup_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
    )
    client.execute(env=environment)
    return notebook


def shortened(notebook: Any) -> Any:
    """A notebook with its outputs, without warnings, long ones, and what tells of the kernel."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        for output in cell.outputs:
            if len(str(output.get("data", ""))) > LARGEST:
                output.data = {"text/plain": "(too long to be kept here: run the cell to see it)"}
    return notebook


def with_outputs_of(notebook: Any, old: Any) -> Any:
    """A notebook with the outputs that an older one has for cells of the same source."""
    known = {c.source: c for c in old.cells if c.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source in known:
            cell.outputs = known[cell.source].outputs
            cell.execution_count = known[cell.source].execution_count
    return notebook


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names; all if left out")
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small settings")
    parser.add_argument("--html", type=Path, help="write pages to this folder and nothing else")
    options = parser.parse_args()
    for source in sources():
        if options.names and not source.name.startswith(tuple(options.names)):
            continue
        target = source.with_suffix(".ipynb")
        if options.html:
            from nbconvert import HTMLExporter

            options.html.mkdir(parents=True, exist_ok=True)
            page, _ = HTMLExporter().from_filename(str(target))
            (options.html / f"{source.stem}.html").write_text(page, "utf-8")
            continue
        if options.no_run:
            notebook = unrun(source)
            if target.exists():
                notebook = with_outputs_of(notebook, nbformat.read(target, as_version=4))
        else:
            with tempfile.TemporaryDirectory() as folder:
                notebook = shortened(ran(source, Path(folder), quick=options.quick))
        nbformat.write(notebook, target)
        print(target)


if __name__ == "__main__":
    main()
