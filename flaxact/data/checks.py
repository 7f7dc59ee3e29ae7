"""Checks of images and labels before anything is compiled. Does not import jax."""

from __future__ import annotations

from numbers import Integral

from flaxact._lazy import jnp, np
from flaxact.errors import InputError


def checked_images(array: object, label: str, *, preprocessed: bool = False) -> np.ndarray:
    """Check images; returns them as uint8 or float32 (number, height, width, channels).

    Args:
      array: integers, which become uint8, or floats, which become float32.
      label: name of the images in error messages.
      preprocessed: whether floats may have any range; otherwise they must be pixels from 0 to 255.

    Raises:
      InputError: not an array of this shape, no images, channels on the first axis, values that are
        not finite, or values that are not pixels.
    """
    images = _array(array, f"{label} images")
    is_integer = images.dtype.kind in "iu"
    if not is_integer and images.dtype.kind != "f" and not _is_short_float(images.dtype):
        raise InputError(
            f"{label} images are of dtype {images.dtype}; give uint8 pixels from 0 to 255, or floats"
        )
    if images.ndim != 4:
        cure = ": images[..., None] for gray ones" if images.ndim == 3 else ""
        raise InputError(
            f"{label} images have the shape {images.shape}; give (number, height, width, channels){cure}"
        )
    if 0 in images.shape:
        raise InputError(f"there are no {label} images: the array's shape is {images.shape}")
    _, rows, columns, last = images.shape
    if min(columns, last) > 4 and (rows == 3 or (rows == 1 and columns == last)):
        raise InputError(
            f"{label} images have the shape {images.shape}, as if channels came first; give (number, "
            "height, width, channels): np.moveaxis(images, 1, -1)"
        )
    return _pixels(images, label) if is_integer else _floats(images, label, preprocessed)


def _pixels(images: np.ndarray, label: str) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    low = int(images.min())
    high = int(images.max())
    if low < 0 or high > 255:
        raise InputError(
            f"{label} images of dtype {images.dtype} run from {low} to {high}; integers must be "
            "pixels from 0 to 255"
        )
    return images.astype(np.uint8)


def _floats(images: np.ndarray, label: str, preprocessed: bool) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and said to be so
        images = images.astype(np.float32, copy=False)
    low = images.min()
    high = images.max()
    if not np.isfinite(low) or not np.isfinite(high):
        first = next(i for i, image in enumerate(images) if not np.isfinite(image).all())
        raise InputError(
            f"{label} images hold values that are not finite, the first in image {first}"
        )
    if not preprocessed and (low < 0 or high > 255 or 0 < high <= 1):
        raise InputError(
            f"{label} images are floats from {low:g} to {high:g}, not pixels from 0 to 255; scale them, "
            "or give Dataset preprocessed=True if the net should get them unchanged"
        )
    return images


def checked_labels(array: object, label: str, count: int, num_classes: int) -> np.ndarray:
    """Check labels; returns them as int32 (number,).

    Args:
      array: integers of any width.
      label: name of the labels in error messages.
      count: how many images there are.
      num_classes: labels must be below this and at least 0.

    Raises:
      InputError: there is not one label per image, or a label names no class.
    """
    labels = _array(array, f"{label} labels")
    if labels.ndim != 1:
        cure = ""
        if labels.ndim == 2:
            cure = ": labels[:, 0]" if labels.shape[1] == 1 else ": labels.argmax(1) if one-hot"
        raise InputError(f"{label} labels have the shape {labels.shape}; give ({count},){cure}")
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"{label} labels are of dtype {labels.dtype}; give integers from 0 to {num_classes - 1}"
        )
    if len(labels) != count:
        raise InputError(
            f"{label} labels have length {len(labels)} for {count} images; give one label per image"
        )
    check_range(labels, label, num_classes)
    return labels.astype(np.int32, copy=False)


def check_range(labels: np.typing.ArrayLike, label: str, num_classes: int) -> None:
    """Check that labels (integers, any shape) are at least 0 and below the number of classes.

    Raises:
      InputError: a label is out of range.
    """
    array = np.asarray(labels)
    if not array.size:
        return
    low = int(array.min())
    high = int(array.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"{label} labels run from {low} to {high}; labels of {num_classes} classes run from 0 to "
            f"{num_classes - 1}"
        )


def checked_count(value: object, name: str) -> int:
    """Check a positive integer; returns it as an ``int``.

    Raises:
      InputError: the value is not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name} must be a positive integer, not {value!r}")
    return int(value)


def _array(value: object, label: str) -> np.ndarray:
    if isinstance(value, np.ndarray):  # one that is memory-mapped stays so
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise InputError(f"{label} are of type {type(value).__name__}; give an array") from None


def _is_short_float(dtype: np.dtype) -> bool:
    """Whether a dtype is one of JAX's own floats, such as bfloat16, to which NumPy gives no kind."""
    return dtype.kind == "V" and dtype.fields is None and jnp.issubdtype(dtype, jnp.floating)
