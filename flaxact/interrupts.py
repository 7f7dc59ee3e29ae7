"""Interrupts (Ctrl-C) of the ``flaxact`` command: one line and exit code 130, at any moment.

A command that has not started to train ends at once. A training command is interrupted by
KeyboardInterrupt, so that it can clean up. If other code has caught that, as callbacks of JAX do,
``check`` raises it again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

STOPPED = "flaxact: stopped; the same command goes on from what is done"
CODE = 130
_came: list[int] = []


def begin() -> None:
    """From now on an interrupt ends the process at once, unless it is ignored or handled by others."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    shown_again = "\x1b[?25h" if os.isatty(2) else ""  # the cursor, which a spinner hides
    with contextlib.suppress(OSError):
        os.write(2, f"{shown_again}{STOPPED}\n".encode())
    os._exit(CODE)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """A context in which an interrupt raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        if not _came:  # else it is on its way to the top
            signal.signal(signal.SIGINT, _end)


def _raise(number: int, _: object) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if an interrupt has come and other code has caught it."""
    if _came:
        raise KeyboardInterrupt
