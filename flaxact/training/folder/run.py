"""A training in a folder that can be stopped at any time; the same call resumes it."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Unpack

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from flaxact.data import Dataset
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.stored.files import append_line
from flaxact.training.folder import record
from flaxact.training.folder.checkpoints import Checkpoints, restore
from flaxact.training.folder.interrupt import STOPPED, stopping
from flaxact.training.folder.lock import locked
from flaxact.training.folder.observers import Trace, tensorboard_writer
from flaxact.training.folder.record import MetricsRow, mean
from flaxact.training.group import states_of
from flaxact.training.loop import Epoch, Start, Update, updates
from flaxact.training.members import Member, as_members
from flaxact.training.placement import Place
from flaxact.training.prepare import LoopOptions
from flaxact.training.recipe import Recipe
from flaxact.training.state import State, make_init, member_values

STRIDE = 200  # steps between looks at the clock and at signals, where many are one program
_log = logging.getLogger("flaxact")


class RunOptions(LoopOptions, total=False):
    """The keyword arguments of ``run``, except for ``model``."""

    own_code: Mapping[str, str] | None
    save_seconds: float
    profile: bool
    tensorboard: bool
    watch: Callable[[Update], object] | None


def run(  # noqa: PLR0913 (most are keywords with defaults)
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    folder: Path,
    *,
    model: str = "",
    own_code: Mapping[str, str] | None = None,
    save_seconds: float = 60.0,
    profile: bool = False,
    tensorboard: bool = False,
    watch: Callable[[Update], object] | None = None,
    **options: Unpack[LoopOptions],
) -> Iterator[Epoch]:
    """Train like ``train`` in a folder from which the run can be resumed.

    The folder holds ``config.json``, ``recipe.toml``, ``metrics.jsonl`` (one line per epoch),
    ``checkpoints/`` (arrays by path, stacked over members; read them with
    ``flaxact.training.folder.checkpoints.restore``), and at the end ``result.json``. A second call
    resumes from the newest intact checkpoint; its result is bit for bit that of an uninterrupted
    run. A call for a finished run does nothing, except that it reports and repairs records that
    were lost or changed. On SIGTERM the run finishes its current step, saves, and exits with code
    143.

    Args:
      net: the net.
      recipe: how it is trained.
      data: the training and test data.
      members: one training run each; an integer stands for a member with that seed.
      folder: created if it does not exist; one run at a time.
      model: a label for the net; resuming the folder with another label is refused.
      save_seconds: time between checkpoints. The two newest and the best are kept. Every epoch with
        the lowest mean test error so far is saved too; with several processes every epoch is.
      profile: write a trace of some steps to ``folder/profile``, for TensorBoard or Perfetto.
      tensorboard: write the metrics to ``folder/tensorboard`` too; needs the extra ``tensorboard``.
      watch: a function that is called with every ``Update``. If it has an attribute ``file`` in the
        folder, as a ``Recorder`` has, the file belongs to the run: resuming truncates it to its
        length at the checkpoint, and the run starts over if the file is lost.
      options: the keyword arguments of ``updates``.

    Yields:
      The epochs that the folder did not have yet, as ``train``.

    Raises:
      InputError: the folder holds another run or is in use, a checkpoint cannot be written, no
        checkpoint can be read, or as ``updates``.
    """
    runs = as_members(members)
    first = jax.process_index() == 0  # the one of several processes that writes
    with contextlib.ExitStack() as stack:
        if first:
            stack.enter_context(locked(folder))
        config = record.configuration(net, recipe, data, runs, model=model, own_code=own_code or {})
        record.check_configuration(folder, config)
        if record.is_finished(folder, config, recipe):
            return
        stop = stack.enter_context(stopping())
        each = []  # of the rows: what is done with it
        if first:
            record.write_begin(folder, config, recipe)
            each.append(functools.partial(append_line, folder / "metrics.jsonl"))
            if tensorboard:
                each.append(stack.enter_context(tensorboard_writer(folder, runs)))
        trace = stack.enter_context(Trace(folder / "profile" if profile and first else None))
        start, rows = _start(folder, first)
        recorded = record.recorded_by(watch, folder)
        saved = stack.enter_context(_Saved(folder, save_seconds, recorded))
        watch = watch or (lambda update: None)
        options.setdefault("steps_per_update", STRIDE)
        update = None
        for update in updates(net, recipe, data, runs, start=start, **options):
            trace.step(update)
            watch(update)
            if update.epoch is not None and len(rows) == update.epoch.number:
                rows.append(record.row(update))
                for write_row in each:
                    write_row(rows[-1])
                yield update.epoch
            if stop(update.step):
                saved.save(update, rows)
                raise SystemExit(STOPPED)
            saved.consider(update, rows)
        assert update is not None
        saved.save(update, rows)
        if first:
            record.write_result(folder, config, rows, update, recorded=recorded)


class _Saved(contextlib.AbstractContextManager):
    """The checkpoints of a run, with the rule for when to save."""

    def __init__(self, folder: Path, seconds: float, recorded: Sequence[str]):
        self.folder = folder
        self.recorded = recorded
        self.store = Checkpoints(folder / "checkpoints")
        self.seconds = seconds
        self.last = time.monotonic()
        self.best = math.inf

    def consider(self, update: Update, rows: list[MetricsRow]) -> None:
        """Save if a checkpoint is due; raises the error of an earlier save."""
        self.store.check()
        if jax.process_count() > 1:  # clocks differ, and all have to save the same step
            due = update.epoch is not None
        else:
            due = time.monotonic() - self.last >= self.seconds
        if due or (update.epoch is not None and mean(update.epoch.test_error) < self.best):
            self._save(update, rows)

    def save(self, update: Update, rows: list[MetricsRow]) -> None:
        """Save now and wait until it is on disk."""
        self._save(update, rows)
        self.store.wait()

    def _save(self, update: Update, rows: list[MetricsRow]) -> None:
        metric = None if update.epoch is None else mean(update.epoch.test_error)
        facts = {
            "rows": rows,
            "seconds": update.seconds,
            "elapsed": update.elapsed,
            "stream": update.stream,
            "devices": jax.device_count(),
            "recorded": record.measured(self.folder, self.recorded),
        }
        self.store.save(update.step, update.arrays(), facts, metric=metric)
        self.last = time.monotonic()
        self.best = min(self.best, math.inf if metric is None else metric)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.store.__exit__(kind, error, traceback)


def final_states(
    folder: Path, net: Net, recipe: Recipe, data: Dataset, members: Sequence[Member | int]
) -> State:
    """The states at the last checkpoint of a run, stacked over members.

    Args:
      folder: folder of a run that has a checkpoint.
      net: the run's net.
      recipe: the run's recipe.
      data: the run's data.
      members: the run's members.

    Raises:
      InputError: there is no checkpoint, or it is of another run.
    """
    checkpoint = restore(folder / "checkpoints")
    if checkpoint is None:
        raise InputError(f"{folder} has no checkpoint")
    runs = as_members(members)
    values = jax.tree.map(lambda *v: np.stack(v), *(member_values(m, recipe) for m in runs))
    images = jax.ShapeDtypeStruct(data.train.images.shape, data.train.images.dtype)
    shapes = jax.eval_shape(jax.vmap(make_init(net, recipe), (0, None)), values, images)
    at = SingleDeviceSharding(jax.local_devices()[0])
    return states_of(checkpoint.arrays, [shapes], [Place(at, at)])[0]


def _start(folder: Path, first: bool) -> tuple[Start | None, list[MetricsRow]]:
    """The point to resume from and the rows up to it; later rows are dropped and written again."""
    checkpoint = restore(folder / "checkpoints")
    if checkpoint and first and not record.cut(folder, checkpoint.facts.get("recorded", {})):
        shutil.rmtree(folder / "checkpoints")
        checkpoint = None
    rows = checkpoint.facts["rows"] if checkpoint else []
    if first:
        record.write_rows(folder, rows)
    if checkpoint is None:
        return None, []
    for line in checkpoint.set_aside:
        _log.warning("%s", line)
    facts = checkpoint.facts
    if facts["devices"] != jax.device_count():
        _log.warning(
            "this run was saved on %d devices and resumes on %d: the last bits may differ",
            facts["devices"],
            jax.device_count(),
        )
    start = Start(
        checkpoint.arrays,
        checkpoint.step,
        facts["seconds"],
        facts["elapsed"],
        stream=facts["stream"],
    )
    return start, rows
