"""What is shown on the terminal while something trains."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flaxact._lazy import np

console = Console(stderr=True)


class Bar:
    """How much is done, of how much, how long it took and will take, and a text."""

    def __init__(self, unit: str):
        columns = (
            BarColumn(16), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"),
        )  # fmt: skip
        self.progress = Progress(*columns, console=console)
        self.task = self.progress.add_task("starting", total=None)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, done: int, total: int, text: str) -> None:
        """Bring it up to date."""
        self.progress.update(self.task, completed=done, total=total, description=text)


class Shown:
    """A run: steps and images a second in a bar, and a line an epoch."""

    def __init__(self, recipe: Any, members: int):
        self.bar, self.recipe, self.members = Bar("steps"), recipe, members
        self.first: Any = None

    def __enter__(self) -> Shown:
        self.bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.__exit__()

    def step(self, update: Any) -> None:
        """A step has been done, or many."""
        if self.first is None:
            self.first = update.step, update.elapsed
            console.print(f"compiled in {update.compile_seconds:.1f} s")
        steps, seconds = update.step - self.first[0], update.elapsed - self.first[1]
        images = self.recipe.batch_size * self.members * steps
        text = f"{images / seconds:,.0f} images/s" if steps and seconds else ""
        self.bar.show(update.step, update.steps_per_epoch * self.recipe.epochs, text)

    def epoch(self, epoch: Any) -> None:
        """An epoch has ended: a line, of the member with the least test error."""
        lost = int((epoch.diverged_at >= 0).sum())
        if lost == self.members:
            said = "every member has diverged"
        else:
            best = int(np.nanargmin(epoch.test_error))
            said = f"test error {epoch.test_error[best]:.1%}"
            if epoch.number:
                said = (
                    f"training error {epoch.train_error[best]:.1%}, {said}, {epoch.seconds:.1f} s"
                )
            if self.members > 1:
                said += f" (best of {self.members}, {lost} diverged)"
        console.print(f"epoch {epoch.number}: {said}")
