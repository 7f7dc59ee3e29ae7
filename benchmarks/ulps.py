"""Errors of float32 numbers in units in the last place, and the output scale that they are judged by."""

from __future__ import annotations

import numpy as np

# the least and largest normal float32
TINY = 2.0**-126
TOP = float(np.finfo(np.float32).max)


def capped(values: np.ndarray) -> np.ndarray:
    """Infinities as the number after the largest float32."""
    return np.clip(values, -(2.0**128), 2.0**128)


def units(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The distance in units in the last place of float32 at the true value; ∞ counts as 2^128."""
    got = capped(got)
    true = capped(true)
    exponent = np.frexp(abs(true).clip(TINY, TOP))[1]
    return np.where(np.isnan(got), np.inf, abs(got - true) / np.ldexp(1.0, exponent - 24))


def scales(x: np.ndarray, true: np.ndarray) -> np.ndarray:
    """For each point the largest finite size of the output at inputs of its size, or of 1, and less."""
    order = np.argsort(abs(x), kind="stable")
    largest = np.maximum.accumulate(np.where(np.isfinite(true), abs(true), 0)[order])
    last = np.searchsorted(abs(x)[order], np.maximum(abs(x), 1), side="right") - 1
    return largest[last]
