"""Different activations at the sites of a model."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from flaxact.activations import Activation
from flaxact.errors import InputError


@dataclass(frozen=True)
class Sites:
    """The activation of each site, by the first file-name pattern that matches the site's name."""

    rules: tuple[tuple[str, Activation], ...]

    def at(self, site: str) -> Activation:
        """The activation at a site.

        Raises:
          InputError: no pattern matches.
        """
        for pattern, act in self.rules:
            if fnmatch.fnmatchcase(site, pattern):
                return act
        raise InputError(
            f"no pattern matches the site {site!r}: give {', '.join(p for p, _ in self.rules)} and "
            "'*'"
        )
