"""Encoded images one by one: of a prepared TFDS set or of a folder, named where one cannot be read."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from flaxact.errors import InputError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's names, by channels


class Source(Protocol):
    """Encoded images and their labels, by number; can be pickled."""

    class_names: tuple[str, ...]
    channels: int

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        """The file of an image, and its label."""
        ...

    def where(self, number: int) -> str:
        """The example and the file that it is in."""
        ...

    def remedy(self) -> str:
        """What to do where one cannot be read."""
        ...

    def digest(self) -> str:
        """SHA-256 over what the examples are called, not over what they hold."""
        ...


def picture(source: Source, number: int) -> tuple[Image.Image, int]:
    """A decoded image with the source's channels, and its label.

    Raises:
      InputError: it cannot be read or decoded; names the file and the example.
    """
    try:
        content, label = source[number]
        with Image.open(io.BytesIO(content)) as image:
            return image.convert(MODES[source.channels]), int(label)
    except Exception as error:  # of array_record, TFDS, Pillow: of any type
        raise InputError(
            f"cannot read {source.where(number)}: {_reason(error)}; {source.remedy()}"
        ) from None


def _reason(error: Exception) -> str:
    return str(error) or "it is not whole"  # array_record may say nothing


def pixels(image: Image.Image) -> np.ndarray:
    """As uint8 (height, width, channels)."""
    return np.atleast_3d(np.asarray(image, np.uint8))


def resized(image: Image.Image, size: int) -> np.ndarray:
    """The short side scaled to ``size``, the centre cropped to a square: uint8."""
    width, height = image.size
    scale = size / min(height, width)
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    scaled = pixels(image.resize((width, height), Image.Resampling.BILINEAR))
    top, left = (height - size) // 2, (width - size) // 2
    return scaled[top : top + size, left : left + size]


class Records:
    """A split of a prepared TFDS set for image classification."""

    def __init__(self, name: str, prepared: Path, split: str):
        """Open a split.

        Args:
          name: of the data set.
          prepared: the folder of its version.
          split: its name; where there is no ``test``, ``validation`` stands in for it.

        Raises:
          InputError: no image or class label among its features, no such split, another file
            format, or files that are missing or cut short.
        """
        import tensorflow_datasets as tfds

        self.name, self.prepared = name, prepared
        try:
            builder: Any = tfds.builder_from_directory(prepared)
        except Exception as error:  # broken JSON, a feature that is unknown: of any type
            raise InputError(
                f"cannot read what {prepared} says of data set {name!r}: {error}; {self.remedy()}"
            ) from None
        self.split = _split(name, split, builder.info.splits)
        self.image, self.label = _features(name, builder.info.features, tfds)
        self.class_names = tuple(builder.info.features[self.label].names)
        self.channels = builder.info.features[self.image].shape[-1] or 3
        info = builder.info.splits[self.split]
        self.files = [Path(path) for path in info.filepaths]
        self.lengths = list(info.shard_lengths)
        try:
            self.source = builder.as_data_source(
                split=self.split, decoders={self.image: tfds.decode.SkipDecoding()}
            )
        except NotImplementedError:
            raise InputError(
                f"data set {name!r} under {prepared} is in the format "
                f"{builder.info.file_format.value}, which needs TensorFlow to be read; prepare it "
                "with file_format='array_record'"
            ) from None
        if builder.info.file_format.value == "array_record":
            self._check_lengths()

    def _check_lengths(self) -> None:
        # A file that is cut short may open, and give nothing for its records.
        from array_record.python.array_record_module import ArrayRecordReader

        for file, length in zip(self.files, self.lengths, strict=True):
            try:
                reader = ArrayRecordReader(str(file))
                found = reader.num_records()
                reader.close()
            except Exception as error:
                raise InputError(
                    f"cannot read {file} of data set {self.name!r}: {_reason(error)}; "
                    f"{self.remedy()}"
                ) from None
            if found != length:
                raise InputError(
                    f"{file} of data set {self.name!r} holds {found} of {length} examples; "
                    f"{self.remedy()}"
                )

    def __reduce__(self):
        return Records, (self.name, self.prepared, self.split)

    def __len__(self) -> int:
        return sum(self.lengths)

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        example = self.source[number]
        return example[self.image], example[self.label]

    def where(self, number: int) -> str:
        """The example and the file that it is in."""
        ends = list(itertools.accumulate(self.lengths))
        shard = bisect.bisect_right(ends, number)
        record = number - ends[shard] + self.lengths[shard]
        return (
            f"example {number} of the split {self.split!r} of data set {self.name!r}, which is "
            f"record {record} of {self.files[shard]}"
        )

    def remedy(self) -> str:
        """What to do where one cannot be read."""
        from flaxact.data.sources import SOURCES

        again = (
            "it is made anew by the next run"
            if self.name in SOURCES
            else "prepare the data set again with file_format='array_record'"
        )
        return f"delete the folder {self.prepared}, and {again}"

    def digest(self) -> str:
        """SHA-256 over the version and the names and lengths of the files."""
        named = [
            f"{file.name} {length}" for file, length in zip(self.files, self.lengths, strict=True)
        ]
        return hashlib.sha256("\n".join((self.prepared.name, *named)).encode()).hexdigest()


def _split(name: str, split: str, splits: Any) -> str:
    wanted = ("test", "validation") if split == "test" else (split,)
    for found in wanted:
        if found in splits:
            return found
    raise InputError(
        f"data set {name!r} has the splits {', '.join(splits)}; needed are train and test or "
        "validation"
        if split in ("train", "test")
        else f"data set {name!r} has no split {split!r}; it has {', '.join(splits)}"
    )


def _features(name: str, features: Any, tfds: Any) -> tuple[str, str]:
    """The keys of the image and of its class."""
    found = []
    for kind, usual in ((tfds.features.Image, "image"), (tfds.features.ClassLabel, "label")):
        keys = [k for k, f in features.items() if isinstance(f, kind)]
        if not keys:
            raise InputError(
                f"data set {name!r} is not for image classification: it has no {kind.__name__} "
                f"among its features {', '.join(features)}"
            )
        found.append(usual if usual in keys else keys[0])
    return found[0], found[1]


class Folder:
    """Images in a folder a class: ``root/class/*.png`` or ``root/split/class/*.png``; JPEG, WebP."""

    def __init__(self, root: Path, split: str):
        """List a split; the classes are those of ``train`` where there is one, sorted.

        Raises:
          InputError: no such split, no images, or a class that training does not have.
        """
        self.root, self.split = root, split
        place = _split_folder(root, split)
        training = root / "train" if (root / "train").is_dir() else place
        self.class_names = tuple(sorted(p.name for p in training.iterdir() if p.is_dir()))
        self.files, self.labels = [], []
        for folder in sorted(p for p in place.iterdir() if p.is_dir()):
            if folder.name not in self.class_names:
                raise InputError(f"{folder} is of a class that {training} does not have")
            files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
            self.files += files
            self.labels += [self.class_names.index(folder.name)] * len(files)
        if not self.files:
            raise InputError(
                f"no images in {place}: they are looked for in a folder for each class, as "
                f"{place}/cat/1.png, with the endings {', '.join(SUFFIXES)}"
            )
        self.channels = 3
        self.channels = 1 if self._is_grey() else 3

    def _is_grey(self) -> bool:
        picture(self, 0)  # names the file if it is not an image
        with Image.open(self.files[0]) as image:
            return image.mode in ("1", "L", "LA", "I", "I;16")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        return self.files[number].read_bytes(), self.labels[number]

    def where(self, number: int) -> str:
        """The example and the file that it is in."""
        return f"{self.files[number]} (example {number} of the split {self.split!r})"

    def remedy(self) -> str:
        """What to do where one cannot be read."""
        return "replace the file, or delete it"

    def digest(self) -> str:
        """SHA-256 over the names of the files and their folders."""
        named = sorted(f"{file.parent.name}/{file.name}" for file in self.files)
        return hashlib.sha256("\n".join(named).encode()).hexdigest()


def _split_folder(root: Path, split: str) -> Path:
    named = (split, "val", "validation") if split == "test" else (split,)
    for name in named:
        if (root / name).is_dir():
            return root / name
    if split == "train" and not (root / "test").is_dir():
        return root  # one folder a class, without splits
    raise InputError(f"{root} has no folder for the split {split!r}: looked for {', '.join(named)}")
