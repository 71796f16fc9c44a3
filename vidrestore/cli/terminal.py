"""The terminal, for all commands: running one to its exit code, printing, failing.

Whatever is printed here may hold foreign text: it is made printable on its way out, and is never read as markup.
"""

import io
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO, Any, Literal, NoReturn, TextIO, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidrestore.errors import Interrupted, OutputError, VidrestoreError
from vidrestore.exception_hooks import install_exception_hooks
from vidrestore.former_options import FormerOptionWarning
from vidrestore.printable import few, printable, printable_lines

_UsageError: Any = typer.BadParameter.__base__
"""The class of usage errors: typer exports no name for it, and has moved it from click into itself."""


class StandardStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr`, whichever object that is at the time, for a console of rich.

    Characters that the terminal's encoding lacks are written as escapes. A stream that is closed, or whose reader has
    gone, swallows what is written: that nobody reads is no failure of the work. Nothing is raised for stderr, on which
    failures are reported.

    Raises:
        OutputError: the text could not be written to stdout, such as to a disk that is full.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    @property
    def rich_proxied_file(self) -> "StandardStream":
        """The file to which rich writes while a bar of its own takes the place of `sys.stderr`."""
        return self

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a plain attribute
        """Encoding of the stream as it is at present."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(ValueError, AttributeError):  # closed, or no file at all
            return self._stream().isatty()
        return False

    def fileno(self) -> int:
        """Return its descriptor, where it has one."""
        return self._stream().fileno()

    def write(self, text: str) -> int:
        """Write to the stream, escaping what it cannot encode."""
        encoding = self.encoding
        self._attempt(lambda stream: stream.write(text.encode(encoding, "backslashreplace").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._attempt(lambda stream: stream.flush())

    def _stream(self) -> IO[str]:
        stream: Any = getattr(sys, self._name)
        return cast("IO[str]", getattr(stream, "rich_proxied_file", stream))

    def _attempt(self, work: Any) -> None:  # noqa: ANN401  of any result
        stream = self._stream()
        if stream is None or getattr(stream, "closed", False):
            return
        try:
            work(stream)
        except (OSError, ValueError) as error:
            _discard_rest(stream)
            if self._name == "stdout" and not isinstance(error, BrokenPipeError | ValueError):
                raise OutputError(f"standard output could not be written: {error.strerror}") from error


def _discard_rest(stream: IO[str]) -> None:
    """Discard what is buffered: written when Python ends, it would change the exit code to 120."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


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
        _run_command(command)
    except Interrupted:
        fail("interrupted; no output was written")
    except VidrestoreError as error:
        fail(error.message)
    except Exception as error:  # noqa: BLE001  the last line of defence
        if os.environ.get("VIDRESTORE_DEBUG"):
            err.print(Text(printable_lines("".join(traceback.format_exception(error)))), soft_wrap=True)
        fail(f"internal error, please report it: {_text_of(error)} (VIDRESTORE_DEBUG=1 shows where)")


def _run_command(command: typer.Typer | Callable[..., object]) -> None:
    """Run an application, or a function as one, on the arguments of this process.

    Raises:
        SystemExit: with 2 after wrong usage was reported, with the code that `typer.Exit` asked for.
    """
    app = command if isinstance(command, typer.Typer) else _application(command)
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        message = error.format_message
        error.format_message = lambda: printable(message())
        from typer import rich_utils  # noqa: PLC0415  slow to import, and seldom needed

        with suppress(SystemExit, OSError, ValueError):  # nobody reads it: the exit code remains
            rich_utils.rich_format_error(error)
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _application(function: Callable[..., object]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return app


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
