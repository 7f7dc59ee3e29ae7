import collections
import contextlib
import gc
import os
import zlib
from pathlib import Path

import hypothesis
import jax
import pytest
from flax import nnx

# Traced programs are many objects that live long, and looking through them again and again takes time.
gc.set_threshold(50_000, 20, 50)
# Compilation makes first calls slow; the same examples each time make a failure everyone's.
hypothesis.settings.register_profile("flaxact", deadline=None, derandomize=True)
hypothesis.settings.load_profile("flaxact")


def _graph_mode(graph):
    if not graph:
        pytest.skip("NNX's tree mode is new in Flax 0.12.6")
    return contextlib.nullcontext()


# What tests use and the oldest JAX and Flax lack; flaxact itself does without.
if not hasattr(jax, "enable_x64"):
    from jax.experimental import enable_x64

    jax.enable_x64 = enable_x64
if not hasattr(nnx, "set_graph_mode"):
    nnx.set_graph_mode = _graph_mode

os.environ.setdefault("FLAXACT_COMPILATION_CACHE", "off")  # tests write nothing of the user's


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a test marked ``sampled(n)`` every n-th case stays in ``make test``; the rest is thorough.

    Each test begins at another case, so that every entry of a catalogue is in the samples of some tests.
    The tests of long_tests.txt (tools/long_tests.py) are thorough too.
    """
    listed = set((Path(__file__).parent / "long_tests.txt").read_text("utf-8").splitlines())
    for item in items:
        path, _, name = item.nodeid.partition("::")
        if f"{path.removesuffix('.py').replace('/', '.')}::{name}" in listed:
            item.add_marker(pytest.mark.thorough)
    cases = collections.defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("slow"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for function, group in cases.items():
        (every,) = group[0].get_closest_marker("sampled").args
        first = zlib.crc32(function.encode()) % min(every, len(group))
        for number, item in enumerate(group):
            if number % every != first:
                item.add_marker(pytest.mark.thorough)


SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data sets are not at {SHARED}")
    return SHARED


@pytest.fixture
def prepared_data() -> Path:
    folder = os.environ.get("FLAXACT_DATA_DIR")
    if not folder or not (Path(folder) / "cifar10").is_dir():
        pytest.skip("CIFAR-10 is not prepared: FLAXACT_DATA_DIR does not hold it (see .ci/run)")
    return Path(folder)
