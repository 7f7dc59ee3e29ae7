"""Preprocessing: what each is said to do, on real images, fitted on the training split alone."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

import flaxact as fa
from flaxact.data import Dataset, Split, load
from flaxact.data.preprocess import catalogue, preprocess


@pytest.fixture(scope="module")
def small():
    """MNIST images of 7×7 pixels: means of 4×4, so that there is variance everywhere inside."""

    def shrunk(split):
        images = split.images.reshape(-1, 7, 4, 7, 4, 1).mean((2, 4))
        return Split(images.astype(np.uint8), split.labels)

    loaded = load("mnist5k")
    return replace(loaded, train=shrunk(loaded.train), test=shrunk(loaded.test))


@pytest.fixture
def color():
    """Images of three correlated channels of 5×4 pixels."""
    rng = np.random.default_rng(0)

    def made(count):
        mixed = rng.normal(size=(count, 5, 4, 3)) @ rng.normal(size=(3, 3)) * 20 + [90, 120, 140]
        return Split(np.clip(mixed, 0, 255).astype(np.uint8), np.arange(count, dtype=np.int32) % 2)

    return Dataset("color", made(1500), made(40), 2, class_names=("a", "b"), note="made here")


@pytest.mark.parametrize("name", catalogue)
def test_every_one_keeps_the_rest_and_tells(name, color):
    actual = preprocess([name], color)
    for ours, theirs in ((actual.train, color.train), (actual.test, color.test)):
        assert ours.images.shape == theirs.images.shape
        assert ours.images.dtype == np.float32
        assert np.isfinite(ours.images).all()
        assert ours.labels is theirs.labels
    assert color.train.images.dtype == np.uint8
    assert actual.name.startswith(f"color+{name}")
    assert f"preprocessed by {name}" in actual.note
    assert actual.digest != color.digest
    assert actual.digest == preprocess([name], color).digest
    assert inspect.getdoc(catalogue[name].function)
    assert set(catalogue[name].limits) <= set(catalogue[name].options)


@pytest.mark.parametrize("name", catalogue)
def test_nothing_is_learned_from_the_test_images(name, color):
    """Test images among others become what they become alone, and the training images stay."""
    other = Split(color.test.images[:1], color.test.labels[:1])
    alone = preprocess([name], replace(color, test=other))
    among = preprocess([name], color)
    np.testing.assert_array_equal(alone.train.images, among.train.images)
    np.testing.assert_allclose(alone.test.images, among.test.images[:1], rtol=1e-5, atol=1e-5)


def test_gcn_gives_every_image_mean_0_and_the_contrast_asked_for():
    data = load("mnist5k")
    for text, contrast in (
        ("gcn(2.5)", lambda x: np.sqrt((x**2).mean(1))),
        ("gcn(55, norm=True)", lambda x: np.sqrt((x**2).sum(1))),
    ):
        preprocessed = preprocess([text], data)
        for split in (preprocessed.train, preprocessed.test):
            flat = split.images.reshape(len(split.images), -1).astype(float)
            np.testing.assert_allclose(flat.mean(1), 0, atol=1e-6)
            np.testing.assert_allclose(contrast(flat), 55 if "norm" in text else 2.5, rtol=1e-5)


def test_gcn_with_a_bias_is_that_of_the_book(color):
    x = color.test.images[5].astype(float)
    expected = 2 * (x - x.mean()) / np.sqrt(10 + x.var())
    np.testing.assert_allclose(
        preprocess(["gcn(2, bias=10)"], color).test.images[5], expected, atol=1e-5
    )


def test_gcn_of_an_image_without_contrast_is_0(color):
    flat = replace(color, test=Split(np.full_like(color.test.images, 77), color.test.labels))
    assert not preprocess(["gcn"], flat).test.images.any()


def test_zca_gives_the_identity_as_covariance(small):
    """But for the corners, which are black in every image and stay 0."""
    x = preprocess(["zca(epsilon=0)"], small).train.images.reshape(4000, -1).astype(float)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-4)
    covariance = x.T @ x / len(x)
    varied = small.train.images.reshape(4000, -1).std(0) > 0
    assert varied.sum() >= 45
    np.testing.assert_allclose(covariance, np.diag(varied.astype(float)), atol=1e-4)


def test_zca_with_epsilon_is_the_closed_form(color):
    """W = (Σ + ε)^(-1/2), so W² (Σ + ε) = 1, and W is symmetric: found from what it does."""
    epsilon = 30.0
    x = color.train.images.reshape(1500, -1).astype(float)
    basis = np.concatenate([np.eye(60), np.zeros((1, 60))]).reshape(-1, 5, 4, 3) * 100
    data = replace(color, test=Split(basis.astype(np.uint8), np.zeros(61, np.int32)))
    preprocessed = preprocess([f"zca({epsilon})"], data).test.images.reshape(61, -1).astype(float)
    matrix = (preprocessed[:60] - preprocessed[60]) / 100
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    sigma = np.cov(x.T, bias=True) + epsilon * np.eye(60)
    np.testing.assert_allclose(matrix @ matrix @ sigma, np.eye(60), atol=2e-3)


def test_standardize_and_the_mean_image(color):
    preprocessed = preprocess(["standardize"], color).train.images.astype(float)
    np.testing.assert_allclose(preprocessed.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(preprocessed.std((0, 1, 2)), 1, rtol=1e-6)
    x = color.train.images.astype(float)
    again = color.test.images.astype(float)
    preprocessed = preprocess(["per_pixel_mean"], color)
    np.testing.assert_allclose(preprocessed.train.images.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(preprocessed.test.images, again - x.mean(0), atol=1e-4)
    preprocessed = preprocess(["rescale"], color)
    np.testing.assert_allclose(preprocessed.test.images, again / 127.5 - 1, atol=1e-6)


def test_the_order_is_the_one_given(color):
    one = preprocess(["gcn", "standardize"], color)
    step = preprocess(["standardize"], preprocess(["gcn"], color))
    assert one.digest == step.digest
    assert one.digest != preprocess(["standardize", "gcn"], color).digest
    assert preprocess([], color) is color


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gnc", "unknown preprocessing 'gnc'; did you mean 'gcn'"),
        ("zca(-1)", "epsilon must be 0 or more, not -1"),
        ("gcn(0)", "scale must be"),
        ("zca(eps=1)", "unknown option of zca 'eps'"),
        ("standardize(3)", "gives 1 values"),
    ],
)
def test_refused(text, said, color):
    with pytest.raises(fa.InputError, match=said):
        preprocess([text], color)
