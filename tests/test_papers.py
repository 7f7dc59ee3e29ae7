"""Papers are found through entry points, whichever package they come from and whatever lies beside."""

import ast
import importlib.metadata
import sys
import tomllib
from pathlib import Path

import pytest

from flaxact.errors import InputError
from flaxact.reproduction import papers, summary

ROOT = Path(__file__).parents[1]
THEIRS = '''"""A claim of theirs."""
SOURCE, CLAIMS, SCALES = "", (), {}
study = measured = tables = figures = None
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of papers, as pip would: modules by name, and an entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package, modules):
        (tmp_path / package).mkdir(parents=True)
        for name, text in modules.items():
            (tmp_path / package / f"{name}.py").write_text(text)
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[flaxact.papers]\n{package} = {package}\n")
        papers._package_by_paper.cache_clear()

    before = set(sys.modules)
    papers._package_by_paper.cache_clear()
    yield install
    papers._package_by_paper.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("their_papers"):
            del sys.modules[name]


def test_a_package_brings_its_papers(install):
    install("their_papers", {"__init__": "", "theirs2030": THEIRS, "_private": "", "summary": ""})
    assert {"theirs2030", "lu2019"} <= set(papers.names())
    assert not {"_private", "summary"} & set(papers.names())
    assert papers.load("theirs2030").__name__ == "their_papers.theirs2030"
    assert papers.load_summary().__name__ == "flaxact_papers.summary"


def test_two_papers_of_one_name_are_refused(install):
    install("their_papers", {"__init__": "", "lu2019": THEIRS})
    with pytest.raises(InputError, match=r"their_papers.* both have a paper 'lu2019': rename one"):
        papers.names()


def test_a_module_that_is_no_paper_is_refused(install):
    install(
        "their_papers", {"__init__": "", "half2030": "SOURCE = ''\nCLAIMS = ()\nstudy = tables = 1"}
    )
    with pytest.raises(InputError, match=r"half2030 has no SCALES and no measured and no figures"):
        papers.load("half2030")


def test_an_entry_point_of_what_is_gone_is_left_out(install, tmp_path):
    install("their_papers", {"theirs2030": THEIRS})
    (tmp_path / "their_papers" / "theirs2030.py").unlink()
    (tmp_path / "their_papers").rmdir()
    papers._package_by_paper.cache_clear()
    assert "lu2019" in papers.names()


def test_a_checkout_needs_no_metadata(install, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **selected: [])
    assert "lu2019" in papers.names()


def test_a_users_own_folder_is_not_ours(install, monkeypatch):
    install("paper_repro", {"__init__": "raise SystemExit", "lu2019": "raise SystemExit"})
    for name in [name for name in sys.modules if name.split(".")[0] == "paper_repro"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **selected: [])
    assert papers.load("lu2019").__name__ == "flaxact_papers.lu2019"


def test_the_wheel_has_the_papers_under_the_name_of_their_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    (package,) = project["project"]["entry-points"][papers.GROUP].values()
    assert wheel["sources"] == {"paper_repro": package}
    assert (ROOT / f"{package}.py").exists()


def test_results_that_come_with_the_papers_fill_a_folder(tmp_path):
    (tmp_path / "lu2019").mkdir()
    (tmp_path / "lu2019" / "reduced.json").write_text("{}")
    summary.add_shipped_results(tmp_path)
    assert (tmp_path / "lu2019" / "reduced.json").read_text() == "{}"
    assert not (tmp_path / "lu2019" / "reduced.md").exists()
    shipped = papers.shipped_results("he2015")
    copied = {path.name for path in (tmp_path / "he2015").iterdir()}
    assert copied == {path.name for path in shipped.iterdir() if path.is_file()}


def test_the_library_does_not_import_the_papers():
    for path in (ROOT / "flaxact").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                assert module.split(".")[0] not in ("paper_repro", "flaxact_papers"), path
