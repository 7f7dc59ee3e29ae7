"""Data sets: the embedded one, TFDS without TensorFlow, and what happens when things are broken."""

import gzip
import hashlib
import http.client
import io
import re
import shutil
import sys
import tarfile
from itertools import islice

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import flaxact as fa
from flaxact import data
from flaxact.data import builders, sources
from flaxact.data.catalogue import prepared
from flaxact.data.records import Records, picture, resized
from flaxact.data.sets import Dataset, Split, array_digest


class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A few images of one size, or of several."""

    VERSION = tfds.core.Version("1.0.0")
    SIZES = ((6, 5),)
    KEYS = ("image", "label")
    SPLITS = ("train", "test")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["no", "yes"]),
            "text": tfds.features.Text(),
        }
        selected = {k: features[k] for k in (*self.KEYS, "text")}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(selected))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        for i in range(8):
            image = np.full((*self.SIZES[i % len(self.SIZES)], 3), 10 * i, np.uint8)
            example = {"image": builders.png(image), "label": i % 2, "text": split}
            yield i, {k: example[k] for k in (*self.KEYS, "text")}


def prepare_toy(folder, **changes):
    """Prepare a toy set under a folder; gives the folder."""
    builder = type("Toy", (Toy,), changes, skip_registration=True)
    builder(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def toy(tmp_path):
    return lambda **changes: prepare_toy(tmp_path, **changes)


def test_mnist5k_is_real_balanced_and_always_the_same():
    loaded = data.load()
    assert loaded.train.images.shape == (4000, 28, 28, 1)
    assert loaded.train.images.dtype == np.uint8
    assert loaded.train.labels.dtype == np.int32
    assert (np.bincount(loaded.train.labels) == 400).all()
    assert (np.bincount(loaded.test.labels) == 100).all()
    train, test = ({image.tobytes() for image in s.images} for s in (loaded.train, loaded.test))
    assert not train & test
    assert loaded.digest == data.load("mnist5k").digest
    # What the committed results were made with, before the images were a file of the package.
    assert loaded.digest == "6f905afd6aae58909379a6e813ea1dacc35218456b31bb819def5a67bdad711e"


def test_mnist5k_is_a_part_of_mnist(prepared_data):
    mnist = data.load("mnist", data_dir=prepared_data)
    pairs = zip(mnist.train.images, mnist.train.labels, strict=True)
    official = {image.tobytes(): label for image, label in pairs}
    embedded = data.load("mnist5k")
    for split in (embedded.train, embedded.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert official[image.tobytes()] == label


def test_decoded_once_and_memory_mapped(toy, monkeypatch):
    folder = toy()
    first = data.load("toy", data_dir=folder)
    assert first.train.images.shape == (8, 6, 5, 3)
    assert first.class_names == ("no", "yes")
    for image, label in zip(first.train.images, first.train.labels, strict=True):
        assert (image == image[0, 0, 0]).all()
        assert (image[0, 0, 0] // 10) % 2 == label
    monkeypatch.setattr("flaxact.data.tfds._decode", None)  # a second decoding would fail
    again = data.load("toy", data_dir=folder)
    assert isinstance(again.train.images, np.memmap)
    assert again.digest == first.digest
    assert again.digest == Dataset("x", again.train, again.test, 2, class_names=(), note="").digest
    cache = folder / "toy" / "1.0.0" / "flaxact-1"
    assert sorted(p.name for p in cache.parent.iterdir() if "flaxact" in p.name) == ["flaxact-1"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "json"])
def test_a_damaged_cache_is_named(toy, damage):
    folder = toy()
    data.load("toy", data_dir=folder)
    cache = folder / "toy" / "1.0.0" / "flaxact-1"
    file = cache / "test_images.npy"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-7] ^= 4
        file.write_bytes(content)
    if damage == "truncate":
        file.write_bytes(content[:-9])
    if damage == "remove":
        file.unlink()
    if damage == "json":
        (cache / "cache.json").write_text("{")
    with pytest.raises(fa.InputError, match="delete") as caught:
        data.load("toy", data_dir=folder)
    assert str(cache) in str(caught.value)
    shutil.rmtree(cache)
    assert len(data.load("toy", data_dir=folder).test.labels) == 8


def cut(file, at):
    file.write_bytes(file.read_bytes()[:at])


def flip_bits(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 255
    file.write_bytes(content)


# A record file begins with a block of 64 KiB, which holds all of a small set's examples.
RECORD_DAMAGES = {
    "the end is missing": lambda file: cut(file, -10),
    "the index is missing": lambda file: cut(file, 65536),
    "the half is missing": lambda file: cut(file, 300),
    "empty": lambda file: cut(file, 0),
    "bits differ": lambda file: flip_bits(file, 200),
    "removed": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", RECORD_DAMAGES)
def test_a_damaged_record_file_is_named(toy, damage):
    prepared = toy() / "toy" / "1.0.0"
    file = prepared / "toy-test.array_record-00000-of-00001"
    RECORD_DAMAGES[damage](file)
    with pytest.raises(fa.InputError, match=r"delete the folder .* and prepare the data") as caught:
        data.load("toy", data_dir=prepared.parents[1])
    assert file.name in str(caught.value)
    assert str(prepared) in str(caught.value)
    assert "'toy'" in str(caught.value)
    assert not list(prepared.glob("*flaxact*"))  # no half cache
    shutil.rmtree(prepared)
    assert len(data.load("toy", data_dir=toy()).test.labels) == 8


def test_a_record_file_with_too_few_examples_is_named(toy, tmp_path):
    """A whole file, but another one's."""
    prepared = toy() / "toy" / "1.0.0"
    file = prepared / "toy-test.array_record-00000-of-00001"
    other = prepare_toy(tmp_path / "other", _generate_examples=seven)
    shutil.copy(other / "toy" / "1.0.0" / file.name, file)
    with pytest.raises(fa.InputError, match=r"array_record\S* of .* holds 7 of 8 examples; delete"):
        Records("toy", prepared, "test")


