"""The command that measures nets before training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flaxact.cli.train import command

if TYPE_CHECKING:
    from rich.table import Table


def probe(
    *,
    model: str = "cuda_convnet",
    activation: str = "relu,tanh",
    init: str = "paper",
    norm: str = "paper",
    dataset: str = "mnist5k",
    seeds: int = 3,
    images: int = 256,
    image_size: int | None = None,
    data_dir: Path | None = None,
    out: Path = Path("flaxact-probe"),
) -> None:
    """Measure the inputs and outputs of every activation of a model before training; write a report.

    Args:
      model: Name or spec text.
      activation: Names or spec texts, separated by commas.
      init: Kernel initializations, separated by commas: paper, he, xavier, lecun, orthogonal, lsuv,
        variance_preserving.
      norm: Normalizations, separated by commas: paper (the model's own), none, batch, layer, group,
        weight, weight_mean_only_batch.
      dataset: mnist5k, the name of a TFDS image classification set, a folder with a subfolder of
        images per class, or an npz file.
      seeds: Number of initializations to average over.
      images: Number of training images.
      image_size: Height and width in pixels to which images are resized.
      data_dir: Folder of the TFDS data sets.
      out: Folder of the report.
    """
    from flaxact import data as datasets
    from flaxact.progress import Bar, console
    from flaxact.studies import probing
    from flaxact.studies.study import check_folder

    plan = probing.Probing(
        listed(activation),
        model,
        listed(init),
        listed(norm),
        seeds=tuple(range(seeds)),
        images=images,
    )
    datasets.check(dataset, data_dir=data_dir)
    check_folder(out)
    data = datasets.load(dataset, data_dir=data_dir, image_size=image_size)
    cells = []
    with Bar("nets", lines=True) as bar:
        for cell in probing.measure(plan, data, bar.show):
            cells.append(cell)
            console.print(
                _probed(probing.title(cell), probing.SHOWN, probing.table(cell, probing.SHOWN))
            )
    print(f"The report: {probing.write(plan, data, cells, out, command=command())}")


def listed(text: str) -> tuple[str, ...]:
    """Split names at commas, except for commas within brackets.

    >>> listed("relu, elu(alpha=0.5),threshold(1, 2)")
    ('relu', 'elu(alpha=0.5)', 'threshold(1, 2)')
    """
    parts = re.split(r",(?![^(]*\))", text)
    return tuple(part.strip() for part in parts if part.strip())


def _probed(title: str, measures: tuple[str, ...], rows: list[tuple[str, list[str]]]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("site", *(name.replace("_", " ") for name in measures), title=title, box=SIMPLE)
    for site, cells in rows:
        table.add_row(site, *cells)
    return table
