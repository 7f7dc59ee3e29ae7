"""The built pages: links that lead nowhere, and what a screen reader and a keyboard need."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What Sphinx and the theme leave out, as the accessibility checker axe says.
REPLACED = {
    'role="heading">': 'role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',  # a long line is scrolled by keys
    '<div class="math">': '<div class="math" tabindex="0">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Site">',
    '<aside class="toc-drawer': '<aside aria-label="Page" class="toc-drawer',
}


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)


def broken(site: Path) -> list[str]:
    """As ``page: link``."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = _Page()
        pages[path].feed(path.read_text("utf-8"))
    found = []
    for path, page in pages.items():
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or path.name in ("search.html", "genindex.html"):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[file].ids if file in pages else None
            missing = known is not None and parts.fragment and parts.fragment not in known
            if missing or not file.exists():
                found.append(f"{path.relative_to(site)}: {target}")
    return found


def make_accessible(site: Path) -> None:
    """Name landmarks, give headings their level, and let keys reach what scrolls."""
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        for old, new in REPLACED.items():
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
