"""Members together and alone, one program and many, streams, views, stop rules, and what is refused."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from PIL import Image
from trainings import (
    CONVOLUTIONAL,
    DENSE,
    RECIPE,
    SMALL,
    Perceptron,
    assert_same_bits,
    member,
    quick_compilation,
    random_data,
    trained,
)

import flaxact as fa
from flaxact.data import Split, load, open_stream, preprocess
from flaxact.data.streamed import Streamed
from flaxact.models import create_model
from flaxact.net import Net, from_linen
from flaxact.training import (
    Member,
    Recipe,
    grid,
    group,
    make_init,
    make_step,
    prepare,
    train,
    updates,
)
from flaxact.training.loop import Start

# Rounding differs where one program trains several members, or a loop stands around a step.
CLOSE = {"rtol": 1e-4, "atol": 1e-6}
LEAKY = from_linen(Perceptron(fa.get("leaky_relu")), hyperparameters=("negative_slope",))


@pytest.fixture(autouse=True)
def _quick():
    with quick_compilation():
        yield


def with_recipe(**changed):
    return dataclasses.replace(RECIPE, **changed)


def assert_close(one, other):
    """Metrics and states of ``trained``."""
    for mine, theirs in zip(one, other, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_allclose(mine[name], theirs[name], err_msg=name, **CLOSE)


# One program and many


def test_nets_whose_weights_alone_differ_in_shape_share_no_program():
    """The order of the batches is the same for both, and is called with all of a net's weights."""
    for width in (0.01, 0.02):
        net = from_linen(create_model(f"mlp(width={width})", "relu"))
        *_, last = train(net, with_recipe(epochs=1), SMALL, [0], loop="dispatch")
        assert last.train_error.shape == (1,)


def test_an_epoch_is_a_data_frame_with_a_row_per_member():
    members = grid([0, 1], learning_rates=[0.01, 0.02])
    first, last = train(DENSE, with_recipe(epochs=1), SMALL, members)
    frame = last.to_pandas()
    assert list(frame.seed) == [member.seed for member in members]
    assert list(frame.learning_rate) == [member.learning_rate for member in members]
    np.testing.assert_array_equal(frame.test_error, last.test_error)
    assert set(frame.epoch) == {1}
    assert list(first.to_pandas().columns) == list(frame.columns)


def test_one_program_and_step_by_step_agree():
    """With dropout, batch statistics and a learned slope."""
    scanned, dispatched = (
        trained(CONVOLUTIONAL, RECIPE, SMALL, [3, 4], loop=loop) for loop in ("scan", "dispatch")
    )
    assert_close(scanned, dispatched)
    assert scanned[0]["train_loss"].shape == (3, 2)


def test_a_fast_loop_is_chosen():
    """Convolutions are dispatched on a CPU; all else is one program."""
    groups = [
        len(next(updates(net, RECIPE, SMALL, [3, 4])).groups) for net in (DENSE, CONVOLUTIONAL)
    ]
    assert groups == [1, 2 if jax.default_backend() == "cpu" else 1]


def test_cores_train_members_side_by_side_to_the_same_bits(monkeypatch):
    seeds = range(5)
    monkeypatch.setattr(group, "cores", lambda: 1)
    alone = trained(CONVOLUTIONAL, RECIPE, SMALL, seeds, loop="dispatch")
    monkeypatch.setattr(group, "cores", lambda: 3)
    together = trained(CONVOLUTIONAL, RECIPE, SMALL, seeds, loop="dispatch")
    jax.tree.map(np.testing.assert_array_equal, together, alone)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("stride", [1, 2, None])
def test_steps_by_ones_and_by_epochs_are_the_same_bits(stride):
    assert_same_bits(
        trained(DENSE, RECIPE, SMALL, [0, 1], loop="scan", steps_per_update=stride)[1],
        trained(DENSE, RECIPE, SMALL, [0, 1], loop="scan")[1],
    )


SWEEP = grid([0, 5], [0.01, 0.1], [0.0, 0.9], negative_slope=[0.0, 0.3])


