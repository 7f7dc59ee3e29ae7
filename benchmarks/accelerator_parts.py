"""What ``benchmarks.accelerator`` measures, part by part: keys, and functions that give a row."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import flaxact as fa
from benchmarks import activations as bench
from benchmarks import backward, models, seeds
from benchmarks.ulps import scales, units
from flaxact._packages import enable_x64
from flaxact.data import Dataset, Split, load
from flaxact.doctor import examine
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.training import Recipe, train

Row = dict[str, Any]
Rows = Iterator[tuple[str, Callable[[float], Row]]]  # a row is computed with the time it ends at

CHANNELS = 12  # of inputs whose channels depend on each other
NEAR = 2.0**-2  # of the output scale: below it an error is judged by the scale
PAIRS = 5  # of measurements behind a ratio
IN_TORCH = ("relu", "tanh", "silu", "gelu", "elu", "mish")
DTYPES = ("float32", "bfloat16")
RATE = {"relu": 0.001, "tanh": 0.008}  # of Figure 1's pair: paper_repro/krizhevsky2012.py


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large what is measured is."""

    points: int  # of an activation's accuracy
    elements: int  # of an array, alone
    dense: tuple[int, int, int]  # rows, width, layers
    convolutions: tuple[int, int, int, int]  # images, side, channels, layers
    nets: tuple[str, ...]
    batch: int  # of a net's step
    seeds: tuple[int, ...]
    steps: int  # of an epoch of many seeds
    figure: tuple[int, int]  # seeds, and images in training


SIZES = {
    "full": Sizes(
        points=20_000, elements=2**25, dense=(8192, 1024, 12), convolutions=(64, 32, 128, 8),
        nets=("cuda_convnet", "alexnet_one_weird_trick, 224", "resnet50"), batch=128,
        seeds=(1, 4, 16, 64), steps=200, figure=(16, 50_000),
    ),
    "small": Sizes(
        points=500, elements=10_000, dense=(64, 32, 2), convolutions=(2, 8, 4, 2),
        nets=("cuda_convnet",), batch=16, seeds=(1, 2), steps=2, figure=(2, 256),
    ),
}  # fmt: skip


def doctor(sizes: Sizes) -> Rows:
    """What ``flaxact doctor`` finds."""
    del sizes

    def found(until: float) -> Row:
        del until
        said = [(one.about, one.found, one.advice) for one in examine()]
        return {"findings": [" ".join(filter(None, parts)) for parts in said]}

    yield "findings", found


def accuracy(sizes: Sizes) -> Rows:
    """Value and derivative of every activation in float32 beside the CPU's float64."""
    for name in fa.names():
        yield name, lambda _, name=name: errors(name, sizes.points)


