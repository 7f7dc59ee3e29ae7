"""Data of one's own in one line: folders of images, arrays, npz files, Hugging Face's objects."""

import types

import numpy as np
import pytest
from PIL import Image

import flaxact as fa
from flaxact import data
from flaxact.data import images as of_folder
from flaxact.data.catalogue import own_files

GRAY = np.full((8, 8), 40, np.uint8)
COLOR = np.full((8, 8, 3), (200, 40, 10), np.uint8)


def folder_of(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(root / name)
    return root


@pytest.fixture
def pets(tmp_path):
    files = {f"{kind}/{i}.png": GRAY + i for kind in ("cat", "dog") for i in range(10)}
    return folder_of(tmp_path / "pets", files)


def test_a_folder_of_classes_holds_out_a_fifth(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    loaded = data.load("./pets")
    assert loaded.train.images.shape == (16, 8, 8, 1)
    assert loaded.test.images.shape == (4, 8, 8, 1)
    assert loaded.class_names == ("cat", "dog")
    assert loaded.name == "./pets"
    assert "a fifth of the images" in loaded.note
    both = [*zip(loaded.train.images[:, 0, 0, 0], loaded.train.labels, strict=True)]
    both += [*zip(loaded.test.images[:, 0, 0, 0], loaded.test.labels, strict=True)]
    assert sorted(both) == sorted((40 + i, label) for label in (0, 1) for i in range(10))
    assert data.load("pets").digest == loaded.digest == data.load(str(pets)).digest
    assert data.load("pets", image_size=4).train.images.shape == (16, 4, 4, 1)


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_a_folder_with_splits(tmp_path, test):
    files = {"train/a/0.png": COLOR, "train/b/0.png": GRAY, f"{test}/b/0.png": COLOR}
    loaded = data.from_folder(folder_of(tmp_path, files))
    assert loaded.train.images.shape == (2, 8, 8, 3)
    assert loaded.test.labels.tolist() == [1]


def test_folders_refused(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    for name, said in (
        ("./pest", r"there is no \./pest; did you mean 'pets'\? Give a folder"),
        ("/nowhere/x.npz", "there is no /nowhere/x.npz"),
        ("pest", "unknown data set 'pest'"),
        (".", r"holds 0\.png|no images in|is not a class|and no image"),
    ):
        with pytest.raises(fa.InputError, match=said) as caught:
            data.load(name)
        assert "\n" not in str(caught.value)
    Image.fromarray(COLOR[:4]).save(pets / "cat" / "small.png")
    with pytest.raises(fa.InputError, match=r"\./pets differ in size .* give an image size"):
        data.load("./pets")
    monkeypatch.setattr(of_folder, "LARGEST", 21 * 16 * 3 - 1)
    with pytest.raises(fa.InputError, match="21 images, which take more than"):
        data.load("./pets", image_size=4)


def test_the_name_of_a_data_set_goes_before_a_folder(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    (pets.parent / "mnist").mkdir()
    assert own_files("mnist", pets) is None
    assert own_files("./mnist", pets) is not None
    assert own_files("pets", pets) is not None


def pair(count, labels=None):
    images = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)
    return images, np.arange(count) % 3 if labels is None else labels


def test_arrays_become_a_data_set():
    loaded = data.from_arrays(pair(9), pair(3), name="mine")
    assert (loaded.name, loaded.num_classes) == ("mine", 3)
    assert loaded.train.images.shape == (9, 2, 2, 1)
    alone = data.from_arrays(pair(10))
    assert (len(alone.train.labels), len(alone.test.labels)) == (8, 2)
    rows = np.concatenate([alone.train.images, alone.test.images])[:, 0, 0, 0]
    assert sorted(rows.tolist()) == list(range(0, 40, 4))
    assert data.from_arrays(pair(10)).digest == alone.digest
    assert data.from_arrays(pair(9, np.arange(9)[:, None] % 2), pair(3)).num_classes == 3


def test_labels_may_be_texts():
    loaded = data.from_arrays(pair(3, ["b", "a", "b"]), pair(2, ["a", "a"]))
    assert loaded.class_names == ("a", "b")
    assert loaded.train.labels.tolist() == [1, 0, 1]
    named = data.from_arrays(pair(2, ["b", "a"]), pair(1, ["c"]), class_names=("c", "b", "a"))
    assert (named.num_classes, named.train.labels.tolist()) == (3, [1, 2])
    with pytest.raises(fa.InputError, match="the label 'd' is not among the class names"):
        data.from_arrays(pair(1, ["d"]), pair(1, ["c"]), class_names=("c",))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((pair(9, np.zeros(8, int)),), "9 images and 8 labels"),
        ((pair(9), pair(3, np.zeros(2, int))), "length 2 for 3 images"),
        ((pair(1),), "has 1 images: it needs two or more"),
        ((pair(9, np.full(9, -1)), pair(3)), "labels run from -1"),
        ((pair(9, np.zeros(9)), pair(3)), "labels are of dtype float64"),
        ((5,), "needs pairs"),
        (((np.zeros((4, 8, 8)) + 0.5, [0, 1, 0, 1]),), "not pixels from 0 to 255"),
    ],
)
def test_arrays_refused(arguments, said):
    with pytest.raises(fa.InputError, match=said):
        data.from_arrays(*arguments)


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train"),
    ],
)
def test_an_npz_file_is_a_data_set(tmp_path, keys):
    train = pair(10)
    path = tmp_path / "mine.npz"
    np.savez(path, **dict(zip(keys, (*train, *pair(2)), strict=False)))
    loaded = data.load(str(path))
    assert loaded.name == str(path)
    assert len(loaded.test.labels) == 2
    data.check(str(path))
    with pytest.raises(fa.InputError, match="omit the image size"):
        data.load(str(path), image_size=8)


