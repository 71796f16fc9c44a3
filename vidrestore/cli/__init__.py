"""The `vidrestore` command: thin, over the public functions; each module holds the commands of one subject.

Only the module of the requested command is imported, so that `--version` and `--help` answer at once.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.
"""

# ruff: noqa: E402  slow imports come after the command line is hidden

from vidrestore.cli.process_arguments import hide_arguments
from vidrestore.process import wait_passively

hide_arguments()
wait_passively()

from typing import Annotated

import typer

from vidrestore import __version__
from vidrestore.cli import terminal
from vidrestore.cli.lazy import LazyGroup
from vidrestore.process import enable_safe_path

app = typer.Typer(
    name="vidrestore",
    cls=LazyGroup,
    help="Restore faces in videos: tracked, steady, and nothing else touched.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command, and turn every failure into one line and an exit code."""
    enable_safe_path()
    terminal.run_to_exit(app)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  a flag's callback
    if wanted:
        terminal.say(f"vidrestore {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Restore faces in videos: tracked, steady, and nothing else touched."""
