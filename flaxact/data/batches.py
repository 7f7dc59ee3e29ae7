"""The batches of a stream by number; the seed alone decides which images a batch holds."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from PIL import Image

from flaxact.data.records import Source, picture, pixels, resized

ENDLESS = 1 << 40  # batches
RATIO = (3 / 4, 4 / 3)  # of a random crop's width to its height
TRIES = 10  # of a random crop, before the center is taken

HostBatch = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Plan:
    """The arguments that decide which images a batch holds; see ``flaxact.data.open_stream``."""

    split: str
    batch_size: int
    image_size: int
    seed: int = 0
    scale: tuple[float, float] | None = (0.08, 1.0)

    @property
    def training(self) -> bool:
        """Whether the stream is shuffled, randomly cropped and endless."""
        return self.split == "train"

    def batches(self, count: int) -> int:
        """Batches per epoch for ``count`` images; in training an incomplete last batch is dropped."""
        full = count // self.batch_size
        return full if self.training else -(-count // self.batch_size)


@dataclass(frozen=True)
class Batches:
    """Random access to one process's share of the batches from number ``start`` on, for grain."""

    source: Source
    plan: Plan
    shard: tuple[int, int]
    start: int

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: SupportsIndex) -> HostBatch:
        plan = self.plan
        (index, processes) = self.shard
        rows = plan.batch_size // processes
        batch = self.start + int(number)
        epoch, step = divmod(batch, plan.batches(len(self.source)))
        places = step * plan.batch_size + index * rows + np.arange(rows)
        size = plan.image_size
        images = np.zeros((rows, size, size, self.source.channels), np.uint8)
        labels = np.zeros(rows, np.int32)
        if plan.training:
            order = _order(plan.seed, epoch, len(self.source))
            for row, example in enumerate(order[places]):
                rng = np.random.default_rng([plan.seed, 1, epoch, int(places[row])])
                image, labels[row] = picture(self.source, int(example))
                images[row] = random_resized(image, size, plan.scale, rng)
            return images, labels
        mask = places < len(self.source)
        for row, example in enumerate(places[mask]):
            image, labels[row] = picture(self.source, int(example))
            images[row] = resized(image, size)
        return images, labels, mask


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def random_resized(
    image: Image.Image, size: int, scale: tuple[float, float] | None, rng: np.random.Generator
) -> np.ndarray:
    """A random part of an image, resized to a square: uint8 (size, size, channels).

    The part's area as a share of the image is uniform over ``scale``; the logarithm of the part's
    width / height is uniform between log 3/4 and log 4/3 (Szegedy et al. 2014, §6). Without a
    scale: the center crop, as in testing.
    """
    if scale is None:
        return resized(image, size)
    width, height = image.size
    for _ in range(TRIES):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        across = round(math.sqrt(area * ratio))
        down = round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left = int(rng.integers(width - across + 1))
            top = int(rng.integers(height - down + 1))
            box = (left, top, left + across, top + down)
            # First reduced by whole numbers of pixels where it is much larger: quick, hardly seen.
            part = image.resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
            return pixels(part)
    return resized(image, size)
