"""Points to judge an activation at, and the true values and derivatives there, by mpmath."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import math
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ulps import TINY, TOP
from tests import references

STORE = Path(tempfile.gettempdir()) / "flaxact-accuracy"
CHUNK = 500


def grid(breaks: Sequence[float] = ()) -> np.ndarray:
    """±0, subnormals, tiny and huge numbers, infinities, nan, the kinks and the floats beside them."""
    sizes = [0, 1e-45, 1e-42, 1e-39, TINY, 2e-38, 1e-30, 1e-20, 1e-8, 1e-4, 0.1, 0.5, 1, 2, 3, 5, 6,
             10, 15, 20, 30, 45, 60, 80, 87, 88, 89, 90, 95, 100, 103, 104, 1e4, 1e10, 1e19, 1e30,
             TOP, math.inf]  # fmt: skip
    places = np.array([*sizes, *map(abs, breaks)], np.float32)
    with np.errstate(over="ignore", under="ignore"):
        near = np.concatenate([np.nextafter(places, np.float32(to)) for to in (-np.inf, np.inf)])
    found = np.concatenate([places, near])
    return np.unique(np.concatenate([found, -found, [np.float32(np.nan)]]))


def points(count: int, breaks: Sequence[float] = (), seed: int = 0) -> np.ndarray:
    """The grid, and this many random numbers: sorted, float32, nan last."""
    rng = np.random.default_rng(seed)
    exponents = np.concatenate(
        [rng.uniform(-149, 128, count - count // 2), rng.uniform(-12, 7, count // 2)]
    )
    drawn = (rng.choice([-1.0, 1.0], count) * 2.0**exponents).clip(-TOP, TOP).astype(np.float32)
    return np.unique(np.concatenate([grid(breaks), drawn]))


def _pairs(spec: str, x: Sequence[float]) -> list[tuple[float, float]]:
    return [(references.truth(spec, v), references.truth(spec, v, 1)) for v in x]


def true_pairs(spec: str, x: np.ndarray, processes: int = 1) -> np.ndarray:
    """True values and derivatives, shape (2, points), float64; kept in ``STORE`` where they are many."""
    if len(x) < 2 * CHUNK:
        return np.array(_pairs(spec, x.tolist())).T
    kept = STORE / f"{hashlib.sha256(spec.encode() + x.tobytes()).hexdigest()[:32]}.npy"
    if kept.exists():
        found = np.load(kept)
        some = np.random.default_rng().choice(len(x), 50)
        if np.array_equal(np.array(_pairs(spec, x[some].tolist())).T, found[:, some], True):
            return found
    chunks = [x[i : i + CHUNK].tolist() for i in range(0, len(x), CHUNK)]
    with workers(processes) as mapped:
        found = np.concatenate(
            [np.array(pairs).T for pairs in mapped(_pairs, repeat(spec), chunks)], 1
        )
    STORE.mkdir(exist_ok=True)
    np.save(partial := kept.with_suffix(".partial.npy"), found)
    partial.replace(kept)
    return found


@contextlib.contextmanager
def workers(processes: int) -> Iterator[Any]:
    """A ``map``, over several processes if asked for."""
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield pool.map
