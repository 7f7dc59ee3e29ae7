"""Data sets by name, and the check at the door."""

from __future__ import annotations

import inspect
import os
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flaxact import _own_code, _packages
from flaxact.data.sets import Dataset
from flaxact.data.sources import NETWORK_ERRORS, SOURCES, downloads
from flaxact.errors import InputError, hint, nearest

EMBEDDED = "mnist5k"
PATIENCE = 5.0  # seconds for a host to answer
Load = TypeVar("Load", bound=Callable[..., Dataset])
own: dict[str, Callable[..., Dataset]] = {}  # filled by @register


def register(load: Load) -> Load:
    """Make a data set of your own known to ``load``, ``names`` and the command line, by decoration.

    Args:
      load: gives a ``Dataset``; its name is the data set's. It may take ``image_size`` and ``data_dir``
        as keyword arguments, which are then handed on.

    Raises:
      InputError: another data set has the name.

    >>> import numpy as np
    >>> from flaxact.data import Dataset, Split
    >>> @register
    ... def stripes():
    ...     labels = np.arange(100) % 2
    ...     images = np.zeros((100, 8, 8, 1), np.uint8) + 200 * labels[:, None, None, None]
    ...     return Dataset("stripes", Split(images, labels), Split(images, labels), num_classes=2)
    >>> len(load("stripes").train.labels)
    100
    """
    name = load.__name__
    taken = name == EMBEDDED or name in SOURCES
    _own_code.check_free("data set", name, load, register if taken else own.get(name))
    own[name] = load
    return load


def names() -> tuple[str, ...]:
    """The data sets that ``load`` takes without further set-up, given a network.

    >>> names()
    ('cifar10', 'cifar100', 'fashion_mnist', 'mnist', 'mnist5k')
    """
    return tuple(sorted((EMBEDDED, *SOURCES, *own)))


@_packages.explained()
def load(
    name: str = EMBEDDED,
    *,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
) -> Dataset:
    """A data set as uint8 arrays.

    ``mnist5k`` comes with the installation. Any other name is a TFDS image classification set: read
    where it has been prepared (TensorFlow is not needed), or downloaded and prepared for the names
    of ``names()``. It is decoded once into a cache beside the TFDS files and memory-mapped from
    then on.

    Args:
      name: of the data set; ``name/config`` for one with configurations.
      data_dir: where TFDS keeps its data sets; else FLAXACT_DATA_DIR, else where TFDS looks.
      image_size: bring images to this side, in pixels: the short side is scaled to it and the
        centre cropped. Needed where images differ in size.

    Raises:
      InputError: an unknown name, a set that is neither prepared nor reachable, one without images
        and class labels, images that differ in size, or a damaged cache.

    >>> data = load("mnist5k")
    >>> data.train.images.shape, data.train.images.dtype, data.test.labels.shape
    ((4000, 28, 28, 1), dtype('uint8'), (1000,))
    """
    if image_size is not None and image_size < 1:
        raise InputError(f"the image size must be 1 or more, not {image_size}")
    check(name, data_dir=data_dir)
    if name in own:
        return _own(name, {"data_dir": data_dir, "image_size": image_size})
    if name == EMBEDDED:
        from flaxact.data.embedded import mnist5k

        if image_size not in (None, 28):
            raise InputError("mnist5k has images of 28 pixels; leave the image size out")
        return mnist5k()
    from flaxact.data.tfds import prepare, read

    folder = data_folder(data_dir)
    found = prepared(name, folder) or prepare(name, folder)
    return read(name, found, image_size)


def _own(name: str, options: dict[str, object]) -> Dataset:
    taken = inspect.signature(own[name]).parameters
    given = {option: value for option, value in options.items() if value is not None}
    if "image_size" in given.keys() - taken.keys():
        raise InputError(f"the data set {name!r} takes no image size; leave it out")
    data = own[name](**{option: value for option, value in given.items() if option in taken})
    if not isinstance(data, Dataset):
        raise InputError(f"the data set {name!r} must give a Dataset, not {type(data).__name__}")
    return data


def check(name: str, *, data_dir: str | Path | None = None) -> None:
    """Whether ``load`` can work, found out in seconds and without jax.

    Raises:
      InputError: an unknown name, or a set that is neither prepared nor reachable.
    """
    if name in own or name == EMBEDDED:
        return
    folder = data_folder(data_dir)
    if prepared(name, folder):
        return
    if name in SOURCES:
        _check_reachable(name, folder)
        return
    raise _unknown(name, folder)


def data_folder(data_dir: str | Path | None) -> Path:
    """Where TFDS data sets are kept: as given, or by FLAXACT_DATA_DIR, or TFDS's own choice."""
    for given in (data_dir, os.environ.get("FLAXACT_DATA_DIR"), os.environ.get("TFDS_DATA_DIR")):
        if given:
            return Path(given).expanduser()
    return Path("~/tensorflow_datasets").expanduser()


def prepared(name: str, folder: Path) -> Path | None:
    """The folder of the newest version of a data set that TFDS has prepared, or None."""
    if not name or ".." in Path(name).parts:
        return None
    versions = (info.parent for info in (folder / name).glob("*/dataset_info.json"))
    numbered = [v for v in versions if all(part.isdigit() for part in v.name.split("."))]
    return max(numbered, key=lambda v: tuple(map(int, v.name.split("."))), default=None)


def _unknown(name: str, folder: Path) -> InputError:
    here = [p.name for p in folder.iterdir() if prepared(p.name, folder)] if folder.is_dir() else []
    known = sorted({*names(), *here})
    where = _said(folder)
    close = nearest(name, known)
    if not close:  # TFDS takes seconds to import
        stock = _packages.tfds().list_builders(with_community_datasets=False)
        if name.split("/", maxsplit=1)[0] in stock:
            return InputError(
                f"data set {name!r} is not prepared under {where}; preparing it needs TensorFlow: do "
                "it where that is, with file_format='array_record', and give the folder as "
                f"--data-dir. Ready: {', '.join(known)}"
            )
        close = nearest(name, stock)
    return InputError(
        f"unknown data set {name!r}{hint(close)} Ready to take: {', '.join(known)}; another one of TFDS "
        f"must first be prepared under {where}, with file_format='array_record'"
    )


def _said(folder: Path) -> str:
    return str(folder) if folder.is_dir() else f"{folder} (which is not a folder that exists)"


def _check_reachable(name: str, folder: Path) -> None:
    source = SOURCES[name]
    if all((downloads(folder, name) / file).exists() for file, _ in source.files):
        return
    request = urllib.request.Request(source.url + source.files[0][0], method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except NETWORK_ERRORS as error:
        host = urllib.parse.urlparse(source.url).hostname
        raise InputError(
            f"data set {name!r} is not prepared under {_said(folder)} and cannot be downloaded from "
            f"{host} ({error}); give --data-dir or FLAXACT_DATA_DIR, or take {EMBEDDED}, which needs "
            "neither"
        ) from None
