"""`vidrestore models`: the zoo of weights."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from vidrestore.cli.terminal import cell, live_bar, out, say
from vidrestore.models import zoo
from vidrestore.restoration.pipeline import RestoreConfig

models = typer.Typer(help="The zoo of weights.", no_args_is_help=True)


def fetch_weights(name: str, *, quiet: bool = False) -> Path:
    """Download what this machine lacks where the user can see it, not inside a worker."""
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            return zoo.resolve(name)
        task = bar.add_task(f"fetching {name}", total=None, visible=False, told="")
        return zoo.resolve(
            name, on_progress=lambda held, total: bar.update(task, completed=held, total=total, visible=True)
        )


def fetch_needed(restore: RestoreConfig, *, quiet: bool) -> None:
    """Download what a restoration needs."""
    detector = restore.detector.name
    names = [restore.restorer.model, *(entry.name for entry in zoo.entries() if entry.name == detector)]
    for name in names:
        fetch_weights(name, quiet=quiet)


@models.command("list")
def list_models() -> None:
    """Name every model, and say which are here."""
    table = Table("name", "kind", "size", "here", "licence", "what it is")
    for entry in zoo.entries():
        here = "yes" if zoo.is_here(entry.name) else "no"
        size = f"{entry.size / 2**20:.0f} MB" if entry.size else "?"
        table.add_row(*map(cell, (entry.name, entry.kind, size, here, entry.licence, entry.description)))
    out.print(table)


@models.command()
def fetch(name: Annotated[str, typer.Argument(help="A name of `vidrestore models list`.")]) -> None:
    """Download a model once, verified."""
    say(str(fetch_weights(name)))


@models.command()
def verify(name: Annotated[str, typer.Argument(help="A name of `vidrestore models list`.")]) -> None:
    """Hash a model's file again, whatever is remembered of it."""
    say(f"{zoo.verify(name)}: sha256 matches")
