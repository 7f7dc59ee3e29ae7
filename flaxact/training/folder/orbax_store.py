"""A checkpoint stored with orbax, verified by a SHA-256 of its contents.

All arrays are stored as one array of bytes. Their names, dtypes and shapes are in orbax's custom
metadata, together with the digest, so everything appears in one rename. One array is used because
orbax's time grows with the number of arrays (50 MB in 300 arrays took five times as long as in one,
on two cores), because orbax refuses empty arrays, and because a failed write then gives one error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flaxact.errors import InputError
from flaxact.stored.files import Json

Arrays = dict[str, np.ndarray]

UNFINISHED = "*.orbax-checkpoint-tmp*"  # folders that orbax has not yet renamed
_ALIGNMENT = 64  # bytes; XLA then takes a restored array without another copy


def pack(
    step: int, arrays: Arrays, facts: Mapping[str, Json], metric: float | None
) -> tuple[str, np.ndarray]:
    """A JSON document that describes the arrays, and a copy of their bytes."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not _is_number(array.dtype):
            raise InputError(f"a checkpoint cannot hold {name!r} of dtype {array.dtype}")
    packed = np.zeros(max(1, sum(map(_room, arrays.values()))), np.uint8)
    start = 0
    for array in arrays.values():
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        packed[start : start + array.nbytes] = flat
        start += _room(array)
    index = [[name, array.dtype.name, array.shape] for name, array in arrays.items()]
    document = {"format": 1, "step": step, "metric": metric, "facts": facts, "arrays": index}
    return json.dumps(document), packed


def write(path: Path, document: str, packed: np.ndarray) -> None:
    """Write what `pack` returned; the checkpoint is complete when this returns.

    Of several processes only one calls it. There orbax runs in a process of its own: it would
    otherwise synchronize all processes by collectives, which run in a background thread and could
    interleave differently with the training's collectives in each process, and which would leave
    the others waiting for minutes after a failure in one.
    """
    if process()[1] == 1:
        _write(path, document, packed)
        return
    paths = os.pathsep.join(filter(None, sys.path))
    child = subprocess.run(
        [sys.executable, "-m", __name__, str(path)],
        input=b"".join((document.encode(), b"\n", packed.data)),
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        start_new_session=True,  # what interrupts the run does not interrupt its last checkpoint
    )
    if child.returncode:
        raise OSError(child.stderr.decode(errors="replace").strip() or "its process was killed")


def _write(path: Path, document: str, packed: np.ndarray) -> None:
    context = _orbax().Context()
    context.array.saving.use_compression = False  # trained weights hardly shrink
    context.memory.deepcopy_host_arrays = False  # they are a copy already
    context.asynchronous.create_directories_asynchronously = False
    metadata = {"document": document, "sha256": _digest(document, packed)}
    with quiet(), context:
        _orbax().save(path, {"bytes": packed}, custom_metadata=metadata)


def read(path: Path, step: int) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts of a checkpoint; any exception means that it is damaged."""
    if not path.is_dir():
        raise ValueError("it is not a folder")
    with quiet(), _alone():
        metadata = _orbax().metadata(path).custom_metadata
        packed = _orbax().load(path)["bytes"]
    if _digest(metadata["document"], packed) != metadata["sha256"]:
        raise ValueError("its SHA-256 differs from the stored one")
    document = json.loads(metadata["document"])
    if document["step"] != step:
        raise ValueError(f"it is of step {document['step']}")
    return _unpack(document["arrays"], packed), document["facts"]


def read_metric(path: Path) -> float | None:
    """The metric of a checkpoint; None if it has none or cannot be read."""
    try:
        with quiet(), _alone():
            return json.loads(_orbax().metadata(path).custom_metadata["document"])["metric"]
    except Exception:
        return None


def process() -> tuple[int, int]:
    """The index of this process and the number of processes."""
    import jax

    return jax.process_index(), jax.process_count()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the tracebacks that orbax logs for errors that it also raises."""
    logger = logging.getLogger("absl")

    def is_others(record: logging.LogRecord) -> bool:
        traceback = record.exc_info[2] if record.exc_info else None
        return traceback is None or "orbax" not in traceback.tb_frame.f_code.co_filename

    logger.addFilter(is_others)
    try:
        yield
    finally:
        logger.removeFilter(is_others)


def _orbax() -> Any:
    # Over a second, so only when used.
    from orbax.checkpoint import v1

    return v1


def _alone() -> Any:
    """A context in which orbax waits for no other process."""
    index, _ = process()
    context = _orbax().Context()
    context.multiprocessing.primary_host = index
    context.multiprocessing.active_processes = {index}
    return context


def _unpack(index: Sequence[tuple[str, str, Sequence[int]]], packed: np.ndarray) -> Arrays:
    arrays = {}
    start = 0
    for name, type_name, shape in index:
        dtype = np.dtype(type_name)
        stop = start + math.prod(shape) * dtype.itemsize
        arrays[name] = packed[start:stop].view(dtype).reshape(shape)
        start += _room(arrays[name])
    return arrays


def _room(array: np.ndarray) -> int:
    return -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT


def _is_number(dtype: np.dtype) -> bool:
    """Whether the dtype's name identifies it, and it holds no object references."""
    try:
        return np.dtype(dtype.name) == dtype and not dtype.hasobject
    except TypeError:
        return False


def _digest(document: str, packed: np.ndarray) -> str:
    digest = hashlib.sha256(document.encode())
    digest.update(packed.data)
    return digest.hexdigest()


def _main() -> None:
    document, _, data = sys.stdin.buffer.read().partition(b"\n")
    try:
        _write(Path(sys.argv[1]), document.decode(), np.frombuffer(data, np.uint8))
    except Exception as error:
        sys.exit(str(error) or type(error).__name__)


if __name__ == "__main__":
    _main()
