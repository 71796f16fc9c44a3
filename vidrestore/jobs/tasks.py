"""What a batch is to do: sources and where their results go, from files, folders, patterns, manifests and stores."""

import csv
import glob
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from vidrestore import storage
from vidrestore.config import apply_settings, update
from vidrestore.engine import RestoreConfig
from vidrestore.errors import ConfigError, InputError
from vidrestore.jobs.layout import STATE_FOLDER
from vidrestore.video.output import CONTAINERS

FILM_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv"}
    | {".y4m"}
)
"""What is taken from folders and patterns; a file that is named is taken whatever it is called."""
_OWN_PARTS = frozenset({"restorer", "detector"})
"""Of the options: what the face workers hold, which all films share."""
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class FilmTask:
    """One film to restore."""

    source: str
    """Absolute path, or the address in a store."""
    destination: str
    """Relative to the output folder, with slashes."""
    bytes: int
    config: RestoreConfig


@dataclass(frozen=True, slots=True)
class Tasks:
    """What was found."""

    films: tuple[FilmTask, ...]
    ignored: tuple[str, ...] = field(default=())
    """Files in folders that are not called like films."""


def find_tasks(
    sources: Iterable[str],
    out: str,
    config: RestoreConfig,
    *,
    manifest: Path | None = None,
    extension: str | None = None,
) -> Tasks:
    """Find the films, and say where each result goes.

    Args:
        sources: files, folders, patterns (`**` reaches into folders), `file://` and stores' addresses.
        out: the output folder; films in it, or in its hidden state folder, are not sources.
        config: of films that the manifest says nothing else of.
        manifest: a CSV with the columns `source`, `destination` (optional) and any `PART.OPTION`, or JSON lines with
            `source`, `destination` and a table `options`. Relative sources are relative to its folder.
        extension: of all results, such as `.mkv`; None keeps a film's own where it names a container to write.

    Raises:
        ConfigError: two films would have one result, a destination leaves the output folder, a bad manifest.
        InputError: something named is not there, or nothing is.
    """
    films: list[FilmTask] = []
    ignored: list[str] = []
    for source in sources:
        for address, relative, size in _expand(storage.clean(source), out, ignored):
            films.append(FilmTask(address, _result(relative, config, extension), size, config))
    if manifest is not None:
        films += _of_manifest(manifest, config, extension)
    if not films:
        raise InputError(
            f"there is no film to restore: name films, folders or patterns ({len(ignored)} other files were seen)"
        )
    films = _distinct([replace(film, destination=_confined(film.destination, film.source)) for film in films])
    _check_sources_stay(films, out)
    return Tasks(tuple(films), tuple(ignored))


def _expand(source: str, out: str, ignored: list[str]) -> Iterator[tuple[str, str, int]]:
    """Address, name in the output folder and size of each film."""
    patterned = bool(_PATTERN & set(source)) and (storage.is_remote(source) or not Path(source).exists())
    if storage.is_remote(source):
        yield from _expand_remote(source, out, patterned=patterned, ignored=ignored)
        return
    if not patterned and not Path(source).is_dir():
        path = Path(source)
        if not path.exists():
            raise InputError(f"{source} does not exist; check the name")
        yield source, path.name, path.stat().st_size
        return
    root = _fixed(source) if patterned else source
    found = glob.iglob(source, recursive=True) if patterned else _walk(source)  # noqa: PTH207  the pattern is absolute
    if out == root:
        raise ConfigError(f"{root} is both source and output; give another output folder, which may lie in it")
    inside = _is_within(out, root)
    some = False
    for name in sorted(found):
        path = Path(name)
        if not path.is_file() or (inside and _is_within(name, out)) or STATE_FOLDER in path.parts:
            continue
        if path.suffix.lower() not in FILM_SUFFIXES:
            ignored.append(name)
            continue
        some = True
        yield name, os.path.relpath(name, root).replace(os.sep, "/"), path.stat().st_size
    if not some:
        raise InputError(f"{source} {'matches' if patterned else 'holds'} no film; check the name")


def _expand_remote(source: str, out: str, *, patterned: bool, ignored: list[str]) -> Iterator[tuple[str, str, int]]:
    named = PurePosixPath(source).suffix.lower() in FILM_SUFFIXES
    if named and not patterned:
        yield source, source.rpartition("/")[2], int(storage.info(source).get("size") or 0)
        return
    root = (_fixed(source) if patterned else source).rstrip("/") + "/"
    inside = out.startswith(root)
    some = False
    for address, size in storage.listing(source):
        if inside and address.startswith(f"{out}/"):
            continue
        if PurePosixPath(address).suffix.lower() not in FILM_SUFFIXES or f"/{STATE_FOLDER}/" in address:
            ignored.append(address)
            continue
        some = True
        yield address, address.removeprefix(root), size
    if not some:
        raise InputError(f"{source} holds no film; check the name")


