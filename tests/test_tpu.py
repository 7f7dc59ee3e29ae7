"""Programs compiled for TPU chips on a machine that has none, each kind once; needs libtpu."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tpu

ROOT = Path(__file__).parents[1]
compiled_for_tpu = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        importlib.util.find_spec("libtpu") is None,
        reason="libtpu is not installed: pip install 'libtpu==0.0.42.*', 700 MB",
    ),
]


def compiled(folder, *arguments):
    """The rows that the benchmark keeps; in a process of its own, as libtpu takes signals over."""
    command = [sys.executable, "benchmarks/tpu.py", *arguments, "--results", str(folder)]
    # Several processes may load libtpu, as none of them has a chip to hold.
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    completed = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    rows = {}
    for path in (folder / "tpu").glob("*.json"):
        rows |= json.loads(path.read_text())["rows"]
    assert not any("refused" in row for row in rows.values()), rows
    return rows


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("activations", "--only", "relu", "--part-of", "dense/float32"), set()),
        (("models", "--only", "mlp"), set()),
        (("engine", "--only", "one net"), set()),
        (("engine", "--only", "16 nets over 4 chips"), set()),
        (("engine", "--only", "a batch over 4 chips"), {"all-reduce"}),
        (("engine", "--only", "a stream over 4 chips"), {"all-reduce"}),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("_", [pytest.param(None, marks=compiled_for_tpu)], ids=["v5e"])
def test_a_kind_of_program_compiles_and_sends_what_it_should(tmp_path, arguments, messages, _):
    rows = compiled(tmp_path, *arguments)
    assert rows
    for key, row in rows.items():
        assert row["flops"] > 0, key
        assert {*row["messages"]} >= messages, key
        assert messages or not row["messages"], key


def test_the_page_says_what_was_compiled_and_what_was_not():
    row = {"temporary": 2e6, "all": 3e9, "moved": 1e9, "flops": 8e9, "messages": {"all-reduce": 3}}
    pieces = [
        {"versions": {"jax": "1", "libtpu": "2"}, "rows": rows}
        for rows in (
            {"activations/v5e/dense/float32/gelu/flaxact": row},
            {"models/v5e/mlp": {**row, "images": [28, 28, 1], "products": 4e9}},
            {
                "engine/v5e/one net": row,
                "engine/v5e/a batch over 4 chips": {"refused": "too large"},
            },
        )
    ]
    page = tpu.table(pieces)
    for text in (
        "| gelu | 1.00 | – | 2 | – |",
        "| mlp | 28 × 28 × 1 | 3.00 | 1.00 | 8 | 50% |",
        "| one net | 3,000 | 2 | 3 all-reduce |",
        "| a batch over 4 chips | does not compile: too large",
        "alexnet",
    ):
        assert text in page
