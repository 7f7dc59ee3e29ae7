"""The style of the code: habits that the reviews found, each counted by ``tools/code_table.py``."""

import ast
from pathlib import Path

import pytest

from tools import code_table

ROOT = Path(__file__).parents[1]
PARTS = (*code_table.PARTS, "tools")
# Names that mean one thing in the library and are defined for two doors or two stored forms.
TWICE = {"Act"}


def texts(part):
    return {path: path.read_text("utf-8") for path in code_table.python_files(ROOT, part)}


@pytest.mark.parametrize("part", PARTS)
def test_two_unlike_values_are_assigned_in_two_lines(part):
    """``a, b = x, y`` is at most one assignment in a hundred."""
    trees = [ast.parse(text) for text in texts(part).values()]
    pairs = sum(len(code_table.tuple_assignments(tree)) for tree in trees)
    assignments = sum(isinstance(n, ast.Assign) for tree in trees for n in ast.walk(tree))
    assert pairs <= assignments / 100


@pytest.mark.parametrize("part", PARTS)
def test_the_formatter_is_off_in_literal_tables_only(part):
    lines = {str(path): code_table.format_skips(text) for path, text in texts(part).items()}
    assert not {path: numbers for path, numbers in lines.items() if numbers}


@pytest.mark.parametrize("part", PARTS)
def test_at_most_four_arguments_are_positional(part):
    lines = {
        str(path): code_table.positional_calls(ast.parse(text))
        for path, text in texts(part).items()
    }
    assert not {path: numbers for path, numbers in lines.items() if numbers}


def test_a_type_name_has_one_meaning():
    assert set(code_table.types_defined_twice(ROOT)) <= TWICE


def test_modules_do_not_import_each_other():
    """Not in the body of a function either."""
    assert code_table.import_cycles(ROOT) == []


@pytest.mark.parametrize(
    ("count", "source"),
    [
        (code_table.tuple_assignments, "a, b = 1, 'two'"),
        (code_table.positional_calls, "f(1, 2, 3, 4, 5)"),
    ],
)
def test_a_habit_is_seen(count, source):
    assert count(ast.parse(source)) == [1]


def test_a_table_may_be_laid_out_by_hand_and_a_call_may_not():
    skip = "# fmt: " + "skip"
    assert code_table.format_skips(f"a = [\n  1, 2,\n]  {skip}\n") == []
    assert code_table.format_skips(f"f(\n  1, 2,\n)  {skip}\n") == [3]
