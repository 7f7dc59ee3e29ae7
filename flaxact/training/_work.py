"""What a training does to its states: begin, advance, measure; with the programs and data for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact.data import Dataset, Split, augmentation, preprocess, views
from flaxact.data import shape as shape_of
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError, unknown
from flaxact.net import Net
from flaxact.training import _host
from flaxact.training._programs import (
    EVALUATION_BATCH,
    Loop,
    Plan,
    Programs,
    available,
    compiled,
    plan_recipe,
)
from flaxact.training.devices import Place, gathered, places, put, put_rows
from flaxact.training.devices import Split as Division
from flaxact.training.members import Member, as_members
from flaxact.training.recipe import Recipe
from flaxact.training.step import State, member_values

LOOPS = ("scan", "dispatch")


@dataclass(eq=False)
class Work:
    """The programs of every group of members, and the arrays that they are given."""

    loop: Loop
    data: Dataset | Streamed
    members: list[list[Member]]
    recipe: Recipe
    programs: list[Programs]
    places: list[Place]
    steps: int
    mapped: bool
    compile_seconds: float
    sample: Any

    def begin(self, arrays: dict[str, np.ndarray] | None) -> list[State]:
        """The states to begin with: those given, or new ones."""
        if arrays is not None:
            return _host.states(arrays, [p.state for p in self.programs], self.places, self.mapped)
        groups = []
        for group, programs, place in zip(self.members, self.programs, self.places, strict=True):
            values = [member_values(member, self.recipe) for member in group]
            values = jax.tree.map(lambda *v: np.stack(v), *values) if self.mapped else values[0]
            groups.append(programs.init(put(values, place.state), self._train(place)[0]))
        return groups

    def advance(self, groups: list[State], step: int, many: int) -> None:
        """Replace the states by those ``many`` steps later, of one epoch."""
        batch, parts = None, 1
        if isinstance(self.data, Streamed):
            images, labels = next(self.data.train)
            batch, parts = (images, np.asarray(labels, np.int32)), self.data.train.shard[1]
        for i, (programs, place) in enumerate(zip(self.programs, self.places, strict=True)):
            if batch is not None:
                arguments = put_rows(batch, place, parts)
            elif self.loop == "scan":
                arguments = (put(np.int32(many), place.shared), *self._train(place))
            else:
                if step % self.steps == 0 or i not in self._orders:
                    self._orders[i] = programs.order(groups[i])
                arguments = (*self._train(place), self._orders[i])
            groups[i] = programs.advance(groups[i], *arguments)

    def measured(self, groups: list[State], step: int) -> dict[str, np.ndarray]:
        """The metrics of an ``Epoch`` that has just ended, (members,)."""
        diverged = self._joined([np.asarray(state.diverged_at) for state in groups])
        found: dict[str, np.ndarray] = {"diverged_at": diverged}
        tested = [
            [programs.evaluate(state.variables, batch, mask) for batch, mask in self._test(place)]
            for programs, place, state in zip(self.programs, self.places, groups, strict=True)
        ]
        for name in ("loss", "error"):
            totals = [np.asarray(state.totals[name], float) for state in groups]
            sums = [np.sum([np.asarray(s[name], float) for s in of], axis=0) for of in tested]
            train, test = self._joined(totals) / self.steps, self._joined(sums) / self._count
            found[f"train_{name}"] = train if step else np.full(len(diverged), math.nan)
            found[f"test_{name}"] = np.where(diverged < 0, test, math.nan)
        return found

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts) if self.mapped else np.stack(parts)

    @functools.cached_property
    def _orders(self) -> dict[int, jax.Array]:
        return {}

    @functools.cached_property
    def _placed(self) -> dict[Any, Any]:
        return {}

    def _train(self, place: Place) -> tuple[jax.Array, jax.Array]:
        """The training images and labels, or a sample of a stream, once a place."""
        if place.shared not in self._placed:
            self._placed[place.shared] = put(self.sample, place.shared)
        return self._placed[place.shared]

    @functools.cached_property
    def _count(self) -> int:
        return (
            self.data.test.length if isinstance(self.data, Streamed) else len(self.data.test.labels)
        )

    def _test(self, place: Place) -> Iterator[Any]:
        """Test batches of one size, with a mask over what fills up the last."""
        if isinstance(self.data, Streamed):
            parts = self.data.test.shard[1]
            batches: Any = (
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


def prepare(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    *,
    loop: str | None,
    chunk: int | None,
    devices: Sequence[Any] | None,
    split: Division | None,
) -> Work:
    chosen = as_members(members)
    names = _checked(recipe, chosen, loop, chunk)
    data, sample, test_images, steps = _taken(recipe, data)
    shape = shape_of(recipe.augment, recipe.views, sample[0].shape[1:])
    streamed = isinstance(data, Streamed)
    together = loop or _fast_loop(net, shape, str(sample[0].dtype))
    mapped = together == "scan"
    of_batch = recipe.batch_size, EVALUATION_BATCH
    where = places(devices, split, len(chosen), of_batch, vmapped=mapped)
    view, augment = views(recipe.views), augmentation(recipe.augment, sample[0])
    kind = "stream" if streamed else "scan" if mapped else "dispatch"

    def plan(size: int, place: Place) -> Plan:
        return Plan(
            net, plan_recipe(recipe), kind, size, names,
            (sample[0].shape, str(sample[0].dtype)), test_images, steps,
            augment, view, place,
        )  # fmt: skip

    groups = [[member] for member in chosen]
    if mapped:
        size = _size(len(chosen), chunk, lambda n: compiled(plan(n, where[0])), where[0])
        groups = [chosen[i : i + size] for i in range(0, len(chosen), size)]
    at = [where[i % len(where)] for i in range(len(groups))]
    plans = [plan(len(g) if mapped else 0, place) for g, place in zip(groups, at, strict=True)]
    different = dict.fromkeys(plans)
    with ThreadPoolExecutor() as pool:  # a program a device, compiled side by side
        made = dict(zip(different, pool.map(compiled, different), strict=True))
    programs, seconds = [made[p] for p in plans], max(p.compile_seconds for p in made.values())
    return Work(kind, data, groups, recipe, programs, at, steps, mapped, seconds, sample)


def _checked(
    recipe: Recipe, members: list[Member], loop: str | None, chunk: int | None
) -> tuple[str, ...]:
    """The names of the members' hyperparameters, if all that is asked for makes sense."""
    if not members:
        raise InputError("no members to train: give one seed or more")
    if loop not in (None, *LOOPS):
        raise unknown("loop", loop, LOOPS)
    if chunk is not None and chunk < 1:
        raise InputError(f"a chunk is 1 member or more, not {chunk}")
    if not recipe.momentum and any(member.momentum for member in members):
        raise InputError(
            "the recipe has no momentum, so no member can have one: give it one above 0"
        )
    names = {tuple(sorted(member.swept)) for member in members}
    if len(names) > 1:
        raise InputError(f"all members must name the same hyperparameters, not {sorted(names)}")
    return next(iter(names))


