"""`vidrestore config`: which options there are, what they mean, and what they are set to."""

import difflib
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from vidrestore.cli.options import Config, Settings
from vidrestore.cli.terminal import out, say
from vidrestore.config import Option, apply_settings, json_schema, parts, read_toml, to_toml_value, walk
from vidrestore.errors import ConfigError

_PLACES: Final[dict[str, tuple[str, str]]] = {
    "restore": ("jobs.config", "JobConfig"),
    "batch": ("jobs.config", "BatchConfig"),
    "stream": ("live.config", "StreamConfig"),
    "degrade": ("degradation.video", "DegradeConfig"),
    "train": ("training.recipes", "training_preset"),
}
"""Command -> module, and the class of its default configuration there."""
_FORMATTED: Final = 100

config = typer.Typer(help="Show, explain and document options.", no_args_is_help=True)

Command = Annotated[str, typer.Option("--for", metavar="|".join(_PLACES), help="Command whose options are meant.")]


def default_config(command: str) -> Any:  # noqa: ANN401  one dataclass or another
    """Return the default configuration of a command.

    Raises:
        ConfigError: the command takes none.
    """
    if command not in _PLACES:
        raise ConfigError(f"--for is {command!r}; use one of {', '.join(_PLACES)}")
    module, name = _PLACES[command]
    make: Callable[..., Any] = getattr(import_module(f"vidrestore.{module}"), name)
    return make("official") if command == "train" else make()


def commands() -> tuple[str, ...]:
    """Return the commands that have a configuration."""
    return tuple(_PLACES)


@config.command()
def show(
    command: Command = "batch",
    config: Config = None,
    settings: Settings = None,
) -> None:
    """Print all options with their values as a commented TOML file.

    The output is itself a file for --config.
    """
    for line in toml_lines(_chosen(command, config, settings)):
        say(line)


@config.command()
def explain(
    path: Annotated[
        str, typer.Argument(help="Path of an option or of a table, such as restore.tracker.", metavar="PATH")
    ],
    command: Command = "batch",
    config: Config = None,
    settings: Settings = None,
) -> None:
    """Explain an option, or all options of a table."""
    known = list(walk(_chosen(command, config, settings)))
    default = {one.path: one.value for one in walk(default_config(command))}
    chosen = [one for one in known if one.path == path or one.path.startswith(f"{path}.")]
    if not chosen:
        raise ConfigError(_advice(path, known, command))
    for option in chosen:
        bounds = f", {option.bounds}" if option.bounds else ""
        say(f"{option.path} = {to_toml_value(option.value)}")
        say(f"    {option.description}")
        say(f"    Type: {option.kind}{bounds}. Default: {to_toml_value(default.get(option.path, option.value))}.")


@config.command()
def schema(command: Command = "batch") -> None:
    """Print the JSON Schema of the options, for editors of TOML files."""
    out.file.write(json.dumps(json_schema(default_config(command)), indent=2) + "\n")


def toml_lines(chosen: object) -> Iterator[str]:
    """Yield a configuration as lines of TOML, each option with its description and range."""
    options = {one.path: one for one in walk(chosen)}
    documented = {path: (kind.__doc__ or "").strip().partition("\n")[0] for path, kind in parts(chosen)}
    tables: dict[str, list[Option]] = {}
    for path, option in options.items():
        tables.setdefault(path.rpartition(".")[0], []).append(option)
    for table in sorted(tables, key=bool):  # options of no table come first, as TOML wants it
        yield f"# {documented.get(table, '')}"
        if table:
            yield f"[{table}]"
        absent = bool(table) and table in options  # a part that is none by default
        for option in tables[table]:
            yield from _comment(option)
            name = option.path.rpartition(".")[2]
            hidden = "# " if absent or any(other.startswith(f"{option.path}.") for other in options) else ""
            yield f"{hidden}{name} = {to_toml_value(option.value)}"
        yield ""


def _comment(option: Option) -> Iterator[str]:
    bounds = f" ({option.kind}{', ' if option.bounds else ''}{option.bounds})"
    words, line = f"{option.description}{bounds}".split(" "), "#"
    for word in words:
        if len(line) + len(word) >= _FORMATTED:
            yield line
            line = "#"
        line += f" {word}"
    yield line


def _chosen(command: str, file: Path | None, settings: list[str] | None) -> object:
    chosen = default_config(command)
    if file is not None:
        if command == "stream":
            raise ConfigError("--config of a stream names streams; give options of one with --set")
        chosen = read_toml(chosen, file)
    return apply_settings(chosen, settings or [])


def _advice(path: str, known: list[Option], command: str) -> str:
    paths = [one.path for one in known]
    near = difflib.get_close_matches(path, paths, n=1) or [
        one for one in paths if one.rpartition(".")[2] == path.rpartition(".")[2]
    ]
    advice = f"did you mean {near[0]!r}?" if near else f"see `vidrestore config show --for {command}`"
    return f"unknown option {path}: {advice}"
