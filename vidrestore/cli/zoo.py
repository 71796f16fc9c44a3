"""`vidrestore models`: list, download and verify models."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import cell, out, say
from vidrestore.models import zoo
from vidrestore.restoration.config import RestoreConfig

models = typer.Typer(help="List, download and verify models.", no_args_is_help=True)


def fetch_weights(name: str, *, quiet: bool = False) -> Path:
    """Download what this host lacks where the user can see it, not inside a worker."""
    with live_progress(f"downloading {name}", ProgressBar.show, quiet=quiet, visible=False) as on_progress:
        return zoo.resolve(name, on_progress=on_progress)


def fetch_needed(restore: RestoreConfig, *, quiet: bool) -> None:
    """Download what a restoration needs."""
    detector = restore.detector.name
    names = [*zoo.choices(restore.restorer.model), *(entry.name for entry in zoo.entries() if entry.name == detector)]
    for name in names:
        fetch_weights(name, quiet=quiet)


@models.command("list")
def list_models() -> None:
    """List every model, and whether it is downloaded."""
    table = Table("name", "kind", "size", "downloaded", "licence", "description")
    for entry in zoo.entries():
        here = "yes" if zoo.is_here(entry.name) else "no"
        size = f"{entry.size / 2**20:.0f} MB" if entry.size else "?"
        table.add_row(*map(cell, (entry.name, entry.kind, size, here, entry.licence, entry.description)))
    out.print(table)


@models.command()
def fetch(name: Annotated[str, typer.Argument(help="Model name; see `vidrestore models list`.")]) -> None:
    """Download a model and verify it."""
    for one in zoo.choices(name):
        say(str(fetch_weights(one)))


@models.command()
def verify(name: Annotated[str, typer.Argument(help="Model name; see `vidrestore models list`.")]) -> None:
    """Verify the checksum of a downloaded model."""
    say(f"{zoo.verify(name)}: sha256 matches")
