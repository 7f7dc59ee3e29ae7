"""Prepare a training: check its arguments, choose devices, compile its programs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypedDict, get_args

import jax
import jax.numpy as jnp

from flaxact.data import Dataset, augmentation, preprocess, views
from flaxact.data import shape as shape_of
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError, unknown
from flaxact.net import Net, Variables
from flaxact.training._swept import check_swept
from flaxact.training.group import Group, Groups, Sample
from flaxact.training.members import Member, as_members
from flaxact.training.placement import Division, Place, gathered, places
from flaxact.training.programs import (
    EVALUATION_BATCH,
    ProgramPlan,
    Programs,
    available,
    compiled,
    plan_recipe,
)
from flaxact.training.recipe import Recipe

ShapeAndDtype = tuple[tuple[int, ...], str]
KnownLoop = Literal["scan", "dispatch"]
LOOPS = get_args(KnownLoop)


class LoopOptions(TypedDict, total=False):
    """The keyword arguments of ``updates``, except for ``start``."""

    loop: KnownLoop | None
    chunk: int | None
    devices: Sequence[Any] | None
    split: Division | None
    steps_per_update: int | None


def prepare(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    *,
    loop: KnownLoop | None,
    chunk: int | None,
    devices: Sequence[Any] | None,
    split: Division | None,
) -> Groups:
    """The groups of a training with compiled programs; arguments as in ``flaxact.training.updates``."""
    runs = as_members(members)
    names = _checked(recipe, runs, loop, chunk)
    data, sample, test_images, steps = _loaded(recipe, data)
    check_swept(net, runs, sample[0])
    shape = shape_of(recipe.augment, recipe.views, sample[0].shape[1:])
    outputs, convolutional = _traced(net, shape, str(sample[0].dtype))
    _check_outputs(outputs, data)
    is_slow_in_loops = jax.default_backend() == "cpu" and convolutional
    together = (loop or ("dispatch" if is_slow_in_loops else "scan")) == "scan"
    kind = "stream" if isinstance(data, Streamed) else "scan" if together else "dispatch"
    batches = recipe.batch_size, EVALUATION_BATCH
    where = places(devices, split, len(runs), batches, vmapped=together, chunk=chunk)
    images = (sample[0].shape, str(sample[0].dtype))
    augment = augmentation(recipe.augment, sample[0])

    def plan(size: int, place: Place) -> ProgramPlan:
        return ProgramPlan(
            net,
            plan_recipe(recipe),
            kind,
            size,
            hyperparameters=names,
            images=images,
            test_images=test_images,
            steps=steps,
            augment=augment,
            views=views(recipe.views),
            place=place,
        )

    size = 1
    if together:
        size = _size(len(runs), chunk, lambda n: compiled(plan(n, where[0])), where[0])
    parts = [tuple(runs[first : first + size]) for first in range(0, len(runs), size)]
    at = [where[i % len(where)] for i in range(len(parts))]
    plans = [plan(len(part), place) for part, place in zip(parts, at, strict=True)]
    programs = _compiled(plans)
    groups = [
        Group(members=part, programs=programs[each], place=place)
        for part, each, place in zip(parts, plans, at, strict=True)
    ]
    return Groups(
        groups=groups,
        loop=kind,
        data=data,
        recipe=recipe,
        sample=sample,
        steps=steps,
        compile_seconds=max(each.compile_seconds for each in programs.values()),
    )


def _compiled(plans: Sequence[ProgramPlan]) -> dict[ProgramPlan, Programs]:
    """One program per device, compiled side by side."""
    distinct = dict.fromkeys(plans)
    with ThreadPoolExecutor() as pool:
        return dict(zip(distinct, pool.map(compiled, distinct), strict=True))


def _checked(
    recipe: Recipe, members: list[Member], loop: KnownLoop | None, chunk: int | None
) -> tuple[str, ...]:
    """Check the arguments; returns the names of the members' hyperparameters."""
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        raise InputError(
            "training runs a compiled program, and JAX_DISABLE_JIT forbids that: unset it, or call "
            "the steps of flaxact.training.make_step yourself"
        )
    if not members:
        raise InputError("no members to train: give one seed or more")
    if loop not in (None, *LOOPS):
        raise unknown("loop", loop, LOOPS)
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk must be at least 1 member, not {chunk}")
    if not recipe.momentum and any(member.momentum for member in members):
        raise InputError(
            "a member has a momentum, and the recipe has none: give the recipe a momentum above 0"
        )
    names = {tuple(sorted(member.swept)) for member in members}
    if len(names) > 1:
        raise InputError(f"all members must name the same hyperparameters, not {sorted(names)}")
    return next(iter(names))


