"""Inputs of a batch: sources and destinations, from files, folders, patterns, manifests and stores."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from vidrestore import storage
from vidrestore.errors import ConfigError, InputError, VidrestoreError
from vidrestore.files import is_state_folder
from vidrestore.jobs.folders import find_files, fixed_folder, is_pattern
from vidrestore.jobs.manifest import read_rows, video_options
from vidrestore.jobs.names import checked_destination, is_file_name, safe_destination
from vidrestore.media.output import CONTAINERS
from vidrestore.printable import few
from vidrestore.redaction import redact
from vidrestore.restoration.config import VideoRestoreConfig

VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv"}
    | {".y4m"}
)
"""Extensions that are taken from folders and patterns; a file that is named itself may have any."""
_MOST_REASONS = 3
"""Number of reasons listed where a folder holds no video."""


@dataclass(frozen=True, slots=True)
class InputVideo:
    """One video to restore."""

    source: str
    """Absolute path, or the address in a store."""
    destination: str
    """Path relative to the output folder, with slashes."""
    bytes: int
    config: VideoRestoreConfig
    named: bool = True
    """Whether the user named it; otherwise it was found in a folder or by a pattern, and others chose its name."""
    error: str | None = None
    """Reason why it cannot be restored, where that is known before any work."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Videos and other files that were found."""

    videos: tuple[InputVideo, ...]
    ignored: tuple[str, ...] = field(default=())
    """Files in folders without the extension of a video."""
    left_out: tuple[str, ...] = field(default=())
    """Other entries of folders, with the reason: links that lead out, pipes, folders without access."""


def discover_inputs(
    sources: Iterable[str],
    out: str,
    config: VideoRestoreConfig,
    *,
    manifest: Path | None = None,
    extension: str | None = None,
) -> Inputs:
    """Find the videos and their destinations.

    Args:
        sources: files, folders, patterns (`**` reaches into folders), `file://` and stores' addresses.
        out: the output folder; videos in it, or in its hidden state folder, are not sources.
        config: default options of videos, which the manifest may override.
        manifest: a CSV with the columns `source`, `destination` (optional) and any `restore.PART.OPTION`, or JSON lines
            with `source`, `destination` and a table `options`. Relative sources are relative to its folder.
        extension: of all results, such as `.mkv`; None keeps a video's own where it names a container to write.

    Raises:
        ConfigError: two videos would have one result, a destination leaves the output folder, a bad manifest.
        InputError: a named source does not exist, or there is no video at all.
    """
    seen = _Seen()
    videos: list[InputVideo] = []
    for source in sources:
        videos += _expand(storage.normalize(source), out, config, extension, seen)
    if manifest is not None:
        videos += _of_manifest(manifest, config, extension)
    if not videos:
        raise InputError(
            "there is no video to restore: name videos, folders or patterns "
            f"({len(seen.ignored)} other files were seen)"
        )
    return Inputs(tuple(_sources_stay(_distinct(videos), out)), tuple(seen.ignored), tuple(seen.left_out))


@dataclass(slots=True)
class _Seen:
    """Files other than videos that were found."""

    ignored: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _expand(
    source: str, out: str, config: VideoRestoreConfig, extension: str | None, seen: _Seen
) -> "Iterator[InputVideo]":
    """Return the videos that a source on the command line stands for."""
    remote = storage.is_remote(source)
    patterned = is_pattern(source) and (remote or not os.path.exists(source))  # noqa: PTH110  as storage.exists()
    if remote:
        named = not patterned and PurePosixPath(source).suffix.lower() in VIDEO_SUFFIXES
        found = _one_remote(source) if named else _in_store(source, out, patterned=patterned, seen=seen)
    else:
        named = not patterned and not os.path.isdir(source)  # noqa: PTH112
        found = _one_local(source) if named else _in_folder(source, out, patterned=patterned, seen=seen)
    some, before = False, len(seen.left_out)
    for address, relative, size in found:
        some = True
        video = InputVideo(address, relative, size, config, named=named)
        try:
            yield replace(video, destination=safe_destination(_result(relative, config, extension)))
        except ConfigError as error:
            yield replace(video, error=error.message)
    if not some:
        verb, why = "matches" if patterned and not remote else "holds", seen.left_out[before:]
        if why:
            reasons = "; ".join(few(why, most=_MOST_REASONS))
            raise InputError(
                f"{source} {verb} no video that is taken: {reasons}; name videos that are linked one by one"
            )
        raise InputError(f"{source} {verb} no video; check the name")


def _one_local(source: str) -> Iterator[tuple[str, str, int]]:
    if not os.path.lexists(source):
        raise InputError(f"{source} does not exist; check the name")
    yield source, source.rpartition("/")[2], _size(source)


def _one_remote(source: str) -> Iterator[tuple[str, str, int]]:
    yield source, source.rpartition("/")[2], int(storage.info(source).get("size") or 0)


