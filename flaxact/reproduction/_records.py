"""The stored records of a reproduction: one piece, and everything that a page shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flaxact.errors import InputError
from flaxact.stored import files
from flaxact.stored.schema import Count, Positive, decode, read_record, unexpected


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a reproduction.

    Attributes:
      seconds: the time it took to compute.
      environment: versions, machine and date.
      data: notes on the data sets, by name.
      value: the computed value.
    """

    seconds: Positive
    environment: dict[str, object]
    value: Any
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """The environment in which a reproduction was computed."""

    command: str
    date: str
    flaxact: str
    jax: str
    flax: str
    optax: str
    python: str
    device: str
    devices: Count
    cores: Count


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every scale has."""

    reduced: str


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """The results of a reproduction at one scale."""

    name: str
    scale: str
    settings: Settings
    environment: RunEnvironment
    seconds: Positive
    data: dict[str, str]
    results: dict[str, Any]
    missing: tuple[str, ...] = ()


def read_piece(path: Path) -> Piece:
    """Read a stored piece.

    Raises:
      FileNotFoundError: it does not exist.
      InputError: it differs from what was stored.
    """
    try:
        return read_record(Piece, path)
    except files.DamagedError as error:
        raise InputError(f"{error}; delete the file, and it is computed again") from None


def read_reproduction(path: Path) -> dict[str, Any]:
    """The results of a reproduction as JSON values.

    Raises:
      FileNotFoundError: they do not exist.
      InputError: they differ from what was stored.
    """
    value = files.read_json(path)
    results = decode(Reproduction, value, path)
    for name, expected in (("name", path.parent.name), ("scale", path.stem)):
        if getattr(results, name) != expected:
            raise unexpected(path, name, f"{expected!r}", getattr(results, name))
    return value
