import asyncio
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest

from flaxact.errors import InputError
from flaxact.training.folder import orbax_store
from flaxact.training.folder.checkpoints import CheckpointError, Checkpoints, restore

STEPS = (1, 2, 3)
# Every file of a checkpoint; a test sees to it that these are all.
FILES = (
    "_CHECKPOINT_METADATA", "commit_success.txt", "orbax.checkpoint", "state/_METADATA",
    "state/manifest.ocdbt", "state/d/*", "state/ocdbt.process_0/manifest.ocdbt",
    "state/ocdbt.process_0/d/*",
)  # fmt: skip


def arrays_of(step):
    """What a checkpoint of this step must hold."""
    rng = np.random.default_rng(step)
    return {
        "params/conv1/kernel": rng.standard_normal((3, 3, 4, 8)).astype(np.float32),
        "params/conv1/bias": rng.standard_normal(8).astype(ml_dtypes.bfloat16),
        "key": rng.integers(0, 2**32, (2, 2), np.uint32),
        "count": np.array(step, np.int32),
    }


def assert_whole(restored, step):
    assert restored is not None
    assert restored.step == step
    assert restored.facts == {"step": step}
    expected = arrays_of(step)
    assert restored.arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert restored.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(restored.arrays[name], array, strict=True)


def save(checkpoints, step, **kwargs):
    checkpoints.save(step, arrays_of(step), {"step": step}, **kwargs)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine") / "checkpoints"
    with Checkpoints(folder, keep=len(STEPS)) as checkpoints:
        for step in STEPS:
            save(checkpoints, step)
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "checkpoints")


# What comes back


ARRAYS = {
    **{
        np.dtype(t).name: np.arange(6).reshape(2, 3).astype(t)
        for t in (
            np.float16,
            np.float32,
            np.float64,
            np.int8,
            np.uint8,
            np.int32,
            np.uint32,
            np.int64,
            np.uint64,
            np.complex64,
            ml_dtypes.bfloat16,
            ml_dtypes.float8_e4m3fn,
            ml_dtypes.int4,
        )
    },
    "bool": np.array([True, False, True]),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(12)[::-3],
    "signed zeros, infinities, nans": np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32),
}


def test_arrays_come_back_bit_for_bit(tmp_path):
    facts = {"epoch": 3, "losses": [0.1, None, 1e-300], "reader": {"état": "ok"}, "big": 2**60}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, ARRAYS, facts)
    restored = restore(tmp_path)
    assert restored.step == 7
    assert restored.facts == facts
    assert restored.set_aside == ()
    assert list(restored.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        back = restored.arrays[name]
        assert (back.shape, back.dtype) == (array.shape, array.dtype)
        assert back.tobytes() == array.tobytes()
        assert back.flags.writeable
        assert back.flags.aligned


@pytest.mark.parametrize("arrays", [{}, {"empty": np.zeros(0)}], ids=["none", "empty"])
def test_no_bytes_at_all(tmp_path, arrays):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, arrays, {})
    restored = restore(tmp_path)
    assert restored.step == 0
    assert {name: array.shape for name, array in restored.arrays.items()} == {
        name: array.shape for name, array in arrays.items()
    }


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array(["text"]), np.zeros(2, ">f4"), np.zeros(2, "f4,i4")]
)
def test_what_is_no_number_is_refused(tmp_path, array):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="'odd'"):
        checkpoints.save(1, {"odd": array}, {})
    assert restore(tmp_path) is None


def test_nothing_there_is_none(tmp_path):
    assert restore(tmp_path / "absent") is None
    assert restore(tmp_path) is None


def test_the_arrays_are_the_callers_again(tmp_path):
    mine = {"big": np.arange(2_000_000, dtype=np.float32)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, mine, {})
        mine["big"][:] = -1
    np.testing.assert_array_equal(restore(tmp_path).arrays["big"], np.arange(2_000_000))


@pytest.mark.thorough
def test_inside_an_event_loop(tmp_path):
    async def cell():  # as in a notebook
        with Checkpoints(tmp_path) as checkpoints:
            save(checkpoints, 1)
        return restore(tmp_path)

    assert_whole(asyncio.run(cell()), 1)


