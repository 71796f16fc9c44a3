"""Commands by name: the module of a command is imported when it is run, or its own help is asked for."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from vidrestore.cli.terminal import warn
from vidrestore.logs import open_log, show_log


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Location of a command, and its line in the list of commands."""

    place: str
    """Module below `vidrestore.cli`, and the name there: of a function, or of a `typer.Typer` with its own commands."""
    summary: str
    """First sentence of its help, which a test compares."""

    def load(self, name: str) -> Any:  # noqa: ANN401  typer has its own copy of click, without types
        """Import the command."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(f"vidrestore.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command(name)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = name
        _add_log_options(command)
        return command


def _add_log_options(command: Any) -> None:  # noqa: ANN401  as above
    """Add `--verbose` and `--log-file` to a command, and to all below it."""
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            _add_log_options(below)
        return
    app = typer.Typer(add_completion=False)
    app.command()(_log_options)
    for option in typer.main.get_command(app).params[:2]:
        option.expose_value = False
        command.params.append(option)


def _log_options(
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            callback=lambda value: show_log(value) if value else None,
            help="Log to stderr what is done; -vv: with details.",
        ),
    ] = 0,
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            callback=lambda value: open_log(value) if value else None,
            help="Append the detailed log to a file.",
        ),
    ] = None,
) -> None:
    """Do nothing: only the options of this function are of use."""


COMMANDS: Final[dict[str, LazyCommand]] = {
    "restore": LazyCommand("restore:restore", "Restore the faces in one video."),
    "batch": LazyCommand("batch:batch", "Restore many videos, or long ones, on one machine or many."),
    "stream": LazyCommand("stream:stream", "Restore the faces in live streams."),
    "demo": LazyCommand("restore:demo", "Make two damaged videos, restore them, and draw a before/after image."),
    "probe": LazyCommand("restore:probe_video", "Describe a video."),
    "degrade": LazyCommand("degrade:degrade", "Damage a video as an archive would, to measure a restorer on it."),
    "compare": LazyCommand("compare:compare", "Compare restored videos with a reference, frame by frame."),
    "evaluate-model": LazyCommand("evaluate_model:evaluate_model", "Evaluate models on faces whose truth is known."),
    "build-faces": LazyCommand("build_faces:build_faces", "Build a training set of aligned faces from photographs."),
    "train": LazyCommand("train:train", "Train GFP-GAN, or its generative prior, on a folder of aligned faces."),
    "models": LazyCommand("zoo:models", "List, download and verify models."),
    "jobs": LazyCommand("batch:jobs", "List, inspect and clean up jobs."),
    "config": LazyCommand("config:config", "Show, explain and document options."),
}
FORMER_COMMANDS: Final = {"metrics": "compare", "evaluate": "evaluate-model", "align": "build-faces"}
"""Former names, understood until the next release, with a warning."""


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`; to list them, none of their modules is imported."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002, D102  click's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002, D102  click's
        name = FORMER_COMMANDS.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(name=name, help=COMMANDS[name].summary)
        if name != cmd_name:
            warn(f"the command {cmd_name} is called {name} now; the former name goes with the next release")
        return COMMANDS[name].load(name)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, D102  click's
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False
