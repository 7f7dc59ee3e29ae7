"""Data sets by name, and the checks of names and folders."""

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
    """Make your own data set available to ``load``, ``names`` and the command line; a decorator.

    Args:
      load: a function that returns a ``Dataset``; the function's name becomes the data set's name.
        If it has the keyword arguments ``image_size`` and ``data_dir``, they are passed on.

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
    is_built_in = name == EMBEDDED or name in SOURCES
    _own_code.check_free("data set", name, load, register if is_built_in else own.get(name))
    own[name] = load
    return load


def names() -> tuple[str, ...]:
    """The data sets that ``load`` provides without further setup; most of them are downloaded.

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
    """Load a data set as uint8 arrays.

    ``mnist5k`` is part of the installation. A path is a folder of images, as for ``from_folder``, or an
    npz file, as for ``from_npz``. Any other name is a TFDS image classification set. If
    TFDS has prepared it, it is read from there without TensorFlow; the names in ``names()`` are
    otherwise downloaded and prepared. The images are decoded once into a cache beside the TFDS
    files, which later calls memory-map.

    Args:
      name: name of the data set; ``name/config`` for a set with configurations; or a path.
      data_dir: the folder of TFDS's data sets; None for FLAXACT_DATA_DIR, or else TFDS's default.
      image_size: resize images to this height and width in pixels: scale the shorter side, then
        crop the center. Required if the images differ in size.

    Raises:
      InputError: an unknown name, a set that is neither prepared nor can be downloaded, a set
        without images and class labels, images that differ in size, or a damaged cache.

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
            raise InputError("mnist5k always has images of 28 pixels; omit the image size")
        return mnist5k()
    folder = data_folder(data_dir)
    if path := own_files(name, folder):
        return _from_files(name, path, image_size)
    from flaxact.data.tfds import prepare, read

    version = prepared(name, folder) or prepare(name, folder)
    return read(name, version, image_size)


def own_files(name: str, folder: Path) -> Path | None:
    """The folder or npz file if a name is a path; None if it is the name of a data set.

    A name without ``/`` is taken as a data set if one has this name.

    Raises:
      InputError: the name can only be a path, and the path does not exist.
    """
    path = Path(name).expanduser()
    is_path = name.startswith((".", "/", "~")) or name.endswith(("/", ".npz"))
    if is_path and not path.exists():
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        close = nearest(path.name, [p.name for p in siblings])
        raise InputError(f"there is no {name}{hint(close)} Give a folder of images, or an npz file")
    is_known = name in SOURCES or prepared(name, folder)
    return path if is_path or (name and path.is_dir() and not is_known) else None


def _from_files(name: str, path: Path, image_size: int | None) -> Dataset:
    if path.is_dir():
        from flaxact.data.images import from_folder

        return from_folder(name, image_size=image_size)
    from flaxact.data.arrays import from_npz

    if image_size is not None:
        raise InputError(f"{name} has arrays of one size; omit the image size")
    return from_npz(name)


def _own(name: str, options: dict[str, object]) -> Dataset:
    parameters = inspect.signature(own[name]).parameters
    values = {option: value for option, value in options.items() if value is not None}
    if "image_size" in values.keys() - parameters.keys():
        raise InputError(f"the data set {name!r} takes no image size; omit it")
    data = own[name](**{option: value for option, value in values.items() if option in parameters})
    if not isinstance(data, Dataset):
        raise InputError(f"the data set {name!r} must return a Dataset, not {type(data).__name__}")
    return data


def check(name: str, *, data_dir: str | Path | None = None) -> None:
    """Check within seconds, and without importing jax, that ``load`` can work.

    Raises:
      InputError: an unknown name, or a set that is neither prepared nor can be downloaded.
    """
    if name in own or name == EMBEDDED:
        return
    folder = data_folder(data_dir)
    if own_files(name, folder) or prepared(name, folder):
        return
    if name in SOURCES:
        _check_reachable(name, folder)
        return
    raise _unknown(name, folder)


def data_folder(data_dir: str | Path | None) -> Path:
    """The folder of TFDS's data sets: the argument, else FLAXACT_DATA_DIR, else TFDS's default."""
    for path in (data_dir, os.environ.get("FLAXACT_DATA_DIR"), os.environ.get("TFDS_DATA_DIR")):
        if path:
            return Path(path).expanduser()
    return Path("~/tensorflow_datasets").expanduser()


def prepared(name: str, folder: Path) -> Path | None:
    """The folder of the newest version of a data set that TFDS has prepared, or None."""
    if not name or ".." in Path(name).parts:
        return None
    versions = (info.parent for info in (folder / name).glob("*/dataset_info.json"))
    numbered = [v for v in versions if all(part.isdigit() for part in v.name.split("."))]
    return max(numbered, key=lambda v: tuple(map(int, v.name.split("."))), default=None)


def _unknown(name: str, folder: Path) -> InputError:
    prepared_names = (
        [p.name for p in folder.iterdir() if prepared(p.name, folder)] if folder.is_dir() else []
    )
    available = sorted({*names(), *prepared_names})
    where = _folder_text(folder)
    close = nearest(name, available)
    if not close:  # TFDS takes seconds to import
        stock = _packages.tfds().list_builders(with_community_datasets=False)
        if name.split("/", maxsplit=1)[0] in stock:
            return InputError(
                f"data set {name!r} is not prepared under {where}, and preparing it needs "
                "TensorFlow: do that elsewhere, with file_format='array_record', and give --data-dir"
            )
        close = nearest(name, stock)
    return InputError(
        f"unknown data set {name!r}{hint(close)} Available: {', '.join(available)}; prepare any "
        f"other TFDS set under {where} first, with file_format='array_record'"
    )


def _folder_text(folder: Path) -> str:
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
            f"data set {name!r} is not prepared under {_folder_text(folder)} and cannot be "
            f"downloaded from {host} ({error}); give --data-dir, or use {EMBEDDED}, which comes with "
            "flaxact"
        ) from None
