"""What test_devices.py asks of trainings on 8 emulated devices: run as a script, it prints JSON.

One process for all of it: the number of devices is fixed when JAX starts, which takes seconds.
"""

import json
import sys

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import NamedSharding, SingleDeviceSharding
from trainings import random_data

from flaxact.errors import InputError
from flaxact.net import from_linen
from flaxact.training import Recipe, grid, train, updates
from flaxact.training.loop import Start
from flaxact.training.placement import places

DATA = random_data(train=48, test=70, size=6)
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.01, augment=("crop(padding=1)", "flip"))
MEMBERS = grid(range(4), (0.01, 0.03))


class Mixed(nn.Module):
    """With batch statistics and dropout."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.Conv(4, (3, 3), use_bias=False)(x / 255)
        x = jax.nn.elu(nn.BatchNorm(not train, momentum=0.9)(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(3)(x.reshape(len(x), -1))


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest, over arrays, of the largest difference over the largest value; keys are equal."""
    collected = []
    for name, array in one.items():
        if np.issubdtype(array.dtype, np.floating):
            collected.append(np.abs(array - other[name]).max() / max(np.abs(array).max(), 1e-30))
        else:
            collected.append(0.0 if np.array_equal(array, other[name]) else np.inf)
    return float(max(collected))


def measured(epoch) -> dict[str, np.ndarray]:
    """Metrics of an epoch; those of training are nan before the first."""
    names = ("train_loss", "train_error", "test_loss", "test_error")
    return {n: getattr(epoch, n) for n in names if epoch.number or n.startswith("test")}


def step_by_step(loop, members) -> dict[str, float]:
    """How far a step of batches on 8 devices is from one on one, at each state of the latter.

    "step" is of variables and sums of metrics, "metrics" of those of the epochs, tests included.
    """
    net = from_linen(Mixed())
    options = {"loop": loop, "steps_per_update": 1}
    many = {"split": "batch"}
    alone = updates(net, RECIPE, DATA, members, devices=jax.devices()[:1], **options)
    steps = []
    metrics = []
    optimizer = []
    start = None
    for update in alone:
        if start is not None:
            both = updates(net, RECIPE, DATA, members, start=start, **options, **many)
            other = next(both)
            if other.step == start.step:  # it was at the end of an epoch
                other = next(both)
            one = update.arrays()
            two = other.arrays()
            velocity = {k: one.pop(k) for k in list(one) if k.startswith("opt_state")}
            steps.append(difference(one, two))
            optimizer.append(difference(velocity, two))
            if update.epoch is not None:
                metrics.append(difference(measured(update.epoch), measured(other.epoch)))
        elif update.epoch is not None:
            other = next(updates(net, RECIPE, DATA, members, **options, **many))
            metrics.append(difference(measured(update.epoch), measured(other.epoch)))
        start = Start(update.arrays(), update.step)
    actual = {"step": max(steps), "optimizer": max(optimizer), "metrics": max(metrics)}
    return {"steps": len(steps), **actual}


def members(loop: str, count: int, devices: int | None) -> float:
    """How far members on several devices are, at the end, from each one alone on one device."""
    net = from_linen(Mixed())
    chosen = MEMBERS[:count]
    some = None if devices is None else jax.devices()[:devices]
    actual = last(train(net, RECIPE, DATA, chosen, loop=loop, devices=some, split="members"))
    differences = []
    for i, member in enumerate(chosen):
        alone = last(train(net, RECIPE, DATA, [member], loop=loop, devices=jax.devices()[:1]))
        differences.append(difference(alone, {k: v[i : i + 1] for k, v in actual.items()}))
    return max(differences)


def last(epochs) -> dict[str, np.ndarray]:
    """Parameters and metrics at the end."""
    *_, epoch = epochs
    leaves = jax.tree_util.tree_flatten_with_path(epoch.states.variables)[0]
    return {str(path): np.asarray(leaf) for path, leaf in leaves} | measured(epoch)


def used(devices, split, count, sizes, **options) -> list[list]:
    """For each place: its devices' numbers, and whether state and batch are divided among them."""
    some = None if devices is None else jax.devices()[:devices]
    return [
        [
            sorted(device.id for device in place.state.device_set),
            not isinstance(place.state, SingleDeviceSharding) and tuple(place.state.spec) != (),
            isinstance(place.batch, NamedSharding),
        ]
        for place in places(some, split, count, sizes, **options)
    ]


def refused(members, **options) -> str:
    """What is said of a training."""
    try:
        next(train(from_linen(Mixed()), RECIPE, DATA, members, loop="scan", **options))
    except InputError as error:
        return str(error)
    return ""


def several(count: int) -> list:
    """Devices."""
    return jax.devices()[:count]


def chunks() -> float:
    """How far members on two devices in chunks are from those on one device all at once."""
    net = from_linen(Mixed())
    at_once = {"loop": "scan", "devices": several(1)}
    in_chunks = {"loop": "scan", "devices": several(2), "split": "members", "chunk": 2}
    one, other = (last(train(net, RECIPE, DATA, MEMBERS[:6], **o)) for o in (at_once, in_chunks))
    return difference(one, other)


CHECKS = {
    "batch scan": lambda: step_by_step("scan", [0, 1]),
    "batch dispatch": lambda: step_by_step("dispatch", [0, 1]),
    "members scan 8 on 8": lambda: members("scan", 8, None),
    "members scan 3 on all": lambda: members("scan", 3, None),
    "members scan in chunks": chunks,
    "members dispatch 3 on 2": lambda: members("dispatch", 3, 2),
    "places": lambda: {
        "8 members": used(None, None, 8, [16, 512], vmapped=True),
        "12 members": used(None, "members", 12, [16, 512], vmapped=True),
        "3 members": used(None, None, 3, [16, 512], vmapped=True),
        "12 images": used(None, None, 1, [12, 512], vmapped=True),
        "a prime": used(None, None, 1, [13, 512], vmapped=True),
        "8 alone": used(None, None, 8, [16, 512], vmapped=False),
        "3 alone on 2": used(2, None, 3, [16, 512], vmapped=False),
        "1 alone": used(None, None, 1, [16, 512], vmapped=False),
        "16 by 6": used(None, None, 16, [16, 512], vmapped=True, chunk=6),
        "16 by 5": used(None, None, 16, [16, 512], vmapped=True, chunk=5),
    },
    "refused": lambda: {
        "3 members on 2": refused([0, 1, 2], devices=several(2), split="members"),
        "16 images on 3": refused([0], devices=several(3), split="batch"),
        "chunks of 3 on 2": refused(range(4), devices=several(2), split="members", chunk=3),
    },
}

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    chosen = sys.argv[1:] or list(CHECKS)
    print(json.dumps({name: CHECKS[name]() for name in chosen}))
