"""Encoded images of a prepared TFDS set, read one by one; errors name the damaged file."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from flaxact import _packages
from flaxact.errors import InputError, one_line

LONGEST = 500  # characters of a message that has a folder and what to do
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's names, by channels
GRAY = ("1", "L", "LA", "La", "I")  # and I;16 of either byte order


class Source(Protocol):
    """Encoded images and labels by number; can be pickled."""

    class_names: tuple[str, ...]
    channels: int

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        """The bytes of an encoded image, and its label."""
        ...

    def where(self, number: int) -> str:
        """A description of an example and its file, for messages."""
        ...

    def remedy(self) -> str:
        """Advice for the error message if an example cannot be read."""
        ...

    def digest(self) -> str:
        """SHA-256 over the names of the examples; their contents are not read."""
        ...


def picture(source: Source, number: int) -> tuple[Image.Image, int]:
    """A decoded image with the source's channels, and its label.

    Raises:
      InputError: the image cannot be read or decoded, has color while the source is gray, or has no
        class; the message names the file and the example.
    """
    try:
        content, label = source[number]
        with Image.open(io.BytesIO(content)) as image:
            if source.channels == 1 and not is_gray(image):
                raise ValueError("it has color, and the other images are gray")
            if not 0 <= label < len(source.class_names):
                raise ValueError(
                    f"its label {label} is not below {len(source.class_names)}, the number of "
                    "classes"
                )
            return whole_range(image).convert(MODES[source.channels]), int(label)
    except Exception as error:  # of array_record, TFDS, Pillow: of any type
        raise InputError(
            f"cannot read {source.where(number)}: {_reason(error)}; {source.remedy()}", LONGEST
        ) from None


def is_gray(image: Image.Image) -> bool:
    """Whether an image has one channel; reads only its header."""
    return image.mode in GRAY or image.mode.startswith("I;16")


def whole_range(image: Image.Image) -> Image.Image:
    """Scale an image of 16 bits per pixel to 0 to 255, where Pillow would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    """A library's error message, shortened so that the remedy fits; array_record's may be empty."""
    return one_line(str(error), 48) or "it is not whole"


def pixels(image: Image.Image) -> np.ndarray:
    """An image as uint8 (height, width, channels)."""
    return np.atleast_3d(np.asarray(image, np.uint8))


def resized(image: Image.Image, size: int) -> np.ndarray:
    """Scale the shorter side to ``size`` and crop the center to a square: uint8."""
    width, height = image.size
    scale = size / min(height, width)
    width = max(size, round(width * scale))
    height = max(size, round(height * scale))
    scaled = pixels(image.resize((width, height), Image.Resampling.BILINEAR))
    top = (height - size) // 2
    left = (width - size) // 2
    return scaled[top : top + size, left : left + size]


def gather(source: Source, name: str, image_size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """All images of a source, uint8 (number, height, width, channels), and their labels.

    Args:
      source: source of encoded images.
      name: name of the data set in error messages.
      image_size: side to which images are resized, in pixels; None if all images have the same
        size.

    Raises:
      InputError: no images, images that differ in size, or an image that cannot be read.
    """
    images = None
    labels = np.empty(len(source), np.int32)
    for i in range(len(source)):
        opened, labels[i] = picture(source, i)
        image = pixels(opened) if image_size is None else resized(opened, image_size)
        if images is None:
            images = np.empty((len(source), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise InputError(
                f"the images of {name} differ in size ({images.shape[1:]} and {image.shape}); give an "
                "image size in pixels to resize them"
            )
        images[i] = image
    if images is None:
        raise InputError(f"{name} has an empty split")
    return images, labels


class Records:
    """A split of a prepared TFDS set for image classification."""

    def __init__(self, name: str, prepared: Path, split: str):
        """Open a split.

        Args:
          name: name of the data set.
          prepared: the folder of the data set's version.
          split: the split's name; if there is no ``test``, ``validation`` is used.

        Raises:
          InputError: no image or class label among its features, no such split, another file
            format, or files that are missing or truncated.
        """
        tfds = _packages.tfds()
        self.name = name
        self.prepared = prepared
        try:
            builder: Any = tfds.builder_from_directory(prepared)
        except Exception as error:  # broken JSON, a feature that is unknown: of any type
            raise InputError(
                f"cannot read the description of data set {name!r}: {_reason(error)}; "
                f"{self.remedy()}",
                LONGEST,
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
                count = reader.num_records()
                reader.close()
            except Exception as error:
                raise InputError(
                    f"cannot read {file.name} of data set {self.name!r}: {_reason(error)}; "
                    f"{self.remedy()}",
                    LONGEST,
                ) from None
            if count != length:
                raise InputError(
                    f"{file.name} of data set {self.name!r} holds {count} of {length} examples; "
                    f"{self.remedy()}",
                    LONGEST,
                )

    def __reduce__(self):
        return Records, (self.name, self.prepared, self.split)

    def __len__(self) -> int:
        return sum(self.lengths)

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        example = self.source[number]
        return example[self.image], example[self.label]

    def where(self, number: int) -> str:
        """A description of an example and its file, for messages."""
        ends = list(itertools.accumulate(self.lengths))
        shard = bisect.bisect_right(ends, number)
        record = number - ends[shard] + self.lengths[shard]
        return (
            f"example {number} of the split {self.split!r} of data set {self.name!r}, which is "
            f"record {record} of {Path(self.files[shard]).name}"
        )

    def remedy(self) -> str:
        """Advice for the error message if an example cannot be read."""
        from flaxact.data.sources import SOURCES

        again = (
            "the next run prepares it again"
            if self.name in SOURCES
            else "prepare the data set again with file_format='array_record'"
        )
        return f"delete the folder {self.prepared}, and {again}"

    def digest(self) -> str:
        """SHA-256 over the version and the names and lengths of the files."""
        files = [
            f"{file.name} {length}" for file, length in zip(self.files, self.lengths, strict=True)
        ]
        return hashlib.sha256("\n".join((self.prepared.name, *files)).encode()).hexdigest()


def _split(name: str, split: str, splits: Mapping[str, object]) -> str:
    candidates = ("test", "validation") if split == "test" else (split,)
    for candidate in candidates:
        if candidate in splits:
            return candidate
    raise InputError(
        f"data set {name!r} has the splits {', '.join(splits)}; it needs train, and test or "
        "validation"
        if split in ("train", "test")
        else f"data set {name!r} has no split {split!r}; it has {', '.join(splits)}"
    )


def _features(name: str, features: Mapping[str, object], tfds: Any) -> tuple[str, str]:
    """The keys of the image feature and of its class label."""
    pair = []
    for kind, usual in ((tfds.features.Image, "image"), (tfds.features.ClassLabel, "label")):
        keys = [k for k, f in features.items() if isinstance(f, kind)]
        if not keys:
            raise InputError(
                f"data set {name!r} is not for image classification: it has no {kind.__name__} "
                f"among its features {', '.join(features)}"
            )
        pair.append(usual if usual in keys else keys[0])
    return pair[0], pair[1]
