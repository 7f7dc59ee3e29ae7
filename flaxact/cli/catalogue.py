"""The commands that show activations and models; each turns arguments into a function call."""

from __future__ import annotations

import textwrap
from pathlib import Path

import tyro

import flaxact
from flaxact.errors import InputError


def list_names(*, where: str = "") -> None:
    """List the activations by family, the transforms, the models and the data sets.

    Args:
      where: Only the activations that meet a condition, such as "monotonic and zero_mean" or "lipschitz
        <= 1 and not sparse" (imports jax if a fact must be computed).
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
    listed = {
        "models": ", ".join(models.list_models()),
        "data sets": f"{', '.join(data.names())}, any image classification set of TFDS, a folder of "
        "images, or an npz file",
    }
    for title, names in listed.items():
        wrapped = textwrap.fill(
            names, 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
        )
        print(f"{title}\n{wrapped}")


def describe(
    activation: tyro.conf.Positional[str], *, full: bool = False, graph: Path | None = None
) -> None:
    """Print the facts of an activation.

    Args:
      activation: Name or spec text.
      full: Add computed facts: Lipschitz constant, zeros, saturation, Gaussian moments, gain, C-map,
        arrays kept for the backward pass, transcendentals (imports jax, takes a second).
      graph: Write a graph of the activation and its first two derivatives to this SVG file.
    """
    from flaxact.activations._describe import is_bare_transform

    print(flaxact.describe(activation))
    if full and not is_bare_transform(activation):
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
      names: A pattern such as "vgg*", or "describe" and a name or spec text.
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


def gallery(folder: tyro.conf.Positional[Path], *, html: bool = False) -> None:
    """Write a page with the graph and facts of every activation.

    Args:
      folder: For README.md and one SVG per activation.
      html: Write index.html instead: one offline page with sliders, overlays, filters and a table to
        sort (takes minutes).
    """
    from flaxact.gallery import write, write_explorer

    print(f"The gallery: {(write_explorer if html else write)(folder)}")


def cite(activation: tyro.conf.Positional[str]) -> None:
    """Print the BibTeX entry of the paper that defines an activation.

    Args:
      activation: Name or spec text.
    """
    print(flaxact.cite(activation) or f"{activation} has no source of its own")
