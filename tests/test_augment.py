"""Augmentations and test-time views: properties over the catalogue, and what each is said to do."""

import inspect
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa
from flaxact.data import augment, load
from flaxact.data.augment import Augment, augmentation, color_components
from flaxact.data.views import catalogue as view_catalogue
from flaxact.data.views import shape, views

# One text with every option that has no default, a smaller size for images of 12×10 pixels.
TEXTS = {name: name for name in augment.catalogue} | {"random_crop": "random_crop(7)"}
VIEWS = {"centre": "centre(6)", "ten": "ten(6)", "mirror": "mirror"}
KEY = jax.random.key(7)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (6, 12, 10, 3)), jnp.float32)


@pytest.mark.parametrize("name", augment.catalogue)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shape_and_dtype(name, dtype, images):
    actual = jax.eval_shape(augmentation([TEXTS[name]], images), KEY, images.astype(dtype))
    assert actual.dtype == dtype
    assert actual.shape == (6, *augment.augmented_shape([TEXTS[name]], images.shape[1:]))


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", augment.catalogue)
def test_the_key_decides_and_each_image_draws_for_itself(name, images):
    same = jnp.broadcast_to(images[:1], (40, *images.shape[1:]))
    function = jax.jit(augmentation([TEXTS[name]], images))
    once = function(KEY, same)
    chex.assert_trees_all_equal(once, function(KEY, same))
    assert not np.array_equal(once, function(jax.random.key(8), same))
    assert len({image.tobytes() for image in np.asarray(once)}) > 1


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", augment.catalogue)
def test_vmapped_over_seeds_is_one_after_the_other(name, images):
    function = augmentation([TEXTS[name]], images)
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(function, (0, None)))(keys, images)
    single = jax.jit(function)
    alone = jnp.stack([single(key, images) for key in keys])
    chex.assert_trees_all_close(together, alone, rtol=1e-6, atol=1e-4)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", augment.catalogue)
def test_gradients_and_grey_images_pass(name, images):
    gray = images[..., :1]
    function = augmentation([TEXTS[name]], gray)
    slope = jax.jit(jax.grad(lambda x: function(KEY, x).sum()))(gray)
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


def test_crop_shifts_pixels_and_brings_in_zeros(images):
    images = images + 1  # so that 0 is only what comes in
    actual = np.asarray(jax.jit(augmentation(["crop(padding=2)"], images))(KEY, images))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for i, image in enumerate(actual):
        places = [
            (r, c)
            for r in range(5)
            for c in range(5)
            if np.array_equal(padded[i, r : r + 12, c : c + 10], image)
        ]
        assert len(places) == 1


@pytest.mark.thorough
def test_every_shift_comes_up_alike():
    size = 5
    padding = 1
    draws = 4500
    picture = np.zeros((size, size, 1), np.float32)
    picture[2, 2] = 1
    many = jnp.broadcast_to(picture, (draws, size, size, 1))
    actual = augment.crop(KEY, many, padding)
    counts = np.asarray(actual.sum((0, 3)))[1:4, 1:4]
    assert counts.sum() == draws
    # Each count is binomial(draws, 1/9); 5 standard deviations.
    assert np.abs(counts - draws / 9).max() < 5 * math.sqrt(draws * 8 / 81)


def test_a_reflected_crop_has_no_foreign_values(images):
    actual = np.asarray(augment.crop(KEY, images + 1, 3, reflect=True))
    assert actual.min() >= 1
    padded = np.pad(images[0] + 1, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (12, 10, 3)).reshape(-1, 12, 10, 3)
    assert (windows == actual[0]).all((1, 2, 3)).any()


@pytest.mark.thorough
def test_random_crop_is_a_part_and_reaches_every_corner(images):
    many = jnp.broadcast_to(images[:1], (400, *images.shape[1:]))
    actual = np.asarray(augment.random_crop(KEY, many, 9))
    first = np.asarray(images[0])
    parts = {first[r : r + 9, c : c + 9].tobytes() for r in range(4) for c in range(2)}
    assert {image.tobytes() for image in actual} == parts


