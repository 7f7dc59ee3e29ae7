"""Settings to make before JAX starts: processes, one CPU device per core, the compilation cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from pathlib import Path

import jax

from flaxact._lazy import listing
from flaxact.errors import InputError

__dir__ = listing(__name__)


def initialize(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Join the processes of a distributed run; call it before any other use of JAX.

    On TPU pods, under Slurm and under Open MPI all three arguments follow from the environment. On
    the CPU the processes communicate through gloo.

    Args:
      coordinator: ``host:port`` of the first process.
      processes: the number of processes.
      process: the index of this process, from 0.

    Raises:
      InputError: only some of the three are given, or the environment does not provide them.
    """
    missing = [argument is None for argument in (coordinator, processes, process)]
    if any(missing) and not all(missing):
        raise InputError(
            "several processes need a coordinator, the number of processes and the index of this "
            "process: give all three"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except ValueError as error:
        raise InputError(
            f"cannot find the other processes ({error}); give a coordinator, the number of processes "
            "and the index of this process"
        ) from None


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_cores(count: int | None = None) -> None:
    """Make one CPU device per core; call it before any other use of JAX.

    XLA's convolutions use one core well and several badly, so a batch divided among devices is faster.
    The call has no effect if XLA_FLAGS or JAX_NUM_CPU_DEVICES sets the number of devices, or if JAX
    has already started.
    """
    is_set = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not is_set and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", count or cores())


CACHE = "FLAXACT_COMPILATION_CACHE"  # a folder, or "off"


def keep_programs() -> Path | None:
    """Keep compiled programs in a folder of the user's cache, so that the next process reads them.

    The environment variable ``FLAXACT_COMPILATION_CACHE`` sets another folder, or ``off``. Does
    nothing if JAX already has such a folder (``JAX_COMPILATION_CACHE_DIR``), or if the folder is
    not writable.

    Returns:
      The folder; None if programs are not kept.
    """
    requested = os.environ.get(CACHE, "")
    if requested == "off":
        return None
    configured = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if configured:
        return Path(configured)
    folder = (
        Path(requested) if requested else _user_cache() / "flaxact" / f"programs-{_processor()}"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder


def _processor() -> str:
    """What machine code is for, as a home folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {flags}".encode()).hexdigest()[:8]


def _user_cache() -> Path:
    """Where the system has a user's caches."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
