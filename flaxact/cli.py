"""The ``flaxact`` command: arguments to a function call, no logic."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

import flaxact
from flaxact.activations._spec import is_transform
from flaxact.commands import command, report, train
from flaxact.comparing import compare, launch
from flaxact.errors import InputError, unknown
from flaxact.reproducing import reproduce


def list_names(*, where: str = "") -> None:
    """List the activations by family, the transforms, the models and the data sets.

    Args:
      where: Only the activations that meet a condition, such as "monotonic and zero_mean" or
        "lipschitz <= 1 and not sparse" (imports jax where it is on what has to be computed).
    """
    from flaxact.activations._describe import families

    if where:
        from flaxact.facts import select

        print("\n".join(select(where)))
        return
    from flaxact import data, models

    for title, specs in families().items():
        print(title)
        for spec in specs:
            print(f"  {spec.name:<26} {spec.summary}")
    print(f"models\n  {', '.join(models.list_models())}")
    print(f"data sets\n  {', '.join(data.names())}, and any image classification set of TFDS")


def describe(
    activation: tyro.conf.Positional[str], *, full: bool = False, graph: Path | None = None
) -> None:
    """Say what is known of an activation.

    Args:
      activation: Name or spec text.
      full: Add what is computed: Lipschitz constant, zeros, saturation, Gaussian moments, gain, C-map,
        arrays kept for the backward pass, transcendentals (imports jax, takes a second).
      graph: Write a graph of it and its two derivatives to this SVG file.
    """
    print(flaxact.describe(activation))
    if full and not is_transform(activation):
        from flaxact.facts import computed

        for name, value in computed(flaxact.get(activation)).items():
            print(f"  {name:<20} {value}")
    if graph:
        from flaxact.gallery import graph as draw

        text = draw(flaxact.get(activation))
        try:
            graph.write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"cannot write {graph}: {error.strerror}") from None


def list_models(
    names: tyro.conf.Positional[tuple[str, ...]] = (),
    *,
    family: str | None = None,
    act: str = "relu",
) -> None:
    """List the models, or describe one: its layers, parameters, multiplications and source.

    Args:
      names: A pattern such as "vgg*"; or the word describe and a name or spec text.
      family: Only the models of a family.
      act: For describe: the activation, by name or spec text.
    """
    from flaxact import models

    describing = names[:1] == ("describe",)
    if len(names) > 1 + describing or names == ("describe",):
        raise InputError('give models one pattern, such as "vgg*", or describe and a name')
    if describing:
        print(models.describe(names[1], act))
        return
    for name in models.list_models(*names, family=family):
        size = " × ".join(map(str, models.input_shape(name)))
        print(f"{name:<26} {size:<14} {models.family(name)}")


def gallery(folder: tyro.conf.Positional[Path]) -> None:
    """Write a page with the graph and the facts of every activation.

    Args:
      folder: Where README.md and one SVG an activation go.
    """
    from flaxact.gallery import write

    print(f"The gallery: {write(folder)}")


def cite(activation: tyro.conf.Positional[str]) -> None:
    """Print the BibTeX entry of the paper that defines an activation.

    Args:
      activation: Name or spec text.
    """
    print(flaxact.cite(activation) or f"{activation} has no source of its own")


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
    """Measure what every activation of a model gets and gives before training; write a report.

    Args:
      model: Name or spec text.
      activation: Names or spec texts, with commas between.
      init: Initialisations of the kernels, with commas between: paper, he, xavier, lecun, orthogonal,
        lsuv, variance_preserving.
      norm: Normalisations, with commas between: paper (the model's own), none, batch, layer, group, ...
      dataset: As for compare.
      seeds: Over which the figures are averaged.
      images: Of the training set, that are seen.
      image_size: Side to which images are brought, in pixels.
      data_dir: Where TFDS keeps its data sets.
      out: Folder of the report.
    """
    from flaxact import data as datasets
    from flaxact._shown import console
    from flaxact.studies import probing
    from flaxact.studies.study import check_folder

    chosen = probing.Probing(
        listed(activation), model, listed(init), listed(norm), tuple(range(seeds)), images
    )
    datasets.check(dataset, data_dir=data_dir)
    check_folder(out)
    data = datasets.load(dataset, data_dir=data_dir, image_size=image_size)
    cells = []
    for cell in probing.measure(chosen, data):
        cells.append(cell)
        console.print(
            _probed(probing.title(cell), probing.SHOWN, probing.table(cell, probing.SHOWN))
        )
    print(f"The report: {probing.write(chosen, data, cells, out, command())}")


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between them, but for those within brackets.

    >>> listed("relu, elu(alpha=0.5),threshold(1, 2)")
    ('relu', 'elu(alpha=0.5)', 'threshold(1, 2)')
    """
    parts = re.split(r",(?![^(]*\))", text)
    return tuple(part.strip() for part in parts if part.strip())


def _probed(title: str, measures: tuple[str, ...], rows: list[tuple[str, list[str]]]) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("site", *(name.replace("_", " ") for name in measures), title=title, box=SIMPLE)
    for site, cells in rows:
        table.add_row(site, *cells)
    return table


COMMANDS = {
    "compare": compare, "launch": launch, "train": train, "probe": probe, "report": report,
    "list": list_names, "describe": describe, "cite": cite, "gallery": gallery,
    "models": list_models, "reproduce": reproduce,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if it worked, 2 for what the user can mend, said in one line."""
    try:
        call = _parse(sys.argv[1:] if arguments is None else arguments)
        call()
    except InputError as error:
        print(f"flaxact: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flaxact: stopped; the same command goes on from what is done", file=sys.stderr)
        return 130
    except BrokenPipeError:  # flaxact list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(arguments: list[str]) -> Callable[[], None]:
    """The call that the arguments ask for, not made yet."""

    def later(function: Callable[..., None]) -> Callable[..., Callable[[], None]]:
        return functools.wraps(function)(lambda *a, **k: functools.partial(function, *a, **k))

    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(
                {name: later(function) for name, function in COMMANDS.items()},
                prog="flaxact",
                description="Activations for JAX and Flax, and why one trains better than another.",
                args=arguments,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(said.getvalue())) from None


def _one_line(box: str) -> str:
    """What tyro says in a box, as a line: paragraphs joined, without the help that it repeats."""
    paragraphs = [""]
    for line in box.splitlines()[1:]:
        words = re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯]", "", line).strip()
        if re.fullmatch(r"[─-]+", words):  # a rule, drawn in ASCII where the locale asks for it
            paragraphs.append("")
        else:
            paragraphs[-1] += f" {words}"
    kept = (
        p.strip() for p in paragraphs if "full helptext" not in p and "Argument helptext" not in p
    )
    meant = re.compile(r"(Perhaps you meant: --\S+).*")
    return "; ".join(meant.sub(r"\1", paragraph) for paragraph in kept if paragraph)


def run() -> None:
    """The installed script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
