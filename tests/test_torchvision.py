"""TorchVision's weights in the zoo's models, against torch's own layers."""

import re
import sys

import jax
import numpy as np
import pytest

import flaxact as fa
from flaxact import models

NAME = "alexnet_one_weird_trick"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def alexnet(torch, channels=(64, 192, 384, 256, 256), hidden=4096, classes=1000):
    """torchvision.models.alexnet, built by hand: features, avgpool and classifier."""
    nn = torch.nn
    (a, b, c, d, e) = channels
    features = nn.Sequential(
        nn.Conv2d(3, a, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(c, d, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(d, e, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(e * 36, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
    return named(torch, features, classifier)


def named(torch, features, classifier, cells=6):
    parts = {"features": features, "avgpool": torch.nn.AdaptiveAvgPool2d(cells)}
    parts |= {"flat": torch.nn.Flatten(), "classifier": classifier}
    net = torch.nn.Sequential()
    for name, part in parts.items():
        net.add_module(name, part)
    return net.eval()


def saved(net, path):
    np.savez(path, **{name: value.numpy() for name, value in net.state_dict().items()})
    return path


def logits_of(torch, net, images):
    x = (images.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    with torch.no_grad():
        return net(torch.tensor(x).permute(0, 3, 1, 2)).numpy()


def images(size):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.uint8)


def agree(got, expected, tolerance=1e-5):
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(got, expected, atol=tolerance * np.abs(expected).max())


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A net with an eighth of the channels, and the file of its weights."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = alexnet(torch, (8, 24, 48, 32, 32), 512, 10)
    return net, saved(net, tmp_path_factory.mktemp("weights") / "narrow.npz")


def model(act="relu", **arguments):
    return models.create_model(NAME, act, num_classes=10, width=0.125, **arguments)


def test_the_published_net_gives_torchs_logits(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = alexnet(torch)
    assert sum(p.numel() for p in net.parameters()) == 61_100_840
    ours = models.create_model(NAME, "relu")
    variables = models.load_torchvision(ours, saved(net, tmp_path / "alexnet.npz"))
    for size in (224, 64):
        agree(ours.apply(variables, images(size)), logits_of(torch, net, images(size)))


@pytest.mark.parametrize("size", [100, 103, 127])
def test_windows_that_do_not_fit_are_left_out_as_in_torch(narrow, size):
    torch = pytest.importorskip("torch")
    net, path = narrow
    variables = models.load_torchvision(model(), path)
    agree(model().apply(variables, images(size)), logits_of(torch, net, images(size)))


def test_what_an_activation_learns_starts_as_it_is_initialized(narrow):
    torch = pytest.importorskip("torch")
    net, path = narrow
    prelu = model("prelu(negative_slope=0.1)")
    variables = models.load_torchvision(prelu, path)
    shapes = jax.tree.map(np.shape, jax.eval_shape(prelu.init, jax.random.key(0), images(64)))
    assert jax.tree.map(np.shape, variables) == shapes
    np.testing.assert_allclose(variables["params"]["act3"]["activation"]["negative_slope"], 0.1)
    leaky = torch.nn.LeakyReLU(0.1)
    parts = [
        [leaky if isinstance(layer, torch.nn.ReLU) else layer for layer in part]
        for part in (net.features, net.classifier)
    ]
    other = named(torch, *(torch.nn.Sequential(*part) for part in parts))
    agree(prelu.apply(variables, images(64)), logits_of(torch, other, images(64)))


def vgg11_bn(torch, channels, hidden, classes):
    """torchvision.models.vgg11_bn, and the names of its layers in the zoo's."""
    nn = torch.nn
    names = {}
    features = []
    last = 3
    dense = []
    for stage, (layers, width) in enumerate(zip((1, 1, 2, 2, 2), channels, strict=True), 1):
        for layer in range(1, layers + 1):
            names[f"conv{stage}_{layer}"] = f"features.{len(features)}"
            names[f"norm{stage}_{layer}"] = f"features.{len(features) + 1}"
            features += [nn.Conv2d(last, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            last = width
        features.append(nn.MaxPool2d(2, 2))
    names |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    for width in (last * 49, hidden):
        dense += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout()]
    classifier = nn.Sequential(*dense, nn.Linear(hidden, classes))
    return named(torch, nn.Sequential(*features), classifier, 7), names


def test_batch_normalisation_is_read_with_its_running_statistics(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net, names = vgg11_bn(torch, (3, 6, 13, 26, 26), 205, 10)
    for name, value in net.state_dict().items():
        if "running" in name:
            value.uniform_(0.1, 0.3)
    ours = models.create_model("vgg11_bn", "relu", num_classes=10, width=0.05)
    assert ours.torchvision_layers() == names
    variables = models.load_torchvision(ours, saved(net, tmp_path / "bn.npz"))
    agree(ours.apply(variables, images(64)), logits_of(torch, net, images(64)), 1e-4)


def test_safetensors(narrow, tmp_path):
    save = pytest.importorskip("safetensors.torch").save_file
    net, path = narrow
    save(net.state_dict(), tmp_path / "w.safetensors")
    ours = models.load_torchvision(model(), tmp_path / "w.safetensors")
    same = jax.tree.map(np.array_equal, ours, models.load_torchvision(model(), path))
    assert all(jax.tree.leaves(same))
    (tmp_path / "w.safetensors").write_bytes(b"not one of these files")
    with pytest.raises(fa.InputError, match=r"cannot read '.*w\.safetensors'"):
        models.load_torchvision(model(), tmp_path / "w.safetensors")


def refused(said, ours, path):
    with pytest.raises(fa.InputError, match=re.escape(said)):
        models.load_torchvision(ours, path)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    refused("give a state dict as .safetensors or .npz", model(), tmp_path / "alexnet.pth")
    refused("No such file", model(), tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK, but no archive")
    refused("cannot read", model(), tmp_path / "bad.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    refused("cannot read", model(), tmp_path / "empty.npz")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], object))
    refused("cannot read", model(), tmp_path / "pickled.npz")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    refused("pip install safetensors", model(), tmp_path / "w.safetensors")


def test_names_and_shapes_are_checked(narrow, tmp_path):
    with np.load(narrow[1]) as file:
        state = dict(file)
    del state["features.6.bias"]
    np.savez(tmp_path / "missing.npz", **state)
    refused(
        "the file has no 'features.6.bias'; did you mean 'features.",
        model(),
        tmp_path / "missing.npz",
    )
    state |= {"features.6.bias": np.zeros(48, np.float32), "features.13.weight": np.zeros(3)}
    np.savez(tmp_path / "more.npz", **state)
    refused("no layer for features.13.weight", model(), tmp_path / "more.npz")
    message = "classifier.6.weight has the shape (10, 512) and doesn't fit the model's (512, 7)"
    refused(message, models.create_model(NAME, "relu", num_classes=7, width=0.125), narrow[1])
    refused("features.0", models.create_model(NAME, "relu", num_classes=10), narrow[1])


@pytest.mark.parametrize("text", ["alexnet", "alexnet_cuda_convnet2", f"{NAME}(norm=weight)"])
def test_models_without_weights_in_torchvision(text, tmp_path):
    with pytest.raises(fa.InputError, match="TorchVision"):
        models.load_torchvision(models.create_model(text, "relu"), tmp_path / "w.npz")
