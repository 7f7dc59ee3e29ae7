"""Batches of a set that is too large for memory, read by grain with threads or processes.

A batch is a function of the seed and its number alone. The number of workers and of processes does
not change it, and a reader's state is that number.

Worker processes import the main script again, so the script needs ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from flaxact import _packages
from flaxact.data.batches import Batches, HostBatch, Plan
from flaxact.data.catalogue import EMBEDDED, check, data_folder, own, prepared
from flaxact.data.folder import Folder
from flaxact.data.records import Records, Source
from flaxact.errors import InputError
from flaxact.stored.files import Json

AHEAD = 2  # batches that ``put`` has been called on before they are asked for
THREADS = 4  # that read where there are no worker processes


def _begin_worker(index: int, count: int) -> None:
    """Make a worker process end when its parent is killed, and leave Ctrl-C to the parent."""
    del index, count
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class StreamState(TypedDict):
    """The position of a stream as JSON: the next batch's number, and fields that identify the data."""

    batch: int
    of: dict[str, Json]


class Stream:
    """An iterator over batches; see ``open_stream``.

    Attributes:
      plan: the arguments that decide what the batches hold.
      shard: (index of this process, number of processes).
      length: images in the split.
      batches: number of batches per epoch, or per pass over a test split.
      num_classes: number of classes of the labels.
      class_names: one per class.
      image_shape: (height, width, channels) of every image.
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        *,
        workers: int = 0,
        shard: tuple[int, int] = (0, 1),
        put: Callable[[HostBatch], object] | None = None,
    ):
        self.plan = plan
        self.length = len(source)
        self.batches = plan.batches(self.length)
        self.class_names = source.class_names
        self.num_classes = len(source.class_names)
        self.image_shape = (plan.image_size, plan.image_size, source.channels)
        self._source = source
        self._workers = workers
        self.shard = shard
        self._put = put
        self._iterator: Iterator[HostBatch] | None = None
        self._ahead: deque[object] = deque()
        self._next = 0

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._open()
        while len(self._ahead) < (AHEAD if self._put else 1):
            batch = next(self._iterator)
            if self._workers:  # out of shared memory, which should not outlive the workers
                batch = tuple(np.array(part) for part in batch)
            self._ahead.append(self._put(batch) if self._put else batch)
        self._next += 1
        return self._ahead.popleft()

    def __iter__(self) -> Iterator[Any]:
        return self if self.plan.training else self._pass()

    def _pass(self) -> Iterator[Any]:
        if self._next % self.batches:  # the last pass was broken off
            self._go_to(0)
        for _ in range(self.batches):
            yield next(self)

    @_packages.explained()
    def _open(self) -> Iterator[HostBatch]:
        import grain

        source: Any = Batches(self._source, self.plan, self.shard, self._next)
        batches = grain.MapDataset.source(source)
        if not self._workers:
            return iter(batches.to_iter_dataset(grain.ReadOptions(THREADS, THREADS)))
        from absl import flags

        if (
            not flags.FLAGS.is_parsed()
        ):  # grain asks absl's flags, which only absl's own main parses
            flags.FLAGS.mark_as_parsed()
        # Each worker reads every so-manieth batch, so their number does not change the order.
        read = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        options = grain.MultiprocessingOptions(self._workers, per_worker_buffer_size=2)
        return iter(read.mp_prefetch(options, _begin_worker))

    def state(self) -> StreamState:
        """The position as a JSON value: the next batch's number, and fields that identify the data."""
        plan = dataclasses.asdict(self.plan)
        plan["scale"] = plan["scale"] and list(plan["scale"])
        return {"batch": self._next, "of": {"data": self._source.digest(), **plan}}

    def set_state(self, state: StreamState) -> None:
        """Resume at a state of a stream of the same data, with any number of workers and processes.

        Raises:
          InputError: the state belongs to other data, or to a stream opened with other arguments.
        """
        ours = self.state()["of"]
        theirs = state.get("of", {})
        different = [
            f"{name} was {theirs.get(name)}, is {value}"
            for name, value in ours.items()
            if theirs.get(name) != value
        ]
        if different:
            raise InputError(f"the state belongs to another stream: {'; '.join(different)}")
        self._go_to(int(state["batch"]))

    def _go_to(self, batch: int) -> None:
        self.close()
        self._next = batch

    def close(self) -> None:
        """End the worker processes; the next batch starts them again."""
        if self._iterator is not None:
            self._iterator.close()  # type: ignore[attr-defined]
        self._iterator = None
        self._ahead.clear()


