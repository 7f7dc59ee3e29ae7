"""The commands that compare activations, here or as jobs of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from flaxact import interrupts
from flaxact.cli.train import begin, command, read_recipe, report
from flaxact.cli.watching import notified
from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.studies.study import Study

DEFAULTS = {"epochs": 6, "batch_size": 32, "momentum": 0.9, "schedule": "constant"}
RATES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)


@dataclass(frozen=True)
class Comparison:
    """What is compared, and where.

    Attributes:
      activations: Names or spec texts, such as relu "elu(alpha=0.5)" "centered(relu)".
      model: Name or spec text, such as "cuda_convnet(variant=18pct, width=0.5)".
      dataset: mnist5k, or the name of a TFDS image classification set.
      seeds: Number of runs of each activation, with seeds 0, 1, 2, ...
      reference: The activation that the others are compared with; the first if not given.
      until_decided: Add seeds, up to so many in all, until every other activation is told apart from the
        reference by a sequential test.
      recipe: TOML file of the training recipe; omitted fields take their defaults.
      option: Fields of the recipe, as "optimizer='adam'" "precision='bfloat16'" "augment=['flip']"; they
        override the file's.
      epochs: Passes over the training images; 6 where the recipe does not say.
      batch_size: Images a step; 32 where the recipe does not say.
      learning_rate: One, or several from which each activation gets its own best; where the recipe says
        none 0.001 0.002 0.004 0.008 0.016 0.032.
      search: How the best of several rates is found. halving: successive halving on a seed and on
        validation images that are not evaluated; then the seeds are trained at the best rate only, and
        rates beyond an edge are tried where the best is there. grid: every seed at every rate, judged by
        training error.
      momentum: Of SGD; 0.9 where the recipe does not say.
      schedule: Of the learning rate: constant, cosine, plateau or steps, which divides by 10 after 80%
        and again after 90%; constant where the recipe does not say.
      target_error: Training error, as a fraction, for "epochs to".
      image_size: Height and width in pixels to which images are resized.
      keep_params: Keep each run's trained variables; flaxact.studies.load_trained reads them.
      data_dir: Where TFDS keeps its data sets; FLAXACT_DATA_DIR says so too.
      out: Folder of the results. It holds comparisons with the same options; what it has is not trained
        again.
      on_finish: A shell command that is run at the end; its environment has FLAXACT_OUTCOME, which is
        done, stopped or failed, and FLAXACT_FOLDER.
    """

    activations: tyro.conf.Positional[tuple[str, ...]]
    model: str = "cuda_convnet(width=0.25)"
    dataset: str = "mnist5k"
    seeds: int = 5
    reference: str | None = None
    until_decided: int | None = None
    recipe: Path | None = None
    option: tuple[str, ...] = ()
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: tuple[float, ...] = ()
    search: Literal["halving", "grid"] = "halving"
    momentum: float | None = None
    schedule: str | None = None
    target_error: float = 0.1
    image_size: int | None = None
    keep_params: bool = False
    data_dir: Path | None = None
    out: Path = Path("flaxact-results")
    on_finish: str | None = None

    def study(self) -> Study:
        """What it says, checked.

        Raises:
          InputError: an unknown name or field, a value out of its range, or a field that is given both
            by an option of its own and by ``--option``.
        """
        from flaxact.studies.search import halving
        from flaxact.studies.study import Study
        from flaxact.training.recipe import Recipe, fields_in

        options = fields_in("\n".join(self.option))
        flags = {name: getattr(self, name) for name in DEFAULTS if getattr(self, name) is not None}
        given = {*flags, *(["learning_rate"] if self.learning_rate else [])}
        for name in options:
            if name in given:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{name} is given by {flag} and by --option: give it once")
        fields = DEFAULTS | fields_in(read_recipe(self.recipe)) | options | flags
        rate = fields.pop("learning_rate", None)
        recipe = Recipe(**fields)
        rates = self.learning_rate or (RATES if rate is None else (rate,))
        by_halving = self.search == "halving" and len(rates) > 1
        return Study(
            activations=self.activations,
            model=self.model,
            dataset=self.dataset,
            seeds=tuple(range(self.seeds)),
            learning_rates=rates,
            search=halving(sorted(rates), recipe.epochs) if by_halving else None,
            recipe=recipe,
            target_error=self.target_error,
            image_size=self.image_size,
            keep_params=self.keep_params,
            reference=self.reference,
            until_decided=self.until_decided,
        )

    def loaded(self) -> tuple[Any, Any]:
        """The study and its data, checked."""
        from flaxact import data as datasets
        from flaxact.progress import console
        from flaxact.studies.study import check_folder

        study = self.study()
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
    from flaxact.progress import Bar, console

    with (
        notified(options.on_finish, options.out),
        studies.held(options.out),
        interrupts.raised(),
    ):
        if _nothing_to_do(study, data, options.out):
            return
        if said := studies.resumption(study, data, options.out):
            console.print(said, soft_wrap=True, highlight=False)
        with Bar("epochs", lines=True) as bar:
            for progress in studies.run_held(study, data, options.out, command=command()):
                bar.show(progress.done, progress.total, progress.text)
        report(options.out)


def _nothing_to_do(study: Any, data: Any, out: Path) -> bool:
    from flaxact import studies
    from flaxact.progress import console

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
    """Compare as cluster jobs, one per activation; the same command submits what is missing.

    Needs flaxact[cluster]. The folder has to be one that the jobs see.

    Args:
      cluster: slurm, or local for processes of this machine.
      options: What to compare.
      partition: Of the cluster, in which jobs wait.
      minutes: Time limit of a job; one that needs more is submitted again and resumes.
      gpus: A job's.
      cpus: A job's.
      memory: A job's, in GB.
      at_once: Largest number of jobs at once; locally 1 by default.
      wait: Until all have ended, and write the report; locally always.
    """
    if options.until_decided is not None:
        raise InputError("launch sends all seeds at once: leave out --until-decided")
    study, data = options.loaded()
    from flaxact import studies
    from flaxact.progress import console
    from flaxact.studies.launch import Machine
    from flaxact.studies.launch import launch as send

    with studies.held(options.out), interrupts.raised():
        if _nothing_to_do(study, data, options.out):
            return
        wait = wait or cluster == "local" or at_once is not None
        failed = []
        for job in send(
            study,
            data,
            options.out,
            cluster=cluster,
            wait=wait,
            at_once=at_once,
            machine=Machine(partition, minutes, gpus, cpus, memory=memory),
            data_dir=options.data_dir,
            command=command(),
        ):
            said = f"job {job.number}, {job.activation}: {job.state} {job.text}"
            console.print(said, soft_wrap=True)
            failed += [job.activation] * (job.state == "failed")
        if failed:
            raise InputError(
                f"{len(failed)} of the jobs failed ({', '.join(failed)}): the same command sends them "
                "again"
            )
        if wait:
            report(options.out)
            return
    absent = studies.missing(study, data, options.out)
    console.print(
        f"{len(absent)} activations are not finished: the same command with --wait writes the report"
    )
