"""Augmentations: functions of a key and a batch of images, for use inside jit.

Each is written for one image and registered as a function ``f(key, images, **options) -> images``
of a batch: floating images (batch, height, width, channels) with pixels in any range. Shape (except
for ``random_crop``) and dtype are kept, and every image has its own random draw. Pixels from
outside the image are 0, so apply these before any preprocessing that shifts what 0 means.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from flaxact._lazy import jax, jnp, np
from flaxact.data.options import Entry, Limits, bound
from flaxact.errors import InputError

ImageShape = tuple[int, ...]
catalogue: dict[str, Augmentation] = {}  # by name; filled by @each_image
NOT_NEGATIVE = (0.0, math.inf)
FIT_BATCH = 1000  # images at a time, to measure a data set


@dataclass(frozen=True, eq=False, kw_only=True)
class Augmentation(Entry):
    """An entry of the catalogue of augmentations.

    Attributes:
      shape: ``shape(image_shape, **options)``, the shape of the augmented images; raises InputError
        for images that the augmentation cannot take.
      fit: ``fit(images)``, further arguments of the function as hashable values, computed from
        uint8 or floating training images.
    """

    shape: Callable[..., ImageShape]
    fit: Callable[..., dict[str, Hashable]] | None = None


def each_image(
    *,
    limits: Limits | None = None,
    shape: Callable[..., ImageShape] = lambda image, **options: image,
    fit: Callable[..., dict[str, Hashable]] | None = None,
) -> Callable[[Callable[..., jax.Array]], Callable[..., jax.Array]]:
    """Register a function of a key and one image (height, width, channels), mapped over batches."""

    def register(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        @functools.wraps(function)
        def batched(
            key: jax.Array, images: jax.Array, *args: object, **options: object
        ) -> jax.Array:
            def augment_image(key: jax.Array, image: jax.Array) -> jax.Array:
                return function(key, image, *args, **options)

            return jax.vmap(augment_image)(jax.random.split(key, len(images)), images)

        name = function.__name__
        catalogue[name] = Augmentation(
            name=name, function=batched, limits=limits or {}, shape=shape, fit=fit
        )
        return batched

    return register


@dataclass(frozen=True)
class Augment:
    """A composition of augmentations with their options: a function ``(key, images) -> images``.

    Hashable and compared by value, so that equal compositions share one trace.
    """

    steps: tuple[tuple[str, tuple[tuple[str, Hashable], ...]], ...] = ()

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Augment images (batch, height, width, channels)."""
        for place, (name, options) in enumerate(self.steps):
            own = jax.random.fold_in(key, place)
            images = catalogue[name].function(own, images, **dict(options))
        return images


def augmentation(texts: Sequence[str], images: jax.Array | np.ndarray) -> Augment:
    """The composition of the augmentations that spec texts name, in their order.

    Args:
      texts: such as ``crop(padding=4)``, ``flip``, ``pca_noise(0.1)``.
      images: the training images (number, height, width, channels), uint8 or floating. They are
        read only if an augmentation depends on them, as ``pca_noise`` does.

    Raises:
      InputError: an unknown name or option, a value out of range, or images of the wrong size.

    >>> augment = augmentation(["crop(2)", "flip"], np.zeros((9, 8, 8, 3), np.uint8))
    >>> augment(jax.random.key(0), jnp.ones((5, 8, 8, 3))).shape
    (5, 8, 8, 3)
    """
    augmented_shape(texts, images.shape[1:])
    steps = []
    for text in texts:
        entry, options = bound("augmentation", text, catalogue)
        fitted = entry.fit(images) if entry.fit else {}
        steps.append((entry.name, tuple({**options, **fitted}.items())))
    return Augment(tuple(steps))


def augmented_shape(texts: Sequence[str], image_shape: Sequence[int]) -> ImageShape:
    """The shape (height, width, channels) of an augmented image. Does not import jax.

    Raises:
      InputError: as ``augmentation``.

    >>> augmented_shape(["random_crop(24)", "flip"], (32, 32, 3))
    (24, 24, 3)
    """
    shape = tuple(image_shape)
    for text in texts:
        entry, options = bound("augmentation", text, catalogue)
        shape = entry.shape(shape, **options)
    return shape


def _padded_shape(image: ImageShape, padding: int, reflect: bool) -> ImageShape:
    if reflect and padding >= min(image[:2]):
        raise InputError(f"cannot reflect {padding} pixels of an image of {image[0]}×{image[1]}")
    return image


