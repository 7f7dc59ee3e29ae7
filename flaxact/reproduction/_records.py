"""What reproductions store, as records: a piece, and all that a page is made of."""

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
      seconds: that it took to compute.
      environment: versions, machine and date.
      data: notes on the data sets, by name.
      value: what was computed.
    """

    seconds: Positive
    environment: dict[str, Any]
    value: Any
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """Of a reproduction."""

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
    """What the settings of every scale have."""

    reduced: str


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """The results of a reproduction at a scale."""

    name: str
    scale: str
    settings: Settings
    environment: RunEnvironment
    seconds: Positive
    data: dict[str, str]
    results: dict[str, Any]
    missing: tuple[str, ...] = ()


def read_piece(path: Path) -> Piece:
    """A stored piece.

    Raises:
      FileNotFoundError: it is not there.
      InputError: it is not what was stored.
    """
    try:
        return read_record(Piece, path)
    except files.DamagedError as error:
        raise InputError(f"{error}; delete the file, and it is computed again") from None


def read_reproduction(path: Path) -> dict[str, Any]:
    """The results of a reproduction, as JSON has them.

    Raises:
      FileNotFoundError: they are not there.
      InputError: they are not what was stored.
    """
    value = files.read_json(path)
    found = decode(Reproduction, value, path)
    for name, given in (("name", path.parent.name), ("scale", path.stem)):
        if getattr(found, name) != given:
            raise unexpected(path, name, f"{given!r}", getattr(found, name))
    return value
