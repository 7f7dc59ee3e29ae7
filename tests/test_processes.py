"""A run of two processes that talk by gloo; what each does is in two_processes.py."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_devices import QUICKLY
from test_stream import write_images
from trainings import assert_same_bits, quick_compilation, trained
from two_processes import DATA, NET, RECIPE

from flaxact.data import load
from flaxact.training.folder.checkpoints import restore


def both(folder, *, stop=(None, None), **options):
    """Exit codes of two processes, and what each printed last."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    script = str(Path(__file__).parent / "two_processes.py")
    environment = os.environ | {"XLA_FLAGS": QUICKLY, "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                script,
                str(folder),
                coordinator,
                "2",
                str(i),
                json.dumps({"devices": 1, "stop": stop[i], **options}),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for i in range(2)
    ]
    try:
        output = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, 143}, "\n".join(errors for _, errors in output)
    return codes, [
        json.loads(out.splitlines()[-1]) if not code else None
        for code, (out, _) in zip(codes, output, strict=True)
    ]


def steps(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a run of two processes with a device each."""
    folder = tmp_path_factory.mktemp("run")
    codes, outputs = both(folder)
    assert codes == [0, 0]
    # The second time there is nothing to do.
    assert outputs == [{"epochs": [7, 0], "devices": 2}] * 2
    return folder


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.thorough
def test_two_processes_give_the_result_of_one(uninterrupted):
    """The batch is divided; its statistics, which the net normalizes by, are of all of it."""
    with quick_compilation():
        metrics, arrays = trained(NET, RECIPE, DATA, [3, 4], loop="scan")
    actual = restore(uninterrupted / "checkpoints")
    assert actual.step == 18
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not name.startswith("opt_state"):
            np.testing.assert_allclose(
                actual.arrays[name], array, rtol=0, atol=18e-6 * np.abs(array).max(), err_msg=name
            )
    for name, values in metrics.items():
        measured = [row[name] for row in rows(uninterrupted)]
        known = np.isfinite(values)
        np.testing.assert_allclose(np.array(measured, float)[known], values[known], rtol=1e-5)
    result = json.loads((uninterrupted / "result.json").read_text())
    assert result["environment"]["processes"] == 2


@pytest.mark.slow  # seven processes that start JAX
def test_sigterm_stops_both_processes_at_the_same_step(uninterrupted, tmp_path):
    """To one of them in the beginning, and to both later; what comes out in the end is the same."""
    assert both(tmp_path, stop=(None, -1))[0] == [143, 143]
    (first,) = steps(tmp_path)
    assert first < 6
    assert both(tmp_path, stop=(3, 3))[0] == [143, 143]
    assert 9 <= max(steps(tmp_path)) < 18
    assert not (tmp_path / "result.json").exists()
    before = len(rows(tmp_path))
    codes, outputs = both(tmp_path)
    assert codes == [0, 0]
    assert [of["epochs"] for of in outputs] == [[7 - before, 0]] * 2
    one, other = (restore(folder / "checkpoints") for folder in (uninterrupted, tmp_path))
    assert one.step == other.step
    assert_same_bits(one.arrays, other.arrays)
    for row, again in zip(rows(uninterrupted), rows(tmp_path), strict=True):
        for name in ("train_loss", "train_error", "test_loss", "test_error"):
            assert row[name] == again[name]


@pytest.mark.thorough
def test_each_process_reads_its_part_of_a_stream(tmp_path):
    images = load("mnist5k")
    for split, of in (("train", images.train), ("val", images.test)):
        write_images(tmp_path / split, of, 0)
    codes, outputs = both(tmp_path, images=str(tmp_path))
    assert codes == [0, 0]
    for of in outputs:
        assert of["streams"]["updates"] == 7
        assert of["streams"]["arrays"] == 0  # bit for bit
        assert of["streams"]["metrics"] < 1e-6  # what fills up the test batches comes elsewhere
