"""The stored variables of runs, one file per run, and how to load them for ``model.apply``."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from flaxact._lazy import np
from flaxact.errors import InputError
from flaxact.stored import files
from flaxact.stored.files import DamagedError
from flaxact.studies import summary
from flaxact.studies._folder import VARIABLES
from flaxact.studies._records import Results, Run, read_folder

if TYPE_CHECKING:
    from flax import linen as nn

    from flaxact.net import Variables


def packed(variables: Variables) -> bytes:
    """Variables as the bytes of an npz file, by path."""
    from flax.traverse_util import flatten_dict

    buffer = io.BytesIO()
    arrays = {name: np.asarray(value) for name, value in flatten_dict(variables, sep="/").items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_variables(path: Path, digest: str) -> Variables:
    """The variables stored in a file.

    Args:
      path: path of the file.
      digest: the file's SHA-256.

    Raises:
      DamagedError: the file is missing or damaged.
    """
    from flax.traverse_util import unflatten_dict

    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        raise DamagedError(f"{path} is lost; the same comparison trains its run again") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise DamagedError(f"{path} was changed or damaged: its SHA-256 is not the stored one")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return unflatten_dict({name: arrays[name] for name in arrays.files}, sep="/")
    except (ValueError, zipfile.BadZipFile) as error:
        raise DamagedError(f"{path} cannot be read: {error}") from None


def load_trained(
    folder: Path | str,
    activation: str,
    *,
    seed: int | None = None,
    learning_rate: float | None = None,
) -> tuple[nn.Module, Variables]:
    """The model of a run that ``flaxact compare --keep-params`` trained, and its variables.

    The variables are ready for ``model.apply(variables, images, train=False)``, with images as
    pixels from 0 to 255, preprocessed as the recipe says.

    Args:
      folder: folder of the comparison.
      activation: name or spec text.
      seed: None for the first seed.
      learning_rate: None for the activation's best rate.

    Raises:
      InputError: there is no such run, its variables were not kept, or they are damaged.
    """
    from flaxact import models

    folder = Path(folder)
    results = read_folder(folder)
    run = _run(results, activation, seed, learning_rate)
    if run.variables is None:
        raise InputError(
            f"the variables of {run.config['activation']}, seed {run.config['seed']}, were not kept: "
            "flaxact compare --keep-params keeps them"
        )
    variables = read_variables(folder / "runs" / run.id / VARIABLES, run.variables)
    model = models.create_model(
        results.study.model, run.config["activation"], num_classes=results.dataset.num_classes
    )
    return model, variables


def _run(results: Results, activation: str, seed: int | None, rate: float | None) -> Run:
    from flaxact.activations import get

    name = str(get(activation))
    study = results.study
    if rate is None:
        rate = summary.best_rate(results, name)
    for run in summary.runs_of(results, name, -1.0 if rate is None else rate):
        if seed is None or run.config["seed"] == seed:
            return run
    wanted = "" if seed is None else f", seed {seed}"
    wanted += "" if rate is None else f", learning rate {rate:g}"
    rates = ", ".join(f"{rate:g}" for rate in study.learning_rates)
    raise InputError(
        f"no run of {name}{wanted}; there are {', '.join(study.activations)} with seeds "
        f"{', '.join(map(str, study.seeds))} and learning rates {rates}"
    )
