"""How much faster several seeds at once are than one after another.

Question: how much faster do ``train``'s two loops ("scan", one program for all members; "dispatch", batch
by batch and member by member) train 1, 4 and 16 seeds at once, on one CPU device or divided over one a
core, for a dense net and a small cuda_convnet?

    python benchmarks/seeds.py            # writes docs/results/seeds.md
    python benchmarks/seeds.py --nets mlp --seeds 1 4 --pairs 3 --steps 4 --out /tmp/seeds.md

One after another is each seed by itself on one device, in the loop that ``train`` chooses for the net.
A ratio is its time over that of all at once: the median of pairs measured in turn, with the quartiles.
Times are those of training an epoch of random images, without compilation and evaluation.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*

import jax
import numpy as np

from benchmarks.activations import CORES, Ratio, keep_freed_memory
from flaxact.data import Dataset, Split
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.training import Recipe, train
from flaxact.training.distributed import use_cores

# Spec text, and the shape of an image.
NETS = {
    "mlp": ("mlp(width=0.1)", (28, 28, 1)),
    "cuda_convnet": ("cuda_convnet(width=0.25)", (32, 32, 3)),
}
LOOPS = ("scan", "dispatch")
BATCH = 32
TEST = 64  # images; their evaluation is not timed
OUT = Path(__file__).parents[1] / "docs" / "results" / "seeds.md"
Seconds = Callable[[], float]


def random_data(shape: tuple[int, ...], steps: int) -> Dataset:
    """Images for so many steps an epoch."""
    rng = np.random.default_rng(0)
    splits = (
        Split(
            rng.integers(0, 256, (count, *shape), dtype=np.uint8),
            rng.integers(0, 10, count).astype(np.int32),
        )
        for count in (steps * BATCH, TEST)
    )
    return Dataset("random", *splits, 10, class_names=tuple("0123456789"), note="random")


def epoch(net: Net, data: Dataset, seeds: Sequence[int], loop: str | None, devices: int) -> float:
    """Seconds that an epoch of these seeds at once takes."""
    chosen = jax.devices()[:devices]
    recipe = Recipe(epochs=1, batch_size=BATCH)
    *_, last = train(net, recipe, data, seeds, loop=loop, devices=chosen)
    return last.seconds


def in_turn(first: Seconds, second: Seconds, pairs: int) -> Ratio:
    """First over second, of pairs of which every other is in the opposite order."""
    first(), second()  # compiles
    times = np.empty((pairs, 2))
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            times[pair, which] = (first, second)[which]()
    low, median, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
    return Ratio(float(median), float(low), float(high), float(np.median(times[:, 1])))


def rows(
    nets: Sequence[str], loops: Sequence[str], seeds: Sequence[int], pairs: int, steps: int
) -> Iterator[tuple[str, str, int, int, Ratio]]:
    """Net, loop, devices, seeds; the time one after another over the time at once."""
    for name in nets:
        text, shape = NETS[name]
        net = from_linen(create_model(text, "relu"))
        data = random_data(shape, steps)

        def alone(count: int, net=net, data=data) -> float:
            return sum(epoch(net, data, [seed], None, devices=1) for seed in range(count))

        for loop in loops:
            for devices in sorted({1, jax.device_count()}):
                for count in seeds:
                    if count % devices == 0:
                        together = in_turn(
                            lambda n=count: alone(n),
                            lambda n=count, a=(net, data, loop, devices): epoch(
                                *a[:2], range(n), *a[2:]
                            ),
                            pairs,
                        )
                        yield text, loop, devices, count, together


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NAME")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), metavar="LOOP")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--pairs", type=int, default=9, help="of measurements behind a ratio")
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    versions = f"Python {platform.python_version()}, jax {jax.__version__}, flax {version('flax')}"
    place = f"{jax.default_backend()}, {platform.machine()}, {CORES} cores"
    lines = [
        "# Seeds at once beside one after another\n",
        f"`{' '.join(['python benchmarks/seeds.py', *(arguments or sys.argv[1:])])}`, "
        f"{datetime.date.today()}, {versions}; {place}; batches of {BATCH}, {options.steps} steps.\n",
        "One after another is each seed alone, on one device, in the loop that `train` chooses. The",
        f"last column is its time over that of all at once: medians of {options.pairs} ratios measured",
        "in turn, with quartiles.\n",
        "| net | loop | devices | seeds | images/s, all seeds | times as fast |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines))
    for net, loop, devices, seeds, ratio in rows(
        options.nets, options.loops, options.seeds, options.pairs, steps=options.steps
    ):
        speed = seeds * options.steps * BATCH / ratio.seconds
        lines.append(f"| {net} | {loop} | {devices} | {seeds} | {speed:,.0f} | {ratio} |")
        print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    keep_freed_memory()
    use_cores()
    main()
