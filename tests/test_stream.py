"""Streams: what a batch holds, going on where one stopped, shares of processes, and broken files."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from PIL import Image
from test_data import BAD_PICTURES, RECORD_DAMAGES, bad_picture, prepare_toy

import flaxact as fa
from flaxact.data import load, open_stream
from flaxact.data.batches import Plan, random_resized

CLASSES = ("five", "four", "two")


def write_images(place, split, first):
    """Real images in a folder a class, of several sizes, as PNG and JPEG: 7, 6 and 5 of them."""
    images = split.images
    labels = split.labels
    for digit, name, count in ((5, "five", 7), (4, "four", 6), (2, "two", 5)):
        folder = place / name
        folder.mkdir(parents=True)
        for i, at in enumerate(np.flatnonzero(labels == digit)[first : first + count]):
            image = Image.fromarray(images[at, ..., 0]).resize((28 + 4 * i, 30))
            image.save(folder / f"{i}.{'JPG' if i == 3 else 'png'}")
        (folder / "notes.txt").write_text("not an image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    loaded = load("mnist5k")
    write_images(root / "train", loaded.train, 0)
    write_images(root / "val", loaded.test, 0)
    return root


def expected(root, split, size):
    """By hand: every image with its short side scaled and its center cropped, and its label."""
    pairs = []
    for label, name in enumerate(CLASSES):
        for path in sorted(p for p in (root / split / name).iterdir() if p.suffix != ".txt"):
            image = Image.open(path)
            scale = size / min(image.size)
            image = image.resize(
                (max(size, round(image.width * scale)), max(size, round(image.height * scale))),
                Image.Resampling.BILINEAR,
            )
            left = (image.width - size) // 2
            top = (image.height - size) // 2
            image = image.crop((left, top, left + size, top + size))
            pairs.append((np.asarray(image)[..., None], label))
    return pairs


def test_an_epoch_holds_every_image_once_but_for_the_rest(folder):
    stream = open_stream(folder, batch_size=4, image_size=20, scale=None)
    assert (stream.length, stream.batches, stream.num_classes) == (18, 4, 3)
    assert stream.class_names == CLASSES
    assert stream.image_shape == (20, 20, 1)
    known = {image.tobytes(): label for image, label in expected(folder, "train", 20)}
    orders = []
    for _ in range(6):
        epoch = list(islice(stream, stream.batches))
        for images, labels in epoch:
            chex.assert_shape(images, (4, 20, 20, 1))
            assert images.dtype == np.uint8
            assert labels.dtype == np.int32
        images, labels = map(np.concatenate, zip(*epoch, strict=True))
        order = [image.tobytes() for image in images]
        assert len(set(order)) == 16
        assert [known[image] for image in order] == labels.tolist()
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 6
    assert len({image for order in orders for image in order}) == 18  # another rest each time
    stream.close()


def test_a_pass_of_testing_is_exact_and_can_be_made_again(folder):
    stream = open_stream(folder, split="test", batch_size=8, image_size=17)
    images, labels = zip(*expected(folder, "val", 17), strict=True)
    next(iter(stream))  # broken off
    for _ in range(2):
        batches = list(stream)
        assert len(batches) == stream.batches == 3
        actual = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        assert actual[2].tolist() == [True] * 18 + [False] * 6
        np.testing.assert_array_equal(actual[0][:18], images)
        np.testing.assert_array_equal(actual[1][:18], labels)
        assert not actual[0][18:].any()
    stream.close()


def batches(stream, count):
    actual = list(islice(stream, count))
    stream.close()
    return actual


def test_the_seed_decides(folder):
    one, same, other = (
        batches(open_stream(folder, batch_size=6, image_size=16, seed=seed), 4)
        for seed in (3, 3, 4)
    )
    chex.assert_trees_all_equal(one, same)
    assert not np.array_equal(one[0][0], other[0][0])


def test_shares_of_processes_make_up_the_batch(folder):
    for split in ("train", "test"):
        arguments = {"split": split, "batch_size": 6, "image_size": 16}
        whole = batches(open_stream(folder, **arguments), 5)
        shares = [batches(open_stream(folder, **arguments, shard=(i, 3)), 5) for i in range(3)]
        together = [
            tuple(map(np.concatenate, zip(*parts, strict=True)))
            for parts in zip(*shares, strict=True)
        ]
        chex.assert_trees_all_equal(together, whole)


@pytest.mark.thorough
def test_going_on_is_bit_identical_with_and_without_workers(folder):
    """Through JSON, from a stream without workers to one with two, and back, over three epochs."""
    arguments = {"batch_size": 5, "image_size": 16, "seed": 1}
    whole = batches(open_stream(folder, **arguments), 11)
    collected = []
    stream = open_stream(folder, **arguments)
    for workers, until in ((0, 2), (2, 7), (0, 11)):
        state = json.loads(json.dumps(stream.state()))
        assert state["batch"] == len(collected)
        stream.close()
        stream = open_stream(folder, **arguments, workers=workers)
        stream.set_state(state)
        collected += [next(stream) for _ in range(until - len(collected))]
    stream.set_state({**stream.state(), "batch": 4})
    collected[4:5] = [next(stream)]
    stream.close()
    chex.assert_trees_all_equal(collected, whole)


def test_the_state_of_another_stream_is_refused(folder, tmp_path):
    write_images(tmp_path / "train", load("mnist5k").train, 0)
    state = open_stream(folder, batch_size=4, image_size=16).state()
    open_stream(tmp_path, batch_size=4, image_size=16).set_state(state)  # moved
    (tmp_path / "train" / "five" / "1.png").unlink()
    for changes, said in (
        ({"seed": 5}, "seed was 0, is 5"),
        ({"batch_size": 6}, "batch_size was 4, is 6"),
        ({"scale": (0.5, 1.0)}, "scale was"),
        ({"name": tmp_path}, "data was"),
    ):
        arguments = {"name": folder, "batch_size": 4, "image_size": 16, **changes}
        with pytest.raises(fa.InputError, match=f"another stream: {said}"):
            open_stream(**arguments).set_state(state)


def test_put_is_two_ahead_and_the_state_is_not(folder):
    put = []

    def to_device(batch):
        put.append(batch)
        return jax.device_put(batch)

    stream = open_stream(folder, batch_size=4, image_size=16, put=to_device)
    assert not put
    first = next(stream)
    assert isinstance(first[0], jax.Array)
    assert len(put) == 2
    assert stream.state()["batch"] == 1
    second = next(stream)
    chex.assert_trees_all_equal([first, second], put[:2])
    stream.set_state(stream.state())
    chex.assert_trees_all_equal(next(stream), jax.device_put(put[2]))
    stream.close()


def test_random_parts_have_the_area_and_shape_of_the_paper():
    """An image whose colors are its coordinates tells what part of it was taken."""
    side = 200
    size = 20
    draws = 500
    ramp = np.broadcast_to(np.arange(side, dtype=np.uint8), (side, side))
    image = Image.fromarray(np.stack([ramp, ramp.T, 0 * ramp], -1))
    rng = np.random.default_rng(0)
    parts = np.stack([random_resized(image, size, (0.2, 0.6), rng) for _ in range(draws)])
    parts = parts.astype(float)
    assert parts.shape == (draws, size, size, 3)
    stretch = size / (size - 1)
    width = (parts[:, 0, -1, 0] - parts[:, 0, 0, 0]) * stretch
    height = (parts[:, -1, 0, 1] - parts[:, 0, 0, 1]) * stretch
    share = width * height / side**2
    ratio = np.log(width / height)
    # Up to the rounding of a level in 100 or so; 5 standard deviations of a mean.
    assert np.abs(np.clip(share, 0.19, 0.62) - share).max() == 0
    assert abs(share.mean() - 0.4) < 5 * 0.4 / math.sqrt(12 * draws) + 0.005
    assert np.abs(ratio).max() < math.log(4 / 3) + 0.03
    assert abs(ratio.mean()) < 5 * math.log(4 / 3) / math.sqrt(3 * draws) + 0.005
    assert abs(ratio.std() - math.log(4 / 3) / math.sqrt(3)) < 0.02
    left = parts[:, 0, 0, 0] / (side - width)  # where it lies, of where it could
    assert abs(left.mean() - 0.5) < 5 / math.sqrt(12 * draws) + 0.02


def test_a_narrow_image_falls_back_on_its_centre():
    image = Image.fromarray(np.arange(200, dtype=np.uint8).reshape(1, 200).repeat(4, 0))
    actual = random_resized(image, 4, (0.9, 1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(actual[..., 0], np.asarray(image)[:, 98:102])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("damage", RECORD_DAMAGES)
def test_a_damaged_record_file_is_named(damage, tmp_path):
    prepared = prepare_toy(tmp_path) / "toy" / "1.0.0"
    file = prepared / "toy-train.array_record-00000-of-00001"
    RECORD_DAMAGES[damage](file)
    with pytest.raises(fa.InputError, match=r"delete the folder .* and prepare") as caught:
        next(open_stream("toy", batch_size=8, image_size=4, data_dir=tmp_path))
    assert file.name in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_picture_of_a_record_is_named(workers, tmp_path):
    prepare_toy(tmp_path, **bad_picture(BAD_PICTURES["truncated"]))
    stream = open_stream("toy", batch_size=8, image_size=4, data_dir=tmp_path, workers=workers)
    message = (
        r"example \d of the split 'train' of data set 'toy'.*array_record.*: .*delete the folder"
    )
    with pytest.raises(fa.InputError, match=message):
        next(stream)
    stream.close()


@pytest.mark.parametrize("damage", BAD_PICTURES)
def test_a_bad_picture_of_a_folder_is_named(damage, tmp_path):
    write_images(tmp_path, load("mnist5k").train, 0)
    file = tmp_path / "four" / "2.png"
    content = file.read_bytes()
    file.write_bytes(BAD_PICTURES[damage](content))
    stream = open_stream(tmp_path, batch_size=18, image_size=8)
    with pytest.raises(fa.InputError, match="replace the file, or delete it") as caught:
        next(stream)
    assert file.name in str(caught.value)
    assert "example 9 of the split 'train'" in str(caught.value)
    file.write_bytes(content)
    stream.close()
    assert next(stream)[0].any()
    stream.close()


SCRIPT = """
import multiprocessing, sys, time
from flaxact.data import open_stream
if __name__ == "__main__":
    stream = open_stream(sys.argv[1], batch_size=4, image_size=8, workers=2)
    next(stream)
    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, script, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(running, workers))
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while any(map(running, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(running, workers))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 0}, "batch size must be 1 or more, not 0"),
        ({"batch_size": 19}, "a batch of 19 is larger than the 18 images"),
        ({"image_size": -1}, "image size must be 1 or more"),
        ({"workers": -1}, "number of workers must be 0 or more"),
        ({"scale": (0.5, 0.2)}, "the scale must be two ascending numbers"),
        ({"shard": (0, 3)}, r"a batch of 4 cannot be divided for the shard \(0, 3\)"),
        ({"shard": (2, 2)}, r"cannot be divided for the shard \(2, 2\)"),
        ({"split": "extra"}, "no folder for the split 'extra'"),
        ({"name": "mnist5k"}, "fits in memory"),
        ({"name": "cifra10"}, "unknown data set 'cifra10'; did you mean 'cifar10'"),
    ],
)
def test_refused(changes, said, folder, tmp_path):
    arguments = {"name": folder, "batch_size": 4, "image_size": 8, "data_dir": tmp_path, **changes}
    with pytest.raises(fa.InputError, match=said):
        open_stream(**arguments)


