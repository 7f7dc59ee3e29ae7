"""The folder of a study: its lock, and the stored runs. Does not import jax.

Every run has ``runs/<id>/config.json`` and ``result.json``, and ``variables.npz`` if its variables are
kept. A cell is a group of runs that are trained together. Its results appear at once in
``cells/<cell>/runs.json`` and are then moved to the folders of the runs. If this process is killed, the
next one moves them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from flaxact.stored import files
from flaxact.stored.files import DIGEST, DamagedError, Json
from flaxact.stored.schema import unexpected
from flaxact.studies import _records
from flaxact.studies._records import FORMAT, Run, Trained
from flaxact.studies.study import Config, identity
from flaxact.training.folder.lock import InUseError, locked

_CELL = "runs.json"  # of a cell: what its members are to store
VARIABLES = "variables.npz"  # of a run; in a cell its name is before it
_log = logging.getLogger("flaxact")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a study's folder for the ``with`` block; first finish what a killed process left unfinished.

    Raises:
      InUseError: another process has locked it; the message names its id, host and start time.
    """
    with locked(folder):
        files.remove_partial(folder / "plots")
        recover(folder)
        yield
        _remove_if_empty(folder / "cells")


def recover(folder: Path) -> None:
    """Move the results of finished cells to the folders of their runs."""
    files.remove_deleting(folder / "cells")
    for path in sorted(folder.glob(f"cells/*/{_CELL}")):
        with contextlib.suppress(InUseError), locked(path.parent):
            publish(folder, path.parent)
    _remove_if_empty(folder / "cells")


def publish_cell(
    folder: Path,
    cell: Path,
    runs: Mapping[str, dict[str, Json]],
    variables: Iterable[tuple[str, bytes]] = (),
) -> None:
    """Store the results of a cell at once, then move each to the folder of its run.

    Args:
      folder: folder of the study.
      cell: where its members were trained.
      runs: the record of each run, by its identity.
      variables: the name and contents of each run's file of variables, if they are kept.

    Raises:
      InputError: the folder is not writable.
    """
    with locked(cell):
        for name, content in variables:
            files.write_whole(cell / f"{name}{VARIABLES}", content)
            runs[name]["variables"] = hashlib.sha256(content).hexdigest()
        sealed = {name: files.sealed({"format": FORMAT, **run}) for name, run in runs.items()}
        files.write_json(cell / _CELL, files.sealed({"runs": sealed}))
        publish(folder, cell)
    _remove_if_empty(folder / "cells")


def publish(folder: Path, cell: Path) -> None:
    """Move the results of a finished cell to the folders of their runs, and remove the cell."""
    try:
        runs = _finished_cell(cell / _CELL)
    except DamagedError as error:  # the rest of its folder says it again
        _log.warning("%s", error)
        (cell / _CELL).unlink()
        return
    for name, run in runs.items():
        path = folder / "runs" / name
        files.make_folder(path)
        files.remove_partial(path)
        variables = cell / f"{name}{VARIABLES}"
        if variables.exists():
            files.move(variables, path / VARIABLES)
        files.write_json(path / "config.json", run["config"])
        files.write_json(path / "result.json", run)
    files.remove_folder(cell)


def _finished_cell(path: Path) -> dict[str, dict[str, Json]]:
    """The runs of a finished cell by identity."""
    try:
        value = files.read_json(path)
    except FileNotFoundError:  # another process was first
        return {}
    files.check_seal(value, path)
    runs = value.get("runs") if isinstance(value, dict) else None
    if not isinstance(runs, dict) or DIGEST not in value:
        raise unexpected(path, "", "the runs of a cell", value)
    return runs


class StoredRuns:
    """The runs that a folder holds when this object is created.

    Args:
      folder: folder of a study.
      with_variables: whether a run whose variables are not kept counts as not stored.

    ``losses`` has one line for every stored run that is damaged.
    """

    def __init__(self, folder: Path, *, with_variables: bool = False):
        self.folder = folder
        self.losses = list[str]()
        self._with_variables = with_variables
        self._cells: dict[str, dict[str, Json]] = {}
        for path in folder.glob(f"cells/*/{_CELL}"):
            with contextlib.suppress(DamagedError):
                self._cells |= _finished_cell(path)

    def run(self, config: Config) -> Run | None:
        """The stored run of a configuration; None if there is none or it is damaged.

        Raises:
          InputError: it was written by a newer version of flaxact.
        """
        record = self._read(config)
        return None if record is None or not self._keeps(record[1], identity(config)) else record[1]

    def together(self, config: Config) -> tuple[Trained, ...]:
        """The members trained together with a run; empty if its result is missing; raises as ``run``."""
        stored = self._read(config)
        return () if stored is None else stored[1].members

    def fields(self, config: Config) -> dict[str, Json]:
        """The entry of a stored run in ``results.json``."""
        record = self._read(config)
        assert record is not None
        left_out = ("format", "members", DIGEST)
        run = {name: value for name, value in record[0].items() if name not in left_out}
        return {"id": identity(config), "config": config, **run}

    def _read(self, config: Config) -> tuple[dict[str, Json], Run] | None:
        name = identity(config)
        path = self.folder / "runs" / name / "result.json"
        try:
            value = self._cells[name] if name in self._cells else files.read_json(path)
            return value, _records.decode_run(value, path, config)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            self._lose(str(error))
            return None

    def _keeps(self, run: Run, name: str) -> bool:
        """Whether a run's variables are there, if they are asked for."""
        if not self._with_variables:
            return True
        if run.variables is None:
            return False
        path = self.folder / "runs" / name / VARIABLES
        if path.exists() or any(self.folder.glob(f"cells/*/{name}{VARIABLES}")):
            return True
        self._lose(f"{path} is lost")
        return False

    def _lose(self, loss: str) -> None:
        if loss not in self.losses:
            self.losses.append(loss)


def is_config(folder: Path, config: Config) -> bool:
    """Whether a run's ``config.json`` is undamaged."""
    try:
        stored = files.read_json(folder / "runs" / identity(config) / "config.json")
    except (FileNotFoundError, DamagedError):
        return False
    return files.digest(stored) == files.digest(config)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
