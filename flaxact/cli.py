"""The ``flaxact`` command: arguments to a function call, no logic."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import tyro

import flaxact
from flaxact import _interrupts, _own_code, _packages
from flaxact.commands import command, report, train
from flaxact.comparing import compare, launch
from flaxact.doctor import doctor, no_devices
from flaxact.errors import InputError, one_line, unknown
from flaxact.reproducing import reproduce
from flaxact.showing import cite, describe, gallery, list_models, list_names


def probe(
    *,
    model: str = "cuda_convnet",
    activation: str = "relu,tanh",
    init: str = "paper",
    norm: str = "paper",
    dataset: str = "mnist5k",
    seeds: int = 3,
    images: int = 256,
    image_size: int | None = None,
    data_dir: Path | None = None,
    out: Path = Path("flaxact-probe"),
) -> None:
    """Measure what every activation of a model gets and gives before training; write a report.

    Args:
      model: Name or spec text.
      activation: Names or spec texts, with commas between.
      init: Initializations of the kernels, with commas between: paper, he, xavier, lecun, orthogonal,
        lsuv, variance_preserving.
      norm: Normalizations, with commas between: paper (the model's own), none, batch, layer, group, ...
      dataset: As for compare.
      seeds: Over which the figures are averaged.
      images: Of the training set, that are seen.
      image_size: Side to which images are brought, in pixels.
      data_dir: Where TFDS keeps its data sets.
      out: Folder of the report.
    """
    from flaxact import data as datasets
    from flaxact._shown import Bar, console
    from flaxact.studies import probing
    from flaxact.studies.study import check_folder

    chosen = probing.Probing(
        listed(activation), model, listed(init), listed(norm), tuple(range(seeds)), images
    )
    datasets.check(dataset, data_dir=data_dir)
    check_folder(out)
    data = datasets.load(dataset, data_dir=data_dir, image_size=image_size)
    cells = []
    with Bar("nets", lines=True) as bar:
        for cell in probing.measure(chosen, data, bar.show):
            cells.append(cell)
            console.print(
                _probed(probing.title(cell), probing.SHOWN, probing.table(cell, probing.SHOWN))
            )
    print(f"The report: {probing.write(chosen, data, cells, out, command())}")


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between them, but for those within brackets.

    >>> listed("relu, elu(alpha=0.5),threshold(1, 2)")
    ('relu', 'elu(alpha=0.5)', 'threshold(1, 2)')
    """
    parts = re.split(r",(?![^(]*\))", text)
    return tuple(part.strip() for part in parts if part.strip())


def _probed(title: str, measures: tuple[str, ...], rows: list[tuple[str, list[str]]]) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("site", *(name.replace("_", " ") for name in measures), title=title, box=SIMPLE)
    for site, cells in rows:
        table.add_row(site, *cells)
    return table


COMMANDS = {
    "compare": compare, "launch": launch, "train": train, "probe": probe, "report": report,
    "list": list_names, "describe": describe, "cite": cite, "gallery": gallery,
    "models": list_models, "reproduce": reproduce, "doctor": doctor,
}  # fmt: skip


# Of a file system: full, read-only, not allowed, not as a path says, out of order.
OUTSIDE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR,
    errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EMFILE, errno.ENFILE,
}  # fmt: skip
DESCRIPTION = """Activations for JAX and Flax, and why one trains better than another.

Before a command: --import my.py (or a module; several times for several) makes your own activations,
models and data sets known. Alone: --version."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if it worked, 2 for what the user can mend, said in one line."""
    try:
        with _packages.explained():
            _parse(sys.argv[1:] if arguments is None else arguments)()
    except InputError as error:
        return _failed(str(error))
    except (RuntimeError, AssertionError):
        if problem := no_devices():
            return _failed(f"{problem.found}: {problem.advice}")
        raise
    except KeyboardInterrupt:
        print(_interrupts.STOPPED, file=sys.stderr)
        return _interrupts.CODE
    except BrokenPipeError:  # flaxact list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        at = f": {error.filename}" if error.filename else ""
        return _failed(one_line(f"{error.strerror}{at}"))
    return 0


