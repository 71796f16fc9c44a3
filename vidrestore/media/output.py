"""Destinations of results: checked before work starts, written to temporary files, and moved when complete."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from vidrestore.errors import OutputError
from vidrestore.files import sync

CONTAINERS: dict[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}
"""Extensions that a result may have -> FFmpeg's name of the muxer. AVI holds no times, and FFmpeg's NUT loses them
where frames are reordered and their distances vary."""


def container_format(destination: Path) -> str:
    """Return FFmpeg's name of the container that a destination's extension names; OutputError when it is unknown."""
    extension = destination.suffix.lower()
    if extension not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        what = f"extension {extension!r}" if extension else "no extension"
        raise OutputError(f"{destination} has {what}, which names no known container; use one of {known}")
    return CONTAINERS[extension]


def check_destination(source: Path, destination: Path, *, overwrite: bool) -> None:
    """Check that a result can be written, before any work is done.

    Raises OutputError, with its own message for: unknown extension, a folder, no such folder, a folder or file that may
    not be written, the source itself (also through a link), and a file that exists while `overwrite` is false.
    """
    if destination.is_dir():
        raise OutputError(f"{destination} is a folder; name a file in it, such as {destination / source.name}")
    container_format(destination)
    folder = destination.parent
    if not folder.exists():
        raise OutputError(f"the folder {folder} does not exist; create it, or write elsewhere")
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder; write elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} may not be written by this user; write elsewhere")
    if destination.is_symlink() and not destination.exists():
        raise OutputError(f"{destination} is a link to nothing; remove it, or write elsewhere")
    if destination.exists():
        _check_existing(source, destination, overwrite=overwrite)


def _check_existing(source: Path, destination: Path, *, overwrite: bool) -> None:
    with suppress(OSError):
        if source.samefile(destination):
            raise OutputError(f"{destination} is the source itself; write the result to another file")
    if not destination.is_file():
        raise OutputError(f"{destination} is a device or a pipe; write to a file")
    if not overwrite:
        raise OutputError(f"{destination} exists already; add --overwrite to replace it, or name another file")
    if not os.access(destination, os.W_OK):
        raise OutputError(f"{destination} is write-protected; change its permissions, or name another file")


@contextmanager
def atomic_output(destination: Path) -> Iterator[Path]:
    """Give a hidden path next to `destination` to write to; it takes the destination's place when the block succeeds.

    The file has the same extension. It is synced to disk before it is moved, and removed on any exception, also on
    KeyboardInterrupt: a destination is complete or untouched. OutputError on failures of the disk.
    """
    with translate_write_errors(destination):
        suffix = f".part{destination.suffix}"
        handle, name = tempfile.mkstemp(prefix=f".{destination.stem}.", suffix=suffix, dir=destination.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with translate_write_errors(destination):
            sync(part)
            part.chmod(result_mode(destination))
            part.replace(destination)
            sync(destination.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_dir(destination: Path) -> Iterator[Path]:
    """Create a hidden folder next to `destination` for parts, on the same disk; removed at the end whatever happens."""
    with translate_write_errors(destination):
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.stem}.", suffix=".parts", dir=destination.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Translate what FFmpeg and the system say about a failed write to `path` into OutputError."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise OutputError(_why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC:
        return f"the disk is full: {path} could not be written; free some space, or write elsewhere"
    if number == errno.EDQUOT:
        return f"the disk quota is used up: {path} could not be written; free some space, or write elsewhere"
    if number == errno.EROFS:
        return f"{path} is on a read-only disk; write elsewhere"
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path} could not be written: {reason}; check the disk and the permissions"


def result_mode(destination: Path) -> int:
    """Return the permissions of a file that the user would have made: mkstemp's are the owner's alone."""
    if destination.exists():
        return destination.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
