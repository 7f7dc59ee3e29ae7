"""The command that trains a model."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from flaxact import _own_code, interrupts
from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.data import Dataset, Stream
    from flaxact.data.streamed import Streamed
    from flaxact.training import Recipe


def train(
    activation: tyro.conf.Positional[str],
    *,
    model: str = "cuda_convnet(width=0.25)",
    dataset: str = "mnist5k",
    recipe: Path | None = None,
    option: tuple[str, ...] = (),
    seeds: int = 1,
    learning_rate: tuple[float, ...] = (),
    momentum: tuple[float, ...] = (),
    sweep: tuple[str, ...] = (),
    stream: bool = False,
    workers: int = 2,
    image_size: int | None = None,
    data_dir: Path | None = None,
    out: Path = Path("flaxact-run"),
    chunk: int | None = None,
    split: Literal["members", "batch"] | None = None,
    save_seconds: float = 60.0,
    profile: bool = False,
    tensorboard: bool = False,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
) -> None:
    """Train a model with several seeds and learning rates at once; run it again to resume.

    Args:
      activation: Name or spec text.
      model: Name or spec text.
      dataset: mnist5k, the name of a TFDS image classification set, a folder with a subfolder of images
        per class, or an npz file.
      recipe: TOML file; omitted fields take their defaults.
      option: Fields of the recipe, as "epochs=20" "optimizer='adamw'" "augment=['crop', 'flip']";
        they override the recipe file.
      seeds: Number of runs, with seeds 0, 1, 2, ...
      learning_rate: Overrides the recipe's; several rates are trained at once.
      momentum: Overrides the recipe's; several values are trained at once.
      sweep: Values of the activation's hyperparameters to train at once, as "negative_slope=0,0.1,0.3".
      stream: Read images during training, for data sets that do not fit into memory.
      workers: Processes that read and decode images.
      image_size: Height and width in pixels to which images are resized; required with --stream.
      data_dir: Folder of the TFDS data sets; default: the environment variable FLAXACT_DATA_DIR.
      out: Folder of the run.
      chunk: Number of nets that one program trains; by default as many as fit into memory.
      split: What to divide among several devices, members (nets) or batch; by default members if
        there are enough.
      save_seconds: Seconds between checkpoints.
      profile: Write a profiler trace of some steps.
      tensorboard: Write TensorBoard files too; needs flaxact[tensorboard].
      coordinator: For several processes: host:port of the first. Under Slurm and on TPU pods,
        "environment" suffices, without the next two options.
      processes: Number of processes.
      process: Index of this process, from 0.
    """
    from flaxact import models
    from flaxact.activations import get
    from flaxact.training import Recipe, grid

    resolved = Recipe.from_toml(read_recipe(recipe), "\n".join(option))
    name = str(models.parse(model))
    act = str(get(activation))
    members = grid(
        range(seeds), learning_rate or (None,), momentum or (None,), **dict(map(_swept, sweep))
    )
    begin(coordinator, processes, process)
    data = _data(dataset, resolved, image_size, workers if stream else None, data_dir=data_dir)
    from flaxact import training
    from flaxact.data.catalogue import own as own_data
    from flaxact.net import from_linen
    from flaxact.progress import Shown
    from flaxact.studies.study import own_definitions

    module = models.create_model(name, act, num_classes=data.num_classes)
    net = from_linen(module, members[0].swept)
    own = [*own_definitions(act, name), *(own_data[n] for n in [dataset] if n in own_data)]

    with interrupts.raised(), Shown(resolved, len(members)) as shown:
        for epoch in training.run(
            net,
            resolved,
            data,
            members,
            folder=out,
            model=f"{name} with {act}",
            own_code=_own_code.digests(own),
            save_seconds=save_seconds,
            profile=profile,
            tensorboard=tensorboard,
            watch=shown.step,
            chunk=chunk,
            split=split,
        ):
            shown.epoch(epoch)
    print(f"The run: {out / 'result.json'}")


def read_recipe(file: Path | None) -> str:
    """The text of a recipe file; an empty text for None."""
    try:
        return file.read_text("utf-8-sig") if file else ""  # with or without a byte-order mark
    except OSError as error:
        raise InputError(f"cannot read the recipe {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read the recipe {file}: byte {error.start} is not UTF-8; save it in that encoding"
        ) from None


def _swept(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, values = text.partition("=")
    try:
        return name, tuple(map(float, values.split(",")))
    except ValueError:
        raise InputError(
            f"a sweep is a hyperparameter and its values, as negative_slope=0,0.1, not {text!r}"
        ) from None


def begin(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Set up JAX before its first use: one device per core, or several processes."""
    from flaxact.training.distributed import initialize, keep_programs, use_cores

    if coordinator is None and processes is None and process is None:
        use_cores()
    else:
        initialize(None if coordinator == "environment" else coordinator, processes, process)
    keep_programs()
    import jax

    jax.devices()  # it starts here, where an interrupt ends the process, and not within a training


def _data(
    dataset: str, recipe: Recipe, size: int | None, workers: int | None, data_dir: Path | None
) -> Dataset | Streamed:
    """A data set in memory, or for a number of workers one that is read while it is trained on."""
    from flaxact import data

    if workers is None:
        return data.load(dataset, data_dir=data_dir, image_size=size)
    if size is None:
        raise InputError("--stream needs an --image-size, in pixels")
    import jax

    from flaxact.data.streamed import Streamed
    from flaxact.training.programs import EVALUATION_BATCH

    ahead = jax.device_put if jax.device_count() == 1 else None

    def stream(split: str, batch_size: int) -> Stream:
        return data.open_stream(
            dataset,
            split=split,
            batch_size=batch_size,
            image_size=size,
            workers=workers,
            data_dir=data_dir,
            put=ahead,
            shard=(jax.process_index(), jax.process_count()),
        )

    train = stream("train", recipe.batch_size)
    test = stream("test", EVALUATION_BATCH)
    return Streamed(dataset, train, test)


def command() -> str:
    """The command line of this process, as text."""
    return shlex.join(["flaxact", *sys.argv[1:]])
