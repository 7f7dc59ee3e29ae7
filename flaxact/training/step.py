"""A training step and an evaluation as pure functions, ready for jit, vmap, scan or sharding."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from flaxact.data.augment import Augment
from flaxact.data.views import Views
from flaxact.errors import InputError
from flaxact.layers import HYPERPARAMETERS
from flaxact.net import Net, Variables
from flaxact.training.recipe import Recipe
from flaxact.training.state import Metrics, State, Tree, state_optimizer

Batch = tuple[jax.Array, jax.Array]
LossAux = tuple[jax.Array, Variables]  # error, variables after the pass


def make_order(recipe: Recipe, count: int) -> Callable[[State], jax.Array]:
    """``order(state) -> indices`` (steps, batch): the batches of the state's current epoch.

    ``count`` is the number of training images.
    """
    steps = count // recipe.batch_size

    def order(state: State) -> jax.Array:
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), state.step // steps)
        indices = jax.random.permutation(key, count)[: steps * recipe.batch_size]
        return indices.reshape(steps, recipe.batch_size)

    return order


def make_step(
    net: Net, recipe: Recipe, steps_per_epoch: int, augment: Augment | None = None
) -> Callable[[State, Batch], tuple[State, Metrics]]:
    """``step(state, (images, labels)) -> (state, metrics)``.

    Images have shape (batch, height, width, channels), labels (batch,). Metrics are the batch means
    of "loss" and "error" before the update.

    Args:
      net: the net.
      recipe: how it is trained; the learning rate and momentum come from the state.
      steps_per_epoch: converts the schedule's epochs to steps.
      augment: the augmentation; ``flaxact.data.augmentation(recipe.augment, images)``.

    Raises:
      InputError: the recipe has ``activation_l1``, and the net does not record its activations'
        outputs.
    """
    loss_fn = _make_loss(net, recipe, augment)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        params = state.variables["params"]
        (loss, (error, variables)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
            params, state, batch
        )
        optimizer = state_optimizer(recipe, steps_per_epoch, state.rates)
        updates, opt_state = optimizer.update(grads, state.opt_state, params, value=loss)
        variables = {**variables, "params": optax.apply_updates(params, updates)}
        trained = {name: tree for name, tree in variables.items() if name != HYPERPARAMETERS}
        is_sound = jnp.isfinite(loss) & _finite(trained, opt_state) & (state.diverged_at < 0)
        metrics = {"loss": loss.astype(jnp.float32), "error": error.astype(jnp.float32)}
        metrics = {k: jnp.where(is_sound, v, jnp.nan) for k, v in metrics.items()}
        begins_epoch = state.step % steps_per_epoch == 0
        new = replace(
            state,
            step=state.step + 1,
            variables=_select(is_sound, variables, state.variables),
            opt_state=_select(is_sound, opt_state, state.opt_state),
            totals={k: jnp.where(begins_epoch, 0, state.totals[k]) + v for k, v in metrics.items()},
            diverged_at=jnp.where(
                is_sound | (state.diverged_at >= 0), state.diverged_at, state.step
            ),
        )
        return new, metrics

    return step


def _make_loss(
    net: Net, recipe: Recipe, augment: Augment | None
) -> Callable[[Variables, State, Batch], tuple[jax.Array, LossAux]]:
    """``loss(params, state, batch) -> (loss, (error, variables))``."""
    capture: dict[str, bool] = {}
    if recipe.activation_l1:
        if "capture" not in inspect.signature(net.apply).parameters:
            raise InputError(
                "activation_l1 needs the outputs of the net's activations: the net's apply must accept "
                "capture=True and return them in variables['intermediates'], as from_linen's does"
            )
        capture = {"capture": True}

    def loss_fn(params: Variables, state: State, batch: Batch) -> tuple[jax.Array, LossAux]:
        (images, labels) = batch
        key = jax.random.fold_in(state.key, 1)
        key = jax.random.fold_in(key, state.step)
        images = images.astype(jnp.float32)
        if augment is not None:
            images = augment(jax.random.fold_in(key, 2), images)
        variables = {**state.variables, "params": params}
        logits, variables = _apply(net, recipe, variables, images, train=True, key=key, **capture)
        loss = _cross_entropy(logits, labels, recipe.label_smoothing).mean()
        outputs = variables.pop("intermediates", {})
        if recipe.activation_l1:
            sizes = sum(jnp.abs(y).astype(jnp.float32).sum() for y in jax.tree.leaves(outputs))
            loss += recipe.activation_l1 * sizes / len(labels)
        return loss, (jnp.mean(logits.argmax(-1) != labels), variables)

    return loss_fn


def make_evaluate(
    net: Net, recipe: Recipe | None = None, views: Views | None = None
) -> Callable[[Variables, Batch, jax.Array], Metrics]:
    """``evaluate(variables, (images, labels), mask) -> metrics``: sums over the examples in the mask.

    With several views of an image, the prediction is the mean of their softmax outputs (Krizhevsky
    et al. 2012, §4.1).
    """
    recipe = recipe or Recipe()

    def evaluate(variables: Variables, batch: Batch, mask: jax.Array) -> Metrics:
        (images, labels) = batch
        key = jax.random.key(0)
        images = images.astype(jnp.float32)
        crops = images[None] if views is None else views(images)
        flat = crops.reshape(-1, *crops.shape[2:])
        logits, _ = _apply(net, recipe, variables, flat, train=False, key=key)
        if len(crops) > 1:
            each = jax.nn.log_softmax(logits).reshape(len(crops), len(images), -1)
            logits = jax.nn.logsumexp(each, 0) - jnp.log(len(crops))
        loss = _cross_entropy(logits, labels, 0)
        wrong = logits.argmax(-1) != labels
        weights = jnp.asarray(mask, loss.dtype)
        return {
            "loss": jnp.sum(loss * weights),
            "error": jnp.sum(wrong.astype(loss.dtype) * weights),
        }

    return evaluate


def _apply(
    net: Net, recipe: Recipe, variables: Variables, images: jax.Array, **arguments: object
) -> tuple[jax.Array, Variables]:
    """Apply the net in the recipe's precision; logits and changed variables keep their own dtypes."""
    if recipe.precision == "float32":
        logits, changed = net.apply(variables, images, **arguments)
        return logits, dict(changed)
    half = jnp.dtype(recipe.precision)
    lower = functools.partial(_cast, lambda leaf: half if leaf.dtype == jnp.float32 else leaf.dtype)
    lowered = {**variables, "params": lower(variables["params"])}
    logits, changed = net.apply(lowered, images.astype(half), **arguments)
    back = {
        name: jax.tree.map(lambda new, old: new.astype(old.dtype), tree, variables[name])
        if name in variables and name != "params"
        else tree
        for name, tree in changed.items()
    }
    return logits.astype(jnp.float32), back


def _cast(dtype: Callable[[jax.Array], jnp.dtype], tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: leaf.astype(dtype(leaf)), tree)


def _cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(
        jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), smoothing
    )
    return optax.softmax_cross_entropy(logits, targets)


def _finite(variables: Variables, opt_state: optax.OptState) -> jax.Array:
    """Whether a step's gradients and new state are finite.

    A single sum checks all of them in one pass over memory. Scalars of the optimizer may start as
    infinities.
    """
    leaves = jax.tree.leaves(variables) + [leaf for leaf in jax.tree.leaves(opt_state) if leaf.ndim]
    sums = [
        jnp.sum(leaf, dtype=jnp.float32)
        for leaf in leaves
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    return jnp.isfinite(sum(sums, jnp.zeros(())))


def _select(first: jax.Array, new: Tree, old: Tree) -> Tree:
    """The new tree or the old one, leaf by leaf, in the old dtypes. Random keys are allowed."""
    return jax.tree.map(lambda n, o: jnp.where(first, n.astype(o.dtype), o), new, old)
