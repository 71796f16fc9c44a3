"""The `vidrestore` command: thin, over the public functions; each module holds the commands of one subject.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.
"""

# ruff: noqa: E402  what takes seconds to load comes after the command line is hidden

from vidrestore.cli.process_arguments import hide_arguments

hide_arguments()

from typing import Annotated

import typer

from vidrestore import __version__
from vidrestore.cli import batch, degrade, evaluate, faces, films, metrics, stream, terminal, train, zoo
from vidrestore.safe_path import enable_safe_path

app = typer.Typer(
    name="vidrestore",
    help="Restore the faces in films: tracked, steady, and nothing else touched.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(films.restore)
app.command()(films.demo)
app.command()(stream.stream)
app.command()(batch.batch)
app.command(name="probe")(films.probe_film)
app.command()(faces.align)
app.command()(degrade.degrade)
app.command()(evaluate.evaluate)
app.command()(metrics.metrics)
app.command()(train.train)
app.add_typer(zoo.models, name="models")
app.add_typer(batch.jobs, name="jobs")


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
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Restore the faces in films."""
