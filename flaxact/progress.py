"""What is shown while something trains, and at its end: on a terminal, in a notebook, or in a log."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flaxact import interrupts
from flaxact._lazy import np

console = Console(stderr=True)


class _Cell:
    """The bar of a notebook: one output of a cell, which is updated. It needs no widgets."""

    def __init__(self, unit: str):
        from IPython.display import display

        self.unit = unit
        self.began = time.perf_counter()
        self.shown_at = 0.0
        self.handle: Any = display(self._drawn(0, 1, "starting"), display_id=True)

    def show(self, done: int, total: int, text: str) -> None:
        """Draw it anew, at most five times a second."""
        if time.perf_counter() - self.shown_at > 0.2 or done == total:
            self.shown_at = time.perf_counter()
            self.handle.update(self._drawn(done, total, text))

    def _drawn(self, done: int, total: int, text: str) -> Any:
        from IPython.display import HTML

        seconds = int(time.perf_counter() - self.began)
        said = f"{done}/{total} {self.unit}, {seconds // 60}:{seconds % 60:02}, {html.escape(text)}"
        return HTML(
            f'<progress value="{done if total else 1}" max="{total or 1}" '
            f'style="vertical-align: middle"></progress> {said}'
        )


class Bar:
    """How much is done, of how much, how long it took and will take, and a text.

    Args:
      unit: of what is done.
      lines: whether each new text is a line where there is no terminal, as in a log; else nothing is.
    """

    def __init__(self, unit: str, *, lines: bool = False):
        columns = (
            BarColumn(16),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.unit = unit
        self.lines = lines
        self.live = console.is_terminal
        self.cell: _Cell | None = None
        self.progress = Progress(*columns, console=console)
        self.task = self.progress.add_task("starting", total=None)
        self.text = ""

    def __enter__(self) -> Bar:
        if self.live:
            self.progress.start()
        elif console.is_jupyter:
            self.cell = _Cell(self.unit)
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.progress.stop()

    def show(self, done: int, total: int, text: str) -> None:
        """Bring it up to date; raises an interrupt that was caught on its way."""
        interrupts.check()
        if self.live:
            self.progress.update(self.task, completed=done, total=total, description=text)
        elif self.cell:
            self.cell.show(done, total, text)
        elif self.lines and text != self.text:
            console.print(f"{done}/{total} {self.unit}: {text}", soft_wrap=True, highlight=False)
        self.text = text


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the standard output, as wide as it is where that is no terminal."""
    table = Table(*titles, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    output = Console()
    if not output.is_terminal:
        output.width = 1000
    output.print(table, highlight=False, markup=False)


class Shown:
    """A run: steps and images a second in a bar, and a line an epoch."""

    def __init__(self, recipe: Any, members: int):
        self.bar = Bar("steps")
        self.recipe = recipe
        self.members = members
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
        steps = update.step - self.first[0]
        seconds = update.elapsed - self.first[1]
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
