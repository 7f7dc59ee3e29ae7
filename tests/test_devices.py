"""Trainings on 8 emulated devices: the results of one device. What is run is in eight_devices.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flaxact as fa
from flaxact.training.distributed import initialize

# XLA compiles quickly, and the programs are slow: what they compute is the same.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@pytest.fixture(scope="module")
def found():
    script = Path(__file__).parent / "eight_devices.py"
    environment = os.environ | {"XLA_FLAGS": QUICKLY, "JAX_PLATFORMS": "cpu"}
    process = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("loop", ["scan", "dispatch"])
def test_batches_over_8_devices_are_those_of_one_step_by_step(found, loop):
    """Batch norm's statistics, dropout, random crops and flips, and the evaluation included."""
    of = found[f"batch {loop}"]
    assert of["steps"] == 6  # two epochs of three
    assert of["step"] < 1e-6
    assert of["metrics"] < 1e-6
    # Gradients are small differences of large terms, so their sums differ in more than the last bits.
    assert of["optimizer"] < 1e-5


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name", ["scan 8 on 8", "scan 3 on all", "scan in chunks", "dispatch 3 on 2"]
)
def test_members_over_devices_are_members_alone(found, name):
    """After six steps, in which differences of rounding grow."""
    assert found[f"members {name}"] < 1e-5


def test_devices_taken(found):
    """Numbers of the devices of each program; whether the state, and whether the batch, is divided."""
    everything = list(range(8))
    assert (
        found["places"]
        == {
            "8 members": [[everything, True, False]],
            "12 members": [[everything[:6], True, False]],
            "3 members": [[everything, False, True]],  # too few for all the devices: the batch
            "12 images": [[everything[:4], False, True]],
            "a prime": [[[0], False, False]],
            "8 alone": [[[0], False, False]],  # whose threads share the program
            "3 alone on 2": [[[0], False, False], [[1], False, False]],
            "1 alone": [[everything, False, True]],
            "16 by 6": [[[0, 1], True, False]],
            "16 by 5": [[[0], False, False]],
        }
    )


def test_devices_that_do_not_divide_the_work_are_refused_where_they_were_given(found):
    assert found["refused"] == {
        "3 members on 2": "3 members cannot be divided evenly among 2 devices",
        "16 images on 3": "a batch of 16 cannot be divided evenly among 3 devices",
        "chunks of 3 on 2": "4 members in chunks of 3 cannot be divided evenly among 2 devices",
    }


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "some", [("localhost:1", None, None), (None, 2, 0), ("localhost:1", 2, None)]
)
def test_half_of_what_several_processes_need(some):
    with pytest.raises(fa.InputError, match="give all three"):
        initialize(*some)
