"""The compiled functions that train a group of nets, or a single net."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct, lax

from flaxact.data.augment import Augment
from flaxact.data.views import Views
from flaxact.net import Net
from flaxact.training.placement import Place
from flaxact.training.recipe import Recipe
from flaxact.training.state import State, Tree, make_init, only_member, over_members
from flaxact.training.step import make_evaluate, make_order, make_step

Loop = Literal["scan", "dispatch", "stream"]
EVALUATION_BATCH = 512


@dataclass(frozen=True, eq=False)
class Programs:
    """Compiled functions of the state of a group of nets, whose leaves have a leading axis over nets.

    ``advance`` takes, by loop:

    - "scan": (state, number of steps, images, labels);
    - "dispatch", for groups of one member: (state, images, labels, order), for one step;
    - "stream": (state, images, labels of the batch), for one step.

    ``memory`` is the total that ``advance`` needs on each device, in bytes.
    """

    init: Callable[..., State]
    order: Callable[..., jax.Array] | None
    advance: Callable[..., State]
    evaluate: Callable[..., dict[str, jax.Array]]
    state: State
    compile_seconds: float
    memory: int


def switches() -> tuple[object, ...]:
    """The current values of the JAX options that change what is compiled."""
    names = (
        "jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion",
        "jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable",
    )  # fmt: skip
    return tuple(getattr(jax.config, name) for name in names)


@dataclass(frozen=True)
class ProgramPlan:
    """The arguments that programs are compiled for. ``members`` is the number of nets in a group.

    ``images`` are the shape and dtype of the training images, or of a sample of a stream; ``steps``
    is the number of steps in an epoch.
    """

    net: Net
    recipe: Recipe
    loop: Loop
    members: int
    hyperparameters: tuple[str, ...]
    images: tuple[tuple[int, ...], str]
    test_images: tuple[tuple[int, ...], str]
    steps: int
    augment: Augment
    views: Views
    place: Place
    switches: tuple[object, ...] = field(default_factory=switches)


def plan_recipe(recipe: Recipe) -> Recipe:
    """The recipe without the fields that don't change the compiled programs."""
    return replace(
        recipe,
        learning_rate=1.0,
        momentum=0.5 if recipe.momentum else 0.0,
        preprocess=(),
        target_error=None,
        max_seconds=None,
        epochs=1 if recipe.schedule in ("constant", "plateau") else recipe.epochs,
    )


@functools.lru_cache(maxsize=16)
def compiled(plan: ProgramPlan) -> Programs:
    """Compile the programs of a plan."""
    start = time.perf_counter()
    state_at = plan.place.state
    shared = functools.partial(ShapeDtypeStruct, sharding=plan.place.shared)
    images = shared(plan.images[0], jnp.dtype(plan.images[1]))
    labels = shared(plan.images[0][:1], jnp.int32)

    init = jax.jit(over_members(make_init(plan.net, plan.recipe)), out_shardings=state_at)
    init = _compiled_once(init.lower(_member_shapes(plan), images), plan.place)
    state = jax.tree.map(
        lambda leaf: ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=state_at), init.out_info
    )
    order, advance, arguments = _advance(plan, images, labels, state, shared=shared)
    advance = advance.lower(state, *arguments).compile()
    evaluate = over_members(make_evaluate(plan.net, plan.recipe, plan.views))
    evaluate = jax.jit(_constrained(evaluate, plan.place, 1))
    rows = functools.partial(ShapeDtypeStruct, sharding=plan.place.rows)
    batch = rows((EVALUATION_BATCH, *plan.test_images[0]), jnp.dtype(plan.test_images[1]))
    of_batch = functools.partial(rows, (EVALUATION_BATCH,))
    evaluate = evaluate.lower(
        state.variables, (batch, of_batch(jnp.int32)), of_batch(jnp.bool)
    ).compile()
    seconds = time.perf_counter() - start
    return Programs(
        init,
        order,
        advance,
        evaluate,
        state=state,
        compile_seconds=seconds,
        memory=_memory(advance),
    )


