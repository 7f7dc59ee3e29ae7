"""Parses the arguments of the ``flaxact`` command into a call, or into a one-line error."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import io
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import tyro

import flaxact
from flaxact import _own_code
from flaxact.cli.catalogue import cite, describe, gallery, list_models, list_names
from flaxact.cli.compare import compare, launch
from flaxact.cli.probe import probe
from flaxact.cli.reading import diff, show_ranks, show_report, show_status
from flaxact.cli.reproduce import reproduce
from flaxact.cli.train import train
from flaxact.doctor import doctor
from flaxact.errors import InputError, unknown

COMMANDS = {
    "compare": compare, "launch": launch, "train": train, "probe": probe,
    "report": show_report, "diff": diff, "ranks": show_ranks, "status": show_status,
    "list": list_names, "describe": describe, "cite": cite, "gallery": gallery,
    "models": list_models, "reproduce": reproduce, "doctor": doctor,
}  # fmt: skip

DESCRIPTION = """Activations for JAX and Flax, and why one trains better than another.

Before a command: --import my.py (or a module; several times for several) makes your own activations,
models and data sets known. Alone: --version."""


def parse(arguments: list[str]) -> Callable[[], None]:
    """Turn arguments into a function to call; imports the modules that ``--import`` names."""

    def later(function: Callable[..., None]) -> Callable[..., Callable[[], None]]:
        return functools.wraps(function)(lambda *a, **k: functools.partial(function, *a, **k))

    arguments = _own_code.imported(arguments)
    if arguments in (["--version"], ["-V"]):
        return functools.partial(print, "flaxact", flaxact.__version__)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    arguments = _gathered(arguments)
    # Only of the command that is named: the parsers of all of them take longer than the rest.
    commands = {name: COMMANDS[name] for name in arguments[:1] if name in COMMANDS} or COMMANDS
    usage_errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage_errors):
            return tyro.extras.subcommand_cli_from_dict(
                {name: later(function) for name, function in commands.items()},
                prog="flaxact",
                description=DESCRIPTION,
                args=arguments,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        _check_options(arguments)
        raise InputError(_one_line(usage_errors.getvalue())) from None


def _gathered(arguments: list[str]) -> list[str]:
    """The arguments with all values of an option that takes several, and is given twice, after one."""
    function = COMMANDS.get(arguments[0]) if arguments else None
    several = [name for name, kind in _options(function) if kind is tuple] if function else []
    groups: dict[str | int | None, list[str]] = {}
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


def _options(function: Callable[..., None]) -> Iterator[tuple[str, object]]:
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
    messages = (
        p.strip() for p in paragraphs if "full helptext" not in p and "Argument helptext" not in p
    )
    return "; ".join(paragraph for paragraph in messages if paragraph)
