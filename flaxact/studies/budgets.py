"""Equal budgets in FLOPs or in time: the number of epochs of each activation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxact import models
from flaxact.data import Dataset, augmentation
from flaxact.errors import InputError
from flaxact.net import from_linen
from flaxact.stored.files import (
    DamagedError,
    check_seal,
    make_folder,
    read_json,
    sealed,
    write_json,
)
from flaxact.studies.study import Study, identity
from flaxact.training.prepare import preprocessed
from flaxact.training.state import make_init
from flaxact.training.step import make_step

PATH = "budget.json"
ROUNDS = 5  # of timing, in which an activation and the reference take turns
LEAST = 0.2  # seconds of steps in a round


def with_budget(study: Study, data: Dataset, folder: Path) -> Study:
    """The study with each activation's epochs at an equal budget; unchanged if the budget is epochs.

    The reference is trained for the recipe's epochs, and every other activation for the number of
    epochs that cost the same, rounded. Costs are measured once and stored in the folder.

    Raises:
      InputError: the compiler does not count FLOPs on this backend.
    """
    if study.budget == "epochs":
        return study
    study = replace(study, epochs_of=(), costs=())
    ratios = _ratios(study, data, folder)
    epochs = study.recipe.epochs
    epochs_of = {name: max(1, round(epochs / ratio)) for name, ratio in ratios.items()}
    return replace(study, epochs_of=tuple(epochs_of.items()), costs=tuple(ratios.items()))


def _ratios(study: Study, data: Dataset, folder: Path) -> dict[str, float]:
    """By activation the cost of a training step over that of the reference."""
    known = _stored(folder)
    base = study.reference or study.activations[0]
    names = {name: _identity(study, data, name, base) for name in study.activations}
    absent = [name for name in study.activations if names[name] not in known]
    if absent:
        measure = _flops if study.budget == "flops" else _times
        known |= {names[name]: ratio for name, ratio in measure(study, data, absent, base).items()}
        make_folder(folder)
        write_json(folder / PATH, sealed({"ratios": known}))
    return {name: known[names[name]] for name in study.activations}


def _identity(study: Study, data: Dataset, name: str, base: str) -> str:
    configs = [study.config(each, 0.0, 0, data.digest) for each in (name, base)]
    for config in configs:
        del config["seed"], config["learning_rate"], config["epochs"]
    return identity({"budget": study.budget, "of": configs[0], "over": configs[1]})


def _stored(folder: Path) -> dict[str, float]:
    try:
        value = read_json(folder / PATH)
        check_seal(value, folder / PATH)
        return dict(value["ratios"])
    except (FileNotFoundError, DamagedError, LookupError, TypeError):
        return {}


def _flops(study: Study, data: Dataset, names: list[str], base: str) -> dict[str, float]:
    of_base = _operations(study, data, base)
    return {name: _operations(study, data, name) / of_base for name in names}


def _operations(study: Study, data: Dataset, activation: str) -> float:
    """FLOPs of a training step of one net, as XLA counts them; a transcendental function counts as one.

    They are counted in the program before it is optimized, which takes a fraction of the time.
    """
    step, _, arguments = _step(study, data, activation)
    analysis = step.lower(*arguments).cost_analysis() or {}
    if not analysis.get("flops", 0) > 0:
        raise InputError(
            f"JAX does not count FLOPs on {jax.default_backend()}: choose --budget time"
        )
    return analysis["flops"] + max(0.0, analysis.get("transcendentals", 0.0))


def _times(study: Study, data: Dataset, names: list[str], base: str) -> dict[str, float]:
    """Measured side by side with the reference, one net on one device, nothing else of ours running."""
    of_base = _timer(study, data, base)
    ratios = {}
    for name in names:
        timer = of_base if name == base else _timer(study, data, name)
        pairs = [(timer(), of_base()) for _ in range(ROUNDS)]
        ratios[name] = 1.0 if name == base else statistics.median(a / b for a, b in pairs)
    return ratios


def _timer(study: Study, data: Dataset, activation: str) -> Callable[[], float]:
    """A function that trains for a while, and gives the seconds of a step."""
    step, init, arguments = _step(study, data, activation)
    batch = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), arguments[1])
    compiled = step.lower(*arguments).compile()
    state = jax.jit(init)(0, batch[0])

    def seconds() -> float:
        jax.block_until_ready(compiled(state, batch))
        began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < LEAST:
            jax.block_until_ready(compiled(state, batch))
            count += 1
        return (time.perf_counter() - began) / count

    return seconds


def _step(study: Study, data: Dataset, activation: str) -> tuple[Any, Any, tuple[Any, Any]]:
    """The step of one net, its initialization, and the shapes of the step's arguments."""
    recipe = study.recipe
    images = preprocessed(recipe.preprocess, data).train.images
    net = from_linen(models.create_model(study.model, activation, num_classes=data.num_classes))
    init = make_init(net, recipe)
    size = recipe.batch_size
    batch = (
        jax.ShapeDtypeStruct((size, *images.shape[1:]), images.dtype),
        jax.ShapeDtypeStruct((size,), np.int32),
    )
    state = jax.eval_shape(init, 0, batch[0])
    steps = len(images) // size
    step = make_step(net, recipe, steps, augmentation(recipe.augment, images))
    return jax.jit(lambda state, batch: step(state, batch)[0]), init, (state, batch)
