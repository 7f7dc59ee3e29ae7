"""Checks before any training that a study can run on a data set."""

from __future__ import annotations

from flaxact import models
from flaxact.data import Dataset
from flaxact.data import shape as image_shape
from flaxact.errors import InputError
from flaxact.models._catalogue import entry
from flaxact.models._create import sites
from flaxact.studies._results import sizes_of
from flaxact.studies.study import Study


def check(study: Study, data: Dataset) -> None:
    """Check before any training that a study can run on this data.

    Raises:
      InputError: a batch larger than the training set, a model that cannot be built, or one of your own
        that applies no activation.
    """
    count = len(data.train.labels)
    if study.recipe.batch_size > count:
        raise InputError(
            f"a batch of {study.recipe.batch_size} is larger than the {count} training images of "
            f"{data.name}; give at most {count}"
        )
    sizes_of(study, data)
    shape = data.train.images.shape[1:]
    if entry(study.model).make is not None and not _has_sites(study, data.num_classes, shape):
        raise InputError(
            f"the model {study.model} applies no activation: it should call act, or "
            "flaxact.layers.Act(act), on an array"
        )


def _has_sites(study: Study, classes: int, shape: tuple[int, ...]) -> bool:
    recipe = study.recipe
    height, width, channels = image_shape(recipe.augment, recipe.views, shape)
    module = models.create_model(study.model, study.activations[0], num_classes=classes)
    return bool(sites(module, (height, width, channels)))
