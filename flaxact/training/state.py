"""The training state, and how it is initialized."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from flaxact.data.views import shape
from flaxact.errors import InputError, unknown
from flaxact.layers import HYPERPARAMETERS
from flaxact.net import Images, Net, Variables
from flaxact.training.members import Member
from flaxact.training.optimizers import make_optimizer
from flaxact.training.recipe import Recipe

Metrics = dict[str, jax.Array]
Tree = TypeVar("Tree")  # of arrays
Scalar = jax.Array | np.number


class MemberValues(TypedDict):
    """What distinguishes one net from others that train together, as arrays."""

    seed: Scalar
    rates: dict[str, Scalar]
    hyperparameters: dict[str, Scalar]


Seed = int | jax.Array | np.integer | MemberValues


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that a run carries from step to step.

    Batch order, augmentation and dropout are functions of ``key`` and ``step``, so a run that
    resumes from its state continues exactly as if it had not stopped.

    Attributes:
      step: steps done.
      variables: variables of the net.
      opt_state: state of the optimizer.
      key: the source of all randomness in training.
      rates: "learning_rate" and "momentum"; arrays, so that a sweep compiles once.
      totals: sums of "loss" and "error" over the steps of this epoch.
      diverged_at: the first step, from 0, whose loss, gradient or result was not finite; -1 for
        none. From then on only ``step`` changes.
    """

    step: jax.Array
    variables: Variables = field(repr=False)
    opt_state: optax.OptState = field(repr=False)
    key: jax.Array = field(repr=False)
    rates: dict[str, jax.Array]
    totals: Metrics
    diverged_at: jax.Array


def make_init(net: Net, recipe: Recipe) -> Callable[[Seed, Images], State]:
    """``init(seed, images) -> State``; equal seeds give equal weights and equal batch order.

    ``init`` also accepts what ``member_values`` returns in place of the seed.
    """

    def init(seed: Seed, images: Images) -> State:
        member: MemberValues = (
            seed
            if isinstance(seed, dict)
            else {**member_values(Member(), recipe), "seed": jnp.asarray(seed, jnp.int32)}
        )
        weights_key, key = jax.random.split(jax.random.key(member["seed"]))
        variables = net.init(weights_key, as_seen(recipe, images))
        variables = _with_hyperparameters(variables, member["hyperparameters"])
        rates = cast("dict[str, jax.Array]", member["rates"])
        opt_state = state_optimizer(recipe, 1, rates).init(variables["params"])
        totals = {name: jnp.zeros((), jnp.float32) for name in ("loss", "error")}
        return State(
            step=jnp.zeros((), jnp.int32),
            variables=variables,
            opt_state=opt_state,
            key=key,
            rates=rates,
            totals=totals,
            diverged_at=jnp.full((), -1, jnp.int32),
        )

    return init


def as_seen(recipe: Recipe, images: Images) -> Images:
    """The center of the images, cropped to the size that augmentation and views give the net."""
    height, width, _ = shape(recipe.augment, recipe.views, images.shape[1:])
    top = (images.shape[1] - height) // 2
    left = (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def member_values(member: Member, recipe: Recipe) -> MemberValues:
    """A member's values as arrays; the recipe's values for those that are None."""
    rates = {"learning_rate": recipe.learning_rate, "momentum": recipe.momentum}
    own = {name: getattr(member, name) for name in rates if getattr(member, name) is not None}
    return {
        "seed": np.int32(member.seed),
        "rates": {name: np.float32(value) for name, value in (rates | own).items()},
        "hyperparameters": {name: np.float32(value) for name, value in member.hyperparameters},
    }


def _with_hyperparameters(variables: Variables, values: Mapping[str, Scalar]) -> Variables:
    sites = flatten_dict(variables.get(HYPERPARAMETERS, {}))
    swept = {path[-1] for path in sites}
    for name in values:
        if name not in swept:
            raise unknown("hyperparameter of the net", name, swept)
    if missing := swept - set(values):
        raise InputError(
            f"the net leaves {', '.join(sorted(missing))} open, so every member must give a value"
        )
    if not swept:
        return variables
    by_site = unflatten_dict({path: values[path[-1]] for path in sites})
    return {**variables, HYPERPARAMETERS: by_site}


def state_optimizer(
    recipe: Recipe, steps_per_epoch: int, rates: dict[str, jax.Array]
) -> optax.GradientTransformationExtraArgs:
    """The recipe's optimizer with the learning rate and momentum of a state."""
    momentum = rates["momentum"] if recipe.momentum else None
    return make_optimizer(
        recipe, steps_per_epoch, learning_rate=rates["learning_rate"], momentum=momentum
    )


def over_members(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """``function(state, *shared)`` of one member, applied to every member of a group's state.

    The group's leaves and the results have a leading axis of members. Several members are vmapped.
    For a single member the axis is removed and put back, which costs nothing in a compiled program;
    XLA compiles convolutions with vmapped kernels badly on the CPU.
    """

    def of_group(group: State | Variables, *shared: object) -> Tree:
        if len(jax.tree.leaves(group)[0]) > 1:
            return jax.vmap(function, (0, *[None] * len(shared)))(group, *shared)
        result = function(only_member(group), *shared)
        return jax.tree.map(lambda leaf: leaf[None], result)

    return of_group


def only_member(group: Tree) -> Tree:
    """The state of a group with one member, without the axis of members."""
    return jax.tree.map(lambda leaf: leaf[0], group)
