"""What XLA makes of our programs for TPU chips; compiled on a machine that has none.

Question: do the programs compile for the chips that users have, what do they keep in memory and move
between memory and chip, and which messages pass between chips? It cannot say how long a step takes.

    pip install "libtpu==0.0.42.*"          # what jax 0.10 compiles with; 700 MB
    python benchmarks/tpu.py activations    # each part takes hours on two CPU cores;
    python benchmarks/tpu.py models         # a row is kept in docs/results/tpu/ as it ends,
    python benchmarks/tpu.py engine         # and computed rows are not computed again
    python benchmarks/tpu.py activations --only relu gelu --chips v5e
    python benchmarks/tpu.py table          # writes docs/results/tpu.md from the rows

Parts. ``activations``: a training step of a stack of layers with nothing but the activation between
them, with flaxact's function and with the one of the same name in jax.nn. ``models``: a training step of
every net of the zoo, as published. ``engine``: the programs that ``train`` compiles for one chip and for
many.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

import flaxact as fa
from flaxact.data import augmentation, views
from flaxact.models import create_model, input_shape, list_models
from flaxact.models._describe import multiply_accumulates
from flaxact.net import from_linen
from flaxact.training import Recipe, make_init, make_step
from flaxact.training.placement import places
from flaxact.training.programs import ProgramPlan, compiled, plan_recipe

RESULTS = Path(__file__).parents[1] / "docs" / "results"
# What libtpu asks of a machine that has no chip and no metadata server.
NO_CHIP = {
    "TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0",
}  # fmt: skip
CHIPS = {  # name: the smallest slice that there is of it
    "v5e": "v5e:2x2",
    "v5p": "v5p:2x2x1",
    "v6e": "v6e:2x2",
}
SLICES = {1: "v5e:2x2", 4: "v5e:2x2", 8: "v5e:2x4", 32: "v5e:4x8"}  # chips: of what slice
# Few layers, which compile sooner, and arrays of 134 MB in float32, so that none stays on the chip.
DENSE = (4, 65536, 512)  # layers, rows, width
CONVOLUTIONS = (4, 256, 32, 128)  # layers, images, side, channels
DTYPES = ("float32", "bfloat16")
BATCH = 128  # of the models
MESSAGES = re.compile(
    r" (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)(?:-start)?\("
)
Row = dict[str, Any]


def chips(slice_name: str, count: int) -> list[Any]:
    """Devices to compile for."""
    os.environ |= NO_CHIP
    return list(topologies.get_topology_desc(slice_name, platform="tpu").devices[:count])


def facts(program: Any) -> Row:
    """What the compiler says of a program, for each chip: bytes, operations, messages."""
    memory = program.memory_analysis()
    cost = program.cost_analysis()
    return {
        "temporary": memory.temp_size_in_bytes,
        "all": memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes,
        "moved": int(cost["bytes accessed"]),
        "flops": int(cost["flops"]),
        "messages": dict(collections.Counter(MESSAGES.findall(program.as_text()))),
    }


def stack(activation: Callable[..., Any], kind: str, dtype: str, device: Any) -> Any:
    """The compiled training step of a stack of dense layers or of convolutions."""
    if kind == "dense":
        layers, rows, width = DENSE
        kernel = (width, width)
        x = (rows, width)
    else:
        layers, images, side, width = CONVOLUTIONS
        kernel = (3, 3, width, width)
        x = (images, side, side, width)

    def product(x, kernel):
        if kind == "dense":
            return x @ kernel
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    def loss(kernels, x):
        for kernel in kernels:
            x = activation(product(x, kernel))
        return jnp.mean(x.astype(jnp.float32) ** 2)

    def step(kernels, x):
        gradients = jax.grad(loss)(kernels, x)
        return [k - jnp.asarray(0.01, dtype) * g for k, g in zip(kernels, gradients, strict=True)]

    place = SingleDeviceSharding(device)
    shape = jax.ShapeDtypeStruct
    kernels = [shape(kernel, jnp.dtype(dtype), sharding=place)] * layers
    arguments = kernels, shape(x, jnp.dtype(dtype), sharding=place)
    return jax.jit(step).trace(*arguments).lower(lowering_platforms=("tpu",)).compile()


def activations(
    names: Sequence[str], chosen: Sequence[str]
) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every pointwise activation on the first chip, and those that jax.nn has on the others."""
    for chip in chosen:
        (device,) = chips(CHIPS[chip], 1)
        for name in names or fa.names("pointwise"):
            functions = {"flaxact": fa.get(name)}
            if theirs := getattr(jax.nn, name, None):
                functions["jax.nn"] = theirs
            elif chip != next(iter(CHIPS)):
                continue
            for dtype in DTYPES:
                for kind in ("dense", "convolutions"):
                    for library, function in functions.items():
                        key = f"activations/{chip}/{kind}/{dtype}/{name}/{library}"
                        yield key, lambda a=(function, kind, dtype, device): facts(stack(*a))


