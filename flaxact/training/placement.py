"""Placement of arrays on devices: one device or many, on one host or several."""

from __future__ import annotations

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
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact._packages import allow_vmapped_convolutions_on_meshes
from flaxact.errors import InputError, unknown

__dir__ = listing(__name__)

Division = Literal["members", "batch"]
AXIS = "devices"


@dataclass(frozen=True)
class Place:
    """The shardings of a program's arrays.

    Attributes:
      state: sharding of the training state.
      shared: sharding of arrays that every device of the program holds, such as the training images.
      batch: sharding of each batch; None if every device holds the whole batch.
    """

    state: Sharding
    shared: Sharding
    batch: Sharding | None = None

    @property
    def rows(self) -> Sharding:
        """The sharding of a batch that comes from the host."""
        return self.batch or self.shared


def places(
    devices: Sequence[Any] | None,
    split: Division | None,
    members: int,
    batches: Sequence[int],
    *,
    vmapped: bool,
    chunk: int | None = None,
) -> list[Place]:
    """Where programs run: one placement over all devices, or one per device for one-member programs.

    If ``devices`` is None, programs of one member run side by side on the cores of one CPU device.

    Args:
      devices: None for as many of the available ones as divide the work evenly.
      split: what to divide among the devices; None divides members if there are at least as many as
        devices, else batches.
      members: how many members are trained together.
      batches: the batch sizes that may be divided.
      vmapped: whether one program trains several members.
      chunk: the largest number of members in one program; None for all.

    Raises:
      InputError: an unknown split, or devices that do not divide the members or the batch evenly.
    """
    if split not in (None, "members", "batch"):
        raise unknown("split", split, ("members", "batch"))
    used = tuple(jax.devices() if devices is None else devices)
    if split is None:
        enough = members >= len(used) and jax.process_count() == 1
        split = "members" if enough else "batch"
    if split == "members" and jax.process_count() > 1:
        raise InputError(
            "members cannot be divided among several processes: divide the batch, or run one process per "
            "group of members"
        )
    if split == "members" and not vmapped:
        if devices is None and used[0].platform == "cpu":
            used = used[:1]  # which runs a program on each core, compiled once
        return [_alone(device) for device in used[:members]]
    chunk = min(chunk or members, members)
    parts = [chunk, members % chunk] if split == "members" else list(batches)
    fit = _most(len(used), parts)
    if (devices is not None or jax.process_count() > 1) and fit < len(used):
        group = (
            f"{members} members" if chunk == members else f"{members} members in chunks of {chunk}"
        )
        work = group if split == "members" else f"a batch of {min(parts)}"
        raise InputError(f"{work} cannot be divided evenly among {len(used)} devices")
    used = used[:fit]
    if len(used) == 1 and jax.process_count() == 1:
        return [_alone(used[0])]
    allow_vmapped_convolutions_on_meshes()
    mesh = Mesh(np.array(used), (AXIS,), axis_types=(AxisType.Auto,))
    all_of_it = NamedSharding(mesh, PartitionSpec())
    part = NamedSharding(mesh, PartitionSpec(AXIS))
    if split == "members":
        return [Place(part, all_of_it)]
    return [Place(all_of_it, all_of_it, part)]


def _alone(device: Any) -> Place:
    return Place(SingleDeviceSharding(device), SingleDeviceSharding(device))


def _most(count: int, parts: Sequence[int]) -> int:
    """The largest number of devices, up to ``count``, that divides every part evenly."""
    return next(n for n in range(count, 0, -1) if all(part % n == 0 for part in parts))


def put(tree: object, sharding: Sharding) -> Any:
    """Place host arrays that every process holds; each process copies the parts of its own devices."""

    def place(leaf: ArrayLike) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def put_rows(tree: object, place: Place, parts: int) -> Any:
    """Place a batch from the host: the whole batch, or this process's rows, one of ``parts`` parts."""
    if parts == 1:
        return put(tree, place.rows)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(
            place.rows, np.asarray(leaf), (parts * len(leaf), *leaf.shape[1:])
        ),
        tree,
    )


def gathered(tree: object, rows: int) -> Any:
    """Whole batches on the host, assembled from every process's parts of ``rows`` rows each."""

    def gather(leaf: np.ndarray) -> np.ndarray:
        parts = np.asarray(multihost_utils.process_allgather(leaf))
        parts = parts.reshape(len(parts), -1, rows, *leaf.shape[1:]).swapaxes(0, 1)
        return parts.reshape(-1, *leaf.shape[1:])

    return jax.tree.map(gather, tree)
