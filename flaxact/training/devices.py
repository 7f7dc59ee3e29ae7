"""Which devices hold what: one or many, on this host or on several."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import (
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from flaxact.errors import InputError, unknown

Split = Literal["members", "batch"]
AXIS = "devices"


@dataclass(frozen=True)
class Place:
    """Where the arrays of a program are: its state, what all its devices share, and each batch.

    ``batch`` is None where each device has all of it.
    """

    state: Sharding
    shared: Sharding
    batch: Sharding | None = None

    @property
    def rows(self) -> Sharding:
        """Of a batch that comes from the host."""
        return self.batch or self.shared


def initialize(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Join the processes of a run, before anything else is done with JAX.

    On TPU pods, under Slurm and under Open MPI all three follow from the environment. On the CPU the
    processes talk by gloo.

    Args:
      coordinator: ``host:port`` of the first process.
      processes: how many there are.
      process: which of them this is, from 0.

    Raises:
      InputError: only some of the three are given, or the environment doesn't say them.
    """
    given = coordinator, processes, process
    if any(v is not None for v in given) and any(v is None for v in given):
        raise InputError(
            "several processes need a coordinator, their number and this one's: give all three"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except ValueError as error:
        raise InputError(
            f"cannot find the other processes ({error}); give a coordinator, their number and this one's"
        ) from None


def use_cores(count: int | None = None) -> None:
    """Make a CPU device of every core, before anything else is done with JAX.

    XLA's convolutions use one core well and several badly, so trainings go faster one a device. Does
    nothing where XLA_FLAGS or JAX_NUM_CPU_DEVICES says how many there are, or where JAX has begun.
    """
    said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not said and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", count or os.cpu_count())


def places(
    devices: Sequence[Any] | None,
    split: Split | None,
    members: int,
    batches: Sequence[int],
    *,
    vmapped: bool,
) -> list[Place]:
    """One place for a program over all devices, or one a device for programs of single members.

    Args:
      devices: None for all there are, less what does not divide evenly.
      split: what is divided among them; None for members where there are enough, else batches.
      members: trained together.
      batches: sizes of the batches that may be divided.
      vmapped: whether one program trains all members.

    Raises:
      InputError: an unknown split, or devices that the members or the batch cannot be divided among
        evenly.
    """
    if split not in (None, "members", "batch"):
        raise unknown("split", split, ("members", "batch"))
    chosen = tuple(jax.devices() if devices is None else devices)
    if split is None:
        enough = members >= len(chosen) and jax.process_count() == 1
        split = "members" if enough else "batch"
    if split == "members" and jax.process_count() > 1:
        raise InputError(
            "members are not divided among several processes: divide the batch, or launch cells"
        )
    if split == "members" and not vmapped:
        return [_alone(device) for device in chosen[:members]]
    parts = [members] if split == "members" else list(batches)
    fit = _most(len(chosen), parts)
    if (devices is not None or jax.process_count() > 1) and fit < len(chosen):
        what = f"{members} members" if split == "members" else f"a batch of {min(parts)}"
        raise InputError(f"{what} cannot be divided among {len(chosen)} devices evenly")
    chosen = chosen[:fit]
    if len(chosen) == 1 and jax.process_count() == 1:
        return [_alone(chosen[0])]
    mesh = Mesh(np.array(chosen), (AXIS,), axis_types=(AxisType.Auto,))
    all_of_it, part = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    if split == "members":
        return [Place(part, all_of_it)]
    return [Place(all_of_it, all_of_it, part)]


def _alone(device: Any) -> Place:
    return Place(SingleDeviceSharding(device), SingleDeviceSharding(device))


def _most(count: int, parts: Sequence[int]) -> int:
    """The largest number of devices, up to ``count``, that divides every part."""
    return next(n for n in range(count, 0, -1) if all(part % n == 0 for part in parts))


def put(tree: Any, sharding: Sharding) -> Any:
    """Host arrays that every process has, placed; each process puts what its own devices hold."""

    def place(leaf: Any) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def put_rows(tree: Any, place: Place, parts: int) -> Any:
    """A batch on the host, placed: all of it, or the rows of this process, one of ``parts``."""
    if parts == 1:
        return put(tree, place.rows)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(
            place.rows, np.asarray(leaf), (parts * len(leaf), *leaf.shape[1:])
        ),
        tree,
    )


def gathered(tree: Any, rows: int) -> Any:
    """Host arrays of every process's batches, one after another of ``rows`` each, as whole batches."""

    def gather(leaf: Any) -> np.ndarray:
        parts = np.asarray(multihost_utils.process_allgather(leaf))
        parts = parts.reshape(len(parts), -1, rows, *leaf.shape[1:]).swapaxes(0, 1)
        return parts.reshape(-1, *leaf.shape[1:])

    return jax.tree.map(gather, tree)