def errors(name: str, points: int) -> Row:
    """The largest error of value and derivative, in units in the last place and over the scale.

    In units where the true number is at least a quarter of the output scale, elsewhere over the scale.
    Both are of one function, so this shows what the device's arithmetic adds; that the function is right
    is shown against mpmath in docs/results/accuracy.md.
    """
    act = fa.get(name)
    rng = np.random.default_rng(0)
    pointwise = name in fa.names("pointwise")
    x = (rng.choice([-1, 1], points) * 2.0 ** rng.uniform(-20, 6, points)).astype(np.float32)
    if not pointwise:
        x = rng.standard_normal((points // CHANNELS, CHANNELS), np.float32)
    for place in act.breaks if pointwise else ():
        x = x[abs(x - place) > 4 * np.spacing(np.float32(max(abs(place), 1)))]
    x = x[:, None] if pointwise else x
    learned = act.parameters(x.shape[-1], jax.random.key(0)) if act.learned else {}

    def both(x: Any, learned: Any) -> tuple[Any, Any]:
        y, pull = jax.vjp(lambda x: act(x, **learned), x)
        weights = 1 + jnp.arange(y.size, dtype=jnp.float32).reshape(y.shape) % 3  # exact
        return y, pull((jnp.ones_like(y) if pointwise else weights).astype(y.dtype))[0]

    got = [np.asarray(a, np.float64) for a in jax.jit(both)(x, learned)]
    host = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), learned)
    with enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        true = [np.asarray(a) for a in jax.jit(both)(np.float64(x), host)]
    row: Row = {}
    for what, one, other in zip(("value", "derivative"), got, true, strict=True):
        scale = scales(x.ravel(), other.ravel()).reshape(x.shape) if pointwise else abs(other).max()
        judged = abs(other) >= NEAR * scale
        row[what] = float(units(one, other)[judged].max(initial=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            row[f"{what}, of the scale"] = float(np.nanmax(abs(one - other) / scale))
    return row


def ordered() -> list[str]:
    """Every activation; first what jax.nn has too."""
    shared = bench.shared()
    return sorted(fa.names(), key=lambda name: (name not in shared, name))


def bound(name: str) -> Callable[[Any], Any]:
    """An activation with initial values for what it learns by channel."""
    act = fa.get(name)
    learned = act.parameters(bench.WIDTH, jax.random.key(0)) if act.learned else {}
    return functools.partial(act, **learned)


def timed(call: Callable[[], Any]) -> float:
    """The median time of a call, in seconds."""
    call()
    return float(np.median([bench.seconds(call, 1) for _ in range(2 * PAIRS)]))


def alone(sizes: Sizes) -> Rows:
    """Forward and backward of one large array."""
    for dtype, name in itertools.product(DTYPES, ordered()):
        yield f"{dtype}/{name}", lambda _, a=(name, dtype): beside_jax(*a, sizes.elements)


def beside_jax(name: str, dtype: str, elements: int) -> Row:
    """Seconds, and a ratio to jax.nn's function where it has one."""
    data = bench.arrays(bound(name), elements)
    ours = bench.jax_call(bound(name), data, dtype, "forward+backward")
    row = {"seconds": timed(ours)}
    if name in bench.shared():
        theirs = bench.jax_call(bench.counterpart(name), data, dtype, "forward+backward")
        row["÷ jax.nn"] = str(bench.ratios(ours, theirs, PAIRS))
    return row


def stacks(sizes: Sizes) -> Rows:
    """A training step of dense layers, and of convolutions, with nothing else between them."""
    names = [name for name in ordered() if name in fa.names("pointwise")]
    measures = (
        ("dense", backward.compiled, sizes.dense),
        ("convolutions", backward.compiled_convolutions, sizes.convolutions),
    )
    for name, dtype, (kind, compiled, size) in itertools.product(names, DTYPES, measures):
        if not fa.get(name).learned:
            yield f"{kind}/{dtype}/{name}", lambda _, a=(name, dtype, compiled, size): stack(*a)


def stack(name: str, dtype: str, compiled: Callable[..., Any], size: Sequence[int]) -> Row:
    """Seconds of a step and arrays that a layer keeps; the same of jax.nn."""

    def step(function: Callable[[Any], Any]) -> tuple[Callable[[], Any], float]:
        program, kept = compiled(function, *size, dtype)
        weights, x = (
            jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-3, leaf.dtype), shapes)
            for shapes in program.args_info[0]
        )
        return lambda: jax.block_until_ready(program(weights, x)), kept

    ours, kept = step(fa.get(name))
    row: Row = {"seconds": timed(ours), "kept": round(kept, 2)}
    if name in bench.shared():
        theirs, kept = step(bench.counterpart(name))
        row |= {"÷ jax.nn": str(bench.ratios(ours, theirs, PAIRS)), "jax.nn kept": round(kept, 2)}
    return row


def torch(sizes: Sizes) -> Rows:
    """Activations beside PyTorch's on the same device, as they are and compiled; none without PyTorch."""
    if torch_device() is not None:
        for dtype, name in itertools.product(DTYPES, IN_TORCH):
            yield f"{dtype}/{name}", lambda _, a=(name, dtype): beside_torch(*a, sizes.elements)