def models(names: Sequence[str], chosen: Sequence[str]) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every net of the zoo."""
    for chip in chosen:
        (device,) = chips(CHIPS[chip], 1)
        for name in names or list_models():
            yield f"models/{chip}/{name}", lambda a=(name, device): model_step(*a)


def model_step(name: str, device: Any) -> Row:
    """The training step of a net with ReLU, at its published size of images."""
    module = create_model(name, "relu")
    shape = input_shape(name)
    net = from_linen(module)
    recipe = Recipe(epochs=1, batch_size=BATCH)
    place = SingleDeviceSharding(device)

    def placed(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    images = jax.ShapeDtypeStruct((BATCH, *shape), jnp.uint8, sharding=place)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32, sharding=place)
    state = jax.eval_shape(lambda x: make_init(net, recipe)(0, x), images)
    step = jax.jit(make_step(net, recipe, 1), donate_argnums=0)
    traced = step.trace(jax.tree.map(placed, state), (images, labels))
    program = traced.lower(lowering_platforms=("tpu",)).compile()
    # Forward, and the gradients by the kernels and by the inputs.
    products = 6 * BATCH * multiply_accumulates(module, shape)
    return facts(program) | {"images": shape, "products": products}


ENGINE = {  # name: loop, members, chips, what is divided
    "one net": ("scan", 1, 1, "members"),
    "16 nets on one chip": ("scan", 16, 1, "members"),
    "16 nets over 4 chips": ("scan", 16, 4, "members"),
    "64 nets over 32 chips": ("scan", 64, 32, "members"),
    "a batch over 4 chips": ("scan", 1, 4, "batch"),
    "a batch over 8 chips": ("scan", 1, 8, "batch"),
    "a batch over 32 chips": ("scan", 1, 32, "batch"),
    "a stream over 4 chips": ("stream", 1, 4, "batch"),
}


def engine(names: Sequence[str], chosen: Sequence[str]) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The programs that ``train`` compiles, for cuda_convnet on CIFAR-10."""
    del chosen
    for name in names or ENGINE:
        yield f"engine/v5e/{name}", lambda name=name: engine_program(*ENGINE[name])


def engine_program(loop: Any, members: int, count: int, split: Any) -> Row:
    """One program that trains, with batches of 128 images."""
    number = 50_000
    shape = (32, 32, 3)
    dtype = "uint8"
    recipe = Recipe(epochs=1, batch_size=128)
    devices = chips(SLICES[count], count)
    (place,) = places(devices, split, members, (128, 512), vmapped=True)
    sample = np.zeros((1, *shape), np.uint8)
    plan = ProgramPlan(
        net=from_linen(create_model("cuda_convnet", "relu")),
        recipe=plan_recipe(recipe),
        loop=loop,
        members=members,
        hyperparameters=(),
        images=((number, *shape), dtype),
        test_images=(shape, dtype),
        steps=number // 128,
        augment=augmentation(recipe.augment, sample),
        views=views(recipe.views),
        place=place,
    )
    return facts(compiled(plan).advance)


PARTS = {"activations": activations, "models": models, "engine": engine}