def _in_folder(source: str, out: str, *, patterned: bool, seen: _Seen) -> Iterator[tuple[str, str, int]]:
    """Yield address, name in the output folder and size of each video."""
    root = fixed_folder(source) if patterned else source
    if out == root:
        raise ConfigError(f"{root} is both source and output; give another output folder, which may lie in it")
    pattern = source.removeprefix(root) if patterned else "**"
    found = find_files(root, pattern, but=out, is_wanted=_has_video_suffix)
    seen.left_out += found.left_out
    for path in found.paths:
        if _is_of_a_job(path):
            continue
        if not _has_video_suffix(path):
            seen.ignored.append(path)
            continue
        try:
            size = _size(path)
        except InputError as error:
            seen.left_out.append(error.message)
            continue
        yield path, os.path.relpath(path, root), size


def _in_store(source: str, out: str, *, patterned: bool, seen: _Seen) -> Iterator[tuple[str, str, int]]:
    root = (fixed_folder(source) if patterned else source).rstrip("/") + "/"
    inside = out.startswith(root)
    for address, size in storage.listing(source):
        if inside and address.startswith(f"{out}/"):
            continue
        if not _has_video_suffix(address) or _is_of_a_job(address):
            seen.ignored.append(address)
        elif not address.startswith(root):
            seen.left_out.append(f"{address} is listed in {root} and lies elsewhere")
        else:
            yield address, address.removeprefix(root), size


def _is_of_a_job(path: str) -> bool:
    return any(map(is_state_folder, path.split("/")[:-1]))


def _has_video_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def _result(relative: str, config: VideoRestoreConfig, extension: str | None) -> str:
    path = PurePosixPath(relative)
    if not path.name:
        return relative
    if extension is None:
        keeps = path.suffix.lower() in CONTAINERS and not config.encode.lossless
        return relative if keeps else str(path.with_suffix(".mkv"))
    try:
        return str(path.with_suffix(extension if extension.startswith(".") else f".{extension}"))
    except ValueError as error:
        raise ConfigError(f"extension is {extension!r}; give one such as .mkv") from error


def _of_manifest(manifest: Path, config: VideoRestoreConfig, extension: str | None) -> Iterator[InputVideo]:
    """Yield the videos of a manifest. A line that is wrong ends the job; a source that is wrong, that video."""
    for number, row in read_rows(manifest):
        try:
            yield _of_row(manifest, row, config, extension)
        except ConfigError as error:
            raise ConfigError(f"{manifest}, line {number}: {error.message}") from error


def _of_row(manifest: Path, row: dict[str, Any], config: VideoRestoreConfig, extension: str | None) -> InputVideo:
    source, destination = row.pop("source", None), row.pop("destination", None)
    if not isinstance(source, str) or not source:
        raise ConfigError("it names no source; give it in `source`")
    if not is_file_name(source):
        raise ConfigError(f"the source {source!r} holds letters that no file's name holds")
    own = video_options(config, row.pop("options", None) or {}, row)
    if not storage.is_remote(source):
        source = str(manifest.absolute().parent / source)
    if destination:
        name = checked_destination(destination)
    else:
        name = safe_destination(_result(source.rstrip("/").rpartition("/")[2], own, extension))
    video = InputVideo(source, name, 0, own)
    try:
        address = storage.normalize(source)
        size = int(storage.info(address).get("size") or 0) if storage.is_remote(address) else _size(address)
    except VidrestoreError as error:
        return replace(video, source=redact(source), error=error.message)
    return replace(video, source=address, bytes=size)


def _size(path: str) -> int:
    status = storage.local_status(path)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a folder, a pipe or a device; name a file")
    return status.st_size


def _distinct(videos: list[InputVideo]) -> list[InputVideo]:
    """Return the videos; where two results would have one name, the source's full name is used in it.

    Where two still have the same name, the second fails: others may have put it there, and the first is still restored.

    Raises:
        ConfigError: the user named both.
    """
    wanted = Counter(video.destination for video in videos if video.error is None)
    taken: dict[str, InputVideo] = {}
    distinct = []
    for video in videos:
        if video.error is not None:
            distinct.append(video)
            continue
        own = video if wanted[video.destination] == 1 else _in_full(video)
        first = taken.setdefault(own.destination, own)
        if first is not own:
            message = (
                f"{first.source} and {video.source} would both become {own.destination}; name the folder above them as "
                "the source, or give destinations in a manifest"
            )
            if first.named and video.named:
                raise ConfigError(message)
            own = replace(own, error=message)
        distinct.append(own)
    return distinct


def _sources_stay(videos: list[InputVideo], out: str) -> list[InputVideo]:
    """Return the videos; one whose result would replace a source fails.

    Raises:
        ConfigError: the user named it.
    """

    def real(address: str) -> str:
        return address if storage.is_remote(address) else os.path.realpath(address)

    sources = {real(video.source) for video in videos if video.error is None}
    kept = []
    for video in videos:
        destination = storage.join(out, video.destination)
        if video.error is None and real(destination) in sources:
            message = f"{destination}, the result of {video.source}, is a source itself; use another folder"
            if video.named:
                raise ConfigError(message)
            kept.append(replace(video, error=message))
        else:
            kept.append(video)
    return kept


def _in_full(video: InputVideo) -> InputVideo:
    path = PurePosixPath(video.destination)
    name = safe_destination(video.source.rpartition("/")[2])
    in_full = path.with_name(name if name == path.name else f"{name}{path.suffix}")
    return replace(video, destination=safe_destination(str(in_full)))