# Which stay


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("keep", "keep_best", "metrics", "stay"),
    [
        (2, 1, [3.0, 1.0, 2.0, 5.0, 4.0], [2, 4, 5]),
        (1, 0, [1.0, 2.0, 3.0], [3]),
        (1, 2, [2.0, float("nan"), 1.0, 3.0, float("-inf")], [1, 3, 5]),
        (2, 1, [None, None, None], [2, 3]),
        (3, 1, [1.0, 1.0, 1.0, 1.0, 1.0], [1, 3, 4, 5]),
    ],
)
def test_the_newest_and_the_best_stay(tmp_path, keep, keep_best, metrics, stay):
    with Checkpoints(tmp_path, keep=keep, keep_best=keep_best) as checkpoints:
        for step, metric in enumerate(metrics, 1):
            save(checkpoints, step, metric=metric)
    assert names(tmp_path) == [f"{step:08d}" for step in stay]
    assert_whole(restore(tmp_path), stay[-1])


def test_the_best_is_known_after_a_restart(tmp_path):
    for step, metric in enumerate([1.0, 3.0, 2.0, 4.0, 5.0], 1):
        with Checkpoints(tmp_path, keep=1, keep_best=1) as checkpoints:
            save(checkpoints, step, metric=metric)
    assert names(tmp_path) == ["00000001", "00000005"]


def test_a_step_that_is_there_stays_as_it_is(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(3, {"other": np.zeros(1)}, {})
    assert_whole(restore(folder), 3)


@pytest.mark.parametrize("kept", [{"keep": 0}, {"keep_best": -1}])
def test_nonsense_is_refused(tmp_path, kept):
    with pytest.raises(InputError, match="keep must be at least"):
        Checkpoints(tmp_path, **kept)


# Damage


def test_the_files_are_all_known(folder):
    files = {path for path in (folder / "00000003").rglob("*") if path.is_file()}
    known = [set((folder / "00000003").glob(pattern)) for pattern in FILES]
    assert all(known)
    assert files == set().union(*known)


def flip(path, bit):
    data = bytearray(path.read_bytes())
    if data:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: os.truncate(path, 0),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a byte short": lambda path: os.truncate(path, max(0, path.stat().st_size - 1)),
    **{
        f"bit {bit}": lambda path, bit=bit: flip(path, bit)
        for bit in random.Random(5).choices(range(10**6), k=5)
    },
}


@pytest.mark.sampled(17)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", FILES)
def test_damage_is_found_or_does_not_matter(folder, pattern, damage):
    newest = folder / "00000003"
    for path in newest.glob(pattern):
        DAMAGES[damage](path)
    restored = restore(folder)
    if restored.step == 3:  # the file holds nothing that is read
        assert_whole(restored, 3)
        assert restored.set_aside == ()
    else:
        assert_whole(restored, 2)
        (said,) = restored.set_aside
        assert "checkpoint 3 is damaged" in said
        assert str(folder / "damaged-00000003") in said
        assert names(folder) == ["00000001", "00000002", "damaged-00000003"]
        assert_whole(restore(folder), 2)  # and so it stays


@pytest.mark.sampled(3)
@pytest.mark.parametrize("where", np.linspace(0, 1, 7))
def test_a_flipped_bit_of_the_arrays_is_always_found(tmp_path, where):
    # So many bytes that nearly all of the largest file is these.
    big = {"big": np.random.default_rng(0).integers(0, 256, 200_000, np.uint8)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, big, {})
        checkpoints.save(2, big, {})
    files = (tmp_path / "00000002").rglob("*")
    largest = max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)
    start = largest.read_bytes().index(big["big"][:64].tobytes())
    flip(largest, 8 * (start + int(where * (200_000 - 1))))
    assert restore(tmp_path).step == 1


def test_a_checkpoint_under_another_step_is_found(folder):
    shutil.rmtree(folder / "00000003")
    shutil.copytree(folder / "00000001", folder / "00000003")
    restored = restore(folder)
    assert_whole(restored, 2)
    assert "it is of step 1" in restored.set_aside[0]


@pytest.mark.parametrize("replaced", ["a file", "an empty folder"])
def test_what_is_no_checkpoint_is_set_aside(folder, replaced):
    shutil.rmtree(folder / "00000003")
    if replaced == "a file":
        (folder / "00000003").write_text("")
    else:
        (folder / "00000003").mkdir()
    assert_whole(restore(folder), 2)
    assert "damaged-00000003" in names(folder)


def test_two_of_one_step_are_both_set_aside(folder):
    for name in ("damaged-00000003", "damaged-00000003-2"):
        (folder / "00000003" / "_CHECKPOINT_METADATA").write_text("{")
        restore(folder)
        assert name in names(folder)
        shutil.copytree(folder / "00000002", folder / "00000003")