def test_npz_files_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, a=[1])
    with pytest.raises(fa.InputError, match="has the arrays a; it needs x_train and y_train"):
        data.load(str(path))
    path.write_bytes(b"no zip")
    with pytest.raises(fa.InputError, match="cannot read"):
        data.load(str(path))
    np.savez(path, x_train=np.array([object()]), y_train=[0])
    with pytest.raises(fa.InputError, match="cannot read"):
        data.load(str(path))


# As the feature types of ``datasets``, by their names.
Picture = type("Image", (), {})
ClassLabel = type("ClassLabel", (), {"names": ["cat", "dog"]})


class Rows(list):
    features = {"id": object(), "picture": Picture(), "kind": ClassLabel()}  # noqa: RUF012
    info = types.SimpleNamespace(dataset_name="pets")


def rows(*images):
    picture = [Image.fromarray(i) for i in images]
    return Rows({"id": 0, "picture": p, "kind": i % 2} for i, p in enumerate(picture))


def test_hugging_faces_objects_are_read_by_their_features():
    loaded = data.from_huggingface({"train": rows(GRAY, COLOR), "validation": rows(GRAY)}, name="p")
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.images.shape == (2, 8, 8, 3)
    assert loaded.train.images[0, 0, 0].tolist() == [40, 40, 40]
    assert loaded.test.images.shape == (1, 8, 8, 3)
    assert loaded.note == "Hugging Face pets"
    alone = data.from_huggingface(rows(*[GRAY] * 10), image_size=4, image="picture", label="kind")
    assert (alone.train.images.shape, len(alone.test.labels)) == ((8, 4, 4, 1), 2)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ([1], {}, "is a list; give a Dataset or DatasetDict"),
        ({"test": rows(GRAY)}, {}, "has the splits test; it needs train"),
        (rows(GRAY), {"image": "pictures"}, "did you mean 'picture'"),
        (rows(GRAY, GRAY[:4]), {}, "differ in size; give an image size"),
    ],
)
def test_hugging_faces_objects_refused(source, options, said):
    with pytest.raises(fa.InputError, match=said):
        data.from_huggingface(source, **options)


def test_a_comparison_in_python_names_the_data_it_is_given(monkeypatch, tmp_path):
    from flaxact import studies
    from flaxact.studies import notebook

    seen = []
    monkeypatch.setattr(notebook, "run", lambda study, *_, **__: seen.append(study) or iter(()))
    monkeypatch.setattr(notebook, "check", lambda *_: None)
    monkeypatch.setattr(notebook.report, "write_report", lambda _: None)
    monkeypatch.setattr(notebook, "read_results", lambda _: None)
    studies.compare(studies.Study(("relu",)), data.from_arrays(pair(10), name="mine"), tmp_path)
    assert seen[0].dataset == "mine"