def _taken(recipe: Recipe, data: Dataset | Streamed) -> tuple[Any, Any, Any, int]:
    """The data as it is trained on; images and labels to begin with, a test image's shape, the steps."""
    if isinstance(data, Streamed):
        data.check(recipe)
        if data.test.plan.batch_size > EVALUATION_BATCH:
            raise InputError(
                f"the test batches are of {data.test.plan.batch_size}, and at most "
                f"{EVALUATION_BATCH} images are tested at once"
            )
        for stream in (data.train, data.test):
            if stream.shard not in ((0, 1), (jax.process_index(), jax.process_count())):
                raise InputError(
                    f"the stream is part {stream.shard[0]} of {stream.shard[1]}, and this is process "
                    f"{jax.process_index()} of {jax.process_count()}"
                )
        sample = data.sample()
        if (parts := data.train.shard[1]) > 1:
            sample = gathered(sample, recipe.batch_size // parts)
        steps = data.train.batches
    else:
        count = len(data.train.labels)
        if recipe.batch_size > count:
            raise InputError(f"a batch of {recipe.batch_size} is larger than the {count} images")
        data = _preprocessed(recipe.preprocess, data)
        sample = data.train.images, data.train.labels
        steps = count // recipe.batch_size
    return data, sample, (sample[0].shape[1:], str(sample[0].dtype)), steps


@functools.lru_cache(maxsize=1)
def _preprocessed(texts: tuple[str, ...], data: Dataset) -> Dataset:
    return preprocess(texts, data)


@functools.lru_cache(maxsize=64)
def _has_convolution(net: Net, shape: tuple[int, ...], dtype: str) -> bool:
    images = jax.ShapeDtypeStruct((2, *shape), jnp.dtype(dtype))
    key = jax.random.key(0)
    variables = jax.eval_shape(net.init, key, images)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    traced = jax.make_jaxpr(lambda v, x: net.apply(v, x, train=False, key=key))(variables, images)
    return "conv_general_dilated" in str(traced)


def _fast_loop(net: Net, shape: tuple[int, ...], dtype: str) -> str:
    if jax.default_backend() != "cpu":
        return "scan"
    return "dispatch" if _has_convolution(net, shape, dtype) else "scan"


def _size(count: int, chunk: int | None, programs: Any, place: Place) -> int:
    """How many members one program trains: so many as said; else all, or half as often as need be."""
    devices = count // place.state.shard_shape((count,))[0]  # that members are divided among
    size = min(chunk or count, count)
    if size % devices:
        raise InputError(
            f"a chunk of {size} members cannot be divided among {devices} devices evenly"
        )
    while not chunk and size > devices and programs(size).memory > 0.9 * available(place):
        size = devices * math.ceil(size / devices / 2)
    return size


def _filled(
    images: Any, labels: Any, mask: Any = None, parts: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fill = EVALUATION_BATCH // parts - len(labels)
    mask = np.ones(len(labels), bool) if mask is None else np.asarray(mask)
    arrays = np.asarray(images), np.asarray(labels, np.int32), mask
    padded = [np.pad(a, [(0, fill)] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
    return padded[0], padded[1], padded[2]


def _test_batches(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for start in range(0, len(split.labels), EVALUATION_BATCH):
        chosen = slice(start, start + EVALUATION_BATCH)
        yield _filled(split.images[chosen], split.labels[chosen])
