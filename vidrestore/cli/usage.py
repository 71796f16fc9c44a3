"""Wrong usage, reported without letting the words of the command line act on the terminal."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from vidrestore.printable import printable

_UsageError: Any = typer.BadParameter.__base__
"""The class of usage errors: typer exports no name for it, and has moved it from click into itself."""


def run_command(command: typer.Typer | Callable[..., object]) -> None:
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
