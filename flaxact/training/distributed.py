"""What must run before JAX starts: joining processes, and one CPU device per core."""

from __future__ import annotations

import contextlib
import os

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
            "process: "
            "give all three"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except ValueError as error:
        raise InputError(
            f"cannot find the other processes ({error}); give a coordinator, the number of "
            "processes and "
            "the index of this process"
        ) from None


def use_cores(count: int | None = None) -> None:
    """Make one CPU device per core; call it before any other use of JAX.

    XLA's convolutions use one core well and several badly, so one training per device is faster.
    The call has no effect if XLA_FLAGS or JAX_NUM_CPU_DEVICES sets the number of devices, or if JAX
    has already started.
    """
    is_set = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not is_set and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", count or os.cpu_count())
