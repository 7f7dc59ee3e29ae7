"""Progress bars and tables for a terminal, a notebook or a log."""

from __future__ import annotations

import html
import threading
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
SILENT = 30.0  # seconds after which a log gets a line that says it is still at work


class _Cell:
    """The bar of a notebook: one output of a cell, which is updated. It needs no widgets."""

    def __init__(self, unit: str):
        from IPython.display import display

        self.unit = unit
        self.began = time.perf_counter()
        self.shown_at = 0.0
        self.handle: Any = display(self._drawn(0, 1, "starting"), display_id=True)

    def show(self, done: int, total: int, text: str) -> None:
        """Draw the bar again, at most five times per second."""
        if time.perf_counter() - self.shown_at > 0.2 or done == total:
            self.shown_at = time.perf_counter()
            self.handle.update(self._drawn(done, total, text))

    def _drawn(self, done: int, total: int, text: str) -> object:
        from IPython.display import HTML

        elapsed = _minutes(time.perf_counter() - self.began)
        status = f"{done}/{total} {self.unit}, {elapsed}, {html.escape(text)}"
        return HTML(
            f'<progress value="{done if total else 1}" max="{total or 1}" '
            f'style="vertical-align: middle"></progress> {status}'
        )


class Bar:
    """A progress bar: done, total, elapsed and remaining time, and a text.

    Args:
      unit: the unit of progress, such as steps.
      lines: whether each new text is printed as a line if there is no terminal, as in a log.
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
        self.state = 0, 0  # done, and of how many
        self.begun = self.said = time.monotonic()
        self.ended = threading.Event()

    def __enter__(self) -> Bar:
        if self.live:
            self.progress.start()
        elif console.is_jupyter:
            self.cell = _Cell(self.unit)
        elif self.lines:
            threading.Thread(target=self._keep_saying, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        if self.live:
            self.progress.stop()

    def _keep_saying(self) -> None:
        """Say every so many seconds in which nothing new is said that it is still at work."""
        while not self.ended.wait(max(0.1, self.said + SILENT - time.monotonic())):
            if time.monotonic() - self.said >= SILENT:
                self._line(f"{self.text} (at work, {self._clock()})")

    def _clock(self) -> str:
        """How long it took, and about how long it will take."""
        elapsed = time.monotonic() - self.begun
        done, total = self.state
        text = f"{_minutes(elapsed)} so far"
        if done:
            text += f", about {_minutes(elapsed / done * (total - done))} left"
        return text

    def _line(self, text: str) -> None:
        done, total = self.state
        self.said = time.monotonic()
        console.print(f"{done}/{total} {self.unit}: {text}", soft_wrap=True, highlight=False)

    def show(self, done: int, total: int, text: str) -> None:
        """Update the bar; raises KeyboardInterrupt if an earlier Ctrl-C was caught by other code."""
        interrupts.check()
        if self.live:
            self.progress.update(self.task, completed=done, total=total, description=text)
        elif self.cell:
            self.cell.show(done, total, text)
        self.state = done, total
        is_new = text != self.text
        self.text = text
        if self.lines and is_new and not (self.live or self.cell):
            self._line(text)


def _minutes(seconds: float) -> str:
    """Whole minutes and seconds.

    >>> _minutes(75.2), _minutes(59.9)
    ('1:15', '0:59')
    """
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def rich_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A rich table, for a terminal or a notebook."""
    table = Table(*titles, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to standard output; if that is not a terminal, the table is not cut to a width."""
    output = Console()
    if not output.is_terminal:
        output.width = 1000
    output.print(rich_table(titles, rows), highlight=False, markup=False)


class Shown:
    """The display of a training: a bar with steps and images per second, and one line per epoch."""

    def __init__(self, recipe: Any, members: int):
        self.bar = Bar("steps")
        self.recipe = recipe
        self.members = members
        self.first: tuple[int, float] | None = None

    def __enter__(self) -> Shown:
        self.bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.__exit__()

    def step(self, update: Any) -> None:
        """Show one or more finished steps."""
        if self.first is None:
            self.first = update.step, update.elapsed
            console.print(f"compiled in {update.compile_seconds:.1f} s")
        steps = update.step - self.first[0]
        seconds = update.elapsed - self.first[1]
        images = self.recipe.batch_size * self.members * steps
        text = f"{images / seconds:,.0f} images/s" if steps and seconds else ""
        self.bar.show(update.step, update.steps_per_epoch * self.recipe.epochs, text)

    def epoch(self, epoch: Any) -> None:
        """Print a line for a finished epoch, with the lowest test error over members."""
        lost = int((epoch.diverged_at >= 0).sum())
        if lost == self.members:
            text = "every member has diverged"
        else:
            best = int(np.nanargmin(epoch.test_error))
            text = f"test error {epoch.test_error[best]:.1%}"
            if epoch.number:
                text = (
                    f"training error {epoch.train_error[best]:.1%}, {text}, {epoch.seconds:.1f} s"
                )
            if self.members > 1:
                text += f" (best of {self.members}, {lost} diverged)"
        console.print(f"epoch {epoch.number}: {text}")
