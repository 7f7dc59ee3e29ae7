"""Write docs/reference/licenses.md: the license of every package that flaxact brings with it.

    python tools/licenses.py

The licenses are those of the packages that are installed here, in the environment of `make test`.
"""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "licenses.md"
EXTRAS = ("data", "explorer", "pandas", "cluster", "tensorboard", "tests")
HEAD = """# Licenses

The packages that flaxact brings with it, with the license that each states of itself
(`python tools/licenses.py`). The last column names what needs a package: flaxact itself, an extra, or
the tests. Accelerator builds of JAX and PyTorch are not listed. A test fails if a license is neither
permissive nor MPL-2.0, which binds changes of its own files only. `make audit` looks for known
vulnerabilities.

| package | license | needed by |
| --- | --- | --- |
"""


def required(name: str, extra: str = "") -> dict[str, Distribution]:
    """The installed packages that a package needs, with an extra, and those that they need."""
    packages: dict[str, Distribution] = {}
    waiting = [(name, {extra})]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        key = canonicalize_name(name)
        if (key, *sorted(extras)) in seen:
            continue
        seen.add((key, *sorted(extras)))
        try:
            packages[key] = package = distribution(name)
        except PackageNotFoundError:  # for another platform
            continue
        for text in package.requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": each}) for each in extras):
                waiting.append((requirement.name, requirement.extras | {""}))
    return packages


def license_of(package: Distribution) -> str:
    """A package's license: the first of expression, classifiers and short text that it states."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [text for text in metadata.get_all("Classifier") or () if text[:7] == "License"]
    names = [text.split(" :: ")[-1] for text in classifiers if text.count(" :: ") > 1]
    if names := [name for name in names if "approved" not in name.lower()]:
        return ", ".join(names)
    lines = [line.strip() for line in (metadata.get("License") or "").splitlines() if line.strip()]
    return lines[0] if lines else "not stated"


def rows() -> dict[str, tuple[str, str]]:
    """The license of each package and what needs it: "flaxact", or the first extra that brings it."""
    table: dict[str, tuple[str, str]] = {}
    for extra in ("", *EXTRAS):
        for name, package in sorted(required("flaxact", extra).items()):
            if name != "flaxact":
                table.setdefault(name, (license_of(package), extra or "flaxact"))
    return table


def main() -> None:
    """Write the page."""
    lines = [f"| {name} | {text} | {need} |\n" for name, (text, need) in sorted(rows().items())]
    PAGE.write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
