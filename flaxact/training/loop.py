"""The training loop over epochs for many members at once.

Members differ in seed, learning rate, momentum and hyperparameters. On an accelerator one program
trains all members: a loop over steps under ``vmap`` over members. On the CPU a net with
convolutions is dispatched batch by batch and member by member, each member on a core, because
XLA compiles convolutions badly there in both cases: the gradient of cuda_convnet took 8 to 50 times
as long inside a loop, and 3 to 6 times as long with vmapped kernels (jax 0.10 and 0.12, 2 cores).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import jax
import numpy as np
from jax.experimental import multihost_utils

from flaxact import _packages
from flaxact.data import Dataset
from flaxact.data.streamed import Streamed
from flaxact.errors import InputError
from flaxact.net import Net
from flaxact.training.group import Groups, arrays_of, stacked
from flaxact.training.members import Member
from flaxact.training.placement import Division
from flaxact.training.prepare import KnownLoop, LoopOptions, prepare
from flaxact.training.recipe import Recipe
from flaxact.training.state import State

if TYPE_CHECKING:
    from pandas import DataFrame

    from flaxact.data.stream import StreamState

IN_FLIGHT = 8  # steps that are dispatched before the first of them is waited for


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Epoch:
    """The metrics and states after an epoch; epoch 0 is the state before training.

    Attributes:
      number: the epoch's number, from 0.
      members: the members; every array below has shape (members,) in their order.
      train_loss: mean loss over the epoch's batches, each measured before its update; nan at epoch
        0.
      train_error: fraction of wrong predictions, measured as ``train_loss``.
      test_loss: mean loss over the test set; nan for a member that has diverged.
      test_error: fraction of wrong predictions on the test set; nan for a member that has diverged.
      diverged_at: the step at which a member diverged; -1 if it has not.
      seconds: wall-clock time of the epoch's training, all members together, without compilation.
      compile_seconds: time spent compiling, once for all members.
      groups: the states, one per group of members.
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
        """The states, stacked over members. Read them before the next epoch reuses their memory."""
        return stacked(self.groups)

    @_packages.explained()
    def to_pandas(self) -> DataFrame:
        """A data frame with a row per member; ``pandas.concat`` puts those of all epochs together.

        Raises:
          InputError: pandas is not installed.
        """
        import pandas as pd

        which = pd.DataFrame([member.described() for member in self.members])
        names = ("train_loss", "train_error", "test_loss", "test_error", "diverged_at")
        return which.assign(epoch=self.number, **{name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        metrics = (f"{name}={_few(getattr(self, name))}" for name in ("train_error", "test_error"))
        return f"Epoch({self.number}, members={len(self.members)}, {', '.join(metrics)})"


@dataclass(frozen=True, eq=False)
class Start:
    """Everything needed to resume a training.

    Attributes:
      arrays: the arrays that ``Update.arrays`` returned.
      step: the step to resume from.
      seconds: training time already spent in the current epoch, in seconds.
      elapsed: total time of the training so far, in seconds.
      stream: the state of the data's stream, for a ``Streamed`` data set.
    """

    arrays: dict[str, np.ndarray] = field(repr=False)
    step: int
    seconds: float = 0.0
    elapsed: float = 0.0
    stream: StreamState | None = None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Update:
    """The progress of a training; valid until the next update is requested.

    Attributes:
      step: steps done.
      steps_per_epoch: steps in an epoch.
      seconds: training time of the current epoch, in seconds.
      elapsed: time since the training began, in seconds.
      compile_seconds: time spent compiling.
      epoch: the epoch that has just ended, or epoch 0 before the first; None within an epoch.
      stream: the state of the data's stream, for a ``Streamed`` data set.
      training: the groups of members, with their states.
    """

    step: int
    steps_per_epoch: int
    seconds: float
    elapsed: float
    compile_seconds: float
    epoch: Epoch | None
    stream: StreamState | None
    training: Groups

    @property
    def groups(self) -> list[State]:
        """The states, one per group of members; their leaves have a leading axis of members."""
        return self.training.states

    def states(self) -> State:
        """A copy of the states, stacked over members."""
        return stacked(self.groups)

    def arrays(self) -> dict[str, np.ndarray]:
        """The states as host arrays by path, stacked over members, as a checkpoint stores them."""
        return arrays_of(self.groups)

    def __repr__(self) -> str:
        return (
            f"Update(step={self.step}, steps_per_epoch={self.steps_per_epoch}, epoch={self.epoch})"
        )


def _few(values: np.ndarray) -> str:
    """The first values of an array, to three digits."""
    texts = [f"{value:.3g}" for value in values[:4]]
    return f"[{', '.join(texts + ['...'] * (len(values) > len(texts)))}]"


def train(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    *,
    start: Start | None = None,
    **options: Unpack[LoopOptions],
) -> Iterator[Epoch]:
    """Train a net for several seeds or rates at once; yields before the first epoch and after each.

    For equal seeds, two nets see the same batches in the same order. A member whose loss or
    gradient is not finite keeps its state from before that step; the other members are not
    affected.

    Args:
      net: the net.
      recipe: how it is trained.
      data: the training and test data.
      members: one training run each; an integer is a member with that seed; ``grid`` makes sweeps.
      start: where to resume; None for the beginning.
      options: the other keyword arguments of ``updates``.

    Yields:
      Epochs 0 to ``recipe.epochs``. Training ends earlier when the recipe's target error or time
      budget is reached, or when every member has diverged.

    Raises:
      InputError: as ``updates``.
    """
    for update in updates(net, recipe, data, members, start=start, **options):
        if update.epoch is not None:
            yield update.epoch


def updates(
    net: Net,
    recipe: Recipe,
    data: Dataset | Streamed,
    members: Sequence[Member | int],
    *,
    start: Start | None = None,
    loop: KnownLoop | None = None,
    chunk: int | None = None,
    devices: Sequence[Any] | None = None,
    split: Division | None = None,
    steps_per_update: int | None = None,
) -> Iterator[Update]:
    """Train like ``train``, but yield within epochs too, so that a run can be saved or stopped there.

    Args:
      net: the net.
      recipe: how it is trained.
      data: the training and test data. With a ``Streamed`` set all members see the same batches.
      members: one training run each; an integer stands for a member with that seed.
      start: where to resume; None starts from new weights.
      loop: ``scan`` runs many steps and members in one program, ``dispatch`` one batch at a time;
        None picks the faster one for this backend. Results differ only by rounding.
      chunk: how many members one program trains; further members follow in further chunks. None for
        as many as fit into memory. Only for ``scan``.
      devices: the devices to train on; None for as many of the available ones as divide the work
        evenly.
      split: what to divide among the devices, ``members`` or ``batch``; None divides members if
        there are at least as many as devices. Either way a member's result equals that of one
        device up to rounding.
      steps_per_update: steps between updates for ``scan``; None for an epoch.

    Raises:
      InputError: no members; hyperparameters other than those that the net leaves open; a net
        without a logit for every class; a batch larger than the training set; an unknown
        preprocessing, augmentation, view, loop or split; devices that don't divide the work; or
        ``jax_disable_jit``.
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
            training=groups,
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
            if step == groups.steps * recipe.epochs or _is_over(recipe, epoch, elapsed):
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


def _is_over(recipe: Recipe, epoch: Epoch, elapsed: float) -> bool:
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