def torch_device() -> str | None:
    """PyTorch's name of the device that JAX uses; None where PyTorch is absent or has no such device."""
    if not bench.HAS_TORCH:
        return None
    if jax.default_backend() == "cpu":
        return "cpu"
    import torch

    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else None


def beside_torch(name: str, dtype: str, elements: int) -> Row:
    """Ratios of flaxact's time to PyTorch's."""
    import torch

    device = torch_device()
    function = bench.torch_counterpart(name)
    assert function is not None
    data = bench.arrays(fa.get(name), elements)
    ours = bench.jax_call(fa.get(name), data, dtype, "forward+backward")
    x, g = (torch.from_numpy(a).to(device, getattr(torch, dtype)) for a in data)
    x.requires_grad_()

    def call(function: Callable[[Any], Any]) -> None:
        torch.autograd.grad(function(x), x, g)
        if device != "cpu":
            torch.cuda.synchronize()

    row: Row = {"seconds": timed(ours)}
    row["÷ torch"] = str(bench.ratios(ours, lambda: call(function), PAIRS))
    if device != "cpu":  # on the CPU torch.compile needs a C++ compiler
        fused = torch.compile(function)
        row["÷ torch.compile"] = str(bench.ratios(ours, lambda: call(fused), PAIRS))
    return row


_PUBLISHED_ALEXNET = models.NETS["alexnet_one_weird_trick"]
NETS: dict[str, tuple[int, int, tuple[models.Layer, ...]]] = {
    "cuda_convnet": models.NETS["cuda_convnet"],
    "alexnet_one_weird_trick, 224": (
        224, 1000, tuple(layer for layer in _PUBLISHED_ALEXNET[2] if layer[0] != "repeat"),
    ),
    "resnet50": (224, 1000, (
        ("conv_norm", 64, 7, 2, 3), ("relu",), ("max", 1),
        *(("bottleneck", 64 * 2**stage, 2 if stage and not block else 1)
          for stage, blocks in enumerate((3, 4, 6, 3)) for block in range(blocks)),
        ("mean",), ("dense", 1000),
    )),
}  # fmt: skip


def nets(sizes: Sizes) -> Rows:
    """Training steps of nets of the zoo beside plain Flax and PyTorch."""
    for name in sizes.nets:
        yield name, lambda _, name=name: net_step(name, sizes.batch)


def net_step(name: str, batch: int) -> Row:
    """Images a second, and how many times as many as with the others."""
    side, classes, layers = NETS[name]
    data = models.batch(side, classes, batch)
    zoo = create_model(name.partition(",")[0], "relu")
    ours, _, variables = models.jax_step(from_linen(zoo), data)
    mean, std = models.shifted(variables)
    flax, *_ = models.jax_step(models.plain_net(layers, mean, std), data)
    beside = models.faster(ours, flax, PAIRS)
    row: Row = {"images/s": batch / beside.seconds, "× plain Flax": str(beside)}
    del flax
    if device := torch_device():
        import torch

        torch.set_float32_matmul_precision("high")  # TF32, as XLA's default on GPUs
        net = models.torch_net(layers, side).to(device)
        forms = {"× torch": net}
        if device != "cpu":
            forms["× torch.compile"] = torch.compile(net)
        for form, one in forms.items():
            theirs = models.torch_step(one, data, mean, std, device=device)
            row[form] = str(models.faster(ours, theirs, PAIRS))
    return row


def at_once(sizes: Sizes) -> Rows:
    """Seeds at once beside one after another, and what the training loop adds to its steps."""
    for name in seeds.NETS:
        yield f"{name}/loop", lambda _, name=name: overhead(name, sizes.steps)
        for count in sizes.seeds:
            yield f"{name}/{count:02d}", lambda _, a=(name, count): together(*a, sizes.steps)