@pytest.mark.thorough
def test_several_damaged_are_all_named(folder):
    for step in (2, 3):
        (folder / f"{step:08d}" / "_CHECKPOINT_METADATA").unlink()
    restored = restore(folder)
    assert_whole(restored, 1)
    assert [said.split()[1] for said in restored.set_aside] == ["3", "2"]


def test_all_damaged_is_an_error_and_stays_one(folder):
    for step in STEPS:
        (folder / f"{step:08d}" / "_CHECKPOINT_METADATA").write_text("{}")
    for _ in range(2):  # never a silent fresh start
        with pytest.raises(CheckpointError, match="Restore a copy") as error:
            restore(folder)
        assert all(f"damaged-{step:08d}" in str(error.value) for step in STEPS)
    assert names(folder) == [f"damaged-{step:08d}" for step in STEPS]


@pytest.mark.thorough
def test_an_old_one_half_deleted_stops_nothing(folder):
    (folder / "00000001" / "_CHECKPOINT_METADATA").unlink()
    (folder / "00000002").rename(folder / "deleting-00000002")
    (folder / "deleting-00000002" / "_CHECKPOINT_METADATA").unlink()
    restored = restore(folder)
    assert_whole(restored, 3)
    assert restored.set_aside == ()
    with Checkpoints(folder, keep=2) as checkpoints:
        save(checkpoints, 4)
    assert names(folder) == ["00000003", "00000004"]


@pytest.mark.parametrize("index", [
    [["x", "object", [1]]], [["x", "uint8", [2**50]]], [["x", "no type", [1]]], "text",
])  # fmt: skip
def test_a_forged_one_is_set_aside(folder, index):
    document = orbax_store.pack(4, {"x": np.arange(8)}, {}, None)[0].replace(
        '[["x", "int64", [8]]]', str(index).replace("'", '"')
    )
    orbax_store.write(folder / "00000004", document, np.zeros(64, np.uint8))
    restored = restore(folder)
    assert_whole(restored, 3)
    assert "checkpoint 4 is damaged" in restored.set_aside[0]


# Saves that fail


