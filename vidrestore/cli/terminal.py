"""What every command shares: where it prints, how it fails, how it shows that it is at work."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vidrestore.errors import Interrupted, VidrestoreError

out = Console()
err = Console(stderr=True)


def run_to_exit(command: Callable[[], object]) -> None:
    """Run a command, and turn every failure into one line and an exit code."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _stop)
    try:
        command()
    except Interrupted:
        fail("interrupted; nothing was left under the final name")
    except VidrestoreError as error:
        fail(error.message)
    except Exception as error:
        if os.environ.get("VIDRESTORE_DEBUG"):
            raise
        fail(f"internal error, please report it: {type(error).__name__}: {error} (VIDRESTORE_DEBUG=1 shows where)")


def fail(message: str) -> NoReturn:
    """Say in one line on stderr what went wrong, and exit with 1."""
    err.print(f"[bold red]vidrestore:[/] {plain(' '.join(message.split()))}", soft_wrap=True, highlight=False)
    sys.exit(1)


def warn(message: str) -> None:
    """Say in one line on stderr what the user should know."""
    err.print(f"[yellow]warning:[/] {plain(message)}", soft_wrap=True, highlight=False)


def say(message: str) -> None:
    """Print one line of result, however long."""
    out.print(message, soft_wrap=True, highlight=False, markup=False)


def show_table(title: str, head: Sequence[str], body: Iterable[Sequence[str]]) -> None:
    """Print cells of text under a title; the first column names the row, the others are numbers."""
    drawn = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    drawn.add_column(head[0], overflow="fold")
    for name in head[1:]:  # a terminal has 80 columns: headings break, so that numbers need not
        drawn.add_column(plain(name.replace(" ", "\n")), justify="right", no_wrap=True)
    for cells in body:
        drawn.add_row(*map(plain, cells))
    out.print(drawn)


def plain(text: str) -> str:
    """Keep square brackets of a message from being read as markup."""
    return text.replace("[", r"\[")


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Drop what the user did not say, so that a configuration file keeps its word."""
    nested = {name: given(value) if isinstance(value, dict) else value for name, value in options.items()}
    return {name: value for name, value in nested.items() if value not in (None, {})}


def parse_faces(text: str) -> int:
    """`all`, `largest` or a number, as the count that the configuration wants."""
    words = {"all": 0, "largest": 1}
    if text in words:
        return words[text]
    if text.isdecimal() and int(text) > 0:
        return int(text)
    message = f"{text!r} is neither 'all' nor 'largest' nor a positive number"
    raise typer.BadParameter(message)


@contextmanager
def live_bar(*, quiet: bool) -> Iterator[Progress | None]:
    """A bar on stderr with a field `told` beside it; None where nobody watches."""
    if quiet or not err.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        yield bar


def _stop(number: int, _frame: FrameType | None) -> None:
    message = f"stopped by {signal.Signals(number).name}"
    raise Interrupted(message)
