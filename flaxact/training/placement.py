"""Which devices hold which arrays: one or many, on this host or on several."""

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

from flaxact._lazy import listing
from flaxact._versions import allow_vmapped_convolutions_on_meshes
from flaxact.errors import InputError, unknown

__dir__ = listing(__name__)

Division = Literal["members", "batch"]
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


def places(
    devices: Sequence[Any] | None,
    split: Division | None,
    members: int,
    batches: Sequence[int],
    *,
    vmapped: bool,
    chunk: int | None = None,
) -> list[Place]:
    """One place for a program over all devices, or one a device for programs of single members.

    Args:
      devices: None for all there are, less what does not divide evenly.
      split: what is divided among them; None for members where there are enough, else batches.
      members: trained together.
      batches: sizes of the batches that may be divided.
      vmapped: whether one program trains several members.
      chunk: how many of them at most; None for all.

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
    chunk = min(chunk or members, members)
    parts = [chunk, members % chunk] if split == "members" else list(batches)
    fit = _most(len(chosen), parts)
    if (devices is not None or jax.process_count() > 1) and fit < len(chosen):
        group = (
            f"{members} members" if chunk == members else f"{members} members in chunks of {chunk}"
        )
        what = group if split == "members" else f"a batch of {min(parts)}"
        raise InputError(f"{what} cannot be divided among {len(chosen)} devices evenly")
    chosen = chosen[:fit]
    if len(chosen) == 1 and jax.process_count() == 1:
        return [_alone(chosen[0])]
    allow_vmapped_convolutions_on_meshes()
    mesh = Mesh(np.array(chosen), (AXIS,), axis_types=(AxisType.Auto,))
    all_of_it = NamedSharding(mesh, PartitionSpec())
    part = NamedSharding(mesh, PartitionSpec(AXIS))
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
