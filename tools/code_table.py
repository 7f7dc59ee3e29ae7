"""Measures the style of the code: lengths of files and functions, and how often a habit occurs.

``python tools/code_table.py 80693dc .`` prints a table with a column for each commit or folder.
``tests/test_style.py`` holds the same counts to their limits.
"""

import ast
import collections
import io
import itertools
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

PARTS = ("flaxact", "paper_repro", "benchmarks", "tests")
DUPLICATE = 6  # lines that make a block
# Functions of NumPy, JAX and PyTorch whose positional arguments readers know; and functions of *args.
IDIOMS = {
    *("reshape", "transpose", "uniform", "reduce_window", "slice_in_dim", "checkpoint"),
    *("variable", "conv", "conv2d", "Conv2d", "Linear", "Sequential", "batch_norm"),
    *("local_response_norm", "partial", "environment", "with_kernel", "tangent"),
}


def python_files(root: Path, part: str) -> list[Path]:
    """Every Python file of a part of the project."""
    return sorted((root / part).rglob("*.py"))


def tuple_assignments(tree: ast.AST) -> list[int]:
    """Lines of ``a, b = x, y``."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    ]


def _is_literal(node: ast.AST) -> bool:
    """Whether it is made of constants, names and containers of them."""
    parts = (ast.Constant, ast.Name, ast.Attribute, ast.Starred, ast.expr_context, ast.keyword)
    containers = (ast.Tuple, ast.List, ast.Set, ast.Dict)
    signs = (ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop)
    return all(isinstance(n, parts + containers + signs) for n in ast.walk(node))


def _is_table(node: ast.stmt) -> bool:
    """Whether it is a constant of a module, or a container of literals."""
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return):
        return False
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if isinstance(targets[0], ast.Name) and targets[0].id.strip("_").isupper():
        return True
    container = isinstance(node.value, ast.Tuple | ast.List | ast.Set | ast.Dict)
    return container and _is_literal(node.value)


def format_skips(text: str) -> list[int]:
    """Lines of ``# fmt: skip`` and ``# fmt: off`` that do not belong to a literal table."""
    tables = set()  # last lines of literal tables
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and _is_table(node):
            tables.add(node.end_lineno)
        if isinstance(node, ast.FunctionDef):
            rows = [d for d in node.decorator_list if isinstance(d, ast.Call)]
            tables |= {d.end_lineno for d in rows if all(map(_is_literal, d.args))}
    lines = enumerate(text.splitlines(), 1)
    skips = [number for number, line in lines if re.search(r"# fmt: (skip|off)$", line)]
    return [number for number in skips if number not in tables]


