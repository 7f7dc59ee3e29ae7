"""Data sets as uint8 arrays: an embedded one, and any image classification set of TFDS."""

from flaxact.data.catalogue import check, load, names
from flaxact.data.sets import Dataset, Split

__all__ = ["Dataset", "Split", "check", "load", "names"]
