"""A progress bar, where somebody watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vidrestore.cli.terminal import err
from vidrestore.printable import printable


class ProgressBar:
    """One bar on stderr with a note behind it."""

    def __init__(self, bar: Progress, description: str, *, total: float | None, visible: bool) -> None:
        self._bar = bar
        self._task = bar.add_task(description, total=total, visible=visible, note="")

    def show(self, done: float, total: float | None, note: str = "", *, description: str | None = None) -> None:
        """Redraw the bar."""
        known: dict[str, Any] = {} if total is None else {"total": total}
        self._bar.update(self._task, completed=done, note=note, description=description, visible=True, **known)

    def rate(self, done: float) -> float:
        """Return the steps per second so far."""
        seconds = self._bar.tasks[self._task].elapsed
        return done / seconds if seconds else 0.0


Arguments = ParamSpec("Arguments")


@contextmanager
def live_progress(
    description: str,
    show: Callable[Concatenate[ProgressBar, Arguments], None],
    *,
    quiet: bool,
    total: float | None = None,
    visible: bool = True,
) -> Iterator[Callable[Arguments, None] | None]:
    """Show a bar on stderr, redrawn by `show`; give a callback of its other arguments, or None where nobody watches."""
    if quiet or not err.is_terminal:
        yield None
        return
    with Progress(*bar_columns(), console=err, transient=True) as bar:
        yield partial(show, ProgressBar(bar, description, total=total, visible=visible))


def bar_columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar, from left to right."""
    return (
        Words(lambda task: task.description),
        BarColumn(),
        TaskProgressColumn(),
        Words(lambda task: str(task.fields.get("note", ""))),
        TimeElapsedColumn(),
        Words(lambda _: "ETA"),
        TimeRemainingColumn(),
    )


class Words(ProgressColumn):
    """A column of foreign text; rich's own reads it as markup."""

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        """Return the words as they are at present."""
        return Text(printable(self._words(task)))
