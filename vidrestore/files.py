"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidrestore.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it is renamed there when the block ends well, and removed when it does not.

    A reader never sees half of the file. What the block or the renaming raises goes on to the caller.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):  # it was renamed, was never made, or its folder is none
            part.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it there.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    try:
        with replacing(path) as part:
            part.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error.strerror}; check the folder and the disk") from error


def replace_text(path: Path, text: str) -> None:
    """As `replace_bytes`, in UTF-8."""
    replace_bytes(path, text.encode())


def open_folder(folder: Path) -> None:
    """Make a folder for a report, and try whether it can be written to: before hours are spent on what goes there.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}; give another folder for the report") from error
    probe = folder / ".report.json"
    replace_bytes(probe, b"")
    probe.unlink(missing_ok=True)


def remove_outdated(path: Path, *, of: str) -> None:
    """Remove a file, if it is there, that `of`, such as "an earlier evaluation", left and that would mislead now.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} is of {of} and cannot be removed: {error.strerror}") from error
