"""Another activation at each site of a model."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from flaxact.activations import Activation
from flaxact.errors import InputError


@dataclass(frozen=True)
class Sites:
    """Which activation is at which site: of patterns as in file names the first that fits counts."""

    rules: tuple[tuple[str, Activation], ...]

    def at(self, site: str) -> Activation:
        """The activation at a site.

        Raises:
          InputError: no pattern fits.
        """
        for pattern, act in self.rules:
            if fnmatch.fnmatchcase(site, pattern):
                return act
        raise InputError(
            f"no pattern fits the site {site!r}: give {', '.join(p for p, _ in self.rules)} and '*'"
        )
