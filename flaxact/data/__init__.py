"""Data sets as uint8 arrays or streams, preprocessing before training, and augmentation during it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import attach
from flaxact.data.arrays import from_arrays, from_npz
from flaxact.data.augment import augmentation
from flaxact.data.catalogue import check, load, names, register
from flaxact.data.preprocess import preprocess
from flaxact.data.sets import Dataset, Split, few
from flaxact.data.views import shape, views

if TYPE_CHECKING:  # Pillow and NumPy are imported when images are read
    from flaxact.data.huggingface import from_huggingface
    from flaxact.data.images import from_folder
    from flaxact.data.stream import Stream, open_stream
    from flaxact.data.streamed import Streamed

__all__ = [
    "Dataset", "Split", "Stream", "Streamed", "augmentation", "check", "few", "from_arrays",
    "from_folder", "from_huggingface", "from_npz", "load", "names", "open_stream", "preprocess",
    "register", "shape", "views",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
