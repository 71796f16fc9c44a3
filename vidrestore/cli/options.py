"""Options that several commands share, each declared once; texts and defaults are those of the configurations."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from vidrestore.cli.terminal import warn
from vidrestore.config import to_toml_value, walk
from vidrestore.jobs.config import BatchConfig
from vidrestore.live.config import StreamConfig
from vidrestore.restoration.config import FACE_COUNTS

_BATCH, _STREAM = BatchConfig(), StreamConfig()


def help_of(path: str, config: object = _BATCH, *, default: str | None = None) -> str:
    """Return the description of an option of a configuration, with its default."""
    option = next(one for one in walk(config) if one.path == path)
    shown = to_toml_value(option.value).strip('"') if default is None else default
    known = shown in {"none", "false", ""} or f"; {shown}:" in option.description
    text = option.description
    sentence = text if text.endswith("...") else text.removesuffix(".")
    return text if known else f"{sentence} (default: {shown})."


def _parse_faces(text: str) -> int:
    """Parse `all`, `largest` or a number, as the count that the configuration wants."""
    if text in FACE_COUNTS:
        return FACE_COUNTS[text]
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither 'all' nor 'largest' nor a positive number")


def warn_former_flag(former: str, now: str) -> None:
    """Warn that a flag goes with the next release."""
    warn(f"{former} is called {now} now; the former name goes with the next release")


Model: TypeAlias = Annotated[str | None, typer.Option(help=help_of("restore.restorer.model"))]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Device of the networks: auto (CUDA if available), cpu, cuda or cuda:N (default: auto)."),
]
Strength: TypeAlias = Annotated[float | None, typer.Option(help=help_of("restore.compositor.strength"))]
Faces: TypeAlias = Annotated[
    int | None,
    typer.Option(
        parser=_parse_faces, metavar="all|largest|N", help="Number of faces to restore per frame (default: all)."
    ),
]
MinFace: TypeAlias = Annotated[float | None, typer.Option(metavar="PX", help=help_of("restore.selection.min_face_px"))]
Codec: TypeAlias = Annotated[str | None, typer.Option(help=help_of("restore.encode.codec"))]
Crf: TypeAlias = Annotated[float | None, typer.Option(help=help_of("restore.encode.crf"))]
Preset: TypeAlias = Annotated[str | None, typer.Option(help=help_of("restore.encode.preset"))]
StreamCrf: TypeAlias = Annotated[float | None, typer.Option(help=help_of("sink.encode.crf", _STREAM))]
StreamPreset: TypeAlias = Annotated[str | None, typer.Option(help=help_of("sink.encode.preset", _STREAM))]
Lossless: TypeAlias = Annotated[bool, typer.Option("--lossless", help="Encode losslessly with FFV1 (in .mkv).")]
RuntimeName: TypeAlias = Annotated[str | None, typer.Option(metavar="auto|ray|local", help=help_of("runtime"))]
Address: TypeAlias = Annotated[
    str | None, typer.Option(help="Address of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT.")
]
Config: TypeAlias = Annotated[
    Path | None, typer.Option(help="TOML file with any option; see `vidrestore config show`.", metavar="FILE")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set any option; may be repeated. See `vidrestore config show`."),
]
Strict: TypeAlias = Annotated[bool, typer.Option("--strict", help=help_of("strict"))]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", "-y", help="Overwrite DST if it exists.")]
Report: TypeAlias = Annotated[Path | None, typer.Option(help="Write a report as JSON.", metavar="FILE")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]


def stream_option(path: str, **more: Any) -> Any:  # noqa: ANN401  typer's own type is not exported
    """Return an option of `stream`, described as in its configuration."""
    return typer.Option(help=help_of(path, _STREAM), **more)


def batch_option(path: str, name: str | None = None, **more: Any) -> Any:  # noqa: ANN401  as above
    """Return an option of `batch`, described as in its configuration."""
    return typer.Option(*([name] if name else []), help=help_of(path), **more)
