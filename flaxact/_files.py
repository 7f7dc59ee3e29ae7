"""Files that are there whole or not at all, and the numbers that JSON can hold."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name and rename: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """As ``write_whole``, a value as JSON."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def finite(value: Any) -> float | None:
    """A number as JSON has it: None where it is not finite."""
    return float(value) if math.isfinite(value) else None
