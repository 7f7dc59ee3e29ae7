"""The notebooks: each is its source, is short enough to be read on the web, and runs."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)

SOURCES = notebooks.sources()
# More than 30 s of a core with small settings.
LONG = ("2_your_model", "3_compare", "4_why", "5_figure_1")
NEEDS = {"2_your_model": ("equinox", "haiku")}
BADGE = re.compile(r"\(https://colab\.research\.google\.com/github/\S+/blob/main/(\S+)\)")
OLD = "the notebook is of another source: run `python tools/notebooks.py`"


def named(source):
    return source.stem


def test_there_are_five():
    assert [source.name[0] for source in SOURCES] == list("12345")


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_a_notebook_is_its_source(source):
    expected = notebooks.unrun(source)
    stored = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(stored)
    assert stored.metadata == expected.metadata, OLD
    told = [(cell.id, cell.cell_type, cell.source) for cell in expected.cells]
    assert [(cell.id, cell.cell_type, cell.source) for cell in stored.cells] == told, OLD


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_stored_outputs_are_short_and_without_errors(source):
    path = source.with_suffix(".ipynb")
    assert path.stat().st_size < 1_000_000
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_badges_open_the_notebook_that_they_are_of(source):
    assert BADGE.findall(source.read_text("utf-8")) == [f"notebooks/{source.stem}.ipynb"]


def test_the_readme_lists_all_with_badges():
    text = (ROOT / "README.md").read_text("utf-8")
    paths = [f"notebooks/{source.stem}.ipynb" for source in SOURCES]
    assert BADGE.findall(text) == paths
    assert re.findall(r"\]\((notebooks/\S+)\)", text) == paths


@pytest.mark.timeout(900)  # on a machine that may be busy
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, marks=pytest.mark.slow if source.stem in LONG else (), id=source.stem)
        for source in SOURCES
    ],
)
def test_a_notebook_runs(source, tmp_path):
    for module in NEEDS.get(source.stem, ()):
        pytest.importorskip(module)
    notebook = notebooks.ran(source, tmp_path, quick=True, timeout=600)
    shown = {
        kind for c in notebook.cells for o in c.get("outputs", ()) for kind in o.get("data", {})
    }
    assert (
        shown & {"text/html", "image/png", "image/svg+xml", "text/plain"}
        or source.stem == "2_your_model"
    )


def test_a_cell_that_fails_is_an_error(tmp_path):
    source = tmp_path / "0_fails.py"
    source.write_text("# %%\n1 / 0\n", "utf-8")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebooks.ran(source, tmp_path)


def test_long_outputs_and_warnings_are_not_kept():
    output = nbformat.v4.new_output
    long = {"text/html": "x" * (notebooks.LARGEST + 1)}
    cell = nbformat.v4.new_code_cell(
        "1",
        outputs=[
            output("stream", name="stderr", text="a warning"),
            output("display_data", data=long),
            output("stream", name="stdout", text="kept"),
        ],
    )
    notebook = notebooks.shortened(nbformat.v4.new_notebook(cells=[cell]))
    kept = notebook.cells[0].outputs
    assert [o.get("text", "") for o in kept] == ["", "kept"]
    assert "run the cell" in kept[0].data["text/plain"]