def seven(self, split):
    return islice(Toy._generate_examples(self, split), 7)


def bad_picture(content):
    """Examples of which the sixth is not a whole PNG."""

    def examples(self, split):
        for i, example in Toy._generate_examples(self, split):
            yield i, {**example, "image": content(example["image"]) if i == 5 else example["image"]}

    return {"_generate_examples": examples}


BAD_PICTURES = {
    "truncated": lambda png: png[:40],
    "something else": lambda png: b"no image" * 9,
    "bits differ": lambda png: png[:45] + bytes([png[45] ^ 255]) + png[46:],
}


@pytest.mark.parametrize("damage", BAD_PICTURES)
def test_a_picture_that_cannot_be_decoded_is_named(toy, damage):
    folder = toy(**bad_picture(BAD_PICTURES[damage]))
    with pytest.raises(fa.InputError, match=r"cannot read example \d of the split 'train' of") as c:
        data.load("toy", data_dir=folder)
    # Where TFDS's shuffling has put the sixth example: all others can be read.
    source = Records("toy", folder / "toy" / "1.0.0", "train")
    number = int(re.search(r"example (\d)", str(c.value))[1])
    for other in set(range(8)) - {number}:
        picture(source, other)
    assert f"record {number} of {source.files[0].name}: " in str(c.value)


def test_an_example_is_found_in_its_file(toy):
    source = Records("toy", toy() / "toy" / "1.0.0", "train")
    source.files = ["one", "two"]
    source.lengths = [3, 5]
    assert source.where(2).endswith("record 2 of one")
    assert source.where(3).endswith("record 0 of two")


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
def test_a_broken_description_is_named(toy, file):
    prepared = toy() / "toy" / "1.0.0"
    (prepared / file).write_text("{")
    with pytest.raises(
        fa.InputError, match=r"cannot read the description .* delete the folder"
    ) as caught:
        data.load("toy", data_dir=prepared.parents[1])
    assert str(prepared) in str(caught.value)


def test_a_folder_that_cannot_be_written_has_its_cache_elsewhere(toy, monkeypatch, tmp_path):
    folder = toy()
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))

    def writable(path):  # root may write everywhere, so say that it may not
        return path.is_relative_to(home) and path.mkdir(parents=True, exist_ok=True) is None

    monkeypatch.setattr("flaxact.data.tfds._writable", writable)
    loaded = data.load("toy", data_dir=folder)
    assert str(home) in str(loaded.train.images.filename)
    assert not (folder / "toy" / "1.0.0" / "flaxact-1").exists()