@_packages.explained()
def open_stream(
    name: str | Path,
    *,
    split: str = "train",
    batch_size: int,
    image_size: int,
    seed: int = 0,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
    scale: tuple[float, float] | None = (0.08, 1.0),
    put: Callable[[HostBatch], object] | None = None,
    data_dir: str | Path | None = None,
) -> Stream:
    """Read a TFDS set or a folder of images batch by batch.

    The split ``train`` is endless: each epoch has a new order, drops an incomplete last batch, and
    takes a random part of each image. It yields (images, labels): uint8 (batch, image_size,
    image_size, channels) and int32 (batch,). Any other split is read in order, one exact pass per
    ``for`` loop; it yields (images, labels, mask), where the mask (batch,) is False for the padding
    of the last batch.

    Args:
      name: name of a TFDS set, as for ``load``; or a folder with one subfolder of JPEG, PNG or WebP
        files per class, ``root/class/1.png``, or per split and class, ``root/train/class/1.png``.
      split: ``train`` or another. If there is no ``test``, ``validation`` or ``val`` is used for
        it.
      batch_size: over all processes together.
      image_size: height and width of the images, in pixels.
      seed: seed of the order and the random parts.
      workers: processes that read and decode; 0 for threads of this process.
      shard: (index, count) of the processes, ``(jax.process_index(), jax.process_count())``; each
        process gets its consecutive rows of every batch.
      scale: smallest and largest area of a random part, as shares of the image; None for the center
        crop, as in testing.
      put: a function applied to each batch two batches ahead, such as ``jax.device_put``.
      data_dir: as for ``load``.

    Raises:
      InputError: no such data, a batch size that the processes do not divide or that is larger than
        the training set, or a value out of range; while reading, a damaged image, with the name of
        its file.
    """
    for argument, value in (("batch size", batch_size), ("image size", image_size)):
        if value < 1:
            raise InputError(f"the {argument} must be 1 or more, not {value}")
    if workers < 0 or seed < 0:
        raise InputError("the seed and the number of workers must be 0 or more")
    if scale is not None and not 0 < scale[0] <= scale[1] <= 1:
        raise InputError(
            f"the scale must be two ascending numbers above 0 and at most 1, not {scale}"
        )
    if not 0 <= shard[0] < shard[1] or batch_size % shard[1]:
        raise InputError(
            f"a batch of {batch_size} cannot be divided for the shard {shard}: give (index, count) with "
            "an index from 0 below the count, and a batch size that the count divides"
        )
    source = _source(name, split, data_folder(data_dir))
    crop_scale = scale if split == "train" else None
    plan = Plan(split, batch_size, image_size, seed, scale=crop_scale)
    if not plan.batches(len(source)):
        raise InputError(f"a batch of {batch_size} is larger than the {len(source)} images")
    return Stream(source, plan, workers=workers, shard=shard, put=put)


def _source(name: str | Path, split: str, folder: Path) -> Source:
    if version := prepared(str(name), folder):
        return Records(str(name), version, split)
    if Path(name).is_dir():
        return Folder(Path(name), split)
    if name == EMBEDDED or name in own:
        raise InputError(f"{name} fits in memory: use load instead of a stream")
    check(str(name), data_dir=folder)
    from flaxact.data.tfds import prepare

    return Records(str(name), prepare(str(name), folder), split)
