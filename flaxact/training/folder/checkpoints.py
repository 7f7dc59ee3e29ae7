"""Checkpoints, written atomically in the background; reading returns the newest intact one.

Each is a folder named by its step (see ``orbax_store.py``), so it appears in one rename.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flaxact._lazy import listing
from flaxact.errors import InputError
from flaxact.training.folder import orbax_store
from flaxact.training.folder.orbax_store import Arrays

__dir__ = listing(__name__)

_DELETING = "deleting-"  # renamed before it is deleted, so that half of it is never read
_DAMAGED = "damaged-"


class CheckpointError(InputError):
    """A checkpoint could not be written, or every stored one is damaged; names the folders."""

    def __init__(self, message: object = "", longest: int = 1000):
        super().__init__(message, longest)


@dataclass(frozen=True, eq=False)
class Restored:
    """The contents of a checkpoint: host arrays by name, and facts as JSON values.

    ``set_aside`` has one line for each newer checkpoint that was damaged: what is wrong with it,
    and its new name. With several processes, the first process renames it and informs the others.
    """

    step: int
    arrays: Arrays = field(repr=False)
    facts: dict[str, Any]
    set_aside: tuple[str, ...] = ()


class Checkpoints:
    """Writes checkpoints into a folder in the background; a context manager that ends with `close`.

    With several processes, each makes one on the same shared folder and calls `save` at the same
    steps with equal arrays; the first process writes.

    Args:
      folder: created if absent; leftovers of interrupted saves are removed. One run may use it.
      keep: how many of the newest checkpoints to keep.
      keep_best: how many of the checkpoints with the lowest metric to keep as well.

    Raises:
      InputError: ``keep`` below 1, or ``keep_best`` below 0.
    """

    def __init__(self, folder: Path, *, keep: int = 2, keep_best: int = 1):
        if keep < 1 or keep_best < 0:
            raise InputError(
                f"keep must be at least 1 and keep_best at least 0, not {keep} and {keep_best}"
            )
        self._folder = folder.absolute()
        self._keep = keep
        self._keep_best = keep_best
        self._folder.mkdir(parents=True, exist_ok=True)
        if _first():
            _remove_leftovers(self._folder)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._pending: Future[None] | None = None
        self._failure: CheckpointError | None = None
        self._metrics = {
            step: self._worker.submit(orbax_store.read_metric, self._folder / _name(step)).result()
            for step in _steps(self._folder)
        }

    def save(
        self, step: int, arrays: Arrays, facts: dict[str, Any], *, metric: float | None = None
    ) -> None:
        """Write a checkpoint; returns once the previous save has ended and the arrays are copied.

        Args:
          step: its number; if that step already has a checkpoint, nothing is written.
          arrays: by name; any shapes, any numeric dtype of numpy and ml_dtypes.
          facts: a JSON-serializable value.
          metric: what ``keep_best`` ranks by, lowest first; only finite values count.

        Raises:
          CheckpointError: the previous save failed.
          InputError: an array of another dtype.
        """
        self.wait()
        if step in self._metrics:
            return
        metric = None if metric is None or not math.isfinite(metric) else float(metric)
        document, packed = orbax_store.pack(step, arrays, facts, metric)
        path = self._folder / _name(step)

        def write() -> None:
            try:
                if _first():
                    orbax_store.write(path, document, packed)
                self._metrics[step] = metric
                if _first():
                    self._rotate()
            except Exception as error:
                self._failure = self._failed(step, error)

        self._pending = self._worker.submit(write)

    def check(self) -> None:
        """Raise CheckpointError, once, if a save has failed. Cheap enough to call at every step.

        With several processes this method raises nothing, because the other processes would wait
        for this one; the next `save`, `wait` or `close` then raises in all processes.
        """
        if self._failure is not None and not _several():
            failure = self._failure
            self._failure = None
            raise failure

    def wait(self) -> None:
        """Wait until all saves are on disk; raises as `check` does. All processes must call it."""
        self._finish()
        if _several():
            self._share_failure()
        self.check()

    def close(self) -> None:
        """Wait until all saves are on disk, as `wait` does, then end the background thread."""
        try:
            self.wait()
        finally:
            self._worker.shutdown()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # the error that is on its way says more
            self._finish()
            self._worker.shutdown()

    def _finish(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def _share_failure(self) -> None:
        failure = self._failure
        self._failure = None
        failed = np.flatnonzero(_gathered(int(failure is not None))).tolist()
        if failed:
            raise failure or CheckpointError(
                f"process {failed[0]} could not write a checkpoint to {self._folder}; see its "
                "output"
            )

    def _failed(self, step: int, error: Exception) -> CheckpointError:
        if _first():  # room on a full disk
            _remove_leftovers(self._folder)
        failure = CheckpointError(
            f"checkpoint {step} could not be written to {self._folder}: {_line(error)}; earlier "
            "checkpoints are unchanged"
        )
        failure.__cause__ = error
        return failure

    def _rotate(self) -> None:
        steps = sorted(self._metrics)
        rated = [(metric, step) for step, metric in self._metrics.items() if metric is not None]
        keep_steps = {
            *steps[-self._keep :],
            *(step for _, step in sorted(rated)[: self._keep_best]),
        }
        for step in set(steps) - keep_steps:
            path = self._folder / _name(step)
            path.rename(path.with_name(_DELETING + path.name))
            del self._metrics[step]
        _remove_leftovers(self._folder)


def restore(folder: Path) -> Restored | None:
    """The newest intact checkpoint, or None if the folder has no checkpoints.

    Newer checkpoints that are damaged are renamed to ``damaged-<step>`` and never deleted. With
    several processes, all of them must call it.

    Raises:
      CheckpointError: every checkpoint is damaged, or the processes see different ones.
    """
    folder = folder.absolute()
    # In a thread of its own: orbax starts an event loop, and a notebook's cell is inside one.
    with ThreadPoolExecutor(1) as worker:
        newest = worker.submit(_newest, folder).result()
    if _several():
        _agree(folder, newest)
    if isinstance(newest, CheckpointError):
        raise newest
    return newest


def _newest(folder: Path) -> Restored | CheckpointError | None:
    damages: list[str] = []
    for step in sorted(_steps(folder), reverse=True):
        path = folder / _name(step)
        try:
            return Restored(step, *orbax_store.read(path, step), tuple(damages))
        except MemoryError:
            raise
        except Exception as error:
            damage = f"checkpoint {step} is damaged ({_line(error)})"
            try:
                damages.append(f"{damage}; it is now {_set_aside(path)}")
            except OSError as refused:
                return CheckpointError(f"{damage}, and cannot be set aside: {refused}")
    damages = damages or [f"{path} was damaged" for path in sorted(folder.glob(_DAMAGED + "*"))]
    if not damages:
        return None
    return CheckpointError(
        f"no checkpoint in {folder} can be read: {'; '.join(damages)}. Restore a copy under its "
        "old name, or move the folder away to start over"
    )


def _set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint and return the new name; of several processes the first renames it."""
    aside = path.with_name(_DAMAGED + path.name)
    number = 2
    if _first():
        while aside.exists():
            aside = path.with_name(f"{_DAMAGED}{path.name}-{number}")
            number = number + 1
        path.rename(aside)
    return aside


