"""Functions that all commands share: printing, failing, showing progress.

Whatever is printed here may hold foreign text: it is made printable on its way out, and is never read as markup.
"""

import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import IO, NoReturn, TextIO, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidrestore.cli.standard_stream import StandardStream
from vidrestore.cli.usage import run_command
from vidrestore.errors import Interrupted, VidrestoreError
from vidrestore.exception_hooks import install_exception_hooks
from vidrestore.former_options import FormerOptionWarning
from vidrestore.printable import few, printable, printable_lines

out = Console(file=cast("IO[str]", StandardStream("stdout")))
err = Console(file=cast("IO[str]", StandardStream("stderr")), stderr=True)
_MOST_OF_A_CELL = 100_000
"""Maximum length of a cell in characters; a cell may describe hundreds of streams."""


def run_to_exit(command: typer.Typer | Callable[..., object]) -> None:
    """Run a command, or a function whose arguments are a command's, and turn every failure into one line and a code."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _stop)
    install_exception_hooks()
    warnings.showwarning = _show_warning
    try:
        run_command(command)
    except Interrupted:
        fail("interrupted; no output was written")
    except VidrestoreError as error:
        fail(error.message)
    except Exception as error:  # noqa: BLE001  the last line of defence
        if os.environ.get("VIDRESTORE_DEBUG"):
            err.print(Text(printable_lines("".join(traceback.format_exception(error)))), soft_wrap=True)
        fail(f"internal error, please report it: {_text_of(error)} (VIDRESTORE_DEBUG=1 shows where)")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as Python does, unless it is meant for the user of the command."""
    if issubclass(category, FormerOptionWarning):
        warn(str(message))
    else:
        (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def _text_of(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  an error whose text cannot be made is still one to report
        return type(error).__name__


def fail(message: str) -> NoReturn:
    """Print in one line on stderr what went wrong, and exit with 1."""
    err.print(Text.assemble(("vidrestore:", "bold red"), " ", printable(message.strip())), soft_wrap=True)
    sys.exit(1)


def warn(message: str) -> None:
    """Print in one line on stderr what the user should know."""
    err.print(Text.assemble(("warning:", "yellow"), " ", printable(message)), soft_wrap=True)


def warn_all(messages: Sequence[str]) -> None:
    """Print the first of many warnings, and how many more there are; a report has them all."""
    for message in few(messages):
        warn(message)


def say(message: str) -> None:
    """Print one line of result, however long."""
    out.print(Text(printable(message)), soft_wrap=True)


def say_lines(text: str) -> None:
    """Print text whose line feeds are our own, such as a table."""
    for line in text.split("\n"):
        say(line)


def remark(message: str) -> None:
    """Print one line on stderr that is neither a result nor a warning."""
    err.print(Text(printable(message)), soft_wrap=True)


def say_json(value: object) -> None:
    """Print a value for machines: in ASCII, which keeps every name exact, and every escape sequence an escape."""
    out.print(Text(json.dumps(value, indent=2, default=str)), soft_wrap=True)


def show_table(title: str, head: Sequence[str], body: Iterable[Sequence[str]]) -> None:
    """Print cells of text under a title; the first column names the row, the others are numbers."""
    drawn = Table(title=cell(title), title_justify="left", box=None, padding=(0, 1, 0, 0))
    drawn.add_column(cell(head[0]), overflow="fold")
    for name in head[1:]:  # a terminal has 80 columns: headings break, so that numbers need not
        drawn.add_column(Text("\n").join(map(cell, name.split(" "))), justify="right", no_wrap=True)
    for cells in body:
        drawn.add_row(*map(cell, cells))
    out.print(drawn)


def cell(text: str, *, style: str = "") -> Text:
    """Foreign text for a table of rich, which would read a `str` as markup."""
    return Text(printable(text, most=_MOST_OF_A_CELL), style=style)


def _stop(number: int, _frame: FrameType | None) -> None:
    message = f"stopped by {signal.Signals(number).name}"
    raise Interrupted(message)
