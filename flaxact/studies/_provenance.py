"""How a study's results were obtained, in words, for the foot of its report."""

from __future__ import annotations

from flaxact.studies import summary
from flaxact.studies._records import Results
from flaxact.studies._search_records import Searched
from flaxact.studies._times import in_words
from flaxact.studies.search import TUNING_SEED


def provenance(results: Results) -> list[tuple[str, str]]:
    """How the results were obtained: titles and texts."""
    study, environment, dataset = results.study, results.environment, results.dataset
    rates = ", ".join(f"{rate:g}" for rate in study.learning_rates)
    rates = "" if study.search else f"learning rates {rates}, "
    at_once = sorted({run.runs_at_once for run in results.runs})
    absent = summary.missing_runs(results)
    rows = [
        ("command", environment.command or "(none: made from Python)"),
        ("model", f"{study.model}, {results.model.parameters:,} parameters"),
        (
            "data",
            f"{dataset.name}, {dataset.train_images:,} training and "
            f"{dataset.test_images:,} test images of {list(dataset.image_shape)}; {dataset.note}",
        ),
        (
            "training",
            f"{_recipe(results)}, {rates}seeds "
            f"{', '.join(map(str, study.seeds))}; for equal seeds every activation starts from the same "
            "weights, and sees the same batches and augmentations",
        ),
        *([("tuning", _tuning(results))] if study.search else []),
        *([("budget", budget(results))] if study.budget != "epochs" else []),
        (
            "timing",
            f"{', '.join(map(str, at_once))} run(s) of a cell, the time of their epoch "
            "divided by their number; the activations one after another on one machine, so small "
            "differences mean little",
        ),
        (
            "versions",
            f"flaxact {environment.flaxact}, jax {environment.jax}, "
            f"flax {environment.flax}, Python {environment.python}",
        ),
        ("device, date", f"{environment.device}, {environment.date}"),
    ]
    rows += [("where the time went", in_words(results.times))] * bool(results.times)
    return rows + [("not run yet", summary.listed(absent, "; "))] * bool(absent)


def _tuning(results: Results) -> str:
    """How learning rates were chosen, in words, with what each activation's search has cost."""
    space = results.study.search
    assert space is not None
    rungs = ", ".join(
        f"{keep} after {rung}" for rung, keep in zip(space.rungs, space.keep, strict=True)
    )
    cost = [f"{name} {outcome.epochs}" for name, outcome in results.tuned.items()]
    if space.names:
        what, candidates = _points(space)
        rule = "Every activation has the same points and the same budget"
    else:
        what = "learning rates"
        candidates = f"{len(space.rates)} rates from {min(space.rates):g} to {max(space.rates):g}"
        rule = (
            "A grid whose best rate is at its edge is widened by two rates, at most "
            f"{space.widenings} times: the same rule for every activation"
        )
    return (
        f"{what} by successive halving on seed {TUNING_SEED}, which is not evaluated, with a "
        f"fifth of the training images held out for validation: {candidates}"
        + (f", of which remain {rungs} epochs" if rungs else "")
        + f"; the last are trained for {space.epochs}. {rule}. Epochs trained: {summary.listed(cost)}"
    )


def _points(space: Searched) -> tuple[str, str]:
    """What a search over points tunes, and the points, in words."""
    names = [name.replace("_", " ") for name in space.names]
    ranges = [
        f"{name} {low:g} to {high:g}"
        for name, low, high in zip(names, space.lows, space.highs, strict=True)
    ]
    scale = "on a log scale" if len(names) == 1 else "on log scales"
    scale += ", for momentum of 1 − momentum" * ("momentum" in names)
    fixed = "" if "learning_rate" in space.names else f" at learning rate {space.rates[0]:g}"
    return " and ".join(names), (
        f"{len(space.points)} points of a Sobol sequence scrambled with seed {space.sampling_seed}"
        f"{fixed} ({', '.join(ranges)}; {scale})"
    )


MEASURED = {
    "flops": "FLOPs of a training step, as XLA counts them before it optimizes the program, with a "
    "transcendental function as one",
    "time": "time of a training step, measured side by side with the reference's, one net on one device",
}


def budget(results: Results) -> str:
    """How many epochs each activation was trained for, and what share of the budget that is."""
    study = results.study
    texts = []
    for name, epochs in study.epochs_of.items():
        cost = study.costs.get(name, 1.0)
        share = epochs * cost / study.epochs
        texts.append(f"{name} {epochs} epochs at a cost of {cost:.2f}, {share:.0%} of the budget")
    return f"{MEASURED[study.budget]}; rounded to whole epochs: {summary.listed(texts)}"


def _recipe(results: Results) -> str:
    """How it was trained, in words."""
    study, listed = results.study, {"epochs", "batch_size", "momentum", "schedule", "optimizer"}
    tuned = study.search.names if study.search else ()
    more = [
        f"{k.replace('_', ' ')} {_text(v)}"
        for k, v in study.recipe.items()
        if v and k not in listed
    ]
    words = [
        study.recipe.get("optimizer", "SGD"),
        *([] if "momentum" in tuned else [f"momentum {study.momentum:g}"]),
        f"{study.schedule} schedule",
        f"batches of {study.batch_size}",
        f"{study.epochs} epochs",
        *more,
    ]
    return ", ".join(words)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