def test_a_process_that_dies_leaves_no_half_cache(toy, monkeypatch):
    folder = toy()

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flaxact.data.tfds.array_digest", die)
    with pytest.raises(KeyboardInterrupt):
        data.load("toy", data_dir=folder)
    monkeypatch.undo()
    assert not [p for p in (folder / "toy" / "1.0.0").iterdir() if "flaxact" in p.name]
    assert len(data.load("toy", data_dir=folder).train.labels) == 8


def test_images_of_different_sizes_are_brought_to_one(toy):
    folder = toy(SIZES=((6, 5), (9, 20), (12, 12)))
    with pytest.raises(fa.InputError, match=r"differ in size .* give an image size"):
        data.load("toy", data_dir=folder)
    loaded = data.load("toy", data_dir=folder, image_size=4)
    assert loaded.train.images.shape == (8, 4, 4, 3)
    assert {int(image.mean()) for image in loaded.train.images} == {10 * i for i in range(8)}
    assert data.load("toy", data_dir=folder, image_size=3).test.images.shape == (8, 3, 3, 3)


def test_centre_crop():
    image = np.zeros((8, 16), np.uint8)
    image[:, 4:12] = 200
    opened = Image.fromarray(image)
    assert (resized(opened, 8) == 200).all()
    assert resized(opened, 4).shape == (4, 4, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"KEYS": ("image",)}, "no ClassLabel among its features"),
        ({"KEYS": ("label",)}, "no Image among its features"),
        ({"SPLITS": ("train",)}, "it needs train, and test or validation"),
    ],
)
def test_sets_that_are_not_for_this(toy, changes, said):
    folder = toy(**changes)
    with pytest.raises(fa.InputError, match=said):
        data.load("toy", data_dir=folder)


def test_validation_stands_in_for_test(toy):
    loaded = data.load("toy", data_dir=toy(SPLITS=("train", "validation")))
    assert len(loaded.test.labels) == 8


def test_the_newest_version_is_taken(tmp_path):
    for version in ("2.0.0", "10.0.0", "9.9.9", "incomplete.X_11.0.0"):
        (tmp_path / "toy" / version).mkdir(parents=True)
        (tmp_path / "toy" / version / "dataset_info.json").write_text("{}")
    assert prepared("toy", tmp_path).name == "10.0.0"
    assert prepared("../toy", tmp_path / "toy") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnits", "unknown data set 'mnits'; did you mean 'mnist'"),
        ("tooy", "did you mean 'toy'"),
        ("imagenet2012", "needs TensorFlow"),
        ("svhn_croped", "did you mean 'svhn_cropped'"),
        ("qqqqqqqq", "prepare any other TFDS set under"),
        ("", "unknown data set ''"),
    ],
)
def test_unknown_names(toy, name, said):
    with pytest.raises(fa.InputError, match=said):
        data.check(name, data_dir=toy())


def test_unreachable_and_unprepared(tmp_path, monkeypatch):
    source = sources.Download("http://127.0.0.1:9/", (("file", "0"),), "")
    monkeypatch.setitem(sources.SOURCES, "cifar10", source)
    monkeypatch.setenv("FLAXACT_DATA_DIR", str(tmp_path))
    with pytest.raises(fa.InputError, match=r"not prepared under .* use mnist5k") as caught:
        data.check("cifar10")
    assert str(tmp_path) in str(caught.value)
    data.check("mnist5k")

    def garbled(*_, **__):
        raise http.client.BadStatusLine("?")

    monkeypatch.setattr("urllib.request.urlopen", garbled)
    with pytest.raises(fa.InputError, match="cannot be downloaded"):
        data.check("cifar10")
    monkeypatch.setenv("FLAXACT_DATA_DIR", "/nowhere")
    with pytest.raises(fa.InputError, match=r"/nowhere .which is not a folder that exists"):
        data.check("cifar10")


def test_a_folder_that_cannot_be_prepared_in(monkeypatch):
    monkeypatch.setattr("flaxact.data.catalogue._check_reachable", lambda *_: None)
    with pytest.raises(fa.InputError, match="cannot prepare data set 'mnist' under /proc/no"):
        data.load("mnist", data_dir="/proc/no")


