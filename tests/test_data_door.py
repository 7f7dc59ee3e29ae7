"""Own arrays, folders of images and nets beside them: what is refused, in one line, and what trains."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image
from trainings import DENSE, RECIPE, SMALL, quick_compilation

import flaxact as fa
from flaxact.data import Dataset, Split, open_stream
from flaxact.data.folder import Folder
from flaxact.data.records import picture, pixels
from flaxact.data.streamed import Streamed
from flaxact.diagnostics import nnx as nnx_diagnostics
from flaxact.diagnostics import probe
from flaxact.diagnostics.record import Recorder
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.training import run, train

IMAGES = SMALL.train.images
LABELS = SMALL.train.labels
NOT_FINITE = np.where(np.arange(48)[:, None, None, None] == 7, np.nan, IMAGES.astype(np.float32))


def made(images=IMAGES, labels=LABELS, test=SMALL.test, **changes):
    return Dataset("own", Split(images, labels), test, **{"num_classes": 3, **changes})


BAD = {
    "no channels": ({"images": IMAGES[..., 0]}, r"\(48, 8, 8\).*images\[\.\.\., None\]"),
    "one image": ({"images": IMAGES[0]}, r"\(8, 8, 1\).*number, height, width, channels"),
    "flat": ({"images": IMAGES.reshape(48, -1)}, r"shape \(48, 64\)"),
    "channels first": (
        {"images": np.zeros((48, 1, 8, 8), np.uint8)},
        "channels came first.*moveaxis",
    ),
    "colors first": ({"images": np.zeros((48, 3, 8, 9), np.uint8)}, "channels came first"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "there are no .*training images"),
    "no channel": ({"images": IMAGES[..., :0]}, "there are no .*training images"),
    "texts": ({"images": IMAGES.astype(str)}, "dtype <U3; give uint8"),
    "booleans": ({"images": IMAGES > 9}, "dtype bool; give uint8"),
    "complex": ({"images": IMAGES * 1j}, "dtype complex128; give uint8"),
    "ragged": ({"images": [[1], [1, 2]]}, "of type list; give an array"),
    "None": ({"images": None}, "dtype object"),
    "16 bits": ({"images": IMAGES.astype(np.uint16) * 257}, "uint16 run from 0 to 65535.*0 to 255"),
    "below 0": ({"images": IMAGES.astype(np.int16) - 128}, "from -128 to 127"),
    "from 0 to 1": ({"images": IMAGES / 255}, "floats from 0 to 1, not pixels.*preprocessed=True"),
    "standardized": ({"images": IMAGES / 64.0 - 2}, "floats from -2 to 1.98.*preprocessed=True"),
    "nan": ({"images": NOT_FINITE}, "not finite, the first in image 7"),
    "nan, stated": (
        {"images": NOT_FINITE, "preprocessed": True},
        "not finite, the first in image 7",
    ),
    "too large": ({"images": IMAGES * 1e40, "preprocessed": True}, "not finite"),
    "from 1": (
        {"labels": LABELS + 1},
        "labels run from 1 to 3; labels of 3 classes run from 0 to 2",
    ),
    "-1": ({"labels": LABELS - 1}, "from -1 to 1"),
    "huge": ({"labels": LABELS.astype(np.uint64) + 2**63}, "run from 9223372036854775808 to"),
    "floating": ({"labels": LABELS * 1.0}, "dtype float64; give integers from 0 to 2"),
    "truths": ({"labels": LABELS > 0}, "dtype bool; give integers"),
    "names": ({"labels": np.array(list("abc"))[LABELS]}, "dtype <U1; give integers"),
    "one-hot": ({"labels": np.eye(3)[LABELS]}, r"\(48, 3\); give \(48,\): labels.argmax\(1\)"),
    "a column": ({"labels": LABELS[:, None]}, r"\(48, 1\); give \(48,\): labels\[:, 0\]"),
    "a number": ({"labels": 0}, r"shape \(\); give \(48,\)"),
    "too few": ({"labels": LABELS[:-1]}, "training labels have length 47 for 48 images"),
    "too many": ({"images": IMAGES[:-1]}, "training labels have length 48 for 47 images"),
    "no test images": ({"test": Split(IMAGES[:0], LABELS[:0])}, "there are no .*test images"),
    "wrong test labels": ({"test": Split(IMAGES, LABELS + 7)}, "test labels run from 7 to 9"),
    "another size": (
        {"test": Split(IMAGES[:, :4], LABELS)},
        r"\(8, 8, 1\) uint8 and.* \(4, 8, 1\)",
    ),
    "another dtype": ({"test": Split(IMAGES * 1.0, LABELS)}, "uint8 and test images.*float32"),
    "arrays": ({"test": (IMAGES, LABELS)}, r"needs Split\(images, labels\) as test, not tuple"),
    "0 classes": ({"num_classes": 0}, "num_classes must be a positive integer, not 0"),
    "2.5 classes": ({"num_classes": 2.5}, "a positive integer, not 2.5"),
    "True classes": ({"num_classes": True}, "a positive integer, not True"),
    "text classes": ({"num_classes": "3"}, "a positive integer, not '3'"),
    "too few names": ({"class_names": ("a", "b")}, "3 classes and 2 class names"),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", BAD)
def test_a_data_set_that_cannot_be_trained_on_is_refused_in_a_line(case):
    changes, message = BAD[case]
    with pytest.raises(fa.InputError, match=message) as caught:
        made(**changes)
    assert "'own'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


LEGAL = {
    "int8 labels": {"labels": LABELS.astype(np.int8)},
    "uint64 labels": {"labels": LABELS.astype(np.uint64)},
    "int64 labels, of another byte order": {"labels": LABELS.astype(">i8")},
    "a list of labels": {"labels": LABELS.tolist()},
    "jax arrays": {"images": jnp.asarray(IMAGES), "labels": jnp.asarray(LABELS)},
    "int64 pixels": {"images": IMAGES.astype(np.int64)},
    "not contiguous": {"images": IMAGES[:, ::-1, ::-1]},
    "a single class": {
        "labels": np.zeros(48, int),
        "num_classes": np.int64(1),
        "test": Split(IMAGES, np.zeros(48, int)),
    },
    "more classes than labels": {"labels": np.zeros(48, int)},
    "nameless classes": {"class_names": ()},
    "many channels": {
        "images": np.zeros((48, 8, 8, 9), np.uint8),
        "test": Split(np.zeros((3, 8, 8, 9), np.uint8), LABELS[:3]),
    },
    "a signal of one row": {
        "images": np.zeros((48, 1, 16, 6), np.uint8),
        "test": Split(np.zeros((3, 1, 16, 6), np.uint8), LABELS[:3]),
    },
    "pixels in floats": {"images": IMAGES * 1.0, "test": Split(IMAGES.astype(np.float16), LABELS)},
    "floats that are stated": {
        "images": IMAGES / 255,
        "test": Split(IMAGES / 255, LABELS),
        "preprocessed": True,
    },
    "bfloat16 that is stated": {
        "images": jnp.asarray(IMAGES / 255, jnp.bfloat16),
        "test": Split(IMAGES / 255, LABELS),
        "preprocessed": True,
    },
}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("case", LEGAL)
def test_a_data_set_that_is_unusual_and_legal_trains(case):
    data = made(**LEGAL[case])
    assert data.train.labels.dtype == np.int32
    assert data.train.images.dtype in (np.uint8, np.float32)
    with quick_compilation():
        last = list(train(DENSE, replace(RECIPE, epochs=1), data, [0]))[-1]
    assert np.isfinite([*last.train_loss, *last.test_loss]).all()


def test_equal_data_is_kept_as_it_is_and_has_one_digest():
    data = made()
    assert data.train.images is IMAGES
    assert data.train.labels is LABELS
    assert made(labels=LABELS.astype(np.uint8)).digest == data.digest
    assert made(images=IMAGES.astype(np.int64)).digest == data.digest


# A net beside the data: by its shapes, before anything is compiled


def net_of(outputs):
    def apply(variables, images, *, train, key):
        return outputs(jnp.zeros((len(images), 2, 4), jnp.float32)), variables

    return Net(lambda key, images: {"params": {"w": jnp.zeros(1)}}, apply)


BAD_NETS = {
    "too few": (lambda x: x[:, 0, :2], "returns 2 logits, and data set 'small' has 3 classes"),
    "an axis too many": (
        lambda x: x,
        r"float32 \(2, 2, 4\); it must return floating logits \(2, 3\)",
    ),
    "no axis": (lambda x: x[:, 0, 0], r"float32 \(2,\); it must"),
    "classes": (lambda x: x.argmax(-1), "returns int32"),
    "two arrays": (lambda x: (x[0], x[0]), "it must return floating logits"),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", BAD_NETS)
@pytest.mark.parametrize("way", ["train", "run"])
def test_a_net_without_a_logit_for_every_class_is_refused(case, way, tmp_path, monkeypatch):
    monkeypatch.setattr("flaxact.training.prepare.compiled", None)  # compiling would fail
    outputs, message = BAD_NETS[case]
    net = net_of(outputs)
    with pytest.raises(fa.InputError, match=message) as caught:
        list(
            train(net, RECIPE, SMALL, [0])
            if way == "train"
            else run(net, RECIPE, SMALL, [0], folder=tmp_path)
        )
    assert "\n" not in str(caught.value)


def test_a_net_may_have_more_logits_than_there_are_classes():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(5)(x.reshape(len(x), -1) / 255)

    with quick_compilation():
        last = list(train(from_linen(Wide()), replace(RECIPE, epochs=1), SMALL, [0]))[-1]
    assert np.isfinite(last.test_loss).all()


class Sited(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(Act("tanh", name="act")(x.reshape(len(x), -1)))


BAD_BATCHES = {
    "labels out of range": (IMAGES, LABELS + 1, "the labels run from 1 to 3"),
    "labels below 0": (IMAGES, LABELS - 1, "the labels run from -1 to 1"),
    "one-hot": (IMAGES, np.eye(3)[LABELS], r"the labels are float32 \(48, 3\)"),
    "floating labels": (
        IMAGES,
        LABELS * 1.0,
        r"the labels are float32 \(48,\).*give integers \(48,\)",
    ),
    "too few labels": (IMAGES, LABELS[:9], r"int32 \(9,\) for logits \(48, 3\)"),
    "named labels": (IMAGES, ["a"] * 48, "the labels are of dtype <U1; give numbers"),
    "not finite": (NOT_FINITE, LABELS, "the images hold values that are not finite"),
    "texts": (IMAGES.astype(str), LABELS, "the images are of dtype <U3"),
}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("case", BAD_BATCHES)
@pytest.mark.parametrize("way", ["linen", "nnx"])
def test_a_batch_that_cannot_be_probed_is_refused_in_a_line(case, way):
    from flax import nnx

    images, labels, message = BAD_BATCHES[case]

    class Own(nnx.Module):
        def __init__(self):
            self.last = nnx.Linear(64, 3, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.last(x.reshape(len(x), -1) * 1.0)

    params = {"Dense_0": {"kernel": jnp.zeros((64, 3)), "bias": jnp.zeros(3)}}
    probed = {
        "linen": lambda: probe(Sited(), {"params": params}, images, labels, measures=("mean",)),
        "nnx": lambda: nnx_diagnostics.probe(Own(), images, labels, ("mean",)),
    }[way]
    with pytest.raises(fa.InputError, match=message) as caught:
        probed()
    assert "\n" not in str(caught.value)


def test_a_recorder_refuses_images_that_are_not_finite(tmp_path):
    with pytest.raises(fa.InputError, match="not finite"):
        Recorder(tmp_path / "probes.jsonl", Sited(), NOT_FINITE, LABELS)


# The zoo


@pytest.mark.parametrize("classes", [2.5, 0, -3, "ten", True, float("nan")])
def test_a_model_has_a_whole_number_of_classes(classes):
    for name in ("elu_net", "vgg11", "resnet20", "squeezenet_bn"):
        with pytest.raises(fa.InputError, match="needs a whole number above 0 as num_classes, not"):
            create_model(name, "relu", num_classes=classes)
    assert create_model("vgg11", "relu", num_classes=np.int64(7)).num_classes == 7


# Folders of images


def folder_of(root, files):
    """Write images: by path, an array or bytes."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        else:
            Image.fromarray(content).save(root / name)
    return root