def test_folders_that_are_not_of_images(folder, tmp_path):
    with pytest.raises(fa.InputError, match="no images in"):
        open_stream(tmp_path, batch_size=1, image_size=8)
    write_images(tmp_path, load("mnist5k").train, 0)
    with pytest.raises(
        fa.InputError, match=r"no folder for the split 'test': looked for test, val"
    ):
        open_stream(tmp_path, split="test", batch_size=1, image_size=8)
    write_images(tmp_path / "train", load("mnist5k").train, 0)
    write_images(tmp_path / "test", load("mnist5k").train, 0)
    (tmp_path / "test" / "two").rename(tmp_path / "test" / "ten")
    with pytest.raises(fa.InputError, match=r"ten is a class that .*train does not have"):
        open_stream(tmp_path, split="test", batch_size=1, image_size=8)
    toy = prepare_toy(tmp_path)
    with pytest.raises(fa.InputError, match="data set 'toy' has no split 'more'; it has"):
        open_stream("toy", split="more", batch_size=1, image_size=8, data_dir=toy)


def test_colors_are_kept_and_grey_among_them_becomes_color(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (9, 8), (10, 20, 30)).save(tmp_path / "a" / "0.png")
    Image.new("L", (9, 8), 7).save(tmp_path / "a" / "1.png")
    stream = open_stream(tmp_path, batch_size=2, image_size=4)
    images, _ = next(stream)
    stream.close()
    assert {tuple(image[0, 0].tolist()) for image in images} == {(10, 20, 30), (7, 7, 7)}
    assert Plan("train", 2, 4).batches(5) == 2
    assert Plan("test", 2, 4).batches(5) == 3


def test_cifar10_of_the_shared_copy(prepared_data):
    stream = open_stream(
        "cifar10", split="test", batch_size=512, image_size=32, data_dir=prepared_data
    )
    images, labels, mask = map(np.concatenate, zip(*stream, strict=True))
    stream.close()
    test = load("cifar10", data_dir=prepared_data).test
    np.testing.assert_array_equal(images[mask], test.images)
    np.testing.assert_array_equal(labels[mask], test.labels)
