"""TFDS builders that prepare data sets without TensorFlow.

They have the names, versions and features of TFDS's own builders, which need TensorFlow.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from flaxact.data.sources import SOURCES, downloads, fetch

CIFAR10_CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]


def png(image: np.ndarray) -> bytes:
    """Encode an image, uint8 (height, width, 1 or 3), as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "png")
    return buffer.getvalue()


# Not registered: the stock builders have the names.
class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders share: source and destination of the files."""

    def _files(self) -> dict[str, Path]:
        folder = Path(self.data_dir).parents[1]  # of the name and the version in it
        return fetch(SOURCES[self.name], downloads(folder, self.name))

    def _of(self, features: Mapping[str, tfds.features.FeatureConnector]) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _generate_examples(self, examples: Iterator[tuple[int | str, dict]]) -> Iterator:
        yield from examples


class Mnist(_Builder, skip_registration=True):
    """MNIST, from its four IDX files."""

    VERSION = tfds.core.Version("3.0.1")

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(28, 28, 1))
        return self._of({"image": image, "label": tfds.features.ClassLabel(num_classes=10)})

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        files = self._files()
        return {
            split: self._generate_examples(_idx_examples(files, stem))
            for split, stem in (("train", "train"), ("test", "t10k"))
        }


class FashionMnist(Mnist, skip_registration=True):
    """Fashion-MNIST, in files of MNIST's format."""


class Cifar10(_Builder, skip_registration=True):
    """CIFAR-10, from its binary version (nothing is unpickled)."""

    VERSION = tfds.core.Version("3.0.2")

    def _info(self) -> tfds.core.DatasetInfo:
        return self._of(
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(names=CIFAR10_CLASSES),
            }
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        (archive,) = self._files().values()
        batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
        return {
            split: self._generate_examples(_cifar_examples(archive, split, files, ("label",)))
            for split, files in (("train", batches), ("test", ["test_batch.bin"]))
        }


class Cifar100(_Builder, skip_registration=True):
    """CIFAR-100, from its binary version (nothing is unpickled)."""

    VERSION = tfds.core.Version("3.0.2")

    def _info(self) -> tfds.core.DatasetInfo:
        return self._of(
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=100),
                "coarse_label": tfds.features.ClassLabel(num_classes=20),
            }
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        (archive,) = self._files().values()
        features: Any = self.info.features
        for feature, file in (("label", "fine"), ("coarse_label", "coarse")):
            text = _members(archive, [f"{file}_label_names.txt"])[0].decode()
            features[feature].names = text.split()
        labels = ("coarse_label", "label")
        return {
            split: self._generate_examples(
                _cifar_examples(archive, split, [f"{split}.bin"], labels)
            )
            for split in ("train", "test")
        }


BUILDERS = {
    "mnist": Mnist, "fashion_mnist": FashionMnist, "cifar10": Cifar10, "cifar100": Cifar100,
}  # fmt: skip


def _idx_examples(files: dict[str, Path], stem: str) -> Iterator[tuple[int | str, dict]]:
    def read(name: str, skip: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress(files[name].read_bytes()), np.uint8, offset=skip)

    images = read(f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    labels = read(f"{stem}-labels-idx1-ubyte.gz", 8)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield i, {"image": png(image), "label": int(label)}


def _members(archive: Path, names: list[str]) -> list[bytes]:
    """The contents of files in a tar archive, found by their base names, in the order of ``names``."""
    contents = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            base = Path(member.name).name
            if member.isfile() and base in names:
                contents[base] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return [contents[name] for name in names]


def _cifar_examples(
    archive: Path, split: str, files: list[str], labels: tuple[str, ...]
) -> Iterator[tuple[str, dict]]:
    """Images and labels of CIFAR's binary records: label bytes, then three planes of 32×32 pixels."""
    data = np.frombuffer(b"".join(_members(archive, files)), np.uint8)
    records = data.reshape(-1, len(labels) + 3072)
    for i, record in enumerate(records, 1):
        image = record[len(labels) :].reshape(3, 32, 32).transpose(1, 2, 0)
        key = f"{split}_{i:05d}"
        numbers = dict(zip(labels, map(int, record), strict=False))
        yield key, {"id": key, "image": png(np.ascontiguousarray(image)), **numbers}
