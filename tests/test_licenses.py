"""What flaxact brings with it may be used wherever flaxact may."""

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import licenses

PERMISSIVE = r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|Zlib|CC0|Unlicense)\b"
OF_FILES = r"\b(MPL-2\.0|MPL 2\.0)\b"  # binds changes of its own files only


@pytest.fixture(scope="module")
def rows():
    return licenses.rows()


@pytest.mark.thorough
def test_every_package_has_a_permissive_license(rows):
    allowed = re.compile(f"{PERMISSIVE}|{OF_FILES}")
    assert {name: text for name, (text, _) in rows.items() if not allowed.search(text)} == {}
    copyleft = re.compile(r"\b[AL]?GPL\b|General Public License")
    for name, (text, _) in rows.items():
        parts = re.split(r"\bOR\b", text)
        assert not all(copyleft.search(part) for part in parts), f"{name}: {text}"


@pytest.mark.thorough
def test_the_page_lists_the_packages(rows):
    """Versions of the same packages may need others: what flaxact itself names is asked for."""
    listed = dict(
        re.findall(r"^\| ([\w-]+) \| ([^|]+) \|", licenses.PAGE.read_text(), re.MULTILINE)
    )
    direct = {canonicalize_name(Requirement(text).name) for text in requires("flaxact")}
    assert {name for name in direct & rows.keys() if name not in listed} == set()