def test_image_sizes_refused():
    for size in (0, -3):
        with pytest.raises(fa.InputError, match="image size must be 1 or more"):
            data.load("toy", image_size=size)


def test_the_argument_wins_over_the_environment(toy, monkeypatch):
    monkeypatch.setenv("FLAXACT_DATA_DIR", "/nowhere")
    data.check("toy", data_dir=toy())
    with pytest.raises(fa.InputError, match="under /nowhere"):
        data.check("toy")


def test_the_published_idx_files(shared_data, tmp_path, monkeypatch):
    """MNIST through our builder, fed with the official files."""
    downloads = tmp_path / "downloads" / "flaxact" / "mnist"
    shutil.copytree(shared_data / "raw" / "mnist", downloads, copy_function=shutil.copyfile)
    monkeypatch.setattr("urllib.request.urlopen", None)  # the files are there, with the right MD5
    monkeypatch.setattr(builders, "_idx_examples", _first(builders._idx_examples, 300))
    loaded = data.load("mnist", data_dir=tmp_path)
    raw = gzip.decompress((downloads / "train-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28, 1)[:300]
    assert {i.tobytes() for i in loaded.train.images} == {i.tobytes() for i in images}
    assert (tmp_path / "mnist" / "3.0.1" / "features.json").exists()
    assert "MNIST, LeCun and Cortes" in loaded.note


def _first(examples, count):
    return lambda *args: (pair for pair, _ in zip(examples(*args), range(count), strict=False))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_our_builders_are_the_stock_ones_without_tensorflow(name):
    ours = builders.BUILDERS[name]
    stock = tfds.builder_cls(name)
    assert ours.name == name
    assert ours.VERSION == stock.VERSION
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_binary_format_of_cifar(name, tmp_path, monkeypatch):
    """From an archive made here in the published layout: label bytes, then three planes."""
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (6, 3, 32, 32)).astype(np.uint8)
    labels = [(i, i + 1)[: 2 if name == "cifar100" else 1] for i in range(6)]
    records = [bytes(label) + plane.tobytes() for label, plane in zip(labels, planes, strict=True)]
    if name == "cifar10":
        files = {f"data_batch_{i + 1}.bin": records[i] for i in range(5)} | {
            "test_batch.bin": records[5]
        }
    else:
        files = {"train.bin": b"".join(records[:5]), "test.bin": records[5]}
        for kind, count in (("fine", 100), ("coarse", 20)):
            files[f"{kind}_label_names.txt"] = "\n".join(
                f"{kind}{i}" for i in range(count)
            ).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file, content in files.items():
            member = tarfile.TarInfo(f"folder/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    content = archive.getvalue()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(content))
    source = sources.SOURCES[name]
    digest = hashlib.md5(content).hexdigest()
    download = sources.Download(source.url, ((source.files[0][0], digest),), source.note)
    monkeypatch.setitem(sources.SOURCES, name, download)

    loaded = data.load(name, data_dir=tmp_path)
    expected = {planes[i].transpose(1, 2, 0).tobytes(): labels[i][-1] for i in range(5)}
    pairs = zip(loaded.train.images, loaded.train.labels, strict=True)
    images = {image.tobytes(): int(label) for image, label in pairs}
    assert images == expected
    assert loaded.num_classes == (100 if name == "cifar100" else 10)
    assert loaded.class_names[3] == ("fine3" if name == "cifar100" else "cat")


def test_a_download_that_is_not_the_published_file(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"else"))
    with pytest.raises(fa.InputError, match=r"MD5 .* published one has"):
        sources.fetch(sources.SOURCES["cifar10"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_cifar10_of_the_shared_copy(prepared_data):
    loaded = data.load("cifar10", data_dir=prepared_data)
    assert loaded.train.images.shape == (50_000, 32, 32, 3)
    assert (np.bincount(loaded.train.labels) == 5000).all()
    assert (np.bincount(loaded.test.labels) == 1000).all()
    assert "92 of the 60,000 images" in loaded.note


def test_digests_tell_shapes_apart():
    a = np.arange(6, dtype=np.uint8)
    assert array_digest(a) != array_digest(a.reshape(2, 3))
    assert array_digest(a[::-1]) == array_digest(a[::-1].copy())
    assert Split(a, a).images is a
