"""Papers: modules of the packages that the entry-point group ``flaxact.papers`` names."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from flaxact.errors import InputError, unknown
from flaxact.reproduction.claim import Claim, Table
from flaxact.statistics import Interval
from flaxact.stored.schema import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flaxact.reproduction.workspace import Workspace

GROUP = "flaxact.papers"
OWN = "flaxact"  # the entry point of our own papers
SUMMARY = "summary"  # the module of a package that is no paper
SCALES = ("smoke", "reduced", "full")


StoredResults = Mapping[str, Any]  # what ``reproduce`` wrote, as JSON


class Paper(Protocol):
    """The interface of a paper's module.

    Attributes:
      SOURCE: key in flaxact's references.bib, or BibTeX; empty for an experiment of your own.
      CLAIMS: each with the range in which it holds.
      SCALES: frozen dataclasses of settings, by scale; their field ``reduced`` says what differs
        from the published size.
      Results: a frozen dataclass that ``study`` returns. It is stored with ``dataclasses.asdict``
        and read by ``flaxact.stored.schema.decode``. If the module has ``upgraded(stored)``, it
        first converts results that were stored in an older form.
    """

    __name__: str
    __doc__: str | None
    __file__: str | None
    SOURCE: str
    CLAIMS: Sequence[Claim]
    SCALES: Mapping[str, Any]
    Results: type

    def study(self, settings: Any, workspace: Workspace) -> Any:
        """Compute the ``Results``.

        Raises:
          UnavailableError: required pieces are missing.
        """
        ...

    def measured(self, results: Any) -> Mapping[str, Interval]:
        """The measured interval of each claim, by the claim's key."""
        ...

    def tables(self, results: Any) -> Sequence[Table]:
        """The tables of the paper's page."""
        ...

    def figures(self, results: Any) -> Mapping[str, Figure]:
        """The figures of the paper's page, by title."""
        ...


def names() -> list[str]:
    """The papers of all installed packages.

    Raises:
      InputError: no papers are installed, or two have the same name.
    """
    return sorted(_package_by_paper())


def check(name: str) -> None:
    """Raise for an unknown paper, without importing it.

    Raises:
      InputError: an unknown name.
    """
    paper_names = names()
    if name not in paper_names:
        raise unknown("reproduction", name, [*paper_names, SUMMARY])


def load(name: str) -> Paper:
    """The module of a paper.

    Raises:
      InputError: an unknown name, or a module that is not a paper.
    """
    check(name)
    module = importlib.import_module(f"{_package_by_paper()[name]}.{name}")
    required = ("SOURCE", "CLAIMS", "SCALES", "study", "measured", "tables", "figures")
    missing = [part for part in required if not hasattr(module, part)]
    if missing:
        raise InputError(f"the paper {module.__name__} has no {' and no '.join(missing)}")
    return cast(Paper, module)


def results_of(paper: Paper, stored: StoredResults) -> Any:
    """The results of a paper, from the JSON that ``reproduce`` wrote.

    Raises:
      InputError: the stored results do not have the fields of the paper's ``Results``.
    """
    results = stored["results"]
    if not hasattr(paper, "Results"):
        return results
    if hasattr(paper, "upgraded"):
        results = paper.upgraded(results)  # type: ignore[attr-defined]
    return decode(paper.Results, results, f"results of {stored['name']}, {stored['scale']}")


def load_summary() -> ModuleType:
    """The question and the sentences of the answer that flaxact's own papers give."""
    return importlib.import_module(f"{_packages()[OWN]}.{SUMMARY}")


def shipped_results(name: str) -> Path:
    """The folder of the results that come with a paper's package, which may not exist."""
    package = importlib.import_module(_package_by_paper()[name])
    return Path(next(iter(package.__path__)), "results", name)


def default_folder() -> Path:
    """The default folder of results; in a checkout, that of the committed results."""
    committed = shipped_results(names()[0]).parent.resolve()
    if _of_checkout() and committed.is_relative_to(Path.cwd()):
        return committed.relative_to(Path.cwd())
    return Path("flaxact-papers")


@functools.cache
def _package_by_paper() -> dict[str, str]:
    by_paper: dict[str, str] = {}
    for package in _packages().values():
        try:
            folders = importlib.import_module(package).__path__
        except ModuleNotFoundError as error:
            if error.name is None or not f"{package}.".startswith(f"{error.name}."):
                raise
            continue  # metadata of what is not installed any more
        for module in pkgutil.iter_modules(folders):
            if module.name.startswith("_") or module.name == SUMMARY:
                continue
            if module.name in by_paper:
                packages = f"{by_paper[module.name]} and {package}"
                raise InputError(f"{packages} both have a paper {module.name!r}: rename one")
            by_paper[module.name] = package
    if not by_paper:
        raise InputError(f"no papers are installed: no package of the entry-point group {GROUP}")
    return by_paper


def _packages() -> dict[str, str]:
    """Packages by entry point, each package once."""
    points = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point.value for point in points} | _of_checkout()


def _of_checkout() -> dict[str, str]:
    """The entry points of the checkout that flaxact is imported from.

    A checkout on ``PYTHONPATH`` has no metadata, and an editable install keeps the metadata of its
    installation.
    """
    file = Path(__file__).parents[2] / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text("utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return {}
    return project.get("entry-points", {}).get(GROUP, {}) if project.get("name") == OWN else {}