@pytest.fixture(scope="module")
def sweep():
    with quick_compilation():
        return trained(LEAKY, RECIPE, SMALL, SWEEP, loop="scan")


def test_members_together_are_members_alone(sweep):
    """Seeds, rates, momenta and slopes, against a net that has its own written in."""
    assert len(SWEEP) == 16
    epochs, arrays = sweep
    for i in (0, 3, 6, 9, 12, 15):
        alone = SWEEP[i]
        recipe = with_recipe(learning_rate=alone.learning_rate)
        slope = dict(alone.hyperparameters)["negative_slope"]
        net = from_linen(Perceptron(fa.get(f"leaky_relu(negative_slope={slope})")))
        metrics, states = trained(net, recipe, SMALL, [Member(alone.seed, None, alone.momentum)])
        for name, rows in metrics.items():
            np.testing.assert_allclose(epochs[name][:, i], rows[:, 0], **CLOSE)
        for name, array in states.items():
            np.testing.assert_allclose(arrays[name][i], array[0], err_msg=name, **CLOSE)
    assert len(set(epochs["train_loss"][-1])) == 16


@pytest.mark.sampled(2)
@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_do_not_change_what_comes_out(sweep, chunk):
    """Nor does their order: five go into 16 three times, and one is left."""
    if chunk == 1:
        members = SWEEP[:3]
        whole = tuple(
            {n: a[..., :3] if n in sweep[0] else a[:3] for n, a in part.items()} for part in sweep
        )
    else:
        members = SWEEP
        whole = sweep
    *_, last = updates(LEAKY, RECIPE, SMALL, members, loop="scan", chunk=chunk)
    sizes = [len(state.step) for state in last.groups]
    assert sizes == ([1, 1, 1] if chunk == 1 else [5, 5, 5, 1])
    for name, array in last.arrays().items():
        np.testing.assert_allclose(array, whole[1][name], err_msg=name, **CLOSE)


@pytest.mark.thorough
def test_a_chunk_is_chosen_where_memory_is_short(monkeypatch):
    """With room for one of two."""
    needed = {}
    compiled = prepare.compiled

    def noted(plan):
        needed[plan.members] = compiled(plan).memory
        return compiled(plan)

    monkeypatch.setattr(prepare, "compiled", noted)
    list(updates(DENSE, RECIPE, SMALL, [0], loop="scan"))
    room = needed[1] / 0.9 + 1
    monkeypatch.setattr(prepare, "available", lambda place: room)
    *_, last = updates(DENSE, RECIPE, SMALL, range(2), loop="scan")
    assert [len(state.step) for state in last.groups] == [1, 1]
    assert needed[2] > needed[1] > 0
    assert_close((last.arrays(),), (trained(DENSE, RECIPE, SMALL, range(2), chunk=2)[1],))


def counting(traces):
    def apply(variables, images, *, train, key):
        traces.append(train)
        return DENSE.apply(variables, images, train=train, key=key)

    return Net(DENSE.init, apply)


@pytest.mark.parametrize("loop", ["scan", "dispatch"])
def test_runs_and_sweeps_trace_once(loop):
    """Whatever is a value: seeds, rates, momenta, the number of epochs."""
    traces = []
    net = counting(traces)
    for rate, epochs in ((0.1, 1), (0.01, 3), (0.001, 2)):
        recipe = with_recipe(learning_rate=rate, epochs=epochs)
        members = [Member(0), Member(1, momentum=0.5, learning_rate=3 * rate)]
        list(train(net, recipe, SMALL, members, loop=loop))
    # To train, to evaluate, and before either to compare its outputs with the labels.
    assert sorted(traces) == [False, False, True]


# Going on


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("net", "loop"), [(DENSE, "scan"), (CONVOLUTIONAL, "dispatch")], ids=["scan", "dispatch"]
)
def test_going_on_from_any_step_gives_the_same_bits(net, loop):
    """With all that is random in a step, and the optimizer's state; also where the epoch ends."""
    recipe = with_recipe(augment=("flip",), optimizer="adam", schedule="cosine")
    options = {"loop": loop, "steps_per_update": 1}
    starts = []
    last = None
    for last in updates(net, recipe, SMALL, [0, 1], **options):
        starts.append(Start(last.arrays(), last.step))
    assert [start.step for start in starts] == list(range(7))
    for start in (starts[2], starts[3]):
        *_, again = updates(net, recipe, SMALL, [0, 1], start=start, **options)
        assert_same_bits(again.arrays(), last.arrays())


