"""Groups of members (nets that train together): their states, compiled programs and data.

A state's leaves have a leading axis of members. On the host, states are arrays by path, stacked
over the members of all groups.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath, keystr, tree_flatten_with_path

from flaxact.data import Dataset, Split
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.training.distributed import cores
from flaxact.training.members import Member
from flaxact.training.placement import Place, put, put_rows
from flaxact.training.programs import EVALUATION_BATCH, Loop, Programs
from flaxact.training.recipe import Recipe
from flaxact.training.state import State, member_values

HostArray = jax.Array | np.ndarray
Sample = tuple[HostArray, HostArray]  # images and labels


@dataclass(frozen=True, eq=False, kw_only=True)
class Group:
    """The members (nets) that one compiled program trains, and the placement of their arrays."""

    members: tuple[Member, ...]
    programs: Programs
    place: Place


@dataclass(eq=False, kw_only=True)
class Groups:
    """All members (nets) of a training, in groups, with the data.

    Groups that share a CPU device advance side by side, each on a core.

    Attributes:
      groups: the groups, in the order of their members.
      loop: which kind of program trains them.
      data: the preprocessed data.
      recipe: how they are trained.
      sample: the training images and labels, or a sample of a stream.
      steps: steps per epoch.
      compile_seconds: time spent compiling, in seconds.
    """

    groups: list[Group]
    loop: Loop
    data: Dataset | Streamed
    recipe: Recipe
    sample: Sample
    steps: int
    compile_seconds: float
    _states: list[State] = field(init=False, default_factory=list)
    _running: dict[int, Future[State]] = field(init=False, default_factory=dict)

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in their order."""
        return tuple(member for group in self.groups for member in group.members)

    @property
    def states(self) -> list[State]:
        """The groups' states; waits until the last ``advance`` has ended."""
        for i, running in self._running.items():
            self._states[i] = running.result()
        self._running.clear()
        return self._states

    def start(self, arrays: dict[str, np.ndarray] | None) -> None:
        """Set the states: from a checkpoint's arrays, or newly initialized."""
        if arrays is not None:
            shapes = [group.programs.state for group in self.groups]
            self._states = states_of(arrays, shapes, [group.place for group in self.groups])
            return
        self._states = []
        for group in self.groups:
            values = [member_values(member, self.recipe) for member in group.members]
            values = jax.tree.map(lambda *leaves: np.stack(leaves), *values)
            images = self._train(group.place)[0]
            self._states.append(group.programs.init(put(values, group.place.state), images))

    def advance(self, step: int, many: int) -> None:
        """Advance the states from ``step`` by ``many`` steps within one epoch."""
        if isinstance(self.data, Streamed):
            images, labels = next(self.data.train)
            batch = images, np.asarray(labels, np.int32)
        for i, group in enumerate(self.groups):
            if isinstance(self.data, Streamed):
                arguments = put_rows(batch, group.place, self.data.train.shard[1])
            elif self.loop == "scan":
                arguments = (put(np.int32(many), group.place.shared), *self._train(group.place))
            else:
                if step % self.steps == 0 or i not in self._orders:
                    assert group.programs.order is not None  # for this loop
                    self._orders[i] = group.programs.order(self.states[i])
                arguments = (*self._train(group.place), self._orders[i])
            if self._workers is None:
                self._states[i] = group.programs.advance(self._states[i], *arguments)
            else:
                self._running[i] = self._workers.submit(
                    _advanced, group, self._running.get(i, self._states[i]), arguments
                )

    def metrics(self, step: int) -> dict[str, np.ndarray]:
        """The metrics of an ``Epoch`` that has just ended, arrays of shape (members,)."""
        diverged_at = np.concatenate([np.asarray(state.diverged_at) for state in self.states])
        metrics: dict[str, np.ndarray] = {"diverged_at": diverged_at}
        test_sums = [
            [
                group.programs.evaluate(state.variables, batch, mask)
                for batch, mask in self._test(group.place)
            ]
            for group, state in zip(self.groups, self.states, strict=True)
        ]
        for name in ("loss", "error"):
            train = np.concatenate([np.asarray(state.totals[name], float) for state in self.states])
            test = np.concatenate(
                [np.sum([np.asarray(s[name], float) for s in sums], axis=0) for sums in test_sums]
            )
            metrics[f"train_{name}"] = train / self.steps if step else np.full(len(train), math.nan)
            metrics[f"test_{name}"] = np.where(diverged_at < 0, test / self._test_count, math.nan)
        return metrics

    @functools.cached_property
    def _workers(self) -> ThreadPoolExecutor | None:
        """A thread per core if groups of one member share a CPU device; else None."""
        devices = {device for group in self.groups for device in group.place.state.device_set}
        on_one_cpu = len(devices) == 1 and next(iter(devices)).platform == "cpu"
        count = min(len(self.groups), cores())
        if self.loop == "scan" or not on_one_cpu or count < 2:
            return None
        return ThreadPoolExecutor(count)

    @functools.cached_property
    def _orders(self) -> dict[int, jax.Array]:
        return {}

    @functools.cached_property
    def _placed(self) -> dict[object, Any]:
        return {}

    def _train(self, place: Place) -> tuple[jax.Array, jax.Array]:
        """The training images and labels, or a sample of a stream, copied once to each placement."""
        if place.shared not in self._placed:
            self._placed[place.shared] = put(self.sample, place.shared)
        return self._placed[place.shared]

    @functools.cached_property
    def _test_count(self) -> int:
        if isinstance(self.data, Streamed):
            return self.data.test.length
        return len(self.data.test.labels)

    def _test(self, place: Place) -> Iterator[tuple[Sample, jax.Array]]:
        """Test batches of one size, with a mask that is False for the padding of the last."""
        if isinstance(self.data, Streamed):
            parts = self.data.test.shard[1]
            batches = (
                put_rows(_filled(*batch, parts=parts), place, parts)
                for batch in self.data.test_batches()
            )
        else:
            key = "test", place.shared
            if key not in self._placed:
                self._placed[key] = [put(b, place.rows) for b in _test_batches(self.data.test)]
            batches = self._placed[key]
        for images, labels, mask in batches:
            yield (images, labels), mask


