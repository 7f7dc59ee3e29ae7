"""Every line of code, every command and every link in the pages, by Python and by the real parser."""

import dataclasses
import doctest
import functools
import importlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flaxact import _own_code, activations, cli, models
from flaxact.cli import arguments as cli_arguments
from flaxact.studies.ranges import expanded
from flaxact.training import Recipe

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
RESULTS = sorted(ROOT.glob("paper_repro/results/**/*.md"))
SHELL = ("", "sh", "shell", "bash", "console")
# Whose Python is only compiled: a part of a file of flaxact, and a cell of a notebook (IPython).
NOT_RUN = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "guides" / "colab.md")
# So that what is run is short: fewer epochs, seeds, rates and activations, and smaller nets.
LESS = {
    "epochs=3": "epochs=1",
    "[0, 1]": "[0]",
    "[0, 1, 2]": "[0]",
    "[0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]": "[0.0, 0.1]",
    "[0.001, 0.003, 0.01]": "[0.001]",
    "cuda_convnet(variant=18pct, width=0.25)": "mlp(width=0.02)",
    'Study(("relu", "prelu"), "mlp(width=0.02)"': 'Study(("prelu",), "mlp(depth=1, width=0.02)"',
    'select("monotonic and zero_mean and lipschitz <= 1")': 'select("monotonic and not bounded")',
}
QUICK = ("describe", "cite", "models")  # commands that are run, not parsed only
COMMAND = re.compile(
    r"(?<![\w/.-])(?:(flaxact) +(?=--import|--version|[a-zA-Z])|(make|python -m|pip install) +)(\S.*)",
    re.DOTALL,
)


def named(page):
    return str(page.relative_to(ROOT))


