"""Comparisons on several models and data sets in one folder, each in a subfolder. Does not import jax."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flaxact.errors import InputError
from flaxact.studies._records import PATH
from flaxact.studies.study import Study


def task_folders(studies: Sequence[Study], out: Path) -> list[Path]:
    """The folder of each study: ``out`` itself for one study, else a subfolder per model and data set.

    Raises:
      InputError: a model and data set given twice, or ``out`` holds a comparison itself.

    >>> small = [Study(("relu",), model=f"mlp(width={width})") for width in (0.1, 0.2)]
    >>> [folder.as_posix() for folder in task_folders(small, Path("out"))]
    ['out/mlp_width=0.1-mnist5k', 'out/mlp_width=0.2-mnist5k']
    """
    if len(studies) == 1:
        return [out]
    if (out / PATH).exists():
        raise InputError(
            f"{out} holds a comparison on one model and data set: choose another folder with --out"
        )
    tasks: dict[Path, str] = {}
    for study in studies:
        task = f"{study.model} on {study.dataset}"
        folder = out / f"{_file_name(study.model)}-{_file_name(study.dataset)}"
        if tasks.get(folder) == task:
            raise InputError(f"{task} is given twice")
        if folder in tasks:
            raise InputError(f"{tasks[folder]} and {task} would share the folder {folder}")
        tasks[folder] = task
    return list(tasks)


def _file_name(text: str) -> str:
    """A spec text or a path as a name that a shell takes without quotes."""
    last = text.rstrip("/").rpartition("/")[2] if Path(text).is_dir() else text
    return re.sub(r"[^\w.+=-]+", "_", last).strip("_.")


def comparisons(folder: Path) -> list[Path]:
    """The comparisons in a folder: the folder itself, or its subfolders that hold comparisons."""
    within = [] if (folder / PATH).exists() else sorted(folder.glob(f"*/{PATH}"))
    return [path.parent for path in within] or [folder]
