"""Epochs over a data set that lives on the device, for many seeds at once.

On an accelerator an epoch is one program: a ``lax.scan`` over its steps, under ``vmap`` over seeds.
On the CPU the same step is dispatched batch by batch and seed by seed, because XLA compiles
convolutions badly there in both: the gradient of cuda_convnet took 8 to 50 times as long inside a
loop, and 3 to 6 times as long with vmapped kernels (jax 0.10 and 0.12, 2 cores).
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import ShapeDtypeStruct as Shape
from jax import lax

from flaxact.data import Dataset, Split
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.training.recipe import Recipe
from flaxact.training.step import State, make_evaluate, make_init, make_order, make_step

Loop = Literal["scan", "dispatch"]
EVALUATION_BATCH = 500


@dataclass(frozen=True, eq=False)
class Epoch:
    """What is known after an epoch; number 0 is before the first.

    ``states`` is stacked over seeds. The metrics are float arrays (seeds,): the training ones are
    running means over the epoch's batches (nan at epoch 0), the test ones a clean pass.
    ``seconds`` is the wall-clock time of its training, for all seeds together, without compilation;
    ``compile_seconds`` what that took, once for all learning rates.
    """

    number: int
    states: State
    train_loss: np.ndarray
    train_error: np.ndarray
    test_loss: np.ndarray
    test_error: np.ndarray
    seconds: float
    compile_seconds: float


def train(
    net: Net, recipe: Recipe, data: Dataset, seeds: Sequence[int], *, loop: Loop | None = None
) -> Iterator[Epoch]:
    """Train a net from each seed; yields once before the first epoch and after every one.

    For equal seeds two nets see the same batches in the same order.

    Args:
      net: the network.
      recipe: how it is trained.
      data: what it is trained and tested on.
      seeds: one run each.
      loop: ``scan`` or ``dispatch``; None for what is fast on this backend. The results are equal
        but for rounding.

    Yields:
      Epochs 0 to ``recipe.epochs``; fewer where the loss of every seed has become non-finite.

    Raises:
      InputError: no seeds, or a batch that is larger than the training set.
    """
    count = len(data.train.labels)
    if not seeds:
        raise InputError("no seeds to train from: give one or more")
    if recipe.batch_size > count:
        raise InputError(f"a batch of {recipe.batch_size} is larger than the {count} images")
    loop = loop or ("dispatch" if jax.default_backend() == "cpu" else "scan")
    # The learning rate is traced, so that a sweep over it compiles once.
    static = replace(recipe, learning_rate=1.0)
    programs = _compile(net, static, data.train.images.shape, len(seeds), loop)
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    test, rate = _test_batches(data.test), jnp.float32(recipe.learning_rate)

    states = programs.init(jnp.asarray(seeds, jnp.int32), images)
    nan = np.full(len(seeds), math.nan)
    trained, seconds = {"loss": nan, "error": nan}, 0.0
    for number in range(recipe.epochs + 1):
        if number > 0:
            start = time.perf_counter()
            states, trained = programs.epoch(states, rate, images, labels)
            trained = {k: np.asarray(v, float) for k, v in trained.items()}
            seconds = time.perf_counter() - start
        tested = _evaluated(programs.evaluate, states, test)
        yield Epoch(
            number, states, trained["loss"], trained["error"], tested["loss"], tested["error"],
            seconds, programs.compile_seconds,
        )  # fmt: skip
        if number > 0 and not np.isfinite(trained["loss"]).any():
            return  # every seed has diverged


@dataclass(frozen=True, eq=False)
class _Programs:
    """Compiled functions of states that are stacked over seeds."""

    init: Callable[..., State]
    epoch: Callable[..., tuple[State, dict[str, Any]]]
    evaluate: Callable[..., dict[str, jax.Array]]
    compile_seconds: float


@functools.lru_cache(maxsize=8)
def _compile(net: Net, recipe: Recipe, shape: tuple[int, ...], seeds: int, loop: Loop) -> _Programs:
    start = time.perf_counter()
    build = _scanned if loop == "scan" else _dispatched
    programs = build(net, recipe, shape, seeds)
    return _Programs(*programs, compile_seconds=time.perf_counter() - start)


def _scanned(net: Net, recipe: Recipe, shape: tuple[int, ...], seeds: int) -> tuple:
    advance, order, steps = _advance(net, recipe, shape[0])

    def epoch(state: State, rate, images, labels):
        batches = order(state)
        state, metrics = lax.scan(
            lambda s, _: advance(s, rate, images, labels, batches), state, length=steps
        )
        return state, jax.tree.map(jnp.mean, metrics)

    images, labels, rate, test, mask = _shapes(shape)
    init = jax.jit(jax.vmap(make_init(net, recipe), (0, None)))
    init = init.lower(Shape((seeds,), jnp.int32), images).compile()
    epoch = jax.jit(jax.vmap(epoch, (0, None, None, None)))
    evaluate = jax.jit(jax.vmap(make_evaluate(net), (0, None, None)))
    state = init.out_info
    return (
        init,
        epoch.lower(state, rate, images, labels).compile(),
        evaluate.lower(state.variables, test, mask).compile(),
    )


def _dispatched(net: Net, recipe: Recipe, shape: tuple[int, ...], seeds: int) -> tuple:
    advance, order, steps = _advance(net, recipe, shape[0])
    images, labels, rate, test, mask = _shapes(shape)
    init = jax.jit(make_init(net, recipe)).lower(Shape((), jnp.int32), images).compile()
    state = init.out_info
    order = jax.jit(order).lower(state).compile()
    step = jax.jit(advance, donate_argnums=0)
    step = step.lower(state, rate, images, labels, order.out_info).compile()
    evaluate = jax.jit(make_evaluate(net)).lower(state.variables, test, mask).compile()
    epoch = functools.partial(_dispatch, order, step, steps)
    return tuple(_each_seed(f, seeds) for f in (init, epoch, evaluate))


def _advance(net: Net, recipe: Recipe, count: int) -> tuple[Callable, Callable, int]:
    """A step that picks its own batch, the order of an epoch's batches, and their number."""
    steps = count // recipe.batch_size
    step = make_step(net, recipe, steps)

    def advance(state: State, rate, images, labels, batches):
        chosen = batches[state.step % steps]
        return step(state, rate, (images[chosen], labels[chosen]))

    return advance, make_order(recipe, count), steps


