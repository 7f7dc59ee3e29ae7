"""Atomic file writes, reads with clear errors, digests, and numbers for JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat, Union

from flaxact.errors import InputError

DIGEST = "sha256"  # the field of a stored record that holds the digest of the others
_PARTIAL = ".partial"
# A value that JSON can hold.
Json = Union[bool, int, float, str, Sequence["Json"], Mapping[str, "Json"], None]  # noqa: UP007
_DELETING = (
    "deleting-"  # a folder is renamed before it is deleted, so that half of it is never read
)


class DamagedError(InputError):
    """A stored file is invalid or has changed; names the file, the place and the expected value."""


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they don't exist.

    Raises:
      InputError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {why(error)}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically, by renaming a temporary file.

    Raises:
      InputError: the folder is not writable; an existing file is unchanged.
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
    """Rename an existing file; replaces a file that has the new name.

    Raises:
      InputError: the file cannot be renamed; both files are unchanged.
    """
    try:
        os.replace(path, place)
    except OSError as error:
        raise InputError(f"cannot write {place}: {why(error)}") from None


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, atomically as ``write_whole``."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def append_line(path: Path, value: object) -> None:
    """Append a value as a line of JSON.

    Raises:
      InputError: the file is not writable.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {why(error)}") from None


def remove_partial(folder: Path) -> None:
    """Remove leftovers of killed writers. Only for the single process that writes to this folder."""
    for path in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            path.unlink()


def remove_folder(folder: Path) -> None:
    """Rename a folder, then delete it; if that is interrupted, ``remove_deleting`` finishes it."""
    doomed = folder.with_name(f"{_DELETING}{folder.name}")
    with contextlib.suppress(FileNotFoundError):  # another process was first
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_deleting(folder: Path) -> None:
    """Delete the leftovers of interrupted ``remove_folder`` calls in a folder."""
    for path in folder.glob(f"{_DELETING}*"):
        shutil.rmtree(path, ignore_errors=True)


def read_bytes(path: Path) -> bytes:
    """The contents of a file.

    Raises:
      FileNotFoundError: the file does not exist.
      DamagedError: the path is not a file, or cannot be read.
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
    """The JSON value in a file.

    Raises:
      FileNotFoundError: the file does not exist.
      DamagedError: the path is not a file, cannot be read, or is not JSON.
    """
    return from_json(read_bytes(path), path)


def from_json(content: bytes, place: object) -> Any:
    """The value of a JSON text.

    Raises:
      DamagedError: the text is not JSON; the message has the ``place``, line and column.
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


def digest(value: object) -> str:
    """SHA-256 of a value's JSON, independent of white space and of the order of names."""
    same = json.loads(json.dumps(value))  # names are texts, tuples lists
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def sealed(record: Mapping[str, object]) -> dict[str, object]:
    """A record with one more field: the digest of its contents."""
    return {**record, DIGEST: digest(record)}


def check_seal(record: object, place: object) -> None:
    """Check a record against its digest; a record without one passes.

    Raises:
      DamagedError: the record and its digest differ.
    """
    if not isinstance(record, dict) or DIGEST not in record:
        return
    content = {name: value for name, value in record.items() if name != DIGEST}
    if digest(content) != record[DIGEST]:
        raise DamagedError(
            f"{place} was changed or damaged: its {DIGEST} differs from the stored one"
        )


def digest_of_file(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None if the file does not exist."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except (FileNotFoundError, DamagedError):
        return None


def digests(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """SHA-256 of files in a folder, by name."""
    return {name: digest_of_file(folder / name) for name in names}


def why(error: OSError) -> str:
    """The text of an operating-system error, without its number."""
    return error.strerror or str(error)


def finite(value: SupportsFloat) -> float | None:
    """A number as a float for JSON; None for infinity and nan."""
    return float(value) if math.isfinite(value) else None