def together(name: str, count: int, steps: int) -> Row:
    """Seconds of an epoch of so many seeds on one device, and how many times as fast as in turn."""
    text, shape = seeds.NETS[name]
    net = from_linen(create_model(text, "relu"))
    data = seeds.random_data(shape, steps)
    alone = min(seeds.epoch(net, data, [0], None, devices=1) for _ in range(2))
    many = min(seeds.epoch(net, data, range(count), None, devices=1) for _ in range(2))
    speed = count * steps * seeds.BATCH / many
    return {"images/s": speed, "times as fast": count * alone / many}


def overhead(name: str, steps: int) -> Row:
    """Seconds of an epoch in ``train`` over those of as many steps, called one by one."""
    text, shape = seeds.NETS[name]
    net = from_linen(create_model(text, "relu"))
    data = seeds.random_data(shape, steps)
    batch = data.train.images[: seeds.BATCH], data.train.labels[: seeds.BATCH]
    step, *_ = models.jax_step(net, batch)
    epoch = min(seeds.epoch(net, data, [0], None, devices=1) for _ in range(2))
    return {"epoch ÷ steps": epoch / (steps * timed(step))}


def figure(sizes: Sizes) -> Rows:
    """Figure 1's primary pair on CIFAR-10's images, many seeds at once, for as long as there is time."""
    for name in RATE:
        yield name, lambda until, name=name: pair(name, *sizes.figure, until)


def pair(name: str, members: int, images: int, until: float) -> Row:
    """Seconds an epoch, and the last mean training error; of random images where CIFAR-10 is absent."""
    # The pair shares the time that is left: ReLU comes first.
    until = min(until, time.monotonic() + (until - time.monotonic()) / (2 if name == "relu" else 1))
    data = cifar10(images)
    net = from_linen(create_model("cuda_convnet(variant=80sec)", name))
    recipe = Recipe(epochs=120, batch_size=128, momentum=0.9, learning_rate=RATE[name])
    times = []
    epoch = None
    for epoch in train(net, recipe, data, range(members)):
        times += [epoch.seconds] * (epoch.number > 0)
        if times and time.monotonic() + times[-1] > until:
            break
    assert epoch is not None
    return {
        "seconds/epoch": float(np.median(times)),
        "epochs": epoch.number,
        "seeds": members,
        "images/s": members * len(data.train.labels) / float(np.median(times)),
        "training error": float(np.mean(epoch.train_error)),
        "data": data.name,
    }


def cifar10(images: int) -> Dataset:
    """As many of CIFAR-10's images as asked for, or random ones of their shape."""
    with contextlib.suppress(fa.InputError, ImportError):
        whole = load("cifar10")
        train = Split(whole.train.images[:images], whole.train.labels[:images])
        return Dataset(
            "cifar10", train, whole.test, whole.num_classes, class_names=whole.class_names
        )
    rng = np.random.default_rng(0)
    train, test = (
        Split(
            rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
            rng.integers(0, 10, count).astype(np.int32),
        )
        for count in (images, min(images, 10_000))
    )
    return Dataset("random images", train, test, 10)


@dataclass(frozen=True)
class Part:
    """Rows of one kind; ``weight`` is its share of the time."""

    title: str
    weight: float
    rows: Callable[[Sizes], Rows]


PARTS = {
    "doctor": Part("Doctor", 0.05, doctor),
    "accuracy": Part("Accuracy beside float64", 0.15, accuracy),
    "nets": Part("Nets beside plain Flax and PyTorch", 0.2, nets),
    "seeds": Part("Seeds at once", 0.15, at_once),
    "figure": Part("Figure 1's primary pair", 0.15, figure),
    "alone": Part("Activations alone, forward and backward", 0.15, alone),
    "stacks": Part("Training steps of stacks", 0.2, stacks),
    "torch": Part("Activations beside PyTorch", 0.1, torch),
}
