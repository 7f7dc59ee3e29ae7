"""Observers of a run: a profile of some steps, and TensorBoard files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from flaxact.errors import InputError
from flaxact.training.folder.record import METRICS, MetricsRow
from flaxact.training.loop import Update
from flaxact.training.members import Member

PROFILED = 10  # steps in a trace


class Trace(contextlib.AbstractContextManager):
    """Profile a few steps after the first update; without a folder it does nothing."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.seen = 0
        self.on = False

    def step(self, update: Update) -> None:
        """Count an update; starts and stops the profile."""
        self.seen += 1
        if self.folder is not None and self.seen == 2:
            jax.profiler.start_trace(str(self.folder))
            self.on = True
        elif self.seen == 2 + PROFILED:
            jax.block_until_ready(update.groups)
            self.__exit__()

    def __exit__(self, *_: object) -> None:
        if self.on:
            jax.profiler.stop_trace()
            self.on = False


@contextlib.contextmanager
def tensorboard_writer(
    folder: Path, members: list[Member]
) -> Iterator[Callable[[MetricsRow], None]]:
    """A function that writes a row of metrics to TensorBoard, with one curve per member."""
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-not-found]
    except ImportError:
        raise InputError(
            "writing TensorBoard files needs an extra: pip install 'flaxact[tensorboard]'"
        ) from None
    names = [", ".join(f"{k} {v}" for k, v in member.described().items()) for member in members]
    writers = [SummaryWriter(str(folder / "tensorboard" / name)) for name in names]

    def write(row: MetricsRow) -> None:
        for i, writer in enumerate(writers):
            for name in METRICS:
                if row[name][i] is not None:
                    writer.add_scalar(name, row[name][i], row["epoch"])
            writer.flush()

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
