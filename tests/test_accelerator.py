"""The accelerator's benchmark: its rows, what it keeps, and the page that it writes."""

import json

import pytest

import flaxact as fa
from benchmarks import accelerator, accelerator_page, accelerator_parts
from benchmarks.accelerator_parts import SIZES, Part

SMALL = SIZES["small"]


def part(rows):
    return Part("A part", 1.0, lambda sizes: iter(rows))


def broken(until):
    raise RuntimeError("out of\nmemory")


@pytest.fixture
def parts(monkeypatch):
    def use(**by_name):
        for module in (accelerator, accelerator_page):
            monkeypatch.setattr(module, "PARTS", by_name)

    return use


def test_rows_are_kept_and_failed_ones_are_tried_again(parts, tmp_path, capsys):
    calls = []
    parts(a=part([("x", lambda _: calls.append("x") or {"seconds": 0.25}), ("y", broken)]))
    with pytest.raises(SystemExit, match="failed: a/y"):
        accelerator.main(["--only", "a", "--out", str(tmp_path)])
    (page,) = tmp_path.glob("accelerator-*.md")
    assert "| x | 0.25 | – |" in page.read_text()
    assert "RuntimeError: out of memory" in page.read_text()
    parts(a=part([("x", broken), ("y", lambda _: {"seconds": 1500.0})]))
    accelerator.main(["--only", "a", "--out", str(tmp_path)])
    assert calls == ["x"]
    assert "| y | 1,500 |" in page.read_text()
    stored = json.loads(page.with_suffix(".json").read_text())
    stored["facts"]["jax"] = "0.1"
    page.with_suffix(".json").write_text(json.dumps(stored))
    with pytest.raises(SystemExit, match="failed: a/x"):  # computed again, with the new version
        accelerator.main(["--only", "a", "--out", str(tmp_path)])
    assert "jax was 0.1" in capsys.readouterr().out


def test_rows_that_the_time_does_not_reach_are_counted(parts, tmp_path):
    ends = []
    row = lambda until: ends.append(until) or {"seconds": 1.0}  # noqa: E731
    parts(a=part([("x", row)]), b=part([("y", row), ("z", row)]))
    document = accelerator.run(tmp_path / "rows.json", "small", ["a", "b"], 1000.0)
    assert 400 < ends[1] - ends[0] < 600  # the first part has half of the time
    assert document["left"] == {}
    document = accelerator.run(tmp_path / "other.json", "small", ["a", "b"], 0.0)
    assert document["left"] == {"a": 1, "b": 2}
    assert "2 rows were not reached in time." in accelerator_page.page(document)


def test_every_part_has_rows_of_names_that_exist():
    for name, one in accelerator_parts.PARTS.items():
        keys = [key for key, _ in one.rows(SIZES["full"])]
        assert keys or name == "torch"  # which may be absent
        assert len(set(keys)) == len(keys)
    assert {key for key, _ in accelerator_parts.accuracy(SMALL)} == set(fa.names())


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["gelu", "prelu", "softmax"])
def test_accuracy_of_a_pointwise_a_learned_and_a_coupled_activation(name):
    row = accelerator_parts.errors(name, 240)
    assert row["value"] <= 4
    assert row["derivative"] <= 16  # softmax's terms cancel
    for what in ("value", "derivative"):
        assert 0 <= row[f"{what}, of the scale"] < 1e-6


@pytest.mark.thorough
def test_times_beside_jax_nn_and_of_what_jax_nn_lacks(monkeypatch):
    monkeypatch.setattr(accelerator_parts, "PAIRS", 1)
    row = accelerator_parts.beside_jax("silu", "bfloat16", 1000)
    assert row.keys() == {"seconds", "÷ jax.nn"}
    assert accelerator_parts.beside_jax("apl", "float32", 1000).keys() == {"seconds"}
    (_, step), *_ = accelerator_parts.stacks(SMALL)
    assert step(0.0).keys() == {"seconds", "kept", "÷ jax.nn", "jax.nn kept"}
