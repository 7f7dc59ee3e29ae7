"""The command that puts papers to the test: arguments to a function call, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from flaxact.commands import begin, command


def reproduce(
    name: tyro.conf.Positional[str] = "",
    *,
    scale: Literal["smoke", "reduced", "full"] = "reduced",
    data_dir: Path | None = None,
    out: Path = Path("paper_repro/results"),
) -> None:
    """Put a paper's claims to the test; without a name, list the papers.

    Stopped, the same command goes on. ``summary`` puts the results that are there together.

    Args:
      name: Of the reproduction, or summary.
      scale: smoke takes a minute and shows that the code runs; reduced is for two CPU cores and under an
        hour; full is the published protocol, for an accelerator.
      data_dir: Where TFDS keeps its data sets; FLAXACT_DATA_DIR says so too.
      out: Folder of the results.
    """
    from flaxact.studies import reproduced, reproduction

    if not name:
        for paper in reproduction.names():
            there = [s for s in reproduction.SCALES if (out / paper / f"{s}.json").exists()]
            print(f"{paper:<16} {reproduced.title(reproduction.module(paper))}")
            print(f"{'':<16} results in {out}: {', '.join(there) or 'none'}")
        return
    if name == "summary":
        from flaxact.studies import evidence

        print(f"The page: {evidence.write(out)}")
        return
    reproduction.check(name)
    from flaxact._shown import console

    begin(None, None, None)
    page = reproduction.reproduce(
        name, scale, out, command=command(), data_dir=data_dir,
        say=lambda text: console.print(text, soft_wrap=True, highlight=False),
    )  # fmt: skip
    print(f"The page: {page}")
