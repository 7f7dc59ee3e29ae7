"""The benchmarks compare like with like, and their arithmetic is right."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from benchmarks import activations as bench

# Two rows of an even width (glu), on no kink.
GRID = np.linspace(-7.03, 7.01, 48, dtype=np.float32).reshape(2, 24)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", bench.listed())
def test_counterparts_agree(name):
    ours, theirs = (
        np.asarray(f(jnp.asarray(GRID))) for f in (fa.get(name), bench.counterpart(name))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", bench.listed())
def test_counterparts_in_torch_agree(name):
    torch = pytest.importorskip("torch")
    function = bench.torch_counterpart(name)
    if function is None:
        pytest.skip(f"torch has no {name}")
    theirs = function(torch.from_numpy(GRID)).numpy()
    np.testing.assert_allclose(
        np.asarray(fa.get(name)(jnp.asarray(GRID))), theirs, rtol=1e-5, atol=1e-5
    )


def test_torch_names_exist():
    functional = pytest.importorskip("torch.nn.functional")
    assert not [name for name in bench.TORCH.values() if not hasattr(functional, name)]
    assert bench.TORCH.keys() >= bench.TORCH_OPTIONS.keys()


def test_an_alias_and_a_variant_find_their_counterpart():
    assert bench.counterpart("swish").func is bench.counterpart("silu").func
    assert bench.counterpart("gelu(approximate=False)").keywords == {"approximate": False}
    with pytest.raises(fa.InputError, match="unknown activation"):
        bench.counterpart("no_such_activation")
    with pytest.raises(fa.InputError, match=r"jax\.nn has no centered"):
        bench.counterpart("centered(relu)")


def test_ratios_of_a_clock_that_is_told(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def taking(*durations):
        turns = iter(range(10**6))

        def call():
            now[0] += durations[next(turns) % len(durations)]

        return call

    same = bench.ratios(taking(1.0), taking(1.0), pairs=9)
    assert (same.low, same.median, same.high, same.seconds) == (1, 1, 1, 1)
    assert bench.ratios(taking(2.0), taking(1.0), pairs=9).median == 2
    # Repeated to fill a sample, both alike: 1 ms and 0.5 ms, to 8 ms.
    repeated = bench.ratios(taking(2**-10), taking(2**-11), pairs=9, sample=2**-7)
    assert (repeated.median, repeated.seconds) == (2, 2**-10)
    # Four calls to compile and calibrate, then 1, 2, 3, 1, 2, 3, …
    spread = bench.ratios(taking(3.0, 1.0, 2.0), taking(1.0), pairs=9)
    assert (spread.low, spread.median, spread.high) == (1, 2, 3)


def test_ratios_of_work():
    x = np.ones(20_000)

    def work(times):
        return lambda: [np.sin(x) for _ in range(times)]

    assert 0.6 < bench.ratios(work(2), work(2)).median < 1.6
    assert bench.ratios(work(8), work(2)).median > 1.5


@pytest.mark.thorough
def test_main_prints_a_table(capsys):
    bench.main(["--activations", "relu", "swish", "--sizes", "1000", "--pairs", "2"])
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    assert [row[:4] for row in rows if row[0:2] == ["silu", "1,000"]] == [
        ["silu", "1,000", dtype, direction]
        for dtype in bench.DTYPES
        for direction in bench.DIRECTIONS
    ]
    assert sum(row[:1] == ["relu"] for row in rows) == 4
    assert "worst ÷ jax.nn" in printed
    assert "jax 0." in printed


def test_main_without_torch_says_so(capsys, monkeypatch):
    monkeypatch.setattr(bench, "HAS_TORCH", False)
    bench.main(["--activations", "relu", "--sizes", "1000", "--pairs", "2"])
    printed = capsys.readouterr().out
    assert "torch not installed" in printed
    assert "÷ torch" not in printed


@pytest.mark.thorough
def test_stack_rows_and_their_summary(capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.backward.ROWS", 64)
    monkeypatch.setattr("benchmarks.backward.LAYERS", 2)
    rows = list(bench.stacked(["relu"], pairs=2))
    assert [row.name for row in rows] == ["relu"]
    bench.summary(rows)
    assert "2 × dense step, float32" in capsys.readouterr().out


def test_an_unknown_name_ends_in_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--activations", "rleu"])
    assert "did you mean 'relu'" in capsys.readouterr().err


@pytest.mark.thorough
def test_the_plain_resnet50_has_the_published_number_of_parameters():
    """In Flax; and a few of its layers in PyTorch, where that is installed."""
    from benchmarks.accelerator_parts import NETS
    from benchmarks.models import Plain, torch_net

    side, _, layers = NETS["resnet50"]
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(Plain(layers).init, jax.random.key(0), images)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 25_557_032
    if bench.HAS_TORCH:
        few = torch_net([*layers[:4], *layers[-2:]], 32)
        assert sum(p.numel() for p in few.parameters()) == 9_408 + 128 + 75_008 + 257_000
