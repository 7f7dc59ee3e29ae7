"""Checks of images and labels at the door, before anything is compiled; they do not import jax."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from flaxact._lazy import jnp, np
from flaxact.errors import InputError


def checked_images(given: Any, what: str, *, preprocessed: bool = False) -> np.ndarray:
    """Images as uint8 or float32, (number, height, width, channels), once they can be trained on.

    Args:
      given: an array of whole numbers or floats; whole numbers become uint8, floats float32.
      what: what to call them in a message.
      preprocessed: whether floats may have any range; else they are pixels from 0 to 255.

    Raises:
      InputError: no such array, no images, channels that come first, values that are not finite, or
        values that are not pixels.
    """
    images = _array(given, f"{what} images")
    whole = images.dtype.kind in "iu"
    if not whole and images.dtype.kind != "f" and not _is_short_float(images.dtype):
        raise InputError(
            f"{what} images are of dtype {images.dtype}; give uint8 pixels from 0 to 255, or floats"
        )
    if images.ndim != 4:
        cure = ": images[..., None] for grey ones" if images.ndim == 3 else ""
        raise InputError(
            f"{what} images have the shape {images.shape}; give (number, height, width, channels){cure}"
        )
    if 0 in images.shape:
        raise InputError(f"{what} images are none: their shape is {images.shape}")
    _, rows, columns, last = images.shape
    if min(columns, last) > 4 and (rows == 3 or (rows == 1 and columns == last)):
        raise InputError(
            f"{what} images have the shape {images.shape}, as if channels came first; give (number, "
            "height, width, channels): np.moveaxis(images, 1, -1)"
        )
    return _pixels(images, what) if whole else _floats(images, what, preprocessed)


def _pixels(images: np.ndarray, what: str) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    low = int(images.min())
    high = int(images.max())
    if low < 0 or high > 255:
        raise InputError(
            f"{what} images of dtype {images.dtype} run from {low} to {high}; whole numbers must be "
            "pixels from 0 to 255"
        )
    return images.astype(np.uint8)


def _floats(images: np.ndarray, what: str, preprocessed: bool) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and said to be so
        images = images.astype(np.float32, copy=False)
    low = images.min()
    high = images.max()
    if not np.isfinite(low) or not np.isfinite(high):
        first = next(i for i, image in enumerate(images) if not np.isfinite(image).all())
        raise InputError(
            f"{what} images hold values that are not finite, the first in image {first}"
        )
    if not preprocessed and (low < 0 or high > 255 or 0 < high <= 1):
        raise InputError(
            f"{what} images are floats from {low:g} to {high:g}, not pixels from 0 to 255; scale them, "
            "or give Dataset preprocessed=True if a net is to get them as they are"
        )
    return images


def checked_labels(given: Any, what: str, count: int, num_classes: int) -> np.ndarray:
    """Labels as int32, (number,), once they are one of each image and name a class.

    Args:
      given: an array of whole numbers of any width.
      what: what to call them in a message.
      count: how many images there are.
      num_classes: which labels count up to, from 0.

    Raises:
      InputError: they are not.
    """
    labels = _array(given, f"{what} labels")
    if labels.ndim != 1:
        cure = ""
        if labels.ndim == 2:
            cure = ": labels[:, 0]" if labels.shape[1] == 1 else ": labels.argmax(1) if one-hot"
        raise InputError(f"{what} labels have the shape {labels.shape}; give ({count},){cure}")
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"{what} labels are of dtype {labels.dtype}; give whole numbers from 0 to {num_classes - 1}"
        )
    if len(labels) != count:
        raise InputError(f"{what} labels are {len(labels)}, for {count} images; give one for each")
    check_range(labels, what, num_classes)
    return labels.astype(np.int32, copy=False)


def check_range(labels: Any, what: str, num_classes: int) -> None:
    """Whether labels (whole numbers, any shape) name one of the classes.

    Raises:
      InputError: they do not.
    """
    array = np.asarray(labels)
    if not array.size:
        return
    low = int(array.min())
    high = int(array.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"{what} labels run from {low} to {high}; those of {num_classes} classes are from 0 to "
            f"{num_classes - 1}"
        )


def checked_count(given: Any, name: str) -> int:
    """A whole number above 0 as an ``int``.

    Raises:
      InputError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 1:
        raise InputError(f"{name} must be a whole number above 0, not {given!r}")
    return int(given)


def _array(given: Any, what: str) -> np.ndarray:
    if isinstance(given, np.ndarray):  # one that is memory-mapped stays so
        return given
    try:
        return np.asarray(given)
    except (TypeError, ValueError):
        raise InputError(f"{what} are of type {type(given).__name__}; give an array") from None


def _is_short_float(dtype: np.dtype) -> bool:
    """Whether a dtype is one of JAX's own floats, such as bfloat16, which NumPy has no kind for."""
    return dtype.kind == "V" and dtype.fields is None and jnp.issubdtype(dtype, jnp.floating)
