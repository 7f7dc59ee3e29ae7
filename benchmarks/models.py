"""How fast nets of the zoo train, beside plain Flax and PyTorch, in one run.

Question: how many images a second go through a training step (forward, backward, SGD with momentum) of
the zoo's nets, of the same nets written with nn.Conv, nn.max_pool, nn.avg_pool and jax.nn.relu, and of
PyTorch's (channels last, on the CPU, every core), and what is the time spent on? Ours as one program,
with the batch divided among CPU devices, one a core, and with a net a core, as several seeds train.

    python benchmarks/models.py            # about fifteen minutes on two CPU cores
    python benchmarks/models.py --models cuda_convnet --pairs 5

Batches of 128 random images. A ratio is ours over the other's in images a second: the median of pairs
measured in turn, with the quartiles. The breakdown is a profile of our step: the least time that each
compiled operation took, summed by the layer it came from.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from benchmarks.activations import CORES, HAS_TORCH, Ratio, keep_freed_memory, ratios
from flaxact.models import create_model
from flaxact.models.alexnet_one_weird_trick import _MEAN, _STD
from flaxact.net import Net, Variables, from_linen
from flaxact.training import Recipe, make_init, make_step
from flaxact.training.distributed import use_cores

BATCH = 128
STEPS = 20  # behind a breakdown
PAIRS = 15
RATE = 1e-3
PUBLISHED_ALEXNET = {"mean": np.float32(_MEAN), "std": np.float32(_STD)}

# How the engine divides work among CPU devices, one a core: not; each batch; trainings of several nets.
FORMS = ("one device", "batch divided", "a net a core")

Layer = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A net in one form: its steps as a multiple of others', and seconds by what they are spent on."""

    model: str
    form: str
    flax: Ratio
    torch: Ratio | None
    spent: dict[str, float]


# The side of the images, the classes, and the layers: what the numbers mean is said in ``Plain``.
NETS: dict[str, tuple[int, int, tuple[Layer, ...]]] = {
    "cuda_convnet": (32, 10, (
        ("conv", 32, 5, 1, 2), ("max", 1), ("relu",),
        ("conv", 32, 5, 1, 2), ("relu",), ("avg", 1),
        ("conv", 64, 5, 1, 2), ("relu",), ("avg", 1),
        ("flat",), ("dense", 64), ("relu",), ("dense", 10),
    )),
    "alexnet_one_weird_trick": (64, 1000, (
        ("conv", 64, 11, 4, 2), ("relu",), ("max", 0),
        ("conv", 192, 5, 1, 2), ("relu",), ("max", 0),
        ("conv", 384, 3, 1, 1), ("relu",), ("conv", 256, 3, 1, 1), ("relu",),
        ("conv", 256, 3, 1, 1), ("relu",), ("max", 0), ("repeat", 6), ("flat",),
        ("drop", 0.5), ("dense", 4096), ("relu",), ("drop", 0.5), ("dense", 4096), ("relu",),
        ("dense", 1000),
    )),
    "resnet20": (32, 10, (
        ("conv_norm", 16, 3, 1, 1), ("relu",),
        *(("block", 16 * 2**stage, 2 if stage and not block else 1)
          for stage in range(3) for block in range(3)),
        ("mean",), ("dense", 10),
    )),
}  # fmt: skip