def _loaded(
    recipe: Recipe, data: Dataset | Streamed
) -> tuple[Dataset | Streamed, Sample, ShapeAndDtype, int]:
    """The preprocessed data, a sample of images and labels, a test image's shape, steps per epoch."""
    if isinstance(data, Streamed):
        data.check(recipe)
        if data.test.plan.batch_size > EVALUATION_BATCH:
            raise InputError(
                f"the stream's test batches have {data.test.plan.batch_size} images; at most "
                f"{EVALUATION_BATCH} are allowed"
            )
        for stream in (data.train, data.test):
            if stream.shard not in ((0, 1), (jax.process_index(), jax.process_count())):
                raise InputError(
                    f"the stream is shard {stream.shard[0]} of {stream.shard[1]}, and this is "
                    f"process {jax.process_index()} of {jax.process_count()}"
                )
        sample = data.sample()
        if (parts := data.train.shard[1]) > 1:
            sample = gathered(sample, recipe.batch_size // parts)
        steps = data.train.batches
    else:
        count = len(data.train.labels)
        if recipe.batch_size > count:
            raise InputError(
                f"a batch of {recipe.batch_size} is larger than the training set of {count} images"
            )
        data = preprocessed(recipe.preprocess, data)
        sample = data.train.images, data.train.labels
        steps = count // recipe.batch_size
    return data, sample, (sample[0].shape[1:], str(sample[0].dtype)), steps


@functools.lru_cache(maxsize=2)
def preprocessed(texts: tuple[str, ...], data: Dataset) -> Dataset:
    """A preprocessed data set; the two most recent ones are cached (for tuning and for evaluation)."""
    return preprocess(texts, data)


@functools.lru_cache(maxsize=64)
def _traced(net: Net, shape: tuple[int, ...], dtype: str) -> tuple[object, bool]:
    """The shape and dtype of a net's outputs for 2 images, and whether it has a convolution."""
    images = jax.ShapeDtypeStruct((2, *shape), jnp.dtype(dtype))
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(net.init, key, images)

    def logits(variables: Variables, images: jax.Array, key: jax.Array) -> jax.Array:
        return net.apply(variables, images, train=False, key=key)[0]

    traced, outputs = jax.make_jaxpr(logits, return_shape=True)(variables, inputs, key)
    return outputs, "conv_general_dilated" in str(traced)


def _check_outputs(outputs: object, data: Dataset | Streamed) -> None:
    """Raise if a net's outputs for 2 images are not logits for all classes of a data set."""
    shape = getattr(outputs, "shape", ())
    dtype = getattr(outputs, "dtype", None)
    if len(shape) != 2 or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        actual = jax.tree.map(lambda leaf: f"{leaf.dtype} {leaf.shape}", outputs)
        raise InputError(
            f"for 2 images the net returns {actual}; it must return floating logits (2, "
            f"{data.num_classes})"
        )
    if shape[1] < data.num_classes:
        raise InputError(
            f"the net returns {shape[1]} logits, and data set {data.name!r} has {data.num_classes} "
            f"classes; give the net at least {data.num_classes} outputs"
        )


def _size(count: int, chunk: int | None, programs: Callable[[int], Programs], place: Place) -> int:
    """How many members one program trains: ``chunk``, or all, halved until they fit into memory."""
    devices = count // place.state.shard_shape((count,))[0]  # that members are divided among
    size = min(chunk or count, count)
    while not chunk and size > devices and programs(size).memory > 0.9 * available(place):
        size = devices * math.ceil(size / devices / 2)
    return size