@functools.cache
def blocks(page):
    """The fenced blocks of a page: language and text, with lines that go on joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """What the pages tell to type, program and arguments, in blocks and in sentences; each once."""
    collected = {}
    for page in (*PAGES, *RESULTS):
        texts = [text for language, text in blocks(page) if language in SHELL]
        texts += re.findall(
            r"(?<!`)`(!?(?:flaxact|make|pip|python) [^`\n]+)`", page.read_text("utf-8")
        )
        for line in (line for text in texts for line in re.split(r"\n(?!\s)|&& ", text)):
            if command := COMMAND.search(re.sub(r"^#.*|\s+#\s.*$", "", line)):
                program = command[1] or command[2]
                arguments = command[3].strip().rstrip("'")
                collected.setdefault((program, arguments), named(page))
    return sorted(collected)


@pytest.mark.sampled(5)
@pytest.mark.timeout(900)  # 20 s of a core, on a machine that may be busy
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=named)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}  # a block knows what those before it on the page have defined
    for language, block in blocks(page):
        if language == "python":
            short = functools.reduce(lambda text, pair: text.replace(*pair), LESS.items(), block)
            program = compile(short, named(page), "exec")
            if page not in NOT_RUN:
                exec(program, names)
        if language == "pycon":
            check_printed(block, names, named(page))


def check_printed(block, names, page):
    """Run examples as doctest does, and compare what they print."""
    example = doctest.DocTestParser().get_doctest(
        string=block, globs=names, name=page, filename=page, lineno=0
    )
    example.globs = names  # get_doctest takes a copy
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    printed = io.StringIO()
    doctest.DocTestRunner(optionflags=flags).run(example, out=printed.write, clear_globs=False)
    assert not printed.getvalue(), printed.getvalue()


def test_what_is_shortened_is_there():
    text = "".join(block for page in PAGES for _, block in blocks(page))
    assert [long for long in LESS if long not in text] == []


@pytest.mark.parametrize(("program", "arguments"), commands())
def test_commands_can_be_typed(program, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(arguments)
    if program == "flaxact":
        check_flaxact(words, monkeypatch)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words if "=" not in word} <= set(targets)
    elif program == "python -m" and words[0].startswith("benchmarks."):
        assert (ROOT / f"{words[0].replace('.', '/')}.py").exists()
    elif program == "pip install":
        for extras in re.findall(r"flaxact\[([\w,]+)\]", arguments):
            assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/guides/*.md")), ids=named)
def test_guides_say_what_was_not_run_here_and_are_valid_shell(page):
    assert re.search("[Nn]ot run here", page.read_text("utf-8"))
    for language, text in blocks(page):
        if language in SHELL and not re.search(r"^(!|from )", text, re.MULTILINE):
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def check_flaxact(arguments, monkeypatch):
    """Parse a command of flaxact, and what its options name; run it if it is quick."""
    own = arguments[0] == "--import"
    if own:
        Path(arguments[1]).write_text("", "utf-8")
        monkeypatch.delitem(sys.modules, Path(arguments[1]).stem, raising=False)
        monkeypatch.setattr(_own_code, "names", [])
        monkeypatch.setattr(sys, "path", [*sys.path])
        assert cli.main([*arguments[:2], "--version"]) == 0
        arguments = arguments[2:]
    if len(arguments) == 1:  # the mention of a command, whose arguments may be needed
        assert arguments[0] in (*cli_arguments.COMMANDS, "--version")
        return
    if arguments[0] == "COMMAND":
        return
    if arguments[0] == "train" and arguments[1].startswith("--"):  # the mention of an option
        arguments.insert(1, "relu")
    one = {arguments[0]: cli_arguments.COMMANDS[arguments[0]]}
    monkeypatch.setattr(
        cli_arguments, "COMMANDS", one
    )  # the parsers of the others take time to make
    call = cli_arguments.parse(arguments)
    if arguments[0] in QUICK:
        call()
        return
    given = dict(call.keywords)
    for options in filter(dataclasses.is_dataclass, (*call.args, *call.keywords.values())):
        given |= vars(options)
    Recipe.from_toml("\n".join(given.get("option", ())))
    if not own:
        check_names(given.get("model", ()), given.get("activations", ()))


def check_names(several, names):
    for model in [several] if isinstance(several, str) else several:
        if ":" not in model:  # a path to a net of a reader's own
            models.parse(model)
    for name in names:
        for text in expanded(name) if not name.startswith("NAME") else ():
            activations.get(text)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_within_the_project_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [
        link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link
    ]
    assert [link for link in links if link and not page.parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("folder", ["howto", "theory"])
def test_the_index_of_a_folder_links_to_all_of_its_pages(folder):
    index = ROOT / "docs" / folder / "README.md"
    linked = set(re.findall(r"\]\((\w+\.md)\)", index.read_text("utf-8")))
    assert {page.name for page in index.parent.glob("*.md")} - {"README.md"} - linked == set()


GUIDES = [
    ROOT / "docs" / "start" / "choosing.md",
    *sorted((ROOT / "docs" / "theory").glob("*.md")),
]
FIGURE = re.compile(r"\d[\d.e+-]*%? \[[^\]()]*\](?!\()")  # with its interval


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_figures_are_on_the_pages_that_a_guide_links_to(page):
    text = page.read_text("utf-8")
    linked = [
        target.read_text("utf-8")
        for link in re.findall(r"\]\(([^)\s#]+\.md)", text)
        if (target := page.parent / link).is_file()
    ]
    figures = [" ".join(figure.split()) for figure in FIGURE.findall(text)]
    assert figures or page.parent.name == "theory"
    assert [figure for figure in figures if not any(figure in other for other in linked)] == []


def test_every_page_of_the_site_has_a_place_in_its_contents(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    gather = importlib.import_module("gather")
    places = gather.places()
    lines = {line for tree in gather.toctrees(places.values()) for line in tree.splitlines()}
    listed = {re.sub(r".* <(.*)>$", r"\1", line) for line in lines}
    pages = {str(place.with_suffix("")) for place in places.values()} - {"index"}
    assert pages - listed == set()
    named_pages = {p for pages in gather.SECTIONS.values() for p in pages if not p.endswith("*")}
    assert named_pages - pages == set()
