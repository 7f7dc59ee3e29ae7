"""TFDS sets without TensorFlow: prepared if possible, decoded once, then memory-mapped."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from flaxact import _packages
from flaxact.data.records import Records, gather
from flaxact.data.sets import Dataset, Split, array_digest, combined
from flaxact.data.sources import SOURCES
from flaxact.errors import InputError
from flaxact.stored.files import Json

CACHE = "flaxact-1"  # the number goes up when what a cache holds changes
FILES = ("train_images", "train_labels", "test_images", "test_labels")

# Copies of a data set that are known to differ from the published one, by digest.
COPIES = {
    "46abe9ea45df0d7e5fa7d3d0c8aaba210569e50b5bc9c76ba9be0cbb3c32d691": (
        "92 of the 60,000 images (72 training, 20 test) come from a JPEG copy and are not exact"
    ),
}


def prepare(name: str, folder: Path) -> Path:
    """Download a data set that flaxact has a builder for, and write it in TFDS's format.

    Raises:
      InputError: a download failed, or the folder is not writable.
    """
    _packages.tfds()
    from flaxact.data.builders import BUILDERS

    try:
        builder = BUILDERS[name](data_dir=str(folder), file_format="array_record")
        builder.download_and_prepare()
    except OSError as error:
        raise InputError(f"cannot prepare data set {name!r} under {folder}: {error}") from None
    return Path(builder.data_dir)


def read(name: str, prepared: Path, image_size: int | None) -> Dataset:
    """Read a prepared TFDS set from the cache of its decoded images; the first call writes the cache.

    Raises:
      InputError: a set without an image or a class label, no test split, another file format,
        images that differ in size, a damaged file, or a damaged cache.
    """
    folder_name = CACHE if image_size is None else f"{CACHE}-{image_size}"
    places = [prepared / folder_name, _own_cache(prepared) / folder_name]
    for place in places:
        if (place / "cache.json").exists():
            return _load(name, place)
    arrays, facts = _decode(name, prepared, image_size)
    place = next((p for p in places if _writable(p.parent)), None)
    if place is None:
        raise InputError(
            f"no writable folder for the decoded images: tried {places[0]} and {places[1]}"
        )
    _save(place, arrays, facts)
    return _load(name, place)


def _own_cache(prepared: Path) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return base / "flaxact" / "-".join(prepared.resolve().parts[1:])


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _decode(
    name: str, prepared: Path, image_size: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Json]]:
    arrays = {}
    facts = {}
    for split in ("train", "test"):
        source = Records(name, prepared, split)
        images, labels = gather(source, f"data set {name!r}", image_size)
        arrays[f"{split}_images"] = images
        arrays[f"{split}_labels"] = labels
        facts = {"num_classes": len(source.class_names), "class_names": source.class_names}
    return arrays, facts


def _save(place: Path, arrays: dict[str, np.ndarray], facts: dict[str, Json]) -> None:
    """Write a cache under a temporary name and rename it, so that it is never incomplete."""
    partial = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        digests = {name: array_digest(array) for name, array in arrays.items()}
        (partial / "cache.json").write_text(
            json.dumps({**facts, "digests": digests}, indent=1), "utf-8"
        )
        partial.chmod(0o755)
        partial.rename(place)
    except OSError:
        if not (place / "cache.json").exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _load(name: str, place: Path) -> Dataset:
    try:
        facts = json.loads((place / "cache.json").read_text("utf-8"))
        arrays = {f: np.load(place / f"{f}.npy", mmap_mode="r") for f in FILES}
        wrong = [f for f in FILES if array_digest(arrays[f]) != facts["digests"][f]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the cache {place} is damaged ({error}); delete it to decode again"
        ) from None
    if wrong:
        files = ", ".join(str(place / f"{f}.npy") for f in wrong)
        raise InputError(
            f"{files} is not what was written there (its SHA-256 differs); delete the folder "
            f"{place} to decode again"
        )
    digest = combined(*(facts["digests"][f] for f in FILES))
    published = SOURCES[name].note if name in SOURCES else f"TFDS {name}"
    return Dataset(
        name,
        Split(arrays["train_images"], arrays["train_labels"]),
        Split(arrays["test_images"], arrays["test_labels"]),
        num_classes=facts["num_classes"],
        class_names=tuple(facts["class_names"]),
        note="; ".join(filter(None, (published, COPIES.get(digest)))),
    )
