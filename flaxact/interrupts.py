"""What an interrupt (Ctrl-C) does to the ``flaxact`` command: one line, exit code 130, at any moment.

A command that has not begun to train ends at once. One that trains is interrupted by KeyboardInterrupt,
so that it ends in order; where something has caught that, as callbacks of JAX do, ``check`` raises it
again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

STOPPED = "flaxact: stopped; the same command goes on from what is done"
CODE = 130
_came: list[int] = []


def begin() -> None:
    """From now on an interrupt ends this process at once, unless it is ignored or handled by others."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(*_: Any) -> None:
    shown_again = "\x1b[?25h" if os.isatty(2) else ""  # the cursor, which a spinner hides
    with contextlib.suppress(OSError):
        os.write(2, f"{shown_again}{STOPPED}\n".encode())
    os._exit(CODE)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within it an interrupt is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        if not _came:  # else it is on its way to the top
            signal.signal(signal.SIGINT, _end)


def _raise(number: int, _: Any) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt where one has come and was caught on its way."""
    if _came:
        raise KeyboardInterrupt
