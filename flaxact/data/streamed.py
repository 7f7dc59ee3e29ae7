"""A data set that is read from disk during training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flaxact._lazy import np
from flaxact.data.sets import check_alike
from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.data.batches import HostBatch
    from flaxact.data.stream import Stream

SAMPLE = 1024  # images from which a net takes their mean


class StreamRecipe(Protocol):
    """The fields of a recipe that a stream is checked against."""

    @property
    def batch_size(self) -> int:
        """The batch size: images per step."""
        ...

    @property
    def preprocess(self) -> tuple[str, ...]:
        """The preprocessings as spec texts, such as ``gcn(55)``."""
        ...


@dataclass(frozen=True, eq=False)
class Streamed:
    """Two streams, of training and of test images; all nets that train together see the same batches.

    ``train`` comes from ``open_stream(split="train", ...)`` and is endless; ``test`` is one pass
    per evaluation.
    """

    name: str
    train: Stream
    test: Stream

    @property
    def num_classes(self) -> int:
        """The number of classes, equal in both streams."""
        return self.train.num_classes

    @property
    def digest(self) -> str:
        """A digest that identifies this training set."""
        return str(self.train.state()["of"]["data"])

    def check(self, recipe: StreamRecipe) -> None:
        """Check that a recipe can be trained on these streams.

        Raises:
          InputError: another batch size; a preprocessing, which would need all images at once;
            streams of the wrong splits; or training and test images of different shapes or classes.
        """
        for stream, field in ((self.train, "train"), (self.test, "test")):
            if stream.plan.training != (field == "train"):
                raise InputError(
                    f"data set {self.name!r} was given a stream of the split {stream.plan.split!r} "
                    f"for {field}"
                )
        if self.train.class_names != self.test.class_names:
            raise InputError(
                f"data set {self.name!r} has different classes in training "
                f"({self.train.num_classes}) and "
                f"testing ({self.test.num_classes}), or the same ones in another order"
            )
        ours = self.train.plan.batch_size
        if recipe.batch_size != ours:
            raise InputError(
                f"the recipe's batch size is {recipe.batch_size}, the stream's is {ours}"
            )
        check_alike(self.name, str(self.train.image_shape), str(self.test.image_shape))
        if recipe.preprocess:
            raise InputError(
                "a stream cannot be preprocessed, which would need all of its images at once"
            )

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of the first batches; the stream's position does not change."""
        at = self.train.state()
        batches = []
        count = 0
        while count < SAMPLE and len(batches) < self.train.batches:
            batches.append(next(self.train))
            count += len(batches[-1][1])
        self.train.set_state(at)
        images, labels = (np.concatenate([np.asarray(b[i]) for b in batches]) for i in (0, 1))
        return images, labels.astype(np.int32)

    def test_batches(self) -> Iterator[HostBatch]:
        """Batches of images, labels and a mask."""
        return iter(self.test)