def test_flip_twice_is_nothing_and_once_is_a_mirror(images):
    once = augment.flip(KEY, images, 1.0)
    chex.assert_trees_all_equal(once, jnp.asarray(np.asarray(images)[:, :, ::-1]))
    chex.assert_trees_all_equal(augment.flip(KEY, once, 1.0), images)
    chex.assert_trees_all_equal(augment.flip(KEY, images, 0.0), images)
    many = jnp.broadcast_to(images[:1], (1000, *images.shape[1:]))
    share = np.mean(np.any(augment.flip(KEY, many, 0.3) != many, axis=(1, 2, 3)))
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 1000)


def test_a_turn_by_nothing_is_exact_and_by_a_right_angle_is_rot90(images):
    chex.assert_trees_all_equal(augment.rotate(KEY, images, 0.0), images)
    square = images[0, :9, :9]
    for nearest in (False, True):
        turned = jax.jit(augment.turned, static_argnums=2)(square, math.pi / 2, nearest)
        chex.assert_trees_all_close(turned, jnp.rot90(square), atol=1e-2)


def test_turns_are_those_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = load("mnist5k").test.images[3].astype(np.float32)
    for degrees in (-20, 7, 33):
        turned = jax.jit(augment.turned)(picture, math.radians(degrees))
        # A border of zeros, since SciPy does not interpolate across the edge.
        padded = np.pad(picture, ((4, 4), (4, 4), (0, 0)))
        expected = ndimage.rotate(padded, degrees, reshape=False, order=1)[4:-4, 4:-4]
        chex.assert_trees_all_close(np.asarray(turned), expected, atol=0.02)


@pytest.mark.thorough
def test_angles_are_uniform():
    """A point at the right edge turns to a height that tells the angle."""
    line = np.zeros((41, 41, 1), np.float32)
    line[20, 25:] = 1
    rotate = jax.jit(lambda key, x: augment.rotate(key, x, 30.0))
    actual = rotate(KEY, jnp.broadcast_to(line, (600, 41, 41, 1)))
    actual = np.asarray(actual)[..., 0]
    rows, columns = np.mgrid[:41, :41] - 20
    weight = actual.sum((1, 2))
    angles = np.degrees(
        np.arctan2(-(actual * rows).sum((1, 2)) / weight, (actual * columns).sum((1, 2)) / weight)
    )
    assert np.abs(angles).max() < 30.5
    assert abs(angles.mean()) < 5 * 30 / math.sqrt(3 * 600)
    assert abs(angles.std() - 30 / math.sqrt(3)) < 1


def test_cutout_is_one_square_of_zeros(images):
    actual = np.asarray(augment.cutout(KEY, images + 1, 5))
    for image, original in zip(actual, np.asarray(images) + 1, strict=True):
        rows, columns = np.nonzero((image == 0).all(-1))
        assert np.ptp(rows) < 5
        assert np.ptp(columns) < 5
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        outside = image.any(-1)
        np.testing.assert_array_equal(image[outside], original[outside])


def test_pca_noise_has_the_covariance_of_the_paper():
    """Σ (σ λ_i)² p_i p_iᵀ, by statistics: one draw an image, alike at every pixel."""
    rng = np.random.default_rng(1)
    training = rng.normal(size=(50, 4, 4, 3)) @ rng.normal(size=(3, 3))
    fitted = color_components(training)
    values = np.array(fitted["values"])
    vectors = np.array(fitted["vectors"])
    pixels = training.reshape(-1, 3)
    np.testing.assert_allclose(
        vectors @ np.diag(values) @ vectors.T, np.cov(pixels.T, bias=True), atol=1e-12
    )
    draws = 20_000
    noise = np.asarray(augment.pca_noise(KEY, jnp.zeros((draws, 2, 2, 3)), 0.5, **fitted))
    assert (noise == noise[:, :1, :1]).all()
    noise = noise[:, 0, 0].astype(float)
    expected = vectors @ np.diag((0.5 * values) ** 2) @ vectors.T
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    # A sample covariance is off by about scale * sqrt(2 / draws).
    assert np.abs((noise.T @ noise / draws - expected) / scale).max() < 5 * math.sqrt(2 / draws)
    assert np.abs(noise.mean(0) / np.sqrt(expected.diagonal())).max() < 5 / math.sqrt(draws)


def test_components_of_uint8_images_are_on_the_scale_from_0_to_1():
    images = np.random.default_rng(0).integers(0, 256, (1500, 3, 2, 3)).astype(np.uint8)
    actual = np.array(color_components(images)["values"])
    unit = np.array(color_components(images / 255)["values"])
    np.testing.assert_allclose(actual, 255 * unit, rtol=1e-9)


