"""What probing a net while it trains costs.

Question: which share of an epoch's training time does the default set of measures take, once an epoch on
256 images, for several seeds at once?

    python benchmarks/probing.py          # five minutes; writes docs/results/probing.md

A ratio is the seconds of a probe over those of the epoch's training just before it, of the same run: the
median of the epochs, with the lowest and highest, compilation left out. Images are random: their values
make no difference to the time.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # for benchmarks.*

from benchmarks.seeds import random_data
from flaxact.diagnostics.record import Recorder
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.training import Recipe, updates
from flaxact.training.distributed import use_cores

# Spec text, the shape of an image, and the steps of 32 images in an epoch.
NETS = (
    ("mlp_elu", (28, 28, 1), 1875),
    ("cuda_convnet(width=0.25)", (28, 28, 1), 140),
    ("cuda_convnet", (32, 32, 3), 320),
)
IMAGES = 256
SEEDS = (0, 1)
OUT = Path(__file__).parents[1] / "docs" / "results" / "probing.md"


def shares(text: str, shape: tuple[int, ...], steps: int, epochs: int) -> list[float]:
    """Seconds of a probe over those of the epoch's training, an epoch each."""
    data = random_data(shape, steps)
    module = create_model(text, "relu")
    images = data.train.images[:IMAGES]
    labels = data.train.labels[:IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probes.jsonl"
        record = Recorder(file, module, images, labels)
        seconds = []
        recipe = Recipe(epochs=epochs, batch_size=32, learning_rate=1e-4)
        for update in updates(from_linen(module), recipe, data, SEEDS):
            record(update)
            if update.epoch is not None:
                seconds.append(update.epoch.seconds)
        probes = [json.loads(line)["seconds"] for line in file.read_text().splitlines()]
    return [probe / epoch for probe, epoch in zip(probes[1:], seconds[1:], strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, help="in an epoch, in place of each net's own")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    use_cores()
    lines = [
        "# What probing in training costs",
        "",
        f"The default measures once an epoch, on {IMAGES} images, {len(SEEDS)} seeds at once, as a share "
        "of the epoch's training time: median of "
        f"{chosen.epochs} epochs (lowest–highest). `python benchmarks/probing.py`, "
        f"{datetime.datetime.now(datetime.UTC).date()}, jax {version('jax')}, Python "
        f"{platform.python_version()}, {os.cpu_count()} CPU cores.",
        "",
        "| net | images an epoch | share |",
        "| --- | --- | --- |",
    ]
    for text, shape, steps in NETS:
        found = shares(text, shape, chosen.steps or steps, chosen.epochs)
        span = f"{statistics.median(found):.1%} ({min(found):.1%}–{max(found):.1%})"
        lines.append(f"| {text} | {32 * (chosen.steps or steps):,} | {span} |")
        print(lines[-1], flush=True)
    chosen.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
