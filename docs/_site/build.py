"""The documentation site: `make docs`. Warnings are errors, and so are links that lead nowhere."""

from __future__ import annotations

import os
import sys
import time

import gather
import links
import reference
from sphinx.cmd.build import main as sphinx

from flaxact.gallery import write_explorer

BUILD = gather.ROOT / "build"


def main() -> int:
    """Gather, generate, build and check; the exit status."""
    start = time.perf_counter()
    source = BUILD / "site-source"
    site = BUILD / "site"
    source.mkdir(parents=True, exist_ok=True)
    gather.gather(source, *reference.made())
    settings = ["-c", str(gather.ROOT / "docs"), "-d", str(BUILD / "site-doctrees")]
    arguments = ["-W", "--keep-going", "-q", *settings, *sys.argv[1:]]
    if status := sphinx([*arguments, "-b", "html", str(source), str(site)]):
        return status
    gather.copy_images(source, site)
    links.make_accessible(site)
    if "FLAXACT_DOCS_EXPLORER" in os.environ:
        write_explorer(site / "explorer")
    if broken := links.broken(site):
        print("links that lead nowhere:", *broken, sep="\n  ")
        return 1
    print(f"{site / 'index.html'} ({time.perf_counter() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