def _shapes(shape: tuple[int, ...]) -> tuple:
    """Of the training images and labels, the learning rate, a test batch and its mask."""
    batch = EVALUATION_BATCH
    return (
        Shape(shape, jnp.uint8),
        Shape(shape[:1], jnp.int32),
        Shape((), jnp.float32),
        [Shape((batch, *shape[1:]), jnp.uint8), Shape((batch,), jnp.int32)],
        Shape((batch,), jnp.bool),
    )


def _dispatch(order, step, steps: int, state: State, *shared):
    """One seed's epoch, step by step; the batches' metrics are read once all are under way."""
    batches, metrics = order(state), []
    for _ in range(steps):
        state, measured = step(state, *shared, batches)
        metrics.append(measured)
    return state, {k: jnp.asarray(np.mean([m[k] for m in metrics])) for k in metrics[0]}


def _each_seed(function: Callable[..., Any], seeds: int) -> Callable[..., Any]:
    """As ``vmap`` over the first argument, one after the other."""

    def run(stacked: Any, *shared: Any) -> Any:
        outputs = [
            function(jax.tree.map(lambda leaf, i=i: leaf[i], stacked), *shared)
            for i in range(seeds)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)

    return run


def _test_batches(split: Split) -> list[tuple[list[jax.Array], jax.Array]]:
    """Batches of one size with a mask over what fills up the last."""
    batches = []
    for start in range(0, len(split.labels), EVALUATION_BATCH):
        images = np.asarray(split.images[start : start + EVALUATION_BATCH])
        labels = np.asarray(split.labels[start : start + EVALUATION_BATCH])
        fill = EVALUATION_BATCH - len(labels)
        padded = [np.pad(a, [(0, fill)] + [(0, 0)] * (a.ndim - 1)) for a in (images, labels)]
        mask = np.arange(EVALUATION_BATCH) < len(labels)
        batches.append(([jnp.asarray(a) for a in padded], jnp.asarray(mask)))
    return batches


def _evaluated(evaluate, states: State, test) -> dict[str, np.ndarray]:
    sums = [evaluate(states.variables, batch, mask) for batch, mask in test]
    count = sum(int(mask.sum()) for _, mask in test)
    return {k: np.sum([np.asarray(s[k], float) for s in sums], axis=0) / count for k in sums[0]}