def test_a_composition_is_a_value_and_keeps_the_order(images):
    texts = ["crop(padding=4)", "flip", "pca_noise(0.1)"]
    one, other = (augmentation(texts, images) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert [name for name, _ in one.steps] == ["crop", "flip", "pca_noise"]
    assert augmentation(texts[::-1], images) != one
    assert augmentation([], images) == Augment()
    chex.assert_trees_all_equal(Augment()(KEY, images), images)
    first = augment.crop(jax.random.fold_in(KEY, 0), images, 4)
    expected = augment.flip(jax.random.fold_in(KEY, 1), first)
    chex.assert_trees_all_equal(augmentation(texts[:2], images)(KEY, images), expected)


@pytest.mark.parametrize("catalogue", [augment.catalogue, view_catalogue])
def test_entries_are_documented_and_tested(catalogue):
    assert set(catalogue) == set(TEXTS if catalogue is augment.catalogue else VIEWS)
    for entry in catalogue.values():
        assert inspect.getdoc(entry.function)
        assert set(entry.limits) <= set(entry.options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corp", "unknown augmentation 'corp'; did you mean 'crop'"),
        ("crop(pading=3)", "unknown option of crop 'pading'; did you mean 'padding'"),
        ("crop(0)", "padding must be 1 or more, not 0"),
        ("crop(2.5)", "padding must be a whole number, not 2.5"),
        ("crop(2, 3)", "reflect must be True or False, not 3"),
        ("crop(2, False, 3)", r"gives 3 values; write crop\(padding=4, reflect=False\)"),
        ("crop(2, padding=3)", "gives padding twice"),
        ("crop(10, True)", "cannot reflect 10 pixels of an image of 12×10"),
        ("flip(1.5)", "probability must be from 0 to 1, not 1.5"),
        ("flip(half)", "probability must be a number, not half"),
        ("rotate(-3)", "degrees must be 0 or more, not -3.0"),
        ("random_crop", r"has no size; write random_crop\(size\)"),
        ("random_crop(11)", "a crop of 11 is larger than an image of 12×10"),
        ("crop(", "cannot read"),
        ("pca_noise(values=3)", "unknown option of pca_noise 'values'"),
    ],
)
def test_refused(text, said, images):
    with pytest.raises(fa.InputError, match=said):
        augmentation(["flip", text], images)


def test_ten_views_are_the_corners_the_centre_and_their_mirrors(images):
    actual = np.asarray(views("ten(6)")(images))
    x = np.asarray(images)
    by_hand = [x[:, :6, :6], x[:, :6, 4:], x[:, 6:, :6], x[:, 6:, 4:], x[:, 3:9, 2:8]]
    np.testing.assert_array_equal(actual, [*by_hand, *(v[:, :, ::-1] for v in by_hand)])
    np.testing.assert_array_equal(views("centre(6)")(images), by_hand[4][None])
    np.testing.assert_array_equal(views("mirror")(images), [x, x[:, :, ::-1]])
    np.testing.assert_array_equal(views()(images), x[None])


@pytest.mark.parametrize("text", ["", *VIEWS.values()])
def test_views_have_the_shape_they_say_and_are_values(text, images):
    actual = jax.eval_shape(views(text), images)
    size = shape([f"random_crop({actual.shape[2]})"] if "6" in text else [], text, (12, 10, 3))
    assert actual.shape[1:] == (6, *size)
    assert views(text) == views(text)
    assert hash(views(text)) == hash(views(text))


def test_training_and_testing_agree_on_the_shape():
    assert shape(["random_crop(24)", "flip"], "ten(24)", (32, 32, 3)) == (24, 24, 3)
    assert shape(["crop"], "", (32, 32, 3)) == (32, 32, 3)
    for texts, view, said in (
        (["random_crop(24)"], "", r"images of 24×24, testing gives images of 32×32"),
        ([], "ten(24)", r"images of 32×32, testing gives images of 24×24"),
        (["random_crop(24)"], "ten(40)", "a crop of 40 is larger than an image of 32×32"),
        ([], "tne(24)", "unknown view 'tne'; did you mean 'ten'"),
    ):
        with pytest.raises(fa.InputError, match=said):
            shape(texts, view, (32, 32, 3))
