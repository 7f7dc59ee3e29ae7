"""A lock that allows one run per folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from flaxact.errors import InputError
from flaxact.stored.files import make_folder, remove_partial, why

_HELD: set[IO[str]] = set()


class InUseError(InputError):
    """Another process holds the folder."""


def _let_go() -> None:
    for file in _HELD:
        file.close()
    _HELD.clear()


# A forked child shares the lock and may outlive its parent, which is the one that holds it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock for as long as the ``with`` block runs; creates the folder if needed.

    The kernel holds the lock (``flock`` on ``folder/lock``) and frees it when the process ends,
    even if it is killed; the file's text only informs people. The file is never deleted: otherwise
    two runs could lock two files of the same name. Leftovers of killed writers are removed from the
    folder.

    Raises:
      InUseError: another run holds the folder; the message names its process, host and start time.
      InputError: the system or the file system has no ``flock``, or the folder is not writable.
    """
    try:
        import fcntl
    except ImportError:
        raise InputError(
            "a run must lock its folder, and this system has no file locks (flock)"
        ) from None
    make_folder(folder)
    path = folder / "lock"
    try:
        opened = path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot write {path}: {why(error)}") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = _holder(file.read())
            raise InUseError(f"{folder} is in use by {holder}: wait for it or stop it") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            raise InputError(
                f"the file system of {folder} has no file locks ({error.strerror}): choose a "
                "folder on another file system"
            ) from None
        _sign(file, path)
        remove_partial(folder)
        _HELD.add(file)
        try:
            yield
        finally:
            _HELD.discard(file)


def _sign(file: IO[str], path: Path) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        file.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # the text is still in the buffer
            file.close()
        raise InputError(f"cannot write {path}: {why(error)}") from None


def _holder(text: str) -> str:
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError, TypeError):
        # It has the lock and has not yet written who it is.
        return "another process"
