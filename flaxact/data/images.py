"""A data set in memory from a folder of images."""

from __future__ import annotations

from pathlib import Path

from flaxact.data.arrays import HELD_OUT_NOTE, held_out
from flaxact.data.folder import TESTS, Folder
from flaxact.data.records import gather, picture
from flaxact.data.sets import Dataset, Split
from flaxact.errors import InputError

LARGEST = 8 * 2**30  # bytes of decoded images


def from_folder(folder: str | Path, *, image_size: int | None = None) -> Dataset:
    """A data set from a folder with a subfolder of images per class, decoded into memory.

    Files are ``folder/cat/1.png``, and a fifth of them is held out as the test set; or
    ``folder/train/cat/1.png`` and ``folder/test/cat/1.png``, where ``test`` may also be ``val`` or
    ``validation``.

    Args:
      folder: folder of PNG, JPEG or WebP files.
      image_size: height and width in pixels to which images are resized; None if all images have
        the same size.

    Raises:
      InputError: no such folder, no images, a class that training does not have, images that differ
        in size, or an image that cannot be read.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"there is no folder {folder}")
    sources = [Folder(root, "train")]
    has_test = any((root / name).is_dir() for name in TESTS)
    if has_test:
        sources.append(Folder(root, "test"))
    _check_size(sources, image_size, str(folder))
    arrays = [gather(source, str(folder), image_size) for source in sources]
    note = f"images in {root.absolute()}"
    if not has_test:
        images, labels = arrays[0]
        arrays = [(images[rows], labels[rows]) for rows in held_out(len(images), str(folder))]
        note = f"{note}; {HELD_OUT_NOTE}"
    splits = [Split(images, labels) for images, labels in arrays]
    names = sources[0].class_names
    return Dataset(str(folder), *splits, num_classes=len(names), class_names=names, note=note)


def _check_size(sources: list[Folder], image_size: int | None, name: str) -> None:
    count = sum(map(len, sources))
    width, height = picture(sources[0], 0)[0].size
    area = width * height if image_size is None else image_size**2
    if count * area * sources[0].channels > LARGEST:
        raise InputError(
            f"{name} has {count:,} images, which take more than {LARGEST >> 30} GiB in memory: give a "
            "smaller image size, or read them while training with flaxact train --stream"
        )