def _advance(
    plan: ProgramPlan, images, labels, state, shared
) -> tuple[jax.stages.Compiled | None, jax.stages.Wrapped, tuple]:
    """The compiled epoch order, the training function, and the shapes of its arguments."""
    count = plan.images[0][0]
    place = plan.place
    step = make_step(plan.net, plan.recipe, plan.steps, plan.augment)
    order = make_order(plan.recipe, count)
    jit = functools.partial(jax.jit, donate_argnums=0, out_shardings=place.state)

    def step_of_epoch(state: State, images, labels, batches) -> State:
        rows = batches[state.step % plan.steps]
        return step(state, _constrain((images[rows], labels[rows]), place))[0]

    if plan.loop == "stream":
        size = plan.recipe.batch_size
        rows = functools.partial(ShapeDtypeStruct, sharding=place.rows)
        batch = rows((size, *images.shape[1:]), images.dtype), rows((size,), jnp.int32)
        train = over_members(lambda s, x, y: step(s, _constrain((x, y), place))[0])
        return None, jit(train), batch
    if plan.loop == "scan":

        def several(state: State, number, images, labels) -> State:
            batches = order(state)
            body = lambda _, s: step_of_epoch(s, images, labels, batches)  # noqa: E731
            return lax.fori_loop(0, number, body, state)

        number = shared((), jnp.int32)
        return None, jit(over_members(several)), (number, images, labels)
    of_member = jax.jit(lambda group: order(only_member(group)), out_shardings=place.shared)
    of_member = _compiled_once(of_member.lower(state), place)
    batches = shared(of_member.out_info.shape, of_member.out_info.dtype)
    return of_member, jit(over_members(step_of_epoch)), (images, labels, batches)


def _compiled_once(lowered: jax.stages.Lowered, place: Place) -> jax.stages.Compiled:
    """A lowered program, compiled; the one that is there already if its text is the same.

    The initial weights and the order of the batches do not depend on the activation: of many nets that
    differ in it alone, only the first takes the time. The arguments' shapes count too: the text leaves
    out those that the program does not use.
    """
    shapes = tuple((aval.shape, aval.dtype) for aval in jax.tree.leaves(lowered.in_avals))
    key = _Text(lowered, lowered.as_text(), (lowered.in_tree, lowered.out_tree, shapes, place))
    return _compiled_text(key)


@dataclass(frozen=True)
class _Text:
    """A lowered program, equal to others with the same text."""

    lowered: jax.stages.Lowered = field(compare=False)
    text: str = field(repr=False)
    call: tuple


@functools.lru_cache(maxsize=16)
def _compiled_text(key: _Text) -> jax.stages.Compiled:
    return key.lowered.compile()


def _member_shapes(plan: ProgramPlan) -> dict[str, object]:
    number = functools.partial(ShapeDtypeStruct, (plan.members,), sharding=plan.place.state)
    return {
        "seed": number(jnp.int32),
        "rates": {name: number(jnp.float32) for name in ("learning_rate", "momentum")},
        "hyperparameters": {name: number(jnp.float32) for name in plan.hyperparameters},
    }


def _constrain(batch: Tree, place: Place) -> Tree:
    return batch if place.batch is None else lax.with_sharding_constraint(batch, place.batch)


def _constrained(function: Callable[..., Tree], place: Place, skip: int) -> Callable[..., Tree]:
    return lambda *arguments: function(
        *arguments[:skip], *(_constrain(argument, place) for argument in arguments[skip:])
    )


def _memory(program: jax.stages.Compiled) -> int:
    memory = program.memory_analysis()
    if memory is None:
        return 0
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return total + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def available(place: Place) -> int:
    """Memory on each device of a placement, in bytes; CPU devices share the machine's memory."""
    devices = sorted(place.state.addressable_devices, key=lambda device: device.id)
    stats = devices[0].memory_stats() or {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // len(devices)
    return stats.get("bytes_limit", machine)
