"""SIGTERM makes a run save and exit."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

STOPPED = 128 + signal.SIGTERM  # the exit code that a shell reports of a process that SIGTERM ended


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[int], bool]]:
    """A function ``stop(step) -> bool``: whether any process of the run has received SIGTERM."""
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