def _agree(folder: Path, newest: Restored | CheckpointError | None) -> None:
    mine = newest.step if isinstance(newest, Restored) else -1 if newest is None else -2
    steps = _gathered(mine)
    if len(set(steps)) > 1:
        by_process = ", ".join({-1: "none", -2: "only damaged ones"}.get(s, str(s)) for s in steps)
        raise CheckpointError(
            f"the processes see different checkpoints in {folder} (in order: {by_process}); it "
            "must be a folder that all of them share"
        )


def _gathered(number: int) -> list[int]:
    """The numbers of all processes."""
    from jax.experimental import multihost_utils

    return np.ravel(multihost_utils.process_allgather(np.int32(number))).tolist()


def _first() -> bool:
    return orbax_store.process()[0] == 0


def _several() -> bool:
    return orbax_store.process()[1] > 1


def _line(error: Exception) -> str:
    """An error as one line of at most about 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) <= 300:
        return text
    short = f"{text[:140]} ... {text[-140:]}"
    number = re.search(r"os_error_code='(\d+)'", text)
    reason = os.strerror(int(number[1])) if number else ""
    return short if reason in short else f"{reason}: {short}"


def _name(step: int) -> str:
    return f"{step:08d}"


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(p.name) for p in folder.iterdir() if re.fullmatch(r"[0-9]{8,}", p.name)]


def _remove_leftovers(folder: Path) -> None:
    """Delete what interrupted deletions and saves have left."""
    for pattern in (_DELETING + "*", orbax_store.UNFINISHED):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
