"""Views (crops, mirror images) of test images, whose predictions are averaged; a net's input shape."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flaxact._lazy import jax, jnp
from flaxact.data.augment import ImageShape, augmented_shape, cropped_shape
from flaxact.data.options import Entry, Limits, Option, bound
from flaxact.errors import InputError

catalogue: dict[str, View] = {}  # by name; filled by @view


@dataclass(frozen=True, eq=False, kw_only=True)
class View(Entry):
    """A function in the catalogue of views: images (batch, ...) to (views, batch, ...)."""

    shape: Callable[..., ImageShape]


def view(
    *,
    limits: Limits | None = None,
    shape: Callable[..., ImageShape] = lambda image, **options: image,
) -> Callable[[Callable[..., jax.Array]], Callable[..., jax.Array]]:
    """Register a function of images (batch, height, width, channels) that returns crops of them."""

    def register(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        name = function.__name__
        catalogue[name] = View(name=name, function=function, limits=limits or {}, shape=shape)
        return function

    return register


@dataclass(frozen=True)
class Views:
    """A function ``images -> (views, batch, height, width, channels)``; hashable, compared by value."""

    name: str = ""
    options: tuple[tuple[str, Option], ...] = ()

    def __call__(self, images: jax.Array) -> jax.Array:
        """The views of images (batch, height, width, channels)."""
        if not self.name:
            return images[None]
        return catalogue[self.name].function(images, **dict(self.options))


def views(text: str = "") -> Views:
    """The views that a spec text names; an empty text gives one view, the image itself.

    Raises:
      InputError: an unknown name or option, or a value out of range.

    >>> views("ten(24)")(jnp.zeros((5, 32, 32, 3))).shape
    (10, 5, 24, 24, 3)
    """
    if not text:
        return Views()
    entry, options = bound("view", text, catalogue)
    return Views(entry.name, tuple(options.items()))


def shape(texts: Sequence[str], view: str, image_shape: Sequence[int]) -> ImageShape:
    """The shape (height, width, channels) of a net's input images. Does not import jax.

    Args:
      texts: the augmentations in training.
      view: the views in testing.
      image_shape: shape of the data set's images.

    Raises:
      InputError: training and testing give the net different shapes, or a text is invalid.

    >>> shape(["random_crop(24)", "flip"], "ten(24)", (32, 32, 3))
    (24, 24, 3)
    """
    trained = augmented_shape(texts, image_shape)
    tested = tuple(image_shape)
    if view:
        entry, options = bound("view", view, catalogue)
        tested = entry.shape(tested, **options)
    if trained != tested:
        sizes = ["×".join(map(str, s[:2])) for s in (trained, tested)]
        raise InputError(
            f"training gives the net images of {sizes[0]}, testing gives images of {sizes[1]}: give "
            "random_crop and the view, such as centre(24), the same size"
        )
    return trained


ONE_OR_MORE = {"size": (1, math.inf)}


def _slice(images: jax.Array, row: int, column: int, size: int) -> jax.Array:
    return images[:, row : row + size, column : column + size]


@view(limits=ONE_OR_MORE, shape=cropped_shape)
def centre(images: jax.Array, size: int) -> jax.Array:
    """The center crop with sides of ``size`` pixels: (1, batch, size, size, channels)."""
    height, width = images.shape[1:3]
    return _slice(images, (height - size) // 2, (width - size) // 2, size)[None]


@view()
def mirror(images: jax.Array) -> jax.Array:
    """The image and its mirror image: (2, batch, height, width, channels)."""
    return jnp.stack([images, images[:, :, ::-1]])


@view(limits=ONE_OR_MORE, shape=cropped_shape)
def ten(images: jax.Array, size: int) -> jax.Array:
    """The four corner crops, the center crop, and their mirror images: (10, batch, size, size, channels).

    The 10 views of Krizhevsky et al. 2012, §4.1: top left, top right, bottom left, bottom right,
    center, then their mirror images in the same order.
    """
    height, width = images.shape[1:3]
    corner = functools.partial(_slice, images, size=size)
    below = height - size
    right = width - size
    places = ((0, 0), (0, right), (below, 0), (below, right), (below // 2, right // 2))
    crops = jnp.stack([corner(row, column) for row, column in places])
    return jnp.concatenate([crops, crops[:, :, :, ::-1]])