def test_going_on_with_other_states_is_refused():
    arrays = trained(DENSE, RECIPE, SMALL, [0, 1])[1]
    less = {name: array for name, array in arrays.items() if name != "variables/params/b"}
    with pytest.raises(fa.InputError, match="the checkpoint has nothing for variables/params/b"):
        next(updates(DENSE, RECIPE, SMALL, [0, 1], start=Start(less, 6)))
    wide = {**arrays, "variables/params/w": arrays["variables/params/w"][:, :-1]}
    with pytest.raises(fa.InputError, match=r"has float32 \(2, 63, 3\) for variables/params/w"):
        next(updates(DENSE, RECIPE, SMALL, [0, 1], start=Start(wide, 6)))


# What the recipe does to images


@pytest.mark.thorough
def test_the_ten_views_error_is_an_average_by_hand():
    recipe = with_recipe(augment=("random_crop(6)", "flip"), views="ten(6)")
    *_, last = train(DENSE, recipe, SMALL, [2])
    params = {k: np.asarray(v[0], float) for k, v in last.states.variables["params"].items()}
    assert params["w"].shape == (36, 3)
    images = SMALL.test.images[..., 0] / 255.0
    labels = SMALL.test.labels
    corners = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))
    crops = [images[:, top : top + 6, left : left + 6] for top, left in corners]
    crops += [crop[:, :, ::-1] for crop in crops]
    each = [
        scipy.special.softmax(crop.reshape(507, -1) @ params["w"] + params["b"], axis=-1)
        for crop in crops
    ]
    mean = np.mean(each, axis=0)
    assert last.test_error[0] == pytest.approx(np.mean(mean.argmax(-1) != labels), abs=1.5 / 507)
    loss = -np.log(mean[np.arange(507), labels]).mean()
    assert last.test_loss[0] == pytest.approx(loss, rel=1e-5)


@pytest.mark.thorough
def test_augmentation_is_of_training_only_and_another_each_time():
    """Of one image a batch, and a rate of next to nothing: the loss is that of the crop."""
    recipe = Recipe(
        epochs=1, batch_size=1, learning_rate=1e-30, augment=("random_crop(6)",), views="centre(6)"
    )
    one = dataclasses.replace(
        SMALL,
        train=Split(
            np.repeat(SMALL.train.images[:1], 40, 0), np.repeat(SMALL.train.labels[:1], 40)
        ),
    )
    *_, last = updates(DENSE, recipe, one, [0], steps_per_update=1)
    losses = []
    total = 0.0
    for update in updates(DENSE, recipe, one, [0], steps_per_update=1):
        now = float(update.groups[0].totals["loss"][0])
        losses = [*losses, now - total]
        total = now
        params = {k: np.asarray(v[0]) for k, v in update.groups[0].variables["params"].items()}
    image = one.train.images[0, ..., 0] / 255.0
    possible = []
    for top, left in itertools.product(range(3), repeat=2):
        logits = image[top : top + 6, left : left + 6].reshape(-1) @ params["w"] + params["b"]
        possible.append(-scipy.special.log_softmax(logits)[one.train.labels[0]])
    distance = np.abs(np.array(losses[1:])[:, None] - possible)
    assert distance.min(1).max() < 1e-4
    assert len(set(distance.argmin(1))) > 5
    assert last.epoch is not None


@pytest.mark.thorough
def test_preprocessing_is_done_before_and_to_both():
    recipe = with_recipe(preprocess=("gcn",))
    assert_same_bits(
        trained(DENSE, recipe, SMALL, [0])[1],
        trained(DENSE, RECIPE, preprocess(("gcn",), SMALL), [0])[1],
    )


# When it ends


