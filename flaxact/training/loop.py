"""Epochs over a data set, for many members at once: seeds, learning rates, momenta, hyperparameters.

On an accelerator all members are trained by one program, a loop over steps under ``vmap`` over members.
On the CPU a net with convolutions is dispatched batch by batch and member by member, one member a
device, because XLA compiles convolutions badly there in both: the gradient of cuda_convnet took 8 to 50
times as long inside a loop, and 3 to 6 times as long with vmapped kernels (jax 0.10 and 0.12, 2 cores).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from flaxact.data import Dataset
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.training.group import arrays_of, stacked
from flaxact.training.members import Member
from flaxact.training.placement import Division
from flaxact.training.prepare import prepare
from flaxact.training.recipe import Recipe
from flaxact.training.state import State

IN_FLIGHT = 8  # steps that are dispatched before the first of them is waited for


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Epoch:
    """What is known after an epoch; number 0 is before the first.

    The metrics are float arrays (members,), in the order of ``members``: the training ones are
    running means over the epoch's batches (nan at epoch 0), the test ones a clean pass; nan where a
    member has diverged. ``diverged_at`` is the step at which it did, -1 for none. ``seconds`` is the
    wall-clock time of the epoch's training, for all members together, without compilation;
    ``compile_seconds`` what that took, once for all members.
    """

    number: int
    members: tuple[Member, ...]
    train_loss: np.ndarray
    train_error: np.ndarray
    test_loss: np.ndarray
    test_error: np.ndarray
    diverged_at: np.ndarray
    seconds: float
    compile_seconds: float
    groups: tuple[State, ...]

    @functools.cached_property
    def states(self) -> State:
        """The states, stacked over members. Training reuses their memory: ask before the next epoch."""
        return stacked(self.groups)

    def __repr__(self) -> str:
        metrics = (f"{name}={_few(getattr(self, name))}" for name in ("train_error", "test_error"))
        return f"Epoch({self.number}, members={len(self.members)}, {', '.join(metrics)})"


@dataclass(frozen=True, eq=False)
class Start:
    """Where a training goes on: what ``Update.arrays`` gave, and the seconds that it had taken.

    ``seconds`` are those of the epoch it is in, ``elapsed`` all of them; ``stream`` is the state of the
    data's stream.
    """

    arrays: dict[str, np.ndarray] = field(repr=False)
    step: int
    seconds: float = 0.0
    elapsed: float = 0.0
    stream: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Update:
    """How far a training is; good until the next one is asked for.

    ``epoch`` is there when one has just ended, and before the first. ``groups`` are the states of groups
    of members; their leaves have a leading axis of members.
    """

    step: int
    steps_per_epoch: int
    seconds: float
    elapsed: float
    compile_seconds: float
    epoch: Epoch | None
    stream: dict[str, Any] | None
    groups: list[State]

    def states(self) -> State:
        """The states, stacked over members; a copy."""
        return stacked(self.groups)

    def arrays(self) -> dict[str, np.ndarray]:
        """The states on the host, by path, stacked over members: what a checkpoint holds."""
        return arrays_of(self.groups)

    def __repr__(self) -> str:
        return (
            f"Update(step={self.step}, steps_per_epoch={self.steps_per_epoch}, epoch={self.epoch})"
        )


def _few(values: np.ndarray) -> str:
    """The first values of an array, in three digits."""
    shown = [f"{value:.3g}" for value in values[:4]]
    return f"[{', '.join(shown + ['...'] * (len(values) > len(shown)))}]"


def train(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    **options: Any,
) -> Iterator[Epoch]:
    """Train a net's members together; yields once before the first epoch and after every one.

    For equal seeds two nets see the same batches in the same order. A member whose loss or gradient is
    not finite stays as it was before that step, and does not touch the others.

    Args:
      net: the netgroups.
      recipe: how it is trained.
      data: what it is trained and tested on.
      members: one run each; a whole number is a seed. ``grid`` makes them for a sweep.
      options: those of ``updates``.

    Yields:
      Epochs 0 to ``recipe.epochs``; fewer where the recipe's target or budget ends it, or where every
      member has diverged.

    Raises:
      InputError: as ``updates``.
    """
    for update in updates(net, recipe, data, members, **options):
        if update.epoch is not None:
            yield update.epoch


def updates(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    *,
    start: Start | None = None,
    loop: str | None = None,
    chunk: int | None = None,
    devices: Sequence[Any] | None = None,
    split: Division | None = None,
    steps_per_update: int | None = None,
) -> Iterator[Update]:
    """As ``train``, and yields within epochs too, so that a run can be saved and stopped there.

    Args:
      net: the netgroups.
      recipe: how it is trained.
      data: what it is trained and tested on. A ``Streamed`` set gives all members the same batches.
      members: one run each; a whole number is a seed.
      start: where to go on.
      loop: ``scan``, with one program for many steps and members, or ``dispatch``; None for what is
        fast on this backend. The results are equal but for rounding.
      chunk: so many members are trained by one program, the rest after them; None for as many as the
        memory holds. Only for ``scan``.
      devices: what to train on; None for all that there are and that divide the work evenly.
      split: what is divided among the devices, ``members`` or ``batch``; None for members where there
        are enough. Either way a member's result is that of one device, but for rounding.
      steps_per_update: of ``scan``; None for an epoch.

    Raises:
      InputError: no members, hyperparameters that are not those that the net leaves open, a net that
        has no logit for every class, a batch larger than the training set, an unknown preprocessing,
        augmentation, view, loop or split, devices that don't divide the work, or ``jax_disable_jit``.
    """
    if steps_per_update is not None and steps_per_update < 1:
        raise InputError(f"steps_per_update must be 1 or more, not {steps_per_update}")
    with jax.transfer_guard("allow"):  # which is for what happens in every step
        groups = prepare(
            net, recipe, data, members, loop=loop, chunk=chunk, devices=devices, split=split
        )
        began = time.perf_counter() - (start.elapsed if start else 0.0)
        step, seconds = (start.step, start.seconds) if start else (0, 0.0)
        groups.start(start.arrays if start else None)
    if start and start.stream is not None:
        groups.data.train.set_state(start.stream)  # type: ignore[union-attr]
    stride = (steps_per_update or groups.steps) if groups.loop == "scan" else 1

    def update(epoch: Epoch | None) -> Update:
        stream = groups.data.train.state() if isinstance(groups.data, Streamed) else None
        return Update(
            step=step,
            steps_per_epoch=groups.steps,
            seconds=seconds,
            elapsed=time.perf_counter() - began,
            compile_seconds=groups.compile_seconds,
            epoch=epoch,
            stream=stream,
            groups=groups.states,
        )

    while True:
        if step % groups.steps == 0:
            epoch = Epoch(
                number=step // groups.steps,
                members=groups.members,
                groups=tuple(groups.states),
                seconds=seconds,
                compile_seconds=groups.compile_seconds,
                **groups.metrics(step),
            )
            yield update(epoch)
            elapsed = time.perf_counter() - began
            if step == groups.steps * recipe.epochs or _ended(recipe, epoch, elapsed):
                return
            seconds = 0.0
        before = time.perf_counter()
        many = min(stride, groups.steps - step % groups.steps)
        groups.advance(step, many)
        step += many
        if step % groups.steps == 0 or stride > 1 or step % IN_FLIGHT == 0:
            jax.block_until_ready([state.totals for state in groups.states])
        seconds += time.perf_counter() - before
        if step % groups.steps:
            yield update(None)


def _ended(recipe: Recipe, epoch: Epoch, elapsed: float) -> bool:
    if recipe.max_seconds is not None:
        if jax.process_count() > 1:  # one clock for all
            elapsed = float(multihost_utils.broadcast_one_to_all(np.float32(elapsed)))
        if elapsed >= recipe.max_seconds:
            return True
    if epoch.number == 0:
        return False
    is_sound = epoch.diverged_at < 0
    if not is_sound.any():
        return True
    return recipe.target_error is not None and bool(
        (epoch.train_error[is_sound] <= recipe.target_error).all()
    )
