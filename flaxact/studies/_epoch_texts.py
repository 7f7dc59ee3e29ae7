"""Progress messages about an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flaxact.training import Epoch, Member


def rates_text(epoch: Epoch) -> str:
    """The message of an epoch of a search: the rate or point with the lowest validation error."""
    best = int(np.argmin(np.nan_to_num(epoch.test_error, nan=np.inf)))
    member = epoch.members[best]
    is_rate = member.momentum is None
    task, kind = ("choosing a rate", "rates") if is_rate else ("choosing a point", "points")
    momentum = "" if is_rate else f", momentum {member.momentum:g},"
    return (
        f"{task}: epoch {epoch.number} of {len(epoch.members)} {kind}, best {member.learning_rate:g}"
        f"{momentum} with validation error {epoch.test_error[best]:.1%}"
    )


def epoch_text(activation: str, members: Sequence[Member], epoch: Epoch) -> str:
    """The message of an epoch: the errors of the member with the lowest test error."""
    best = int(np.argmin(np.nan_to_num(epoch.test_error, nan=np.inf)))
    of = f"{len(members)} run{'s' * (len(members) > 1)}"
    if not epoch.number:
        return f"{activation}, {of}, compiled in {epoch.compile_seconds:.0f} s"
    errors = (
        f"training error {epoch.train_error[best]:.1%}, test error {epoch.test_error[best]:.1%}"
    )
    return f"{activation}, epoch {epoch.number}, best of {of}: {errors}"
