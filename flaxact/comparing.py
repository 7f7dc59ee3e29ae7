"""The commands that compare activations, here or as jobs of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from flaxact.commands import begin, command, report
from flaxact.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """What is compared, and where.

    Attributes:
      activations: Names or spec texts, such as relu "elu(alpha=0.5)" "centered(relu)".
      model: Name or spec text, such as "cuda_convnet(variant=18pct, width=0.5)".
      dataset: mnist5k, or the name of a TFDS image classification set.
      seeds: Number of runs of each activation, with seeds 0, 1, 2, ...
      epochs: Passes over the training images.
      batch_size: Images a step.
      learning_rate: One, or several from which each activation gets its own best by training error.
      momentum: Of SGD.
      schedule: Of the learning rate; steps divides by 10 after 80% and again after 90%.
      target_error: Training error, as a fraction, for "epochs to".
      image_size: Side to which images of different sizes are brought, in pixels.
      data_dir: Where TFDS keeps its data sets; FLAXACT_DATA_DIR says so too.
      out: Folder of the results; runs of other studies in it are left alone.
    """

    activations: tyro.conf.Positional[tuple[str, ...]]
    model: str = "cuda_convnet(width=0.25)"
    dataset: str = "mnist5k"
    seeds: int = 3
    epochs: int = 6
    batch_size: int = 32
    learning_rate: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    momentum: float = 0.9
    schedule: Literal["constant", "cosine", "steps"] = "constant"
    target_error: float = 0.1
    image_size: int | None = None
    data_dir: Path | None = None
    out: Path = Path("flaxact-results")

    def loaded(self) -> tuple[Any, Any]:
        """The study and its data, checked."""
        from flaxact import data as datasets
        from flaxact._shown import console
        from flaxact.studies.study import Study, check_folder
        from flaxact.training.recipe import Recipe

        study = Study(
            activations=self.activations,
            model=self.model,
            dataset=self.dataset,
            seeds=tuple(range(self.seeds)),
            learning_rates=self.learning_rate,
            recipe=Recipe(
                self.epochs, self.batch_size, momentum=self.momentum, schedule=self.schedule
            ),
            target_error=self.target_error,
            image_size=self.image_size,
        )
        datasets.check(self.dataset, data_dir=self.data_dir)
        check_folder(self.out)
        begin(None, None, None)
        with console.status(f"loading {self.dataset}"):
            data = datasets.load(self.dataset, data_dir=self.data_dir, image_size=self.image_size)
        from flaxact import studies

        studies.check(study, data)
        return study, data


Options = Annotated[Comparison, tyro.conf.arg(name="")]


def compare(options: Options) -> None:
    """Train each activation on the same model, data and seeds, and write a report.

    What the folder holds already is not trained again.
    """
    study, data = options.loaded()
    from flaxact import studies
    from flaxact._shown import Bar

    if _nothing_to_do(study, data, options.out):
        return
    with Bar("epochs") as bar:
        for progress in studies.run(study, data, options.out, command=command()):
            bar.show(progress.done, progress.total, progress.text)
    report(options.out)


def _nothing_to_do(study: Any, data: Any, out: Path) -> bool:
    from flaxact import studies
    from flaxact._shown import console

    if not studies.finished(study, data, out):
        return False
    runs = len(list(study.cells())) * len(study.seeds)
    console.print(f"nothing to do: all {runs} runs are there. The report: {out}/report.html")
    return True


def launch(
    cluster: tyro.conf.Positional[Literal["slurm", "local"]],
    options: Options,
    *,
    partition: str | None = None,
    minutes: int = 240,
    gpus: int | None = None,
    cpus: int | None = None,
    memory: float | None = None,
    at_once: int | None = None,
    wait: bool = False,
) -> None:
    """Compare as jobs of a cluster, one an activation; again, it sends what is not there.

    Needs flaxact[cluster]. The folder has to be one that the jobs see.

    Args:
      cluster: slurm, or local for processes of this machine.
      options: What to compare.
      partition: Of the cluster, in which jobs wait.
      minutes: A job's time; one that needs more is sent again, and goes on.
      gpus: A job's.
      cpus: A job's.
      memory: A job's, in GB.
      at_once: So many jobs; locally 1 if not said.
      wait: Until all have ended, and write the report; locally always.
    """
    study, data = options.loaded()
    from flaxact import studies
    from flaxact._shown import console
    from flaxact.studies.launch import Machine
    from flaxact.studies.launch import launch as send

    if _nothing_to_do(study, data, options.out):
        return
    wait, failed = wait or cluster == "local" or at_once is not None, []
    for job in send(
        study, data, options.out, cluster=cluster, wait=wait, at_once=at_once,
        machine=Machine(partition, minutes, gpus, cpus, memory),
        data_dir=options.data_dir, command=command(),
    ):  # fmt: skip
        console.print(f"job {job.number}, {job.activation}: {job.state} {job.text}", soft_wrap=True)
        failed += [job.activation] * (job.state == "failed")
    if failed:
        raise InputError(
            f"{len(failed)} of the jobs failed ({', '.join(failed)}): the same command sends them again"
        )
    if wait:
        report(options.out)
    else:
        absent = studies.missing(study, data, options.out)
        console.print(
            f"{len(absent)} activations are not finished: the same command with --wait writes the report"
        )