def run(rows_of: Iterator[tuple[str, Callable[[], Row]]], part_of: str, folder: Path) -> None:
    """Compute the rows that are missing; each is kept as it ends."""
    folder.mkdir(exist_ok=True)
    for key, compute in rows_of:
        path = folder / f"{'-'.join(key.split('/')[:2])}.json"
        rows = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else {}
        if key in rows or part_of not in key:
            continue
        start = time.perf_counter()
        try:
            row: Row = compute()
        except Exception as error:  # what the compiler refuses is a result
            row = {"refused": str(error).split("\n")[0][:200]}
        row["compile_seconds"] = round(time.perf_counter() - start, 1)
        versions = {name: version(name) for name in ("jax", "libtpu", "flax")}
        stored = {"versions": versions, "rows": dict(sorted((rows | {key: row}).items()))}
        path.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
        print(f"{key}: {row}", flush=True)
        jax.clear_caches()


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute a part, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", choices=[*PARTS, "table"])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of the part's rows")
    parser.add_argument("--chips", nargs="+", choices=CHIPS, default=["v5e"], metavar="CHIP")
    parser.add_argument(
        "--part-of", default="", metavar="TEXT", help="rows whose name has it, as /dense/"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the files")
    options = parser.parse_args(arguments)
    folder = options.results / "tpu"
    if options.part != "table":
        jax.default_backend = lambda: "tpu"  # so that what asks for it is traced as on a TPU
        rows = PARTS[options.part](options.only, options.chips)
        run(rows, options.part_of, folder)
        return
    pieces = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    text = table(pieces)
    (options.results / "tpu.md").write_text(text, "utf-8")


def table(pieces: Sequence[dict[str, Any]]) -> str:
    """The page."""
    rows = {key: row for piece in pieces for key, row in piece["rows"].items()}
    versions = {", ".join(f"{k} {v}" for k, v in piece["versions"].items()) for piece in pieces}
    said = "; ".join(sorted(versions))
    lines = [
        "# What XLA makes of our programs for TPU chips\n",
        f"`python benchmarks/tpu.py`, {said}.",
        "Compiled on a machine without a TPU. The figures are the compiler's own, for each chip. They",
        "say whether a program compiles, what memory it needs and what it moves; they do not say how",
        "long it takes, which nobody has measured yet.\n",
        *_activation_lines(rows),
        *_model_lines(rows),
        *_engine_lines(rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _activation_lines(rows: dict[str, Row]) -> Iterator[str]:
    found = [key.split("/")[1:] for key in rows if key.startswith("activations/")]
    for chip, kind, dtype in dict.fromkeys(tuple(key[:3]) for key in found):
        layers, *sizes = DENSE if kind == "dense" else CONVOLUTIONS
        yield f"## {chip}: {layers} {kind} layers, {' × '.join(map(str, sizes))}, {dtype}\n"
        yield "A training step: gigabytes moved between memory and chip, and megabytes of temporaries.\n"
        yield "| activation | moved: flaxact | jax.nn | temporaries: flaxact | jax.nn |"
        yield "| --- | --- | --- | --- | --- |"
        for name in dict.fromkeys(key[3] for key in found if key[:3] == [chip, kind, dtype]):
            of = [
                rows.get(f"activations/{chip}/{kind}/{dtype}/{name}/{library}")
                for library in ("flaxact", "jax.nn")
            ]
            moved = [_number(row, "moved", 1e9, 2) for row in of]
            kept = [_number(row, "temporary", 1e6, 0) for row in of]
            yield f"| {name} | {' | '.join([*moved, *kept])} |"
        yield ""


def _number(row: Row | None, name: str, unit: float, digits: int) -> str:
    if row is None:
        return "–"
    return "does not compile" if "refused" in row else f"{row[name] / unit:,.{digits}f}"


def _model_lines(rows: dict[str, Row]) -> Iterator[str]:
    found = {key.split("/")[2]: row for key, row in rows.items() if key.startswith("models/v5e/")}
    yield f"## v5e: a training step of the zoo's nets, {BATCH} images, ReLU, float32\n"
    yield "Memory is all that the step needs. The share is that of the net's own products, the"
    yield "multiplications and additions of its layers with kernels, forward and backward (three times"
    yield "the forward ones; the first layer needs fewer), in the compiler's count of operations. Where"
    yield "it is small, the compiler's form adds work, as by padding, or much is no product of kernels.\n"
    yield "| net | images | memory, GB | moved, GB | operations, 10⁹ | share of products |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, row in found.items():
        if "refused" in row:
            yield f"| {name} | | does not compile: {row['refused']} | | | |"
            continue
        size = " × ".join(map(str, row["images"]))
        yield (
            f"| {name} | {size} | {row['all'] / 1e9:.2f} | {row['moved'] / 1e9:.2f} | "
            f"{row['flops'] / 1e9:,.4g} | {row['products'] / row['flops']:.0%} |"
        )
    yield ""
    yield from _not_compiled([name for name in list_models() if name not in found])


def _not_compiled(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from textwrap.wrap(f"Not compiled yet: {', '.join(names)}.", 110)
        yield ""


def _engine_lines(rows: dict[str, Row]) -> Iterator[str]:
    found = {key.split("/")[2]: row for key, row in rows.items() if key.startswith("engine/")}
    yield "## v5e: the programs of `train`, cuda_convnet on 50,000 images of CIFAR-10, batches of 128\n"
    yield "For each chip. Messages are those in the program's text; the loop over steps repeats them.\n"
    yield "| program | memory, MB | temporaries, MB | messages between chips |"
    yield "| --- | --- | --- | --- |"
    for name in [name for name in ENGINE if name in found]:
        row = found[name]
        if "refused" in row:
            yield f"| {name} | does not compile: {row['refused']} | | |"
            continue
        sent = ", ".join(f"{count} {what}" for what, count in row["messages"].items()) or "none"
        yield f"| {name} | {row['all'] / 1e6:,.0f} | {row['temporary'] / 1e6:,.0f} | {sent} |"
    yield ""
    yield from _not_compiled([name for name in ENGINE if name not in found])


if __name__ == "__main__":
    main()
