"""The commands that compare activations, here or as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import tyro

from flaxact import interrupts
from flaxact.cli.comparison import Loaded, Options
from flaxact.cli.reading import report
from flaxact.cli.train import command
from flaxact.cli.watching import notified
from flaxact.errors import InputError


def compare(options: Options) -> None:
    """Train each activation on the same model, data and seeds, and write a report.

    Runs that the folder already holds are not repeated.
    """
    tasks = options.loaded()
    with notified(options.on_finish, options.out), interrupts.raised():
        for task in _one_by_one(tasks):
            _compare(task)
        options.rank(tasks)


def _one_by_one(tasks: Sequence[Loaded]) -> Iterator[Loaded]:
    """Every task while its folder is held; of several its number is said."""
    from flaxact import studies
    from flaxact.progress import console

    for number, task in enumerate(tasks, 1):
        if len(tasks) > 1:
            heading = f"{number} of {len(tasks)}: {task}, in {task.folder}"
            console.print(heading, soft_wrap=True, highlight=False)
        with studies.held(task.folder):
            study = task.study
            if study.budget != "epochs":
                with console.status(f"measuring {study.budget}"):
                    study = studies.with_budget(study, task.data, task.folder)
            yield replace(task, study=study)


def _compare(task: Loaded) -> None:
    from flaxact import studies
    from flaxact.progress import Bar, console

    study, data, out = task.study, task.data, task.folder
    if _nothing_to_do(task):
        return
    if said := studies.resumption(study, data, out):
        console.print(said, soft_wrap=True, highlight=False)
    with Bar("epochs", lines=True) as bar:
        for progress in studies.run_held(study, data, out, command=command()):
            bar.show(progress.done, progress.total, progress.text)
    report(out)


def _nothing_to_do(task: Loaded) -> bool:
    from flaxact import studies
    from flaxact.progress import console

    study, data, out = task.study, task.data, task.folder
    if not studies.finished(study, data, out):
        return False
    study = studies.grown(study, out)
    runs = len(study.activations) * len(study.seeds)
    runs *= 1 if study.search else len(study.learning_rates)
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
    """Compare as cluster jobs, one per activation; run it again to submit jobs for missing runs.

    Needs flaxact[cluster]. The jobs must see the folder of the results under the same path.

    Args:
      cluster: slurm, or local for processes on this machine.
      options: What to compare.
      partition: The cluster's partition.
      minutes: Time limit of a job; a job that needs more is submitted again and resumes.
      gpus: GPUs per job.
      cpus: CPU cores per job.
      memory: Memory per job, in GB.
      at_once: Largest number of jobs at a time; by default all, or 1 with local.
      wait: Wait until all jobs have ended, and write the report; always on with local.
    """
    if options.until_decided is not None:
        raise InputError("launch sends all seeds at once: leave out --until-decided")
    tasks = options.loaded()
    from flaxact import studies
    from flaxact.progress import console
    from flaxact.studies.launch import Machine
    from flaxact.studies.launch import launch as send

    machine = Machine(partition, minutes, gpus, cpus, memory=memory)
    wait = wait or cluster == "local" or at_once is not None
    failed = []
    absent = 0
    with interrupts.raised():
        for task in _one_by_one(tasks):
            if _nothing_to_do(task):
                continue
            for job in send(
                task.study,
                task.data,
                task.folder,
                cluster=cluster,
                wait=wait,
                at_once=at_once,
                machine=machine,
                data_dir=options.data_dir,
                command=command(),
            ):
                line = f"job {job.number}, {job.activation}: {job.state} {job.text}"
                console.print(line, soft_wrap=True)
                failed += [job.activation] * (job.state == "failed")
            missing = studies.missing(task.study, task.data, task.folder)
            absent += len(missing)
            if wait and not missing:
                report(task.folder)
    if failed:
        raise InputError(
            f"{len(failed)} of the jobs failed ({', '.join(failed)}): run the command again to "
            "submit them again"
        )
    if absent:
        console.print(
            f"{absent} activations are not finished: the same command with --wait writes the report"
        )
    elif wait:
        options.rank(tasks)
