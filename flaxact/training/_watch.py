"""What watches a run from outside: a signal that stops it, a profiler, TensorBoard."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from flaxact.errors import InputError
from flaxact.training._records import METRICS
from flaxact.training.engine import Update
from flaxact.training.members import Member

PROFILED = 10  # steps in a trace


@contextlib.contextmanager
def stopping() -> Iterator[Any]:
    """A function that says whether to stop at a step: SIGTERM has come, to any process of the run."""
    if jax.process_count() > 1:
        # JAX takes the signal, and has the processes agree on a call that none has made yet. It is told
        # the calls' numbers because it names the one after the last, and steps are not asked one by one.
        calls = itertools.count(1)
        yield lambda step: multihost_utils.reached_preemption_sync_point(next(calls))
        return
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield lambda step: came.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


class Trace(contextlib.AbstractContextManager):
    """A profile of some steps, once the first ones have been done; without a folder, nothing."""

    def __init__(self, folder: Path | None):
        self.folder, self.seen, self.on = folder, 0, False

    def step(self, update: Update) -> None:
        """One has been done."""
        self.seen += 1
        if self.folder is not None and self.seen == 2:
            jax.profiler.start_trace(str(self.folder))
            self.on = True
        elif self.seen == 2 + PROFILED:
            jax.block_until_ready(update.groups)
            self.__exit__()

    def __exit__(self, *_: Any) -> None:
        if self.on:
            jax.profiler.stop_trace()
            self.on = False


@contextlib.contextmanager
def tensorboard(folder: Path, members: list[Member]) -> Iterator[Any]:
    """A function that writes a row of metrics, a curve a member."""
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-not-found]
    except ImportError:
        raise InputError("TensorBoard's files need pip install 'flaxact[tensorboard]'") from None
    names = [", ".join(f"{k} {v}" for k, v in member.described().items()) for member in members]
    writers = [SummaryWriter(str(folder / "tensorboard" / name)) for name in names]

    def write(row: dict[str, Any]) -> None:
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
