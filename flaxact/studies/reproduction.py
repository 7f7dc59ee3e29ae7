"""Run a file of ``paper_repro/``: in pieces that are kept, with results, figures and a page."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from flaxact._environment import environment
from flaxact._files import write_json, write_whole
from flaxact.data.sets import Dataset, few
from flaxact.errors import InputError, unknown

SCALES = ("smoke", "reduced", "full")
Row = dict[str, Any]


def names() -> list[str]:
    """The reproductions that there are: the files of ``paper_repro/``."""
    spec = importlib.util.find_spec("paper_repro")
    if spec is None or spec.submodule_search_locations is None:
        raise InputError(
            "the package paper_repro is not installed: install flaxact, or run in its checkout"
        )
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(m.name for m in found if not m.name.startswith("_") and m.name != "summary")


def check(name: str) -> None:
    """Whether there is such a reproduction, without importing it.

    Raises:
      InputError: an unknown name.
    """
    if name not in names():
        raise unknown("reproduction", name, [*names(), "summary"])


def module(name: str) -> ModuleType:
    """A reproduction's file.

    Raises:
      InputError: an unknown name.
    """
    check(name)
    return importlib.import_module(f"paper_repro.{name}")


@dataclass
class Work:
    """Where a study keeps its pieces, so that it goes on after a stop, and what it has spent.

    Attributes:
      folder: of the pieces; another scale has another.
      data_dir: where TFDS keeps its data sets; None for FLAXACT_DATA_DIR or TFDS's own place.
      say: is told what has been done.
    """

    folder: Path
    data_dir: Path | None = None
    say: Callable[[str], object] = lambda text: None
    seconds: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)

    def data(self, name: str, train: int | None = None, test: int | None = None) -> Dataset:
        """A data set, or so many of its training and test images, taken at equal distances."""
        from flaxact import data as datasets

        found = datasets.load(name, data_dir=self.data_dir)
        self.notes[name] = found.note
        return replace(found, train=few(found.train, train), test=few(found.test, test))

    def piece(self, name: str, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gives, as JSON has it; asked again, it is read from ``folder/name.json``."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            value = compute()
            write_json(path, {"seconds": round(time.perf_counter() - start, 3), "value": value})
            self.say(f"{name}: {time.perf_counter() - start:.0f} s")
        kept = json.loads(path.read_text())
        self.seconds += kept["seconds"]
        return kept["value"]

    def train(
        self, name: str, net: Any, recipe: Any, data: Any, members: Sequence[Any], **options: Any
    ) -> list[Row]:
        """Train in ``folder/name`` as ``flaxact.training.run`` does; the lines of all epochs, 0 included.

        A line's metrics, such as "train_error", are lists over members, None where one has diverged.
        """
        from flaxact.training import run

        folder = self.folder / name
        for epoch in run(net, recipe, data, members, folder, model=name, **options):
            self.say(f"{name}, epoch {epoch.number}, {epoch.seconds:.1f} s: {_errors(epoch)}")
        rows = json.loads((folder / "result.json").read_text())["epochs"]
        self.seconds += sum(row["seconds"] for row in rows) + rows[0]["compile_seconds"]
        return rows

    def states(self, name: str, net: Any, recipe: Any, data: Any, members: Sequence[Any]) -> Any:
        """The states that ``train`` of this name ended with, stacked over members."""
        from flaxact.training import final_states

        return final_states(self.folder / name, net, recipe, data, members)


def _errors(epoch: Any) -> str:
    errors = epoch.train_error if epoch.number else epoch.test_error
    said = ", ".join(f"{error:.1%}" for error in errors[:8])
    return f"{'training' if epoch.number else 'test'} error {said}{' …' * (len(errors) > 8)}"


def reproduce(
    name: str,
    scale: str,
    out: Path,
    *,
    command: str = "",
    data_dir: Path | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Run a reproduction at a scale and write its results, figures and page; goes on after a stop.

    Args:
      name: one of ``names()``.
      scale: one of SCALES, if the reproduction has it.
      out: folder of the results: ``out/name/scale.json``, ``.md``, its figures, and its pieces under
        ``out/name/scale.work``.
      command: how to do this again, for the page.
      data_dir: where TFDS keeps its data sets.
      say: is told what has been done.

    Returns:
      The page.

    Raises:
      InputError: an unknown name or scale, or as data and training raise.
    """
    paper = module(name)
    if scale not in paper.SCALES:
        raise unknown("scale", scale, paper.SCALES)
    settings = paper.SCALES[scale]
    folder = out / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from None
    work = Work(folder / f"{scale}.work", data_dir, say)
    results = json.loads(json.dumps(paper.study(settings, work)))
    write_json(folder / f"{scale}.json", {
        "name": name, "scale": scale, "settings": asdict(settings),
        "environment": _environment(command), "seconds": round(work.seconds, 1),
        "data": work.notes, "results": results,
    })  # fmt: skip
    return write_page(name, scale, out)


def write_page(name: str, scale: str, out: Path) -> Path:
    """Make the page and the figures again from ``out/name/scale.json``.

    Raises:
      InputError: there are no such results.
    """
    from flaxact._figures import rendered
    from flaxact.studies import reproduced

    paper, stored = module(name), stored_results(name, scale, out)
    folder, drawn = out / name, []
    if hasattr(paper, "figures"):
        for title, figure in paper.figures(stored["results"]).items():
            drawn.append((title, f"{scale}-{title.lower().replace(' ', '-')}.svg"))
            write_whole(folder / drawn[-1][1], rendered(figure, "svg"))
    page = folder / f"{scale}.md"
    write_whole(page, reproduced.page(paper, stored, drawn).encode())
    return page


def stored_results(name: str, scale: str, out: Path) -> dict[str, Any]:
    """What ``reproduce`` has written of its results.

    Raises:
      InputError: nothing is there, or it cannot be read.
    """
    path = out / name / f"{scale}.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}: run flaxact reproduce {name} --scale {scale} --out {out}"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _environment(command: str) -> dict[str, Any]:
    """Versions, machine, date and command."""
    import jax

    return {
        "command": command, **environment("flaxact", "jax", "flax", "optax", "numpy"),
        "devices": jax.device_count(), "cores": os.cpu_count(),
    }  # fmt: skip
