"""What a stored result says of the machine that it comes from."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime


def environment(*packages: str) -> dict[str, str]:
    """Versions of packages and of Python, the kind of device, and today's date."""
    import jax

    return {
        **{package: importlib.metadata.version(package) for package in packages},
        "python": platform.python_version(), "device": jax.devices()[0].device_kind,
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
