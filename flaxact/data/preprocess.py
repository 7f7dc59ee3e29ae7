"""Preprocessing of a whole data set, once, before training.

Each entry is a function of the training images that returns a function of any images: statistics
are measured on the training split and applied to both splits. Images are floating (number, height,
width, channels); sums are in float64.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from flaxact._lazy import np
from flaxact.data.options import Entry, Limits, bound, written
from flaxact.data.sets import Dataset, Split, combined

# From images to images of the same shape, in float32 or float64.
Apply = Callable[["np.ndarray"], "np.ndarray"]
catalogue: dict[str, Entry] = {}  # by name; filled by @preprocessing
NOT_NEGATIVE = (0.0, math.inf)
POSITIVE = (5e-324, math.inf)
BATCH = 1000  # images at a time


def preprocessing(limits: Limits) -> Callable[[Callable[..., Apply]], Callable[..., Apply]]:
    """Register ``f(train_images, **options) -> apply``, with the ranges of its options."""

    def register(function: Callable[..., Apply]) -> Callable[..., Apply]:
        name = function.__name__
        catalogue[name] = Entry(name=name, function=function, limits=limits)
        return function

    return register


def preprocess(texts: Sequence[str], data: Dataset) -> Dataset:
    """A data set with float32 images, preprocessed as the spec texts say, in their order.

    The name and note of the result list the preprocessing. Its digest is computed from the data
    set's digest and the texts, so it does not depend on a machine's rounding. Without texts, the
    data set itself is returned, in uint8.

    Raises:
      InputError: an unknown name or option, or a value out of range.

    >>> from flaxact.data import load
    >>> data = preprocess(["gcn(scale=55)", "standardize"], load("mnist5k"))
    >>> data.name, data.train.images.dtype
    ('mnist5k+gcn(scale=55.0, bias=0.0, epsilon=1e-08, norm=False)+standardize', dtype('float32'))
    """
    steps = [bound("preprocessing", text, catalogue) for text in texts]
    if not steps:
        return data
    train, test = (np.array(s.images, np.float32) for s in (data.train, data.test))
    for entry, options in steps:
        apply = entry.function(train, **options)
        for images in (train, test):  # in place: two copies of a large set may not fit
            for part in _parts(images):
                part[...] = apply(part)
    spec_texts = [written(entry.name, options) for entry, options in steps]
    result = replace(
        data,
        name="+".join((data.name, *spec_texts)),
        train=Split(train, data.train.labels),
        test=Split(test, data.test.labels),
        preprocessed=True,
        note="; ".join((data.note, f"preprocessed by {', '.join(spec_texts)}")),
    )
    text_digests = (hashlib.sha256(text.encode()).hexdigest() for text in spec_texts)
    # Where the cached property keeps its value.
    vars(result)["digest"] = functools.reduce(combined, text_digests, data.digest)
    return result


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _means(images: np.ndarray, function: Apply) -> np.ndarray:
    """The mean of ``function(images)`` over all images, summed in float64."""
    total = sum(function(np.asarray(part, np.float64)).sum(0) for part in _parts(images))
    return np.asarray(total / len(images))


@preprocessing({})
def standardize(train: np.ndarray) -> Apply:
    """Shift and scale each channel to mean 0 and standard deviation 1 over all training pixels.

    A constant channel becomes 0.
    """
    mean = _means(train, lambda x: x.mean((1, 2)))
    std = np.sqrt(_means(train, lambda x: ((x - mean) ** 2).mean((1, 2))))
    std = np.where(std > 0, std, 1.0)
    return lambda images: (images - mean) / std


@preprocessing({"std": POSITIVE})
def rescale(train: np.ndarray, mean: float = 127.5, std: float = 127.5) -> Apply:
    """``(x - mean) / std`` with fixed numbers; the default maps pixels to -1 to 1."""
    del train
    return lambda images: (images - mean) / std


@preprocessing({})
def per_pixel_mean(train: np.ndarray) -> Apply:
    """Subtract the mean training image, as in cuda-convnet (Krizhevsky 2012, §2)."""
    mean = _means(train, lambda x: x)
    return lambda images: images - mean


@preprocessing({"scale": POSITIVE, "bias": NOT_NEGATIVE, "epsilon": POSITIVE})
def gcn(
    train: np.ndarray,
    scale: float = 1.0,
    bias: float = 0.0,
    epsilon: float = 1e-8,
    norm: bool = False,
) -> Apply:
    r"""Global contrast normalization: each image has mean 0 and contrast ``scale``.

    :math:`s (x - \bar x) / \max(\epsilon, \sqrt{\lambda + \overline{(x - \bar x)^2}})`, Goodfellow,
    Bengio and Courville 2016, equation 12.3. ``bias`` is λ (Coates, Lee and Ng 2011 take 10, with
    pixels from 0 to 255). ``norm`` replaces the mean of squares by their sum, as pylearn2 does,
    whose CIFAR sets use ``gcn(55, norm=True)``.
    """
    del train

    def apply(images: np.ndarray) -> np.ndarray:
        centered = images.astype(np.float64) - images.mean((1, 2, 3), np.float64, keepdims=True)
        total = np.sum if norm else np.mean
        contrast = np.sqrt(bias + total(centered**2, (1, 2, 3), keepdims=True))
        return scale * centered / np.maximum(epsilon, contrast)

    return apply


@preprocessing({"epsilon": NOT_NEGATIVE})
def zca(train: np.ndarray, epsilon: float = 0.1) -> Apply:
    r"""ZCA whitening: :math:`(x - \mu) V (\Lambda + \epsilon)^{-1/2} V^T` over all pixels.

    :math:`\mu` is the mean image and :math:`V \Lambda V^T` the covariance of the training images,
    flattened to vectors (Krizhevsky 2009, appendix A). The default of ``epsilon`` is pylearn2's,
    for images after ``gcn(55, norm=True)``. With ``epsilon=0``, directions without variance become
    0. For CIFAR-10 this took 85 s on 2 cores and 2.3 GB of memory in all.
    """
    flat = train.reshape(len(train), -1)
    mean = _means(flat, lambda x: x)
    covariance = np.zeros((flat.shape[1],) * 2)
    for part in _parts(flat):
        centered = part - mean
        covariance += centered.T @ centered
    values, vectors = np.linalg.eigh(covariance / len(flat))
    # Below this, an eigenvalue is rounding.
    least = values[-1] * len(values) * np.finfo(np.float32).eps ** 2
    has_variance = values > least if epsilon == 0 else np.ones(len(values), bool)
    gains = np.zeros(len(values))
    gains[has_variance] = 1 / np.sqrt(np.maximum(values[has_variance], 0) + epsilon)
    matrix = (vectors * gains) @ vectors.T

    def apply(images: np.ndarray) -> np.ndarray:
        centered = images.reshape(len(images), -1) - mean
        return (centered @ matrix).reshape(images.shape)

    return apply
