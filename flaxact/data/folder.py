"""A folder of images with one subfolder per class, read one image at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image

from flaxact.data.records import is_gray, picture
from flaxact.errors import InputError

TESTS = ("test", "val", "validation")  # the first that there is holds the test images
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
LOOKED_AT = 4096  # files, at equal distances, that tell whether a folder's images are gray


class Folder:
    """Images in one folder per class: ``root/class/*.png`` or ``root/split/class/*.png``.

    PNG, JPEG and WebP files are read. Hidden files and folders (names that begin with a dot) and
    empty folders are ignored.
    """

    def __init__(self, root: Path, split: str):
        """List the files of a split.

        The classes and channels are those of the split ``train`` if it exists.

        Raises:
          InputError: no such split, no images, a class that training does not have, or a class
            folder without images.
        """
        self.root = root
        self.split = split
        place = _split_folder(root, split)
        training = root / "train" if (root / "train").is_dir() else place
        trained = _by_class(training)
        by_class = _by_class(place)
        self.class_names = tuple(trained)
        self.files = []
        self.labels = []
        for name, files in by_class.items():
            if name not in self.class_names:
                raise InputError(f"{place / name} is a class that {training} does not have")
            self.files += files
            self.labels += [self.class_names.index(name)] * len(files)
        if not self.files:
            raise InputError(
                f"no images in {place}: there must be one folder per class, such as "
                f"{place}/cat/1.png, with the endings {', '.join(SUFFIXES)}"
            )
        files = [file for files in trained.values() for file in files]
        self.channels = 3
        picture(self, 0)  # names the file if it is not an image
        self.channels = 1 if all(map(_looks_gray, files[:: -(-len(files) // LOOKED_AT)])) else 3

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        return self.files[number].read_bytes(), self.labels[number]

    def where(self, number: int) -> str:
        """A description of an example and its file, for messages."""
        return f"{self.files[number]} (example {number} of the split {self.split!r})"

    def remedy(self) -> str:
        """Advice for the error message if an example cannot be read."""
        return "replace the file, or delete it"

    def digest(self) -> str:
        """SHA-256 over the names of the files and their folders."""
        names = sorted(f"{file.parent.name}/{file.name}" for file in self.files)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _looks_gray(file: Path) -> bool:
    try:
        with Image.open(file) as image:  # reads no pixels
            return is_gray(image)
    except (OSError, SyntaxError):  # it is named when it is read
        return True


def _by_class(place: Path) -> dict[str, list[Path]]:
    """The sorted images of each class folder; hidden and empty folders are ignored.

    Raises:
      InputError: a folder that has files but no image.
    """
    by_class = {}
    for folder in sorted(p for p in _visible(place) if p.is_dir()):
        content = _visible(folder)
        files = sorted(p for p in content if p.suffix.lower() in SUFFIXES)
        if content and not files:
            raise InputError(
                f"{folder} holds {content[0].name} and no image, so it is not a class: images have the "
                f"endings {', '.join(SUFFIXES)}"
            )
        if files:
            by_class[folder.name] = files
    return by_class


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _split_folder(root: Path, split: str) -> Path:
    candidates = TESTS if split == "test" else (split,)
    for name in candidates:
        if (root / name).is_dir():
            return root / name
    if split == "train" and not (root / "test").is_dir():
        return root  # one folder a class, without splits
    names = ", ".join(candidates)
    raise InputError(f"{root} has no folder for the split {split!r}: looked for {names}")