class Plain(nn.Module):
    """A net as one writes it in Flax: images (batch, height, width, channels) to logits."""

    layers: tuple[Layer, ...]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Layer by layer."""

        def conv(x, features, size, stride, pad, *, bias=True):
            pads = ((pad, pad),) * 2
            return nn.Conv(features, (size, size), stride, padding=pads, use_bias=bias)(x)

        def norm(x):
            return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5)(x)

        def block(x, features, stride):
            missing = ((0, 0),) * 3 + ((0, features - x.shape[-1]),)
            skip = jnp.pad(x[:, ::stride, ::stride], missing)
            x = jax.nn.relu(norm(conv(x, features, 3, stride, 1, bias=False)))
            return jax.nn.relu(norm(conv(x, features, 3, 1, 1, bias=False)) + skip)

        def bottleneck(x, features, stride):
            skip = x
            if stride > 1 or x.shape[-1] != 4 * features:
                skip = norm(conv(x, 4 * features, 1, stride, 0, bias=False))
            x = jax.nn.relu(norm(conv(x, features, 1, 1, 0, bias=False)))
            x = jax.nn.relu(norm(conv(x, features, 3, stride, 1, bias=False)))
            return jax.nn.relu(norm(conv(x, 4 * features, 1, 1, 0, bias=False)) + skip)

        def pool(function, beyond, **options):
            return function(x, (3, 3), (2, 2), ((0, beyond),) * 2, **options)

        made = {
            "conv": conv,
            "conv_norm": lambda x, *numbers: norm(conv(x, *numbers, bias=False)),
            "block": block,
            "bottleneck": bottleneck,
            "relu": jax.nn.relu,
            "max": lambda _, beyond: pool(nn.max_pool, beyond),
            "avg": lambda _, beyond: pool(nn.avg_pool, beyond, count_include_pad=False),
            # adaptive pooling of one pixel
            "repeat": lambda x, count: jnp.broadcast_to(x, (len(x), count, count, x.shape[-1])),
            "flat": lambda x: x.reshape(len(x), -1),
            "drop": lambda x, rate: nn.Dropout(rate, deterministic=not train)(x),
            "mean": lambda x: x.mean((1, 2)),
            "dense": lambda x, features: nn.Dense(features)(x),
        }
        for kind, *numbers in self.layers:
            x = made[kind](x, *numbers)
        return x


def torch_net(layers: Sequence[Layer], side: int) -> Any:
    """The net in PyTorch, channels last; its flat images have the order of ours."""
    import torch
    from torch.nn import functional

    class Call(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.forward = function

    class Block(torch.nn.Module):
        def __init__(self, before, features, stride):
            super().__init__()
            self.stride = stride
            self.missing = features - before
            self.conv1 = torch.nn.Conv2d(before, features, 3, stride, 1, bias=False)
            self.norm1 = torch.nn.BatchNorm2d(features)
            self.conv2 = torch.nn.Conv2d(features, features, 3, 1, 1, bias=False)
            self.norm2 = torch.nn.BatchNorm2d(features)

        def forward(self, x):
            skip = x[:, :, :: self.stride, :: self.stride]
            skip = functional.pad(skip, (0, 0, 0, 0, 0, self.missing))
            x = functional.relu(self.norm1(self.conv1(x)))
            return functional.relu(self.norm2(self.conv2(x)) + skip)

    def norm_conv(*numbers):
        conv = torch.nn.Conv2d(*numbers, bias=False)
        return torch.nn.Sequential(conv, torch.nn.BatchNorm2d(conv.out_channels))

    class Bottleneck(torch.nn.Module):
        def __init__(self, before, features, stride):
            super().__init__()
            self.skip = torch.nn.Identity()
            if stride > 1 or before != 4 * features:
                self.skip = norm_conv(before, 4 * features, 1, stride, 0)
            self.inner = torch.nn.Sequential(
                norm_conv(before, features, 1, 1, 0),
                torch.nn.ReLU(),
                norm_conv(features, features, 3, stride, 1),
                torch.nn.ReLU(),
                norm_conv(features, 4 * features, 1, 1, 0),
            )

        def forward(self, x):
            return functional.relu(self.inner(x) + self.skip(x))

    make = {
        "conv": torch.nn.Conv2d,
        "conv_norm": norm_conv,
        "block": Block,
        "bottleneck": Bottleneck,
        "relu": lambda n: torch.nn.ReLU(),
        "max": lambda n, beyond: torch.nn.MaxPool2d(3, 2, ceil_mode=bool(beyond)),
        "avg": lambda n, beyond: torch.nn.AvgPool2d(3, 2, ceil_mode=bool(beyond)),
        "repeat": lambda n, count: torch.nn.AdaptiveAvgPool2d(count),
        "flat": lambda n: Call(lambda x: x.permute(0, 2, 3, 1).flatten(1)),
        "drop": lambda n, rate: torch.nn.Dropout(rate),
        "mean": lambda n: Call(lambda x: x.mean((2, 3))),
        "dense": torch.nn.Linear,
    }
    net = torch.nn.Sequential()
    x = torch.zeros(2, 3, side, side)
    for kind, *numbers in layers:
        net.append(make[kind](x.shape[1], *numbers))
        x = net[-1].eval()(x)
    return net.to(memory_format=torch.channels_last)


def shifted(variables: Variables) -> tuple[np.ndarray, np.ndarray]:
    """What our net subtracts from images and divides them by, given its variables."""
    inputs = variables.get("inputs", PUBLISHED_ALEXNET)
    return np.asarray(inputs["mean"]), np.asarray(inputs.get("std", np.float32(1)))


def plain_net(layers: tuple[Layer, ...], mean: np.ndarray, std: np.ndarray) -> Net:
    """``Plain`` of images minus a mean, over a standard deviation."""
    net = from_linen(Plain(layers))
    return Net(
        lambda key, images: net.init(key, (images - mean) / std),
        lambda variables, images, **options: net.apply(variables, (images - mean) / std, **options),
    )


def batch(side: int, classes: int, count: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return images, rng.integers(0, classes, count).astype(np.int32)


def jax_step(
    net: Net, data: Sequence[np.ndarray], form: str = "one device"
) -> tuple[Callable[[], Any], str, Variables]:
    """A compiled training step that goes on from call to call, its program, and the first variables.

    In the forms of FORMS, as the engine divides work among CPU devices; of several nets at once a call
    takes one step of each.
    """
    recipe = Recipe(momentum=0.9, learning_rate=RATE)
    devices = jax.devices()
    places = [SingleDeviceSharding(d) for d in (devices if form == "a net a core" else devices[:1])]
    rows = places[0]
    if form == "batch divided":
        mesh = Mesh(np.array(devices), ("devices",))
        places = [NamedSharding(mesh, PartitionSpec())]
        rows = NamedSharding(mesh, PartitionSpec("devices"))
    step = make_step(net, recipe, 10**6)
    held = []
    programs = []
    batches = []
    for place in places:
        batches.append(jax.device_put(tuple(data), rows if form == "batch divided" else place))
        held.append(jax.jit(make_init(net, recipe), out_shardings=place)(jnp.int32(0), data[0]))
        jitted = jax.jit(step, donate_argnums=0, out_shardings=(place, None))
        programs.append(jitted.lower(held[-1], batches[-1]).compile())
    first = {k: jax.tree.map(np.asarray, v) for k, v in held[0].variables.items() if k == "inputs"}

    def call() -> None:
        for i, program in enumerate(programs):
            held[i], _ = program(held[i], batches[i])
        jax.block_until_ready(held)

    return call, programs[0].as_text(), first


def torch_step(
    net: Any, data: Sequence[np.ndarray], mean: Any, std: Any, device: str = "cpu"
) -> Callable[[], Any]:
    """PyTorch's training step likewise."""
    import torch

    torch.set_num_threads(CORES)
    net.to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9)

    def nchw(a):
        return torch.from_numpy(np.float32(a)).permute(*range(a.ndim - 3), -1, -3, -2).to(device)

    images = nchw(data[0])
    labels = torch.from_numpy(data[1]).long().to(device)
    mean, std = (nchw(np.broadcast_to(a, data[0].shape[1:]).copy()) for a in (mean, std))

    def call() -> None:
        loss = torch.nn.functional.cross_entropy(net((images - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device != "cpu":
            torch.accelerator.synchronize()

    return call


def faster(ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int, nets: int = 1) -> Ratio:
    """How many times as many steps ours takes in a time, of so many nets; ``seconds`` is of one."""
    slower = ratios(ours, theirs, pairs)
    median, high, low = (nets / r for r in (slower.median, slower.low, slower.high))
    return Ratio(median, low, high, slower.seconds / nets)


def breakdown(call: Callable[[], Any], program: str) -> dict[str, float]:
    """Seconds of a step by what they are spent on, from a profile; most first."""
    sources = dict(re.findall(r"^\s*(?:ROOT )?%?([\w.-]+) = (.*)$", program, re.MULTILINE))
    times = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(STEPS):
                call()
        (file,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for event in (event for line in plane.lines for event in line.events):
                if event.name in sources:
                    times[event.name].append(event.duration_ns * 1e-9)
    spent: collections.Counter[str] = collections.Counter()
    for name, found in times.items():
        # An operation that is cut into parts for the cores has an event for each.
        spent[spending(name, sources[name])] += min(found) * max(1, len(found) // STEPS)
    return dict(spent.most_common())


def spending(name: str, source: str) -> str:
    """What a compiled operation is for, from its name and its line of the program."""
    found = re.search(r'op_name="([^"]*)"', source)
    path = found[1] if found else ""
    if "transpose_copy" in name:
        return "copies that put axes in order for the kernels' gradients"
    if "conv_general_dilated" in path or " convolution(" in source:
        layer = re.search(r"/(conv\w*)/", path)
        # A stage of a residual net is one row.
        return f"convolution {re.sub('_[0-9].*', '_*', layer[1])}" if layer else "convolution"
    if "dot_general" in path or " dot(" in source:
        layer = re.search(r"_measured/(\w+)/", path)
        return f"dense {layer[1]}" if layer else "dense"
    if re.search(r"/norm\w*/", path):
        return "batch normalization (and what is fused with it)"
    return "pooling, activations, biases, update"


def rows(names: Sequence[str], pairs: int) -> Iterator[Row]:
    """For each net and form ours beside plain Flax, beside PyTorch, and where the time goes."""
    for name in names:
        side, classes, layers = NETS[name]
        data = batch(side, classes)
        for form in FORMS if jax.device_count() > 1 else FORMS[:1]:
            ours, program, variables = jax_step(from_linen(create_model(name, "relu")), data, form)
            mean, std = shifted(variables)
            flax, *_ = jax_step(plain_net(layers, mean, std), data)
            nets = jax.device_count() if form == "a net a core" else 1
            beside = faster(ours, flax, pairs, nets)
            del flax
            torch = None
            if HAS_TORCH:
                theirs = torch_step(torch_net(layers, side), data, mean, std)
                torch = faster(ours, theirs, pairs, nets)
            spent = breakdown(ours, program) if form == FORMS[0] else {}
            yield Row(name, form, beside, torch, spent=spent)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and below it where the time of our step goes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", nargs="+", choices=NETS, default=list(NETS), metavar="NAME")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of measurements behind a ratio")
    options = parser.parse_args(arguments)
    torch = f", torch {version('torch')}" if HAS_TORCH else ""
    versions = f"Python {platform.python_version()}, jax {jax.__version__}, flax {version('flax')}"
    place = f"{jax.default_backend()}, {platform.machine()}, {CORES} cores"
    print(f"{datetime.date.today()}; {versions}{torch}; {place}; batches of {BATCH}.\n")
    print(
        "| model | ours | images/s | ÷ plain Flax's | ÷ PyTorch's |\n| --- | --- | --- | --- | --- |"
    )
    found = []
    for row in rows(options.models, options.pairs):
        found.append(row)
        speed = f"{BATCH / row.flax.seconds:,.0f}"
        print(
            f"| {row.model} | {row.form} | {speed} | {row.flax} | {row.torch or '–'} |", flush=True
        )
    for row in found:
        if row.spent:
            print(f"\n| {row.model}: what | ms | share |\n| --- | --- | --- |")
        for what, seconds in row.spent.items():
            share = seconds / sum(row.spent.values())
            print(f"| {what} | {1e3 * seconds:.1f} | {share:.0%} |")


if __name__ == "__main__":
    keep_freed_memory()
    use_cores()
    main()