def _walk(folder: str) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(where, name) for name in names if not name.startswith("."))  # noqa: PTH118  strings


def _fixed(pattern: str) -> str:
    """The folder before the first part of a pattern that is not fixed."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if _PATTERN & set(part))
    return "/".join(parts[:first]) or "/"


def _is_within(path: str, folder: str) -> bool:
    return not storage.is_remote(path) and os.path.commonpath([path, folder]) == folder


def _result(relative: str, config: RestoreConfig, extension: str | None) -> str:
    path = PurePosixPath(relative)
    if extension is None:
        keeps = path.suffix.lower() in CONTAINERS and not config.encode.lossless
        return relative if keeps else str(path.with_suffix(".mkv"))
    return str(path.with_suffix(extension if extension.startswith(".") else f".{extension}"))


def _of_manifest(manifest: Path, config: RestoreConfig, extension: str | None) -> Iterator[FilmTask]:
    for number, row in _rows(manifest):
        where = f"{manifest}, line {number}"
        source, destination = row.pop("source", None), row.pop("destination", None)
        if not isinstance(source, str) or not source:
            raise ConfigError(f"{where} names no source; give it in `source`")
        options = row.pop("options", None) or {}
        if not storage.is_remote(source):
            source = str(manifest.absolute().parent / source)
        address = storage.clean(source)
        size = int(storage.info(address).get("size") or 0) if storage.is_remote(address) else _size(address, where)
        own = _configured(config, options, row, where)
        name = destination or _result(address.rpartition("/")[2], own, extension)
        yield FilmTask(address, _confined(name, where), size, own)


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the manifest {manifest} cannot be read: {error}") from error
    if manifest.suffix.lower() == ".csv":
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
            if None in row:
                raise ConfigError(f"{manifest}, line {number} has more columns than the first line names")
            yield number, {name: value for name, value in row.items() if value}
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(
                f"{manifest}, line {number} is not JSON ({error}); write one film a line, or a file named .csv"
            ) from error
        if not isinstance(row, dict):
            raise ConfigError(f'{manifest}, line {number} is not a table such as {{"source": "a.mp4"}}')
        yield number, row


def _configured(config: RestoreConfig, options: object, columns: Mapping[str, Any], where: str) -> RestoreConfig:
    if not isinstance(options, dict):
        raise ConfigError(f"{where}: options is {options!r}, not a table")
    try:
        flat = {name: value for name, value in options.items() if "." in name}
        own = update(config, {name: value for name, value in options.items() if name not in flat})
        settings = {**flat, **columns}
        own = apply_settings(
            own,
            [
                f"{name}={json.dumps(value) if not isinstance(value, str) else value}"
                for name, value in settings.items()
            ],
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from error
    for part in _OWN_PARTS:
        if getattr(own, part) != getattr(config, part):
            raise ConfigError(f"{where} sets {part}.*, which all films of a job share; use a job of its own")
    return own


def _size(path: str, where: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise InputError(f"{where}: {path} cannot be read: {error.strerror}") from error


def _confined(name: str, where: str) -> str:
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or storage.is_remote(name)
        or STATE_FOLDER in path.parts
        or "\\" in name
    ):
        raise ConfigError(f"{where}: the destination {name!r} leaves the output folder; name a place in it")
    return str(path)


def _distinct(films: list[FilmTask]) -> list[FilmTask]:
    """The films, with the whole name of the source in a result's name where two would have the same."""
    wanted = Counter(film.destination for film in films)
    named = [film if wanted[film.destination] == 1 else _in_full(film) for film in films]
    taken: dict[str, str] = {}
    for film in named:
        if film.destination in taken:
            raise ConfigError(
                f"{taken[film.destination]} and {film.source} would both become {film.destination}; name the folder "
                "above them as the source, or give destinations in a manifest"
            )
        taken[film.destination] = film.source
    return named


def _check_sources_stay(films: list[FilmTask], out: str) -> None:
    def real(address: str) -> str:
        return address if storage.is_remote(address) else os.path.realpath(address)

    sources = {real(film.source) for film in films}
    for film in films:
        destination = storage.beside(out, film.destination)
        if real(destination) in sources:
            raise ConfigError(f"{destination}, the result of {film.source}, is a source itself; use another folder")


def _in_full(film: FilmTask) -> FilmTask:
    path = PurePosixPath(film.destination)
    name = film.source.rpartition("/")[2]
    return replace(film, destination=str(path.with_name(name if name == path.name else f"{name}{path.suffix}")))
