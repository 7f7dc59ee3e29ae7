"""What one accelerator does with flaxact, in one command of at most ten minutes.

Question: on this device, how exact is each activation, how long does it take alone and in a training
step, how fast do nets train beside plain Flax and PyTorch, and what do many seeds at once gain?

    python -m benchmarks.accelerator                       # writes docs/results/accelerator-DEVICE.md
    python -m benchmarks.accelerator --budget 3000         # goes on with what was not reached
    python -m benchmarks.accelerator --only accuracy nets
    python -m benchmarks.accelerator --sizes small --budget 120     # a trial, as on a CPU

It needs flaxact and no more; PyTorch is measured beside it where it is installed for the same device.
Each row is kept in accelerator-DEVICE.json as it ends. Started again, it computes the rows that are
missing or that failed. Rows of other versions of JAX, Flax or flaxact are not mixed with new ones.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # PyTorch needs memory beside JAX
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax

from benchmarks.accelerator_page import page
from benchmarks.accelerator_parts import PARTS, SIZES, Row
from flaxact.errors import one_line
from flaxact.stored.environment import commit, environment

RESULTS = Path(__file__).parents[1] / "docs" / "results"
BUDGET = 540.0  # seconds


def place() -> str:
    """The device's name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", jax.devices()[0].device_kind.lower()).strip("-")


def facts(sizes: str) -> dict[str, Any]:
    """What rows must have in common to stand in one table."""
    found: dict[str, Any] = environment("flaxact", "jax", "jaxlib", "flax", "optax")
    found |= {"commit": commit(), "sizes": sizes, "devices": jax.device_count()}
    return found | {"backend": jax.default_backend()}


def kept_rows(path: Path, ours: dict[str, Any]) -> dict[str, Row]:
    """The rows of an earlier run with the same facts, whatever its date; failed ones are left out."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text("utf-8"))
    different = [k for k, v in ours.items() if k != "date" and stored["facts"].get(k) != v]
    if different:
        changed = ", ".join(f"{k} was {stored['facts'].get(k)}" for k in different)
        print(f"{path.name} is of another environment ({changed}): all rows are computed again")
        return {}
    return {key: row for key, row in stored["rows"].items() if "error" not in row}


def keep(path: Path, document: dict[str, Any]) -> None:
    """Write the rows: the file is there whole, or as it was."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    partial.replace(path)


def run(path: Path, sizes: str, parts: Sequence[str], budget: float) -> dict[str, Any]:
    """Compute rows until all are there or the time is over; a part's share goes by its weight.

    Returns:
      What is stored: ``facts``, ``rows`` by key and ``left``, how many rows of each part are missing.
    """
    ours = facts(sizes)
    rows = kept_rows(path, ours)
    document = {"facts": ours, "rows": rows, "left": {}}
    end = time.monotonic() + budget
    for number, name in enumerate(parts):
        weights = [PARTS[one].weight for one in parts[number:]]
        until = time.monotonic() + (end - time.monotonic()) * weights[0] / sum(weights)
        for row_name, measure in PARTS[name].rows(SIZES[sizes]):
            key = f"{name}/{row_name}"
            if key in rows:
                continue
            start = time.monotonic()
            if start >= until:
                document["left"][name] = document["left"].get(name, 0) + 1
                continue
            try:
                row = measure(until)
            except Exception as error:  # of XLA, PyTorch, the driver: of any type
                row = {"error": one_line(f"{type(error).__name__}: {error}")}
            rows[key] = row | {"took": round(time.monotonic() - start, 2)}
            print(f"{key}: {rows[key]}", flush=True)
            keep(path, document)
        jax.clear_caches()
    keep(path, document)
    return document


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute rows, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    small = jax.default_backend() == "cpu"
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS")
    parser.add_argument("--sizes", choices=SIZES, default="small" if small else "full")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"accelerator-{place()}.json"
    document = run(path, options.sizes, options.only, options.budget)
    path.with_suffix(".md").write_text(page(document), "utf-8")
    print(f"{path.with_suffix('.md')}; not reached: {document['left'] or 'none'}")
    failed = [key for key, row in document["rows"].items() if "error" in row]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
