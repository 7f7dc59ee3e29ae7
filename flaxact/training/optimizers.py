"""The optimizer that a recipe names, and the parameters it decays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from optax.contrib import reduce_on_plateau

from flaxact.layers.decay import decay_mask, labels
from flaxact.training.recipe import Recipe

# Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2; Chen et al. 2023, algorithm 2.
BETA2 = {"adam": 0.999, "adamw": 0.999, "lion": 0.99}
P = ParamSpec("P")
Result = TypeVar("Result")


def make_optimizer(
    recipe: Recipe, steps_per_epoch: int, *, learning_rate: ArrayLike, momentum: ArrayLike | None
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of a recipe, with the learning rate and momentum given as arguments.

    Let :math:`g` be the gradient (clipped if the recipe clips), :math:`λ` the weight decay of
    parameters with the label "kernel" (0 for others), :math:`μ` the momentum, and :math:`ε` the
    learning rate times the schedule's factor:

    - ``sgd``: :math:`v ← μ v + g + λ w`, :math:`w ← w - ε v`.
    - ``nesterov``: the same :math:`v`, :math:`w ← w - ε (g + λ w + μ v)`. For constant :math:`ε`
      this is Sutskever et al. 2013, eq. 3 and 4, written for the point at which they take the
      gradient.
    - ``cuda_convnet``: :math:`v ← μ v - ε (g + λ w)`, :math:`w ← w + v` (Krizhevsky et al. 2012,
      §5), and for biases :math:`v ← μ v - 2 ε g` (epsB and epsW in cuda-convnet's layer files).
      When the learning rate falls, the steps already in the velocity keep their size; in ``sgd``
      they shrink too.
    - ``adam``: Kingma & Ba 2015, algorithm 1, with :math:`g + λ w` for the gradient.
    - ``adamw``: Loshchilov & Hutter 2019, algorithm 2, with decay :math:`ε λ w`.
    - ``lion``: Chen et al. 2023, algorithm 2, with :math:`ε` for its η.

    Args:
      recipe: everything but the learning rate and the momentum.
      steps_per_epoch: converts the recipe's epochs to steps.
      learning_rate: a float or a traced scalar, so that a sweep compiles once.
      momentum: :math:`μ`, or :math:`β_1` of adam, adamw and lion; a float, a traced scalar, or None
        for no momentum.

    Returns:
      An optax transformation. Its ``update`` needs the parameters, and the batch's loss as
      ``value``.
    """
    beta2 = BETA2.get(recipe.optimizer, 0.0) if recipe.beta2 is None else recipe.beta2
    beta1 = 0.0 if momentum is None else momentum
    factor = make_schedule(recipe, steps_per_epoch)
    clip = _only_if(recipe.gradient_clip, optax.clip_by_global_norm)
    decay = _only_if(
        recipe.weight_decay, lambda share: optax.add_decayed_weights(share, decay_mask)
    )
    rate = [optax.scale_by_learning_rate(lambda count: learning_rate * factor(count))]
    if recipe.schedule == "plateau":
        plateau = reduce_on_plateau(
            recipe.decay_factor, recipe.patience, accumulation_size=steps_per_epoch
        )
        rate.append(_with_finite_start(plateau))
    velocity = [] if momentum is None else [optax.trace(momentum)]
    ahead = [] if momentum is None else [optax.trace(momentum, nesterov=True)]
    rule = {
        "sgd": lambda: [*decay, *velocity, *rate],
        "nesterov": lambda: [*decay, *ahead, *rate],
        "cuda_convnet": lambda: [*decay, optax.stateless(_biases_doubled), *rate, *velocity],
        "adam": lambda: [*decay, optax.scale_by_adam(beta1, beta2), *rate],
        "adamw": lambda: [optax.scale_by_adam(beta1, beta2), *decay, *rate],
        "lion": lambda: [optax.scale_by_lion(beta1, beta2), *decay, *rate],
    }[recipe.optimizer]()
    return _of_any_promotion(optax.chain(*clip, *rule))


def _with_finite_start(
    plateau: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Start with the largest float as the best loss, because ``jax_debug_infs`` refuses infinity."""
    return optax.GradientTransformationExtraArgs(
        lambda params: jax.tree.map(jnp.nan_to_num, plateau.init(params)), plateau.update
    )


def _of_any_promotion(
    chain: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Run optax under standard promotion, even if the user has set JAX to strict promotion."""
    chain = optax.with_extra_args_support(chain)

    def within(function: Callable[P, Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> Result:
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                return function(*args, **options)

        return call

    return optax.GradientTransformationExtraArgs(within(chain.init), within(chain.update))


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> Callable[[ArrayLike], jax.Array]:
    """A function ``factor(step)`` that multiplies the learning rate; constant 1 for "plateau".

    Warm-up rises linearly to 1 over the first steps and multiplies the schedule.
    """
    total = recipe.epochs * steps_per_epoch
    warm = round(recipe.warmup_epochs * steps_per_epoch)
    ends = [round(epoch * steps_per_epoch) for epoch in recipe.milestones]
    ends = jnp.asarray(ends or [int(0.8 * total), int(0.9 * total)])
    schedule = {
        "cosine": optax.cosine_decay_schedule(1.0, total),
        "steps": lambda step: recipe.decay_factor ** jnp.sum(step >= ends),
    }.get(recipe.schedule, optax.constant_schedule(1.0))
    if not warm:
        return schedule
    return lambda step: schedule(step) * jnp.minimum(1.0, (step + 1) / warm)


def _biases_doubled(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
    assert params is not None  # by make_optimizer
    return jax.tree.map(lambda u, label: 2 * u if label == "bias" else u, updates, labels(params))


def _only_if(
    value: float | None, make: Callable[[float], optax.GradientTransformation]
) -> list[optax.GradientTransformation]:
    return [make(value)] if value else []
