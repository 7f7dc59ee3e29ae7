"""The site's pages in one folder, with links between them: from docs/, the results and the notebooks.

GitHub shows the same files where they are, so a link is written for the repository and is changed here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from mermaid import to_svg
from nav import SECTIONS

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
MADE = re.compile(r"<!-- made: ([\w ]+) -->")
SOURCE = re.compile(r'(?<=src=")(?!\w+:)([^"]+)(?=")')
PAGES = (  # files of the repository, and the folder of the site that they go to
    ("docs", "**/*.md", ""),
    ("paper_repro/results", "**/*.md", "papers"),
    ("notebooks", "*.ipynb", "notebooks"),
)
SINGLE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
UNLISTED = ("questions",)  # pages that are no part of the site


def gather(folder: Path, texts: dict[str, str], more: dict[str, str]) -> None:
    """Write every page, and the files that pages link to, into a folder; remove what is no more.

    Args:
      folder: is made.
      texts: what stands for ``<!-- made: NAME -->`` in a page, by name.
      more: further pages, by their place.
    """
    pages = places()
    written = {folder / place for place in more}
    for place, text in more.items():
        _write(folder / place, text)
    for page, place in pages.items():
        target = folder / place
        written.add(target)
        text, linked = rewritten(page, pages)
        drawn = {}
        if page.suffix == ".md":
            text = MADE.sub(lambda match: texts[match[1]], text)
            text, drawn = _with_drawings(text, place)
        for image, svg in drawn.items():
            _write(folder / image, svg)
            written.add(folder / image)
        _write(target, text)
        for file, site in linked.items():
            written.add(folder / site)
            _copy(file, folder / site)
    index = folder / "index.md"
    _write(index, index.read_text("utf-8") + "\n" + "\n".join(toctrees(pages.values())))
    _remove_others(folder, written)


def places() -> dict[Path, Path]:
    """Where in the site each page of the repository is. A README is its folder's index."""
    found = {ROOT / name: Path(place) for name, place in SINGLE.items()}
    for base, pattern, place in PAGES:
        for page in sorted((ROOT / base).glob(pattern)):
            inside = page.relative_to(ROOT / base)
            if page.stem in UNLISTED or any(part[0] in "._" for part in inside.parts):
                continue
            name = "index.md" if page.name == "README.md" else inside.name
            found[page] = Path(place) / inside.parent / name
    return found


def rewritten(page: Path, pages: dict[Path, Path]) -> tuple[str, dict[Path, Path]]:
    """A page's text with the site's links; and the files that it links to, with their places."""
    here = pages[page].parent
    linked: dict[Path, Path] = {}

    def site_of(target: str) -> str:
        file = Path(os.path.normpath(page.parent / target))
        if file == ROOT / "README.md":
            place = Path("index.md")
        elif file in pages:
            place = pages[file]
        elif file.is_file():
            place = linked[file] = _place_of_file(file)
        else:
            raise FileNotFoundError(f"{page}: {target} is no page and no file")
        return os.path.relpath(place, here)

    def line_of(line: str) -> str:
        line = re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", line)
        line = LINK.sub(lambda m: site_of(m[1]) + (m[2] or ""), line)
        for source in SOURCE.findall(line):
            site_of(source)
        return line

    def text_of(text: str) -> str:
        lines = text.splitlines(keepends=True)
        pairs = zip(lines, in_code(lines), strict=True)
        return "".join(line if code else line_of(line) for line, code in pairs)

    text = page.read_text("utf-8")
    return (_in_cells(text, text_of) if page.suffix == ".ipynb" else text_of(text)), linked


def _in_cells(notebook: str, change: Callable[[str], str]) -> str:
    """A notebook whose text cells are changed."""
    found = json.loads(notebook)
    for cell in found["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = change("".join(cell["source"])).splitlines(keepends=True)
    return json.dumps(found, ensure_ascii=False)


def in_code(lines: list[str]) -> Iterator[bool]:
    """Whether each line is of a fenced block."""
    fence = ""
    for line in lines:
        mark = re.match(r"`{3,}", line)
        yield bool(fence or mark)
        if fence and line.strip() == fence:
            fence = ""
        elif not fence and mark:
            fence = mark[0]


def _place_of_file(file: Path) -> Path:
    """Beside the page that is beside it, so that HTML's relative links hold; else under files/."""
    for base, _, place in PAGES:
        if file.is_relative_to(ROOT / base):
            return Path(place) / file.relative_to(ROOT / base)
    return Path("files") / file.relative_to(ROOT)


def _with_drawings(text: str, place: Path) -> tuple[str, dict[Path, str]]:
    """A page whose mermaid blocks are images, and these."""
    drawings = {}

    def image(block: re.Match[str]) -> str:
        name = place.with_name(f"{place.stem}-{len(drawings) + 1}.svg")
        drawings[name] = to_svg(block[1])
        return f"![Diagram: the layers, each of which uses those below it]({name.name})"

    return re.sub(r"^```mermaid\n(.*?)^```$", image, text, flags=re.M | re.S), drawings


def toctrees(places) -> Iterator[str]:
    """The contents, a tree per section of ``nav``; pages that it does not name are found by its stars."""
    names = {str(place.with_suffix("")) for place in places}
    named = {page for pages in SECTIONS.values() for page in pages}
    for title, pages in SECTIONS.items():
        yield f"```{{toctree}}\n:hidden:\n:caption: {title}\n"
        for page in pages:
            if page.endswith("*"):
                rest = sorted(n for n in names - named if n.startswith(page[:-1]))
                named.update(rest)
                yield from map(_labelled, rest)
            else:
                yield page
        yield "```\n"


def _labelled(page: str) -> str:
    """An entry of the contents. A paper's pages have one title at all scales, and it is long."""
    paper = re.fullmatch(r"papers/([a-z_]+)(\d*)/(\w+)", page)
    if not paper:
        return page
    name = " ".join(filter(None, [paper[1].replace("_", " ").capitalize(), paper[2]]))
    return f"{name} ({paper[3]}) <{page}>"


def _write(path: Path, text: str) -> None:
    """Write if it differs, so that Sphinx reads only what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def _remove_others(folder: Path, written: set[Path]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path not in written:
            path.unlink()


def copy_images(source: Path, site: Path) -> None:
    """Images that pages show by HTML, which Sphinx does not see."""
    for image in source.rglob("*.svg"):
        target = site / image.relative_to(source)
        if not target.exists():
            _copy(image, target)
