"""Run a study as cluster jobs through submitit, or as local processes: one job per activation.

A job trains the runs of its activation that are missing when it starts. It works in the study's folder,
which must be on a shared file system. If a job is lost, only its unsaved work is lost, and launching
again submits jobs for the missing runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, get_args

from flaxact import _own_code, models
from flaxact.data import Dataset, load
from flaxact.errors import InputError
from flaxact.models._catalogue import paths
from flaxact.studies._folder import recover
from flaxact.studies._results import check_options, write_results
from flaxact.studies.runs import missing, train_activation
from flaxact.studies.study import Study
from flaxact.studies.tuning import resolved
from flaxact.training.distributed import use_cores
from flaxact.training.folder.interrupt import STOPPED

Cluster = Literal["slurm", "local"]
CLUSTERS = get_args(Cluster)
CONTINUED = 50  # times that a job may run out of its minutes and go on in another
POLL = {"slurm": 15.0, "local": 0.2}  # seconds between looks at the jobs


@dataclass(frozen=True)
class Machine:
    """The resources of a job; None for the cluster's default."""

    partition: str | None = None
    minutes: int = 240
    gpus: int | None = None
    cpus: int | None = None
    memory: float | None = None  # in GB


@dataclass(frozen=True)
class Job:
    """The state of an activation's job: sent, done or failed; ``text`` is the reason of a failure."""

    activation: str
    number: str
    state: str
    text: str = ""


@dataclass(frozen=True)
class ActivationJob:
    """The work of a job; submitit pickles it and runs it on the cluster."""

    study: Study
    folder: Path
    activation: str
    data_dir: Path | None = None
    own_code: tuple[str, ...] = ()  # files, modules and paths of models that the study names

    def __call__(self) -> None:
        """Train what is missing of it."""
        for name in self.own_code:
            models.parse(name) if ":" in name else _own_code.load(name)
        use_cores()
        study = self.study
        data = load(study.dataset, data_dir=self.data_dir, image_size=study.image_size)
        recover(self.folder)
        with _saved_before_it_goes_on_elsewhere():
            for _, text in train_activation(study, data, self.folder, self.activation):
                print(text, flush=True)

    def checkpoint(self) -> object:
        """The job that submitit submits again after a timeout or preemption."""
        from submitit.helpers import DelayedSubmission  # type: ignore[import-not-found]

        return DelayedSubmission(self)


@contextlib.contextmanager
def _saved_before_it_goes_on_elsewhere() -> Iterator[None]:
    """At submitit's signal a training is stopped as by SIGTERM, which saves it; then it is sent again."""
    theirs = signal.getsignal(signal.SIGUSR2)
    outside = signal.getsignal(signal.SIGTERM)
    asked = []

    def stop(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGTERM) == outside and callable(theirs):
            theirs(number, frame)  # nothing is being trained that could be saved
        else:
            asked.append(number)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGUSR2, stop)
    try:
        yield
    except SystemExit as stopped:
        if asked and stopped.code == STOPPED:
            signal.signal(signal.SIGUSR2, theirs)
            signal.raise_signal(signal.SIGUSR2)
        raise
    finally:
        signal.signal(signal.SIGUSR2, theirs)


def executor(cluster: Cluster, folder: Path, machine: Machine) -> Any:
    """A submitit executor that keeps its files in ``folder/jobs``.

    Raises:
      InputError: submitit is not installed, or this machine has no such cluster.
    """
    try:
        import submitit  # type: ignore[import-not-found]
    except ImportError:
        raise InputError("launching jobs needs submitit: pip install 'flaxact[cluster]'") from None
    try:
        submitit_executor = submitit.AutoExecutor(
            folder.absolute() / "jobs", cluster, slurm_max_num_timeout=CONTINUED
        )
    except RuntimeError as error:
        raise InputError(f"cannot send jobs to {cluster}: {error}") from None
    submitit_executor.update_parameters(
        name="flaxact",
        timeout_min=machine.minutes,
        gpus_per_node=machine.gpus,
        cpus_per_task=machine.cpus,
        mem_gb=machine.memory,
        slurm_partition=machine.partition,
    )
    return submitit_executor


@dataclass
class Sent:
    """The jobs of a study: ``waiting`` activations, and submitit's ``running`` jobs by activation."""

    waiting: list[str]
    running: dict[str, Any] = field(default_factory=dict)


def launch(
    study: Study,
    data: Dataset,
    folder: Path,
    *,
    cluster: Cluster = "slurm",
    machine: Machine | None = None,
    at_once: int | None = None,
    wait: bool = True,
    data_dir: Path | None = None,
    command: str = "",
) -> Iterator[Job]:
    """Submit one job for every activation that has missing runs.

    Args:
      study: the study whose runs are trained.
      data: the data set that the study names.
      folder: for the results; the jobs must see it under the same path.
      cluster: ``slurm``, or ``local`` for processes of this machine.
      machine: the resources of each job.
      at_once: the largest number of jobs at a time; None for all, or for one at a time with
        ``local``. Needs ``wait``.
      wait: whether to wait for all jobs and then update ``results.json``.
      data_dir: where the jobs find the data.
      command: the command line, for the report.

    Yields:
      Each job when it is submitted, and again when it has ended.

    Raises:
      InputError: submitit is not installed, or this machine has no such cluster.
    """
    check_options(study, folder)
    sent = Sent(list(missing(study, data, folder)))
    submit = executor(cluster, folder, machine or Machine()).submit
    limit = at_once or (1 if cluster == "local" else len(sent.waiting))
    try:
        while sent.waiting or (wait and sent.running):
            while sent.waiting and (len(sent.running) < limit or not wait):
                activation = sent.waiting.pop(0)
                where = None if data_dir is None else data_dir.absolute()
                job = submit(
                    ActivationJob(
                        study,
                        folder.absolute(),
                        activation,
                        where,
                        own_code=(*_own_code.names, *paths),
                    )
                )
                sent.running[activation] = job
                yield Job(activation, job.job_id, "sent")
            if wait:
                time.sleep(POLL[cluster])
                yield from _ended(sent, study, data, folder)
    finally:
        if cluster == "local":
            for job in sent.running.values():
                job.cancel()
    if wait:
        write_results(resolved(study, data, folder), data, folder, command)


def _ended(sent: Sent, study: Study, data: Dataset, folder: Path) -> Iterator[Job]:
    for activation, job in list(sent.running.items()):
        if not job.done():
            continue
        del sent.running[activation]
        if activation not in missing(study, data, folder):
            yield Job(activation, job.job_id, "done")
        else:
            yield Job(activation, job.job_id, "failed", _why(job))


def _why(job: Any) -> str:
    """The last line of its error, and where the rest is."""
    lines = str(job.exception()).strip().splitlines()
    reason = next((line for line in reversed(lines) if line.strip(" -")), "no result")
    return f"{reason.strip()} (see {job.paths.stderr})"
