"""The stored pieces of a study; any process on any machine can compute missing ones."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flaxact.data.sets import Dataset, few
from flaxact.reproduction._records import read_piece
from flaxact.stored.environment import commit, environment
from flaxact.stored.files import Json, make_folder, sealed, write_whole
from flaxact.training.folder.lock import InUseError, locked

if TYPE_CHECKING:
    import numpy as np
    from flax import linen as nn

    from flaxact.data.streamed import Streamed
    from flaxact.diagnostics.measures import Measure
    from flaxact.diagnostics.record import ProbeRow
    from flaxact.net import Net
    from flaxact.training.folder.record import MetricsRow
    from flaxact.training.folder.run import RunOptions
    from flaxact.training.loop import Epoch
    from flaxact.training.members import Member
    from flaxact.training.recipe import Recipe


class UnavailableError(Exception):
    """Required pieces are not stored: another process computes them, or ``compute`` is False."""


@dataclass(kw_only=True)
class Workspace:
    """The stored pieces of a study.

    A piece is a small JSON file, complete or absent. Several processes can work on one study: each locks
    the piece it computes, and leaves a locked one to its owner.

    Attributes:
      folder: the folder of the pieces; each scale has its own.
      data_dir: folder of the TFDS data sets; None for FLAXACT_DATA_DIR, or else TFDS's default.
      log: called with progress messages.
      compute: False to read only what is stored.
      seconds: wall-clock time that the requested pieces took to compute.
      data_notes: notes on the data sets, by name.
      missing: names of requested pieces that are not stored.
      computed: how many pieces this process has computed.
    """

    folder: Path
    data_dir: Path | None = None
    log: Callable[[str], object] = lambda text: None
    compute: bool = True
    seconds: float = 0.0
    data_notes: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    computed: int = 0

    @property
    def scratch(self) -> Path:
        """The folder for temporary files, such as checkpoints."""
        return self.folder.with_name(f"{self.folder.name}.work")

    def data(self, name: str, train: int | None = None, test: int | None = None) -> Dataset:
        """A data set, or evenly spaced subsets of its training and test images."""
        from flaxact import data as datasets

        dataset = datasets.load(name, data_dir=self.data_dir)
        self.data_notes[name] = dataset.note
        return replace(dataset, train=few(dataset.train, train), test=few(dataset.test, test))

    def stream(self, name: str, *, batch_size: int, image_size: int, workers: int) -> Streamed:
        """A data set that is read during training, from its start.

        Args:
          name: name of the data set, or a folder of images.
          batch_size: batch size of both splits.
          image_size: the short side of the resized images, in pixels.
          workers: number of processes that read and decode images.
        """
        from flaxact.data import open_stream
        from flaxact.data.streamed import Streamed

        self.data_notes[name] = "streamed"
        train, test = (
            open_stream(
                name,
                split=split,
                batch_size=batch_size,
                scale=None,
                image_size=image_size,
                workers=workers,
                data_dir=self.data_dir,
            )
            for split in ("train", "test")
        )
        return Streamed(name, train, test)

    def cached(self, name: str, compute: Callable[[], object]) -> Any:
        """The JSON value of ``compute``; stored in ``folder/name.json`` and read from there later.

        Raises:
          UnavailableError: as ``cached_all``.
        """
        return self.cached_all({name: compute})[0]

    def cached_all(self, computations: Mapping[str, Callable[[], object]]) -> list[Any]:
        """The values of several independent pieces, in the order of ``computations``.

        Raises:
          UnavailableError: some are not stored, and another process computes them or ``compute`` is
            False.
        """
        for name, compute in computations.items():
            path = self._path(name)
            if path.exists() or not self.compute:
                continue
            with contextlib.suppress(InUseError), locked(self.scratch / "locks" / name):
                if not path.exists():  # another process may have stored it in between
                    self._store(name, compute)
        absent = [name for name in computations if not self._path(name).exists()]
        if absent:
            self.missing += absent
            raise UnavailableError(", ".join(absent))
        return [self._read(name) for name in computations]

    def attempt(self, part: Callable[[], Any]) -> Any:
        """The result of a part of a study; None if required pieces are not available."""
        try:
            return part()
        except UnavailableError:
            return None

    def check_complete(self) -> None:
        """Raise if required pieces of the study were missing in ``attempt``.

        Raises:
          UnavailableError: pieces are missing.
        """
        if self.missing:
            raise UnavailableError(", ".join(self.missing))

    def train(
        self,
        name: str,
        net: Net,
        recipe: Recipe,
        data: Dataset | Streamed,
        *,
        members: Sequence[Member | int],
        **options: Unpack[RunOptions],
    ) -> list[MetricsRow]:
        """Train with ``flaxact.training.run`` in ``scratch/name``, and store the rows as one piece.

        Returns:
          One row per epoch, from epoch 0. Metrics such as "train_error" are lists over ``members``,
          with None for a diverged one.
        """
        return self.cached(
            name, lambda: self.train_lines(name, net, recipe, data, members=members, **options)
        )

    def train_lines(
        self,
        label: str,
        net: Net,
        recipe: Recipe,
        data: Dataset | Streamed,
        *,
        members: Sequence[Member | int],
        **options: Unpack[RunOptions],
    ) -> list[MetricsRow]:
        """As ``train``, without storing the result as a piece; for use inside a piece."""
        from flaxact.training import rows_of, run

        folder = self.scratch / label
        for epoch in run(net, recipe, data, members, folder=folder, model=label, **options):
            self.log(f"{label}, epoch {epoch.number}, {epoch.seconds:.1f} s: {_errors(epoch)}")
        return rows_of(folder)

    def train_probed(
        self,
        label: str,
        module: nn.Module,
        recipe: Recipe,
        data: Dataset | Streamed,
        *,
        members: Sequence[Member | int],
        images: np.ndarray,
        measures: Sequence[str | Measure],
    ) -> tuple[list[MetricsRow], list[ProbeRow]]:
        """As ``train_lines``, with probes of the net before training and after each epoch.

        Args:
          label: name of the folder in ``scratch``.
          module: the net.
          recipe: how it is trained.
          data: the training and test data.
          members: the nets that train together, such as one per seed.
          images: the images to probe on.
          measures: the measures of the probes.

        Returns:
          The rows of all epochs, from epoch 0, and the rows of the probes.
        """
        from flaxact.diagnostics.record import Recorder, read
        from flaxact.net import from_linen

        file = self.scratch / label / "probes.jsonl"
        watch = Recorder(file, module, images, measures=measures)
        net = from_linen(module)
        lines = self.train_lines(label, net, recipe, data, members=members, watch=watch)
        return lines, read(file)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _store(self, name: str, compute: Callable[[], object]) -> None:
        path = self._path(name)
        make_folder(path.parent)
        start = time.perf_counter()
        value = compute()
        seconds = time.perf_counter() - start
        piece = {
            "seconds": round(seconds, 3),
            "environment": run_environment(),
            "data": self.data_notes,
            "value": value,
        }
        write_whole(path, (json.dumps(sealed(piece)) + "\n").encode())
        self.computed += 1
        self.log(f"{name}: {seconds:.0f} s")

    def _read(self, name: str) -> object:
        piece = read_piece(self._path(name))
        self.seconds += piece.seconds
        self.data_notes |= piece.data
        return piece.value


def _errors(epoch: Epoch) -> str:
    errors = epoch.train_error if epoch.number else epoch.test_error
    listed = ", ".join(f"{error:.1%}" for error in errors[:8])
    return f"{'training' if epoch.number else 'test'} error {listed}{' …' * (len(errors) > 8)}"


def run_environment() -> dict[str, Json]:
    """Versions, machine, commit and date of this run."""
    import jax

    return {
        **environment("flaxact", "jax", "flax", "optax", "numpy"),
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "commit": commit(),
    }