def _advanced(group: Group, before: State | Future[State], arguments: tuple) -> State:
    """The state after a step; the step before it has a thread already, as it was submitted earlier."""
    state = before.result() if isinstance(before, Future) else before
    return jax.block_until_ready(group.programs.advance(state, *arguments))


def _filled(
    images: HostArray, labels: HostArray, mask: HostArray | None = None, parts: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fill = EVALUATION_BATCH // parts - len(labels)
    real = np.ones(len(labels), bool) if mask is None else np.asarray(mask)
    arrays = np.asarray(images), np.asarray(labels, np.int32), real
    padded = [np.pad(a, [(0, fill)] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
    return padded[0], padded[1], padded[2]


def _test_batches(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for start in range(0, len(split.labels), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        yield _filled(split.images[rows], split.labels[rows])


def arrays_of(states: Sequence[State]) -> dict[str, np.ndarray]:
    """All leaves of the groups' states as host arrays (members, ...) by path; keys as their key data."""
    flat = [tree_flatten_with_path(state)[0] for state in states]
    return {
        _name(leaves[0][0]): np.concatenate([np.asarray(_data(leaf)) for _, leaf in leaves])
        for leaves in zip(*flat, strict=True)
    }


def states_of(
    arrays: dict[str, np.ndarray], shapes: Sequence[State], places: Sequence[Place]
) -> list[State]:
    """The groups' states from their arrays; the inverse of ``arrays_of``.

    Args:
      arrays: by path, stacked over the members of all groups.
      shapes: the shapes of each group's state.
      places: the placement of each group.

    Raises:
      InputError: the arrays do not match the shapes of the states.
    """
    states = []
    first = 0
    for shape, place in zip(shapes, places, strict=True):
        leaves, structure = tree_flatten_with_path(shape)
        rows = slice(first, first + leaves[0][1].shape[0])
        first = rows.stop
        placed = [_placed(arrays, _name(path), leaf, rows, place=place) for path, leaf in leaves]
        states.append(jax.tree.unflatten(structure, placed))
    return states


def _placed(
    arrays: dict[str, np.ndarray], name: str, leaf: jax.Array, rows: slice, place: Place
) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    data = jax.eval_shape(jax.random.key_data, leaf) if is_key else leaf
    array = arrays[name][rows] if name in arrays else None
    if array is None or array.shape != data.shape or array.dtype != data.dtype:
        stored_as = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise InputError(
            f"the checkpoint has {stored_as} for {name}, and the net needs {data.dtype} {data.shape}"
        )
    placed = put(array, place.state)
    return jax.random.wrap_key_data(placed) if is_key else placed


def stacked(states: Sequence[State]) -> State:
    """A copy of the groups' states as one state over all members, on the device of the first group."""
    if len(states) == 1:
        return jax.tree.map(jnp.copy, states[0])
    first = jax.tree.leaves(states[0])[0].sharding
    moved = [states[0], *(jax.device_put(state, first) for state in states[1:])]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *moved)


def _data(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _name(path: KeyPath) -> str:
    return keystr(path, simple=True, separator="/")
