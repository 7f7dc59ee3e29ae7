"""Curves recorded within epochs: their windows, and that a stopped run resumes to the same bits."""

import dataclasses
import json
import math

import numpy as np
import pytest

from flaxact import data
from flaxact.data import few
from flaxact.models import create_model
from flaxact.net import from_linen
from flaxact.reproduction.curves import Curve, record_curve
from flaxact.statistics import Crossing, crossing
from flaxact.training import Member, Recipe, train

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


@pytest.fixture(scope="module")
def problem():
    images = data.load()
    images = dataclasses.replace(images, train=few(images.train, 160), test=few(images.train, 48))
    return from_linen(create_model("mlp(depth=1, width=0.05)", "tanh")), images


def test_windows_add_up_to_the_epochs_errors(problem, tmp_path):
    net, images = problem
    curve = record_curve(net, RECIPE, images, member=Member(1), folder=tmp_path, windows=4)
    epochs = list(train(net, RECIPE, images, [Member(1)]))[1:]
    assert curve.window_ends[:4] == (3, 6, 9, 10)
    lengths = np.diff([0, *curve.window_ends]).reshape(3, 4)
    sums = (lengths * np.array(curve.window_errors).reshape(3, 4)).sum(1) / 10
    np.testing.assert_allclose(sums, [e.train_error[0] for e in epochs], atol=1e-4)
    np.testing.assert_allclose(curve.clean_errors, [e.test_error[0] for e in epochs], atol=1e-5)
    assert [time for time, _ in curve.clean()] == [1.0, 2.0, 3.0]
    running = dict(curve.running())
    for number, epoch in enumerate(epochs):
        assert running[number + 0.5] == pytest.approx(epoch.train_error[0], abs=1e-4)


@pytest.mark.thorough
def test_a_stopped_run_resumes_and_a_finished_one_can_be_extended(problem, tmp_path):
    net, images = problem
    whole = record_curve(net, RECIPE, images, member=Member(1), folder=tmp_path / "whole")
    short = dataclasses.replace(RECIPE, epochs=1)
    record_curve(net, short, images, member=Member(1), folder=tmp_path / "parts")
    calls = []
    parts = record_curve(
        net,
        RECIPE,
        images,
        member=Member(1),
        folder=tmp_path / "parts",
        observe=lambda u: calls.append(u.step),
    )
    same = {"seconds": 0.0, "observed": ()}
    assert dataclasses.replace(parts, **same) == dataclasses.replace(whole, **same)
    assert calls == [20, 30]
    again = record_curve(net, RECIPE, images, member=Member(1), folder=tmp_path / "parts")
    assert again.window_errors == whole.window_errors


def test_a_run_ends_where_it_is_told_to(problem, tmp_path):
    net, images = problem
    curve = record_curve(
        net,
        RECIPE,
        images,
        member=Member(1),
        folder=tmp_path,
        until=lambda curve: len(curve.clean_errors) == 2,
    )
    assert curve.epochs == 2


def test_a_diverged_run_ends_and_crosses_nothing(problem, tmp_path):
    net, images = problem
    wild = dataclasses.replace(RECIPE, learning_rate=1e30, epochs=5)
    net = from_linen(create_model("mlp(depth=1, width=0.05)", "relu"))
    curve = record_curve(net, wild, images, member=Member(1), folder=tmp_path)
    assert curve.diverged_at >= 0
    assert curve.epochs == 1
    assert curve.window_errors[-1] is None
    assert math.isinf(crossing(curve.running(), 0.99).high)


def test_json_keeps_a_curve(problem, tmp_path):
    net, images = problem
    curve = record_curve(
        net,
        RECIPE,
        images,
        member=Member(2),
        folder=tmp_path,
        observe=lambda update: {"step": update.step},
    )
    assert [each["step"] for each in curve.observed] == [0, 10, 20, 30]
    assert Curve.from_json(json.loads(json.dumps(dataclasses.asdict(curve)))) == curve


def test_a_running_mean_of_a_line_is_the_line():
    ends = tuple(range(5, 101, 5))
    errors = tuple(1 - (end - 2.5) / 100 for end in ends)
    curve = Curve(steps_per_epoch=20, window_ends=ends, window_errors=errors)
    for time, error in curve.running():
        assert error == pytest.approx(1 - 20 * time / 100, abs=1e-5)
    assert crossing(curve.running(), 0.25) == Crossing(pytest.approx(3.75), pytest.approx(3.75))