@contextlib.contextmanager
def file_too_large(_):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def disk_full(folder):
    """A disk with room for what is there and little more."""
    contents = shutil.copytree(folder, folder.with_name("copy"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("not allowed to mount a small disk")
    try:
        shutil.copytree(contents, folder, dirs_exist_ok=True)
        yield
    finally:
        shutil.copytree(folder, contents, dirs_exist_ok=True)
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.copytree(contents, folder, dirs_exist_ok=True)


@contextlib.contextmanager
def folder_gone(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("")
    yield
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("then", ["check", "save", "wait", "close"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [(file_too_large, "File too large"), (disk_full, "No space left"), (folder_gone, "Not a dir")],
)
def test_a_failed_save_is_told_by_what_comes_next(folder, fault, cause, then, caplog):
    checkpoints = Checkpoints(folder)
    big = {"big": np.random.default_rng(0).integers(0, 256, 4_000_000, np.uint8)}
    with fault(folder):
        checkpoints.save(4, big, {})
        checkpoints._pending.exception()  # until it has failed, and without being told
    arguments = (5, {}, {}) if then == "save" else ()
    with pytest.raises(CheckpointError, match=cause) as error:
        getattr(checkpoints, then)(*arguments)
    assert names(folder) == ["00000001", "00000002", "00000003"]  # nothing half-written is left
    assert "checkpoint 4" in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert not caplog.records  # all is in the error
    assert_whole(restore(folder), 3)
    if then != "close":
        checkpoints.check()  # is told once
        save(checkpoints, 4)
        checkpoints.close()
        assert_whole(restore(folder), 4)


def test_an_error_that_is_under_way_comes_first(folder):
    def run():
        with Checkpoints(folder) as checkpoints, folder_gone(folder):
            checkpoints.save(4, {}, {})
            checkpoints._pending.exception()
            raise KeyError("the run's own")

    with pytest.raises(KeyError, match="the run's own"):
        run()


# Killed while saving


# Forks a child a line of its input: one that goes on from where the folder is, saving at every step,
# until it is killed. Forked, because importing takes seconds; the parent has started no thread.
NURSERY = """
import os, sys, time
from pathlib import Path
from orbax.checkpoint import v1
sys.path.insert(0, str(Path(sys.argv[1])))
from test_checkpoints import Checkpoints, assert_whole, restore, save

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        folder = Path(line.strip())
        newest = restore(folder)
        step = newest.step if newest else 0
        if newest:
            assert_whole(newest, step)
        with Checkpoints(folder, keep=2, keep_best=1) as checkpoints:
            while True:
                step += 1
                save(checkpoints, step, metric=1 / step)
                print(step, flush=True)
    print("child", pid, flush=True)
    patience = time.monotonic() + 60
    while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < patience:
        time.sleep(0.01)
    print("ended", os.waitstatus_to_exitcode(ended[1]) if ended[0] else "not", flush=True)
"""


@pytest.mark.slow  # 25 forks; in a sandboxed kernel, the wait for a killed child has hung
def test_killed_at_any_moment_of_saving(tmp_path):
    folder = tmp_path / "checkpoints"
    chance = random.Random(0)
    last = 0
    command = [sys.executable, "-W", "ignore", "-c", NURSERY, os.path.dirname(__file__)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as nursery:
        try:
            for _ in range(25):
                print(folder, file=nursery.stdin, flush=True)
                begun = max(killed_after(nursery.stdout, chance.uniform(0, 0.06)), default=None)
                if begun is None:
                    pytest.skip("a process did not end within a minute after SIGKILL")  # seen once
                restored = restore(folder)
                assert_whole(restored, restored.step)
                assert restored.set_aside == ()
                # A save that has returned has seen the one before it end.
                assert last < begun - 1 <= restored.step <= begun + 1
                last = restored.step
        finally:
            os.killpg(nursery.pid, signal.SIGKILL)
    assert not [name for name in names(folder) if "damaged" in name]


def killed_after(stdout, seconds):
    """The steps that the child had begun to save; it is killed that long after the second.

    Empty if the machine has not ended it a minute later.
    """
    collected = []
    pid = None
    while pid is None or sum(map(str.isdigit, collected)) < 2:
        collected.append(stdout.readline().strip())
        assert not re.match("ended|$", collected[-1]), collected
        if collected[-1].startswith("child"):
            pid = int(collected[-1].split()[1])
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    while not collected[-1].startswith("ended"):
        collected.append(stdout.readline().strip())
    if collected[-1] == "ended not":
        return []
    assert collected[-1] == "ended -9"
    return [int(line) for line in collected if line.isdigit()]


# Several processes


PROCESS = """
import faulthandler, resource, sys
from pathlib import Path
import jax
faulthandler.dump_traceback_later(100, exit=True)  # says where it hangs
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
_, tests, folder, port, index = sys.argv
jax.distributed.initialize(f"localhost:{port}", 2, int(index))
sys.path.insert(0, tests)
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from test_checkpoints import CheckpointError, Checkpoints, assert_whole, restore, save

folder = Path(folder)
assert restore(folder) is None
with Checkpoints(folder, keep=2) as checkpoints:
    for step in range(1, 4):
        save(checkpoints, step)
        for _ in range(5):  # the devices are in use while it is written
            total = multihost_utils.process_allgather(jnp.ones(())).sum()
        checkpoints.check()
assert total == 2
assert_whole(restore(folder), 3)
multihost_utils.sync_global_devices("read")
if int(index) == 0:
    (folder / "00000003" / "_CHECKPOINT_METADATA").unlink()
multihost_utils.sync_global_devices("damaged")
restored = restore(folder)
assert_whole(restored, 2)
assert int(index) or "checkpoint 3 is damaged" in restored.set_aside[0]
try:
    restore(folder if int(index) else folder.with_name("elsewhere"))
except CheckpointError as error:
    print(error)
checkpoints = Checkpoints(folder, keep=2)
if int(index) == 0:  # no room for it
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
checkpoints.save(4, {"big": np.random.default_rng(0).integers(0, 256, 4_000_000, np.uint8)}, {})
checkpoints.check()
try:
    checkpoints.close()
except CheckpointError as error:
    print(error)
jax.distributed.shutdown()
"""


@pytest.mark.thorough
def test_two_processes_save_and_restore(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "checkpoints"
    command = [sys.executable, "-c", PROCESS, os.path.dirname(__file__), folder, str(port)]
    both = [
        subprocess.Popen(
            [*command, str(i)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for i in range(2)
    ]
    try:
        output = [process.communicate(timeout=120)[0] for process in both]
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert [process.returncode for process in both] == [0, 0], "\n".join(output)
    assert all("in order: none, 2" in text for text in output)
    assert "checkpoint 4 could not be written" in output[0]
    assert "File too large" in output[0]
    assert "process 0 could not write" in output[1]
    assert names(folder) == ["00000002", "damaged-00000003"]


def test_orbax_loads_when_used():
    script = (
        "import flaxact.training.folder.checkpoints, sys; print({'orbax', 'jax'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"
