"""Files that are there whole or not at all, what they hold, and the numbers that JSON can hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flaxact.errors import InputError

DIGEST = "sha256"  # the field of a stored record that holds the digest of the others
_PARTIAL = ".partial"
_DELETING = (
    "deleting-"  # a folder is renamed before it is deleted, so that half of it is never read
)


class DamagedError(InputError):
    """A stored file is not what was stored: says which, where in it, and what was expected."""


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, if need be.

    Raises:
      InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {why(error)}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name and rename: a reader never sees half a file.

    Raises:
      InputError: nothing can be written there; what was there is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise InputError(f"cannot write {path}: {why(error)}") from None
        raise


def move(path: Path, place: Path) -> None:
    """Rename a file that is there; what was at its new place is replaced.

    Raises:
      InputError: it cannot be; both are as they were.
    """
    try:
        os.replace(path, place)
    except OSError as error:
        raise InputError(f"cannot write {place}: {why(error)}") from None


def write_json(path: Path, value: Any) -> None:
    """As ``write_whole``, a value as JSON."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def append_line(path: Path, value: Any) -> None:
    """Add a value as a line of JSON.

    Raises:
      InputError: nothing can be written there.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {why(error)}") from None


def remove_partial(folder: Path) -> None:
    """Remove what killed writers have left. Only for who alone writes to this folder."""
    for path in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            path.unlink()


def remove_folder(folder: Path) -> None:
    """Remove a folder in one rename, and then what it held; ``remove_deleting`` ends what was killed."""
    doomed = folder.with_name(f"{_DELETING}{folder.name}")
    with contextlib.suppress(FileNotFoundError):  # another process was first
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_deleting(folder: Path) -> None:
    """Remove what a killed ``remove_folder`` has left in a folder."""
    for path in folder.glob(f"{_DELETING}*"):
        shutil.rmtree(path, ignore_errors=True)


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
      FileNotFoundError: it is not there.
      DamagedError: it is no file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DamagedError(f"{path}: expected a file, not a folder or a device")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {why(error)}") from None


def read_json(path: Path) -> Any:
    """The value that a file holds as JSON.

    Raises:
      FileNotFoundError: it is not there.
      DamagedError: it is no file, cannot be read, or is not JSON.
    """
    return from_json(read_bytes(path), path)


def from_json(content: bytes, place: object) -> Any:
    """The value of a text in JSON.

    Raises:
      DamagedError: it is not JSON; names the ``place``, line and column.
    """
    if not content.strip():
        raise DamagedError(f"{place} is empty: expected JSON")
    try:
        return json.loads(content.decode("utf-8"))
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}, column {error.colno}"
        raise DamagedError(f"{where}: expected JSON ({error.msg})") from None
    except UnicodeDecodeError as error:
        raise DamagedError(f"{place}, byte {error.start}: expected text in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{place}: expected JSON ({error})") from None


def digest(value: Any) -> str:
    """SHA-256 of a value as JSON has it; neither white space nor the order of names matters."""
    same = json.loads(json.dumps(value))  # names are texts, tuples lists
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the digest of what it holds, as its last field."""
    return {**record, DIGEST: digest(record)}


def check_seal(record: Any, place: object) -> None:
    """Whether a record is as it was sealed; one without a digest passes.

    Raises:
      DamagedError: it is not.
    """
    if not isinstance(record, dict) or DIGEST not in record:
        return
    content = {name: value for name, value in record.items() if name != DIGEST}
    if digest(content) != record[DIGEST]:
        raise DamagedError(
            f"{place} was changed or damaged: its {DIGEST} differs from the stored one"
        )


def digest_of_file(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None where there is no file."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except (FileNotFoundError, DamagedError):
        return None


def digests(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """By name the SHA-256 of files of a folder."""
    return {name: digest_of_file(folder / name) for name in names}


def why(error: OSError) -> str:
    """What the system says, without its number."""
    return error.strerror or str(error)


def finite(value: Any) -> float | None:
    """A number as JSON has it: None where it is not finite."""
    return float(value) if math.isfinite(value) else None