def positional_calls(tree: ast.AST, limit: int = 4) -> list[int]:
    """Lines of calls with more positional arguments than a limit.

    Functions of ``*args`` that the same file defines may have any number of them.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    exempt = {"", *IDIOMS, *(node.name for node in functions if node.args.vararg)}
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) > limit
    ]
    return [
        node.lineno
        for node in calls
        if getattr(node.func, "attr", getattr(node.func, "id", "")) not in exempt
    ]


def types_defined_twice(root: Path) -> dict[str, list[str]]:
    """Public classes and type aliases of flaxact that two modules define, with the modules.

    Each file of a model has its ``Model``.
    """
    places = collections.defaultdict(list)
    for path in python_files(root, "flaxact"):
        for node in ast.parse(path.read_text("utf-8")).body:
            for name in _type_names(node):
                if not name.startswith("_") and not (
                    name == "Model" and path.parent.name == "models"
                ):
                    places[name].append(str(path.relative_to(root)))
    return {name: paths for name, paths in sorted(places.items()) if len(paths) > 1}


def _type_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return [name for name in names if re.fullmatch(r"[A-Z][a-z]\w*", name)]
    return []


def import_cycles(root: Path) -> list[list[str]]:
    """Groups of modules of flaxact that import each other, in function bodies too."""
    paths = {_module(root, path): path for path in python_files(root, "flaxact")}
    graph = {name: _imports(path, name, paths) - {name} for name, path in paths.items()}
    return [sorted(group) for group in _components(graph) if len(group) > 1]


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, module: str, known: dict[str, Path]) -> set[str]:
    """The modules that a file imports when it runs; what is for type checkers only is left out."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = set()
    for node in _runtime_nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                imported.add(inner if inner in known else source)
    return imported & known.keys()


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def _components(graph: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of a directed graph."""
    reachable = {node: _reachable(graph, node) for node in graph}
    components = []
    for node, others in reachable.items():
        group = {node} | {other for other in others if node in reachable[other]}
        if group not in components:
            components.append(group)
    return components


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    reached = set()
    stack = list(graph[start])
    while stack:
        node = stack.pop()
        if node not in reached:
            reached.add(node)
            stack.extend(graph[node])
    return reached


def any_annotations(root: Path) -> int:
    """Lines of flaxact with ``: Any`` or ``-> Any``."""
    texts = (path.read_text("utf-8") for path in python_files(root, "flaxact"))
    return sum(len(re.findall(r"^.*(?:: |-> )Any.*$", text, re.MULTILINE)) for text in texts)


def private_modules(root: Path) -> list[str]:
    """Modules whose name begins with an underscore, beside the packages."""
    return sorted(path.stem for path in (root / "flaxact").glob("_[a-z]*.py"))


def duplicate_blocks(root: Path) -> int:
    """Blocks of six lines or more, imports and blank lines left out, that occur more than once."""
    windows = collections.Counter()
    for path in [path for part in PARTS[:3] for path in python_files(root, part)]:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        lines = [
            line
            for line in lines
            if len(line) > 3 and not line.startswith(("#", "from ", "import "))
        ]
        windows.update(zip(*(lines[i:] for i in range(DUPLICATE)), strict=False))
    return sum(count > 1 for count in windows.values())


def _lengths(values: list[int]) -> str:
    if not values:
        return "-"
    values = sorted(values)
    return f"{statistics.median(values):g} / {values[int(0.9 * (len(values) - 1))]} / {values[-1]}"


def _functions(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """The lines in the body, the docstring left out, and the parameters of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            yield length, len([a for a in arguments if a.arg not in ("self", "cls")])


def rows(root: Path) -> dict[str, str]:
    """Every measurement of a checkout, by what is measured."""
    table = {}
    packages = sorted(p.parent.name for p in (root / "flaxact").glob("[a-z]*/__init__.py"))
    for part in ("flaxact", *(f"flaxact/{name}" for name in packages), *PARTS[1:]):
        paths = python_files(root, part)
        texts = [path.read_text("utf-8") for path in paths]
        functions = [f for text in texts for f in _functions(ast.parse(text))]
        lines = [text.count("\n") for text in texts]
        table[f"{part}: files, lines"] = f"{len(paths)}, {sum(lines):,}"
        table[f"{part}: file median / p90 / max"] = _lengths(lines)
        table[f"{part}: function body median / p90 / max"] = _lengths([f[0] for f in functions])
        table[f"{part}: parameters median / p90 / max"] = _lengths([f[1] for f in functions])
    for part in PARTS:
        texts = [path.read_text("utf-8") for path in python_files(root, part)]
        trees = [ast.parse(text) for text in texts]
        assigned = sum(isinstance(n, ast.Assign) for tree in trees for n in ast.walk(tree))
        pairs = sum(len(tuple_assignments(tree)) for tree in trees)
        share = pairs / max(1, assigned)
        table[f"{part}: a, b = x, y"] = f"{share:.1%} ({pairs})"
        skipped = sum(len(re.findall("(?m)# fmt: (?:skip|off)$", text)) for text in texts)
        outside = sum(len(format_skips(text)) for text in texts)
        table[f"{part}: fmt: skip, outside tables"] = f"{skipped}, {outside}"
        calls = sum(len(positional_calls(tree)) for tree in trees)
        table[f"{part}: calls with 5 positional arguments or more"] = str(calls)
    table["type names defined twice"] = str(len(types_defined_twice(root)))
    table["import cycles, function bodies too"] = str(len(import_cycles(root)))
    table["lines with : Any or -> Any"] = str(any_annotations(root))
    table["private top-level modules"] = str(len(private_modules(root)))
    table["duplicate windows of 6 lines"] = str(duplicate_blocks(root))
    return table


def main(places: list[str]) -> None:
    """Print a table in Markdown, with a column for each commit or folder."""
    columns = {}
    with tempfile.TemporaryDirectory() as scratch:
        for place in places:
            root = Path(place)
            if not root.is_dir():
                root = Path(scratch) / place
                archive = subprocess.run(
                    ["git", "archive", place], check=True, capture_output=True
                ).stdout
                with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                    files.extractall(root, filter="data")
            columns[place] = rows(root)
    names = dict.fromkeys(itertools.chain(*columns.values()))
    print("| measured |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for name in names:
        print("|", " | ".join([name, *(column.get(name, "-") for column in columns.values())]), "|")


if __name__ == "__main__":
    main(sys.argv[1:] or ["."])