def test_a_target_ends_it_when_every_seed_is_there():
    recipe = with_recipe(epochs=60, learning_rate=0.1)
    errors = trained(DENSE, recipe, SMALL, [0, 1])[0]["train_error"]
    target = 0.25
    first = int(np.argmax((errors[1:] <= target).all(1))) + 1
    assert 1 < first < 60
    assert (errors[first - 1] > target).any()
    stopped = trained(DENSE, dataclasses.replace(recipe, target_error=target), SMALL, [0, 1])
    np.testing.assert_array_equal(stopped[0]["train_error"], errors[: first + 1])


def test_a_budget_ends_it_after_an_epoch(monkeypatch):
    """By a clock that goes on by a second each time it is asked."""
    monkeypatch.setattr("time.perf_counter", itertools.count().__next__)
    recipe = with_recipe(epochs=1000, max_seconds=100.0)
    numbers = [update.epoch.number for update in updates(DENSE, recipe, SMALL, [0]) if update.epoch]
    assert 10 < len(numbers) < 100
    assert numbers == list(range(len(numbers)))
    later = Start(trained(DENSE, RECIPE, SMALL, [0])[1], step=6, elapsed=1000.0)
    assert len(list(updates(DENSE, recipe, SMALL, [0], start=later))) == 1


# Streams


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Real digits as PNG files, in a folder a class."""
    root = tmp_path_factory.mktemp("pictures")
    digits = load("mnist5k")
    for name, split, count in (("train", digits.train, 10), ("test", digits.test, 7)):
        for label in (3, 5, 8):
            place = root / name / str(label)
            place.mkdir(parents=True)
            for i in np.flatnonzero(split.labels == label)[:count]:
                Image.fromarray(split.images[i, ..., 0]).save(place / f"{i}.png")
    return root


def streamed(root, batch_size=8, test_batch=10, size=12, **options):
    opened = [
        open_stream(root, split=split, batch_size=count, image_size=size, **options)
        for split, count in (("train", batch_size), ("test", test_batch))
    ]
    return Streamed("digits", *opened)


STREAM = Recipe(epochs=2, batch_size=8, learning_rate=0.01)


def test_a_stream_is_trained_on_as_it_is_read(pictures):
    """Against steps over the same batches, one by one, and a count of what is wrong."""
    epochs, arrays = trained(DENSE, STREAM, streamed(pictures), [0, 1])
    same = streamed(pictures)
    state = make_init(DENSE, STREAM)(1, same.sample()[0])
    step = jax.jit(make_step(DENSE, STREAM, 3))
    losses = []
    for _ in range(6):
        images, labels = next(same.train)
        state, measured = step(state, (jnp.asarray(images), jnp.asarray(labels)))
        losses.append(float(measured["loss"]))
    np.testing.assert_allclose(
        arrays["variables/params/w"][1], state.variables["params"]["w"], **CLOSE
    )
    np.testing.assert_allclose(
        epochs["train_loss"][1:, 1], np.reshape(losses, (2, 3)).mean(1), rtol=1e-5
    )
    wrong = 0
    seen = 0
    for images, labels, mask in same.test_batches():
        logits, _ = DENSE.apply(state.variables, jnp.asarray(images) * 1.0, train=False, key=None)
        wrong += int(((logits.argmax(-1) != labels) & mask).sum())
        seen += int(mask.sum())
    assert seen == 21
    assert epochs["test_error"][-1, 1] == pytest.approx(wrong / 21)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("loop", ["scan", "dispatch"])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_stream_goes_on_within_an_epoch(pictures, loop, at):
    """In another reader, at the batch that comes next."""
    whole = trained(DENSE, STREAM, streamed(pictures), [0, 1], loop=loop)[1]
    for update in updates(DENSE, STREAM, streamed(pictures), [0, 1], loop=loop):
        if update.step == at:
            start = Start(update.arrays(), at, stream=update.stream)
            break
    else:
        pytest.fail("the step never came")
    *_, last = updates(DENSE, STREAM, streamed(pictures), [0, 1], start=start, loop=loop)
    assert last.step == 6
    assert_same_bits(last.arrays(), whole)


def test_streams_refused(pictures):
    cases = [
        (dataclasses.replace(STREAM, batch_size=4), {}, "batch size is 4, the stream's is 8"),
        (dataclasses.replace(STREAM, preprocess=("gcn",)), {}, "cannot be preprocessed"),
        (STREAM, {"test_batch": 513}, "test batches have 513 images; at most 512"),
    ]
    for recipe, options, said in cases:
        with pytest.raises(fa.InputError, match=said):
            next(train(DENSE, recipe, streamed(pictures, **options), [0]))
    sizes = streamed(pictures), streamed(pictures, size=14)
    mixed = Streamed("mixed", sizes[0].train, sizes[1].test)
    with pytest.raises(fa.InputError, match=r"\(12, 12, 1\) and test images \(14, 14, 1\)"):
        next(train(DENSE, STREAM, mixed, [0]))


# What is refused


@pytest.mark.parametrize(
    ("members", "options", "said"),
    [
        ([], {}, "no members"),
        ([0], {"loop": "scam"}, "unknown loop 'scam'; did you mean 'scan'"),
        ([0], {"split": "member"}, "unknown split 'member'; did you mean 'members'"),
        ([0], {"chunk": 0}, "chunk must be at least 1 member, not 0"),
        ([0], {"chunk": -1}, "chunk must be at least 1 member, not -1"),
        ([0], {"steps_per_update": 0}, "steps_per_update must be 1 or more"),
        (grid([0], negative_slope=[0.1]), {}, "unknown hyperparameter of the net 'negative_slope'"),
        (
            [Member(0, hyperparameters=(("a", 1.0),)), Member(1, hyperparameters=(("b", 1.0),))],
            {},
            "must name the same hyperparameters",
        ),
        ([Member(0), Member(1, hyperparameters=(("a", 1.0),))], {}, "must name the same"),
    ],
)
def test_trainings_refused(members, options, said):
    with pytest.raises(fa.InputError, match=said):
        next(train(DENSE, RECIPE, SMALL, members, **options))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"batch_size": 64}, "a batch of 64 is larger than the training set of 48 images"),
        (
            {"augment": ("random_crop(6)",)},
            "gives the net images of 6×6, testing gives images of 8×8",
        ),
        ({"augment": ("flop",)}, "unknown augmentation 'flop'; did you mean 'flip'"),
        ({"views": "tent(6)"}, "unknown view 'tent'; did you mean 'ten'"),
        ({"preprocess": ("gnc",)}, "unknown preprocessing 'gnc'; did you mean 'gcn'"),
        ({"momentum": 0.0}, "a member has a momentum, and the recipe has none"),
    ],
)
def test_recipes_refused(changed, said):
    with pytest.raises(fa.InputError, match=said):
        next(train(DENSE, with_recipe(**changed), SMALL, [Member(0, momentum=0.5)]))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([0], "the net leaves negative_slope open"),
        (grid([0], negative_slop=[0.1]), "'negative_slop'; did you mean 'negative_slope'"),
    ],
)
def test_hyperparameters_refused(members, said):
    with pytest.raises(fa.InputError, match=said):
        next(train(LEAKY, RECIPE, SMALL, members))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": True},
        {"seed": 0.5},
        {"seed": 2**31},
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"momentum": -0.1},
    ],
)
def test_members_refused(wrong):
    with pytest.raises(fa.InputError, match=next(iter(wrong))):
        Member(**wrong)


def test_seeds_of_numpy_are_seeds():
    whole, numpys = (trained(DENSE, RECIPE, SMALL, seeds)[1] for seeds in ([3, 4], np.arange(3, 5)))
    assert_same_bits(whole, numpys)
    assert_same_bits(member(whole, 1), member(numpys, 1))


def test_other_data_of_the_same_shape_is_other_data():
    """Programs are shared between data sets, what they are given is not."""
    one, other = (trained(DENSE, RECIPE, data, [0]) for data in (SMALL, random_data(seed=1)))
    assert not np.array_equal(one[0]["test_loss"], other[0]["test_loss"])
    chex.assert_trees_all_equal(one[1]["key"], other[1]["key"])