GRAY = np.full((8, 8), 40, np.uint8)
COLOUR = np.full((8, 8, 3), (200, 40, 10), np.uint8)
TWO = {"train/cat/0.png": COLOUR, "train/dog/0.png": COLOUR}


def test_hidden_and_empty_folders_are_no_classes(tmp_path):
    hidden = {
        "train/.ipynb_checkpoints/0.png": COLOUR, "train/cat/._0.png": b"no image",
        "train/cat/.DS_Store": b"", "test/.cache/x": b"", "test/dog/0.png": COLOUR,
    }  # fmt: skip
    root = folder_of(tmp_path, {**TWO, **hidden})
    (root / "train" / "bird").mkdir()
    (root / "test" / "extra").mkdir()
    for split, labels in (("train", [0, 1]), ("test", [1])):
        actual = Folder(root, split)
        assert actual.class_names == ("cat", "dog")
        assert actual.labels == labels


@pytest.mark.parametrize(
    ("more", "split", "message"),
    [
        (
            {"train/notes/a.txt": b""},
            "train",
            "notes holds a.txt and no image, so it is not a class",
        ),
        ({"train/bmp/a.bmp": COLOUR}, "train", "bmp holds a.bmp and no image.*endings .jpeg"),
        ({"test/cow/a.png": COLOUR}, "test", "cow is a class that .*train does not have"),
        ({"test/.x/a.png": COLOUR}, "test", "no images in"),
    ],
)
def test_folders_that_are_refused(more, split, message, tmp_path):
    with pytest.raises(fa.InputError, match=message) as caught:
        Folder(folder_of(tmp_path, {**TWO, **more}), split)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", [GRAY, COLOUR, GRAY.astype(np.uint16) * 257])
