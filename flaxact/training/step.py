"""A training step and an evaluation as pure functions: jit, vmap, scan or shard them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flaxact.net import Net, Variables
from flaxact.training.optimizers import make_optimizer
from flaxact.training.recipe import Recipe

Batch = tuple[jax.Array, jax.Array]
Metrics = dict[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that a run carries from step to step.

    Batch order and dropout are functions of ``key`` and ``step``, so nothing else has to be kept for
    a run to go on as if it had not stopped.
    """

    step: jax.Array
    variables: Variables
    opt_state: Any
    key: jax.Array


def make_init(net: Net, recipe: Recipe) -> Callable[[jax.Array, jax.Array], State]:
    """``init(seed, images) -> State``: for equal seeds, equal weights and batch order."""

    def init(seed: jax.Array, images: jax.Array) -> State:
        weights_key, key = jax.random.split(jax.random.key(seed))
        variables = net.init(weights_key, images)
        optimizer = make_optimizer(
            recipe, 1, learning_rate=recipe.learning_rate, momentum=recipe.momentum or None
        )
        opt_state = optimizer.init(variables["params"])
        return State(jnp.zeros((), jnp.int32), variables, opt_state, key)

    return init


def make_order(recipe: Recipe, count: int) -> Callable[[State], jax.Array]:
    """``order(state) -> indices`` (steps, batch) of the epoch that the state is in, of ``count``."""
    steps = count // recipe.batch_size

    def order(state: State) -> jax.Array:
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), state.step // steps)
        chosen = jax.random.permutation(key, count)[: steps * recipe.batch_size]
        return chosen.reshape(steps, recipe.batch_size)

    return order


def make_step(
    net: Net, recipe: Recipe, steps_per_epoch: int
) -> Callable[[State, jax.Array, Batch], tuple[State, Metrics]]:
    """``step(state, learning_rate, (images, labels)) -> (state, metrics)``.

    Images (batch, height, width, channels), pixels from 0 to 255; labels (batch,). Metrics are the
    means over the batch of "loss" and "error", before the update.
    """

    def loss_fn(params: Any, state: State, batch: Batch) -> tuple[jax.Array, Any]:
        images, labels = batch
        logits, variables = net.apply(
            {**state.variables, "params": params},
            images.astype(jnp.float32),
            train=True,
            key=jax.random.fold_in(jax.random.fold_in(state.key, 1), state.step),
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (jnp.mean(logits.argmax(-1) != labels), variables)

    def step(state: State, learning_rate: jax.Array, batch: Batch) -> tuple[State, Metrics]:
        params = state.variables["params"]
        (loss, (error, variables)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
            params, state, batch
        )
        optimizer = make_optimizer(
            recipe, steps_per_epoch, learning_rate=learning_rate, momentum=recipe.momentum or None
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, params, value=loss)
        variables = {**variables, "params": optax.apply_updates(params, updates)}
        new = replace(state, step=state.step + 1, variables=variables, opt_state=opt_state)
        return new, {"loss": loss, "error": error}

    return step


def make_evaluate(net: Net) -> Callable[[Variables, Batch, jax.Array], Metrics]:
    """``evaluate(variables, (images, labels), mask) -> metrics``, sums over the masked examples."""

    def evaluate(variables: Variables, batch: Batch, mask: jax.Array) -> Metrics:
        images, labels = batch
        logits, _ = net.apply(
            variables, images.astype(jnp.float32), train=False, key=jax.random.key(0)
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        wrong = logits.argmax(-1) != labels
        return {"loss": jnp.sum(loss * mask), "error": jnp.sum(wrong * mask)}

    return evaluate