@each_image(limits={"padding": (1, math.inf)}, shape=_padded_shape)
def crop(key: jax.Array, image: jax.Array, padding: int = 4, reflect: bool = False) -> jax.Array:
    """A random crop of the image's own size, from the image with a border added.

    Args:
      key: key of the random draw.
      image: a batch (batch, height, width, channels).
      padding: width of the border in pixels; shifts are uniform from -padding to padding.
      reflect: whether the border mirrors the image; otherwise it is 0.
    """
    border = ((padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(image, border, mode="reflect" if reflect else "constant")
    row, column = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (row, column, 0), image.shape)


def cropped_shape(image: ImageShape, size: int) -> ImageShape:
    """The shape of a square crop, which must not be larger than the image."""
    if size > min(image[:2]):
        raise InputError(f"a crop of {size} is larger than an image of {image[0]}×{image[1]}")
    return (size, size, *image[2:])


@each_image(limits={"size": (1, math.inf)}, shape=cropped_shape)
def random_crop(key: jax.Array, image: jax.Array, size: int) -> jax.Array:
    """A square crop with sides of ``size`` pixels, at a uniformly random position."""
    height, width, channels = image.shape
    spare = jnp.array([height - size + 1, width - size + 1])
    row, column = jax.random.randint(key, (2,), 0, spare)
    return jax.lax.dynamic_slice(image, (row, column, 0), (size, size, channels))


@each_image(limits={"probability": (0, 1)})
def flip(key: jax.Array, image: jax.Array, probability: float = 0.5) -> jax.Array:
    """Mirror an image left to right, with this probability."""
    return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


@each_image(limits={"degrees": NOT_NEGATIVE})
def rotate(
    key: jax.Array, image: jax.Array, degrees: float = 15.0, nearest: bool = False
) -> jax.Array:
    """Rotate about the center by an angle uniform from -degrees to degrees; new corners are 0.

    Args:
      key: key of the random draw.
      image: a batch (batch, height, width, channels).
      degrees: the largest angle.
      nearest: take the nearest pixel, as torchvision's RandomRotation does by default (and as in
        the experiments of the Mish paper); otherwise interpolate bilinearly.
    """
    angle = jnp.deg2rad(jax.random.uniform(key, (), jnp.float32, -degrees, degrees))
    return turned(image, angle, nearest)


def turned(image: jax.Array, angle: jax.Array, nearest: bool = False) -> jax.Array:
    """An image (height, width, channels) rotated counter-clockwise by an angle in radians."""
    height, width, channels = image.shape
    down = (jnp.arange(height, dtype=angle.dtype) - (height - 1) / 2)[:, None]
    right = (jnp.arange(width, dtype=angle.dtype) - (width - 1) / 2)[None, :]
    cos = jnp.cos(angle)
    sin = jnp.sin(angle)
    row = cos * down + sin * right + (height - 1) / 2
    column = cos * right - sin * down + (width - 1) / 2
    # Gathers of whole pixels: a third of the time of jax.scipy.ndimage.map_coordinates on the CPU.
    flat = image.reshape(-1, channels)

    def pixel(row: jax.Array, column: jax.Array) -> jax.Array:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = jnp.where(inside, row * width + column, 0).astype(jnp.int32)
        return jnp.where(inside[..., None], flat[at], 0)

    if nearest:
        return pixel(jnp.round(row), jnp.round(column))
    top = jnp.floor(row)
    left = jnp.floor(column)
    lower = (row - top)[..., None]
    righter = (column - left)[..., None]
    upper_row = (1 - righter) * pixel(top, left) + righter * pixel(top, left + 1)
    lower_row = (1 - righter) * pixel(top + 1, left) + righter * pixel(top + 1, left + 1)
    return ((1 - lower) * upper_row + lower * lower_row).astype(image.dtype)


@each_image(limits={"size": (1, math.inf)})
def cutout(key: jax.Array, image: jax.Array, size: int = 16) -> jax.Array:
    """Set a square with sides of ``size`` pixels to 0 (DeVries and Taylor 2017, arXiv:1708.04552).

    Its center is uniform over the image, so it may extend beyond the edge.
    """
    height, width, _ = image.shape
    center = jax.random.randint(key, (2,), 0, jnp.array([height, width]))
    first = center - size // 2

    def covered(length: int, start: jax.Array) -> jax.Array:
        return (jnp.arange(length) >= start) & (jnp.arange(length) < start + size)

    square = covered(height, first[0])[:, None] & covered(width, first[1])[None, :]
    return jnp.where(square[..., None], 0, image)


def color_components(images: np.ndarray) -> dict[str, Hashable]:
    """Eigenvalues and eigenvectors of the covariance of the channels over all pixels.

    For uint8 images the eigenvalues are those of pixels scaled to 0 to 1, times 255. The paper
    leaves the scale open, and it matters because the noise is proportional to a variance; this
    choice is that of later implementations, and changes photographs by about 5 of 255 levels along
    the first component.
    """
    channels = images.shape[-1]
    total = np.zeros(channels)
    products = np.zeros((channels, channels))
    for start in range(0, len(images), FIT_BATCH):
        pixels = np.asarray(images[start : start + FIT_BATCH], np.float64).reshape(-1, channels)
        total += pixels.sum(0)
        products += pixels.T @ pixels
    count = math.prod(images.shape[:-1])
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    if images.dtype == np.uint8:
        values = values / 255
    rows = [tuple(map(float, row)) for row in vectors]
    return {"values": tuple(map(float, values)), "vectors": tuple(rows)}


@each_image(limits={"std": NOT_NEGATIVE}, fit=color_components)
def pca_noise(
    key: jax.Array,
    image: jax.Array,
    std: float = 0.1,
    *,
    values: jax.Array | np.ndarray,
    vectors: jax.Array | np.ndarray,
) -> jax.Array:
    r"""Add :math:`\sum_i \alpha_i \lambda_i p_i` to every pixel, :math:`\alpha_i \sim N(0, std^2)`.

    Krizhevsky et al. 2012, §4.1; the :math:`\alpha_i` are drawn once per image.

    Args:
      key: key of the random draw.
      image: a batch (batch, height, width, channels).
      std: the standard deviation of the factors.
      values: the eigenvalues (channels,) of the covariance of the channels.
      vectors: the eigenvectors of the covariance (channels, channels), as columns.
    """
    values = jnp.asarray(values, jnp.float32)
    vectors = jnp.asarray(vectors, jnp.float32)
    factors = std * jax.random.normal(key, values.shape, jnp.float32)
    # A sum, not a product of matrices, which an accelerator would round.
    noise = jnp.sum(vectors * (factors * values)[None], axis=1)
    return image + noise.astype(image.dtype)[None, None]
