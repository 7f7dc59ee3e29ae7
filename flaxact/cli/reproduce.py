"""The command that reproduces papers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from flaxact import interrupts
from flaxact.cli.train import begin, command


def reproduce(
    name: tyro.conf.Positional[str] = "",
    *,
    scale: Literal["smoke", "reduced", "full"] = "reduced",
    stored: bool = False,
    data_dir: Path | None = None,
    out: Path | None = None,
) -> None:
    """Test the claims of a paper; without a name, list the papers.

    Run the same command again to resume. ``summary`` combines the stored results of all papers.

    Args:
      name: Name of the paper, or summary.
      scale: smoke takes a minute and shows that the code runs; reduced is for two CPU cores, and each
        paper says how long it takes; full is the published protocol, for an accelerator.
      stored: Write the page from the stored pieces only; compute nothing.
      data_dir: Folder of the TFDS data sets; default: the environment variable FLAXACT_DATA_DIR.
      out: Folder of the results. Default: the committed results in a checkout, else flaxact-papers,
        where summary also uses the results that come with the papers.
    """
    from flaxact.reproduction import papers

    folder = papers.default_folder() if out is None else out
    if not name:
        _list(folder)
    elif name == papers.SUMMARY:
        from flaxact.reproduction import summary

        if out is None:
            summary.add_shipped_results(folder)
        print(f"The page: {summary.write_summary(papers.load_summary(), folder)}")
    else:
        papers.check(name)
        from flaxact.progress import console
        from flaxact.reproduction import run

        begin(None, None, None)
        with interrupts.raised():
            page = run.reproduce(
                name,
                scale,
                folder,
                command=command(),
                data_dir=data_dir,
                compute=not stored,
                log=lambda text: console.print(text, soft_wrap=True, highlight=False),
            )
        print(f"The page: {page}")


def _list(folder: Path) -> None:
    from flaxact.reproduction import page, papers

    for name in papers.names():
        scales = [scale for scale in papers.SCALES if (folder / name / f"{scale}.json").exists()]
        print(f"{name:<16} {page.title(papers.load(name))}")
        print(f"{'':<16} results in {folder}: {', '.join(scales) or 'none'}")