@pytest.mark.parametrize("other", [GRAY, COLOUR])
def test_the_first_image_does_not_decide_alone(first, other, tmp_path):
    """Gray only if all are, in training and in testing; a gray image among others is one in color."""
    files = {"train/a/0.png": first, "train/b/0.png": other, "test/b/0.png": GRAY}
    root = folder_of(tmp_path, files)
    channels = 3 if first.ndim == 3 or other.ndim == 3 else 1
    for split, expected in (("train", (first, other)), ("test", (GRAY,))):
        actual = Folder(root, split)
        assert actual.channels == channels
        for number, image in enumerate(expected):
            wide = image if image.ndim == 3 else np.repeat(image[..., None], channels, -1)
            wide = wide // 257 if wide.dtype == np.uint16 else wide
            np.testing.assert_array_equal(pixels(picture(actual, number)[0]), wide)


def test_a_color_image_that_was_not_looked_at_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("flaxact.data.folder.LOOKED_AT", 2)
    files = {f"train/a/{i}.png": COLOUR if i == 1 else GRAY for i in range(4)}
    actual = Folder(folder_of(tmp_path, files), "train")
    with pytest.raises(
        fa.InputError, match=r"a/1\.png.*it has color, and the other images are gray"
    ):
        picture(actual, 1)


def test_sixteen_bits_a_pixel_become_eight(tmp_path):
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    actual = Folder(folder_of(tmp_path, {"train/a/0.png": values}), "train")
    np.testing.assert_array_equal(pixels(picture(actual, 0)[0])[..., 0].ravel(), np.arange(256))


def test_streams_of_two_sets_are_not_one_set(tmp_path):
    for name, classes in (("one", "ab"), ("two", "ba"), ("three", "abc")):
        folder_of(
            tmp_path / name,
            {f"{s}/{c}{name}/0.png": COLOUR for s in ("train", "test") for c in classes},
        )

    def stream(name, split):
        return open_stream(tmp_path / name, split=split, batch_size=2, image_size=8)

    recipe = replace(RECIPE, batch_size=2)
    Streamed("own", stream("one", "train"), stream("one", "test")).check(recipe)
    with pytest.raises(
        fa.InputError, match=r"different classes in training \(2\) and testing \(3\)"
    ):
        Streamed("own", stream("one", "train"), stream("three", "test")).check(recipe)
    with pytest.raises(fa.InputError, match="was given a stream of the split 'train' for test"):
        Streamed("own", stream("one", "train"), stream("one", "train")).check(recipe)