def _failed(message: str) -> int:
    print(f"flaxact: {message}", file=sys.stderr)
    return 2


def _parse(arguments: list[str]) -> Callable[[], None]:
    """The call that the arguments ask for, not made yet; what --import names is imported."""

    def later(function: Callable[..., None]) -> Callable[..., Callable[[], None]]:
        return functools.wraps(function)(lambda *a, **k: functools.partial(function, *a, **k))

    arguments = _own_code.imported(arguments)
    if arguments in (["--version"], ["-V"]):
        return functools.partial(print, "flaxact", flaxact.__version__)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    arguments = _gathered(arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(
                {name: later(function) for name, function in COMMANDS.items()},
                prog="flaxact", description=DESCRIPTION, args=arguments,
            )  # fmt: skip
    except SystemExit as stop:
        if not stop.code:
            raise
        _check_options(arguments)
        raise InputError(_one_line(said.getvalue())) from None


def _gathered(arguments: list[str]) -> list[str]:
    """The arguments with all values of an option that takes several, and is given twice, after one."""
    function = COMMANDS.get(arguments[0]) if arguments else None
    several = [name for name, kind in _options(function) if kind is tuple] if function else []
    groups: dict[Any, list[str]] = {}
    last = None
    for place, word in enumerate(arguments):
        name = word.partition("=")[0]
        if word.startswith("--"):
            last = name if name in several else place
            with_value = last == name and "=" in word
            groups.setdefault(last, [name if with_value else word])
            groups[last] += [word.partition("=")[2]] if with_value else []
        else:
            groups.setdefault(last, []).append(word)
    return [word for group in groups.values() for word in group]


def _check_options(arguments: list[str]) -> None:
    """Raise for the first option that the command does not have."""
    if not arguments or arguments[0] not in COMMANDS:
        return
    allowed = ["--help", *(name for name, _ in _options(COMMANDS[arguments[0]]))]
    for word in arguments[1:]:
        option = word.partition("=")[0].replace("_", "-")
        if option == _own_code.OPTION:
            raise InputError(
                f"{option} comes before the command, as in flaxact {option} my.py list"
            )
        if word.startswith("--") and option.replace("--no-", "--", 1) not in allowed:
            raise unknown(f"option of {arguments[0]}", option, allowed)


def _options(function: Callable[..., None]) -> Iterator[tuple[str, Any]]:
    """The options of a command as they are written, with their types: of a dataclass, its fields."""
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        kind = get_origin(parameter.annotation) or parameter.annotation
        fields: Any = get_args(parameter.annotation)[0] if kind is Annotated else None
        if isinstance(fields, type) and dataclasses.is_dataclass(fields):
            parameters = inspect.signature(fields, eval_str=True).parameters.values()
            inner = [p for p in parameters if p.default is not p.empty]
        else:
            inner = [parameter] if parameter.kind is parameter.KEYWORD_ONLY else []
        for one in inner:
            yield f"--{one.name.replace('_', '-')}", get_origin(one.annotation)


def _one_line(box: str) -> str:
    """What tyro says in a box, as a line: paragraphs joined, without the help that it repeats."""
    paragraphs = [""]
    for line in box.splitlines()[1:]:
        words = re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯]", "", line).strip()
        if re.fullmatch(r"[─-]+", words):  # a rule, drawn in ASCII where the locale asks for it
            paragraphs.append("")
        else:
            paragraphs[-1] += f" {words}"
    kept = (
        p.strip() for p in paragraphs if "full helptext" not in p and "Argument helptext" not in p
    )
    return "; ".join(paragraph for paragraph in kept if paragraph)


def run() -> None:
    """Run the command that the process was given, and end the process."""
    _interrupts.begin()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what its encoding does not have becomes "?"
    sys.exit(main())


if __name__ == "__main__":
    run()
