"""The environment that a stored result records."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def environment(*packages: str) -> dict[str, str]:
    """Versions of packages and of Python, the kind of device, and today's date."""
    import jax

    return {
        **{package: importlib.metadata.version(package) for package in packages},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "date": datetime.now(UTC).date().isoformat(),
    }


def commit() -> str | None:
    """The git commit of flaxact's checkout; None for an installed package."""
    folder = Path(__file__).parents[1]
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip() if (folder.parent / ".git").exists() else None
