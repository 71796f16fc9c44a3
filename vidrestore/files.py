"""Files that appear whole or not at all, in folders that others may write to as well."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidrestore.errors import OutputError

STATE_FOLDER = ".vidrestore"
"""Folder in an output folder with what a job needs for itself; for a job of one video, `.NAME.vidrestore`."""
_LONGEST_STEM = 40
"""Letters of a file's name in the name of its temporary file: a name may hold 255 bytes in all."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_state_folder(name: str) -> bool:
    """Return whether a folder of this name belongs to a job; on disks of macOS and Windows, case does not count."""
    return name.startswith(".") and name.casefold().endswith(STATE_FOLDER)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Create a new, empty file next to `path` to write to; rename it when the block ends well, else remove it.

    A reader never sees half of the file. Its name is random and it did not exist before, so that no link that somebody
    planted is written through. What the block or the renaming raises goes on to the caller.
    """
    part = path.with_name(part_name(path.name))
    os.close(os.open(part, _NEW, 0o666))  # the user's umask applies, as to any file
    try:
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):  # it was renamed
            part.unlink()


def part_name(name: str) -> str:
    """Return a hidden name that nobody can foresee, for a file that becomes `name` when it is complete."""
    return f".{name[:_LONGEST_STEM]}.{secrets.token_hex(8)}.part"


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file next to its place and rename it there.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    part = path.with_name(part_name(path.name))
    try:
        handle = os.open(part, _NEW, 0o666)
        try:
            with open(handle, "wb") as file:  # noqa: PTH123  the handle, not the name, which others may have replaced
                file.write(data)
            part.replace(path)
        finally:
            with suppress(OSError):  # it was renamed
                part.unlink()
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error.strerror}; check the folder and the disk") from error


def replace_text(path: Path, text: str) -> None:
    """Write a file as `replace_bytes` does, in UTF-8; the bytes of names that are not UTF-8 are written as escapes."""
    replace_bytes(path, text.encode(errors="backslashreplace"))


def open_regular(path: Path, flags: int) -> int:
    """Open a file that is neither a link nor anything but a file, nor has a second name; it is made by `os.O_CREAT`.

    In a folder that others may write to, any of these may have been planted to have another file written or read.

    Raises:
        OSError: it cannot be opened.
        OutputError: it is a link, a pipe or the like.
    """
    try:
        # without O_NONBLOCK a pipe would wait for somebody at its other end
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise OutputError(f"{path} is a link, which somebody else may have made; remove it") from error
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise OutputError(f"{path} is no file of its own (a pipe, a device, or a second name of a file); remove it")
    return handle


@contextmanager
def folder_inside(root: Path, names: tuple[str, ...], *, make: bool) -> Iterator[int]:
    """Open a handle of the folder that is reached from `root` by names, none of which may be a link at that moment.

    Whatever others rename afterwards, the handle stays with the folder that was found inside.

    Args:
        root: a folder, through links or not.
        names: the folders on the way down.
        make: whether missing folders, `root` among them, are created.

    Raises:
        OSError: a folder is missing, a file or a link.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            below = os.open(name, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def new_file(name: str, *, folder: int) -> int:
    """Create a file that did not exist, by its name in an open folder; return a handle. OSError if that fails."""
    return os.open(name, _NEW, 0o666, dir_fd=folder)


def is_own_file(path: Path) -> bool:
    """Return whether there is a file with this name alone, and no link, pipe or device."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def check_no_link(folder: Path) -> None:
    """Check that a folder of a job's own, and the hidden one that it may lie in, is no link that somebody planted.

    Raises:
        OutputError: it is one.
    """
    hidden = [folder.parent] if is_state_folder(folder.parent.name) else []
    for path in (*hidden, folder):
        if path.is_symlink():
            raise OutputError(f"{path} is a link, which somebody else may have made; remove it")


def open_folder(folder: Path) -> None:
    """Create a folder for a report, and check that it can be written to, before hours are spent on its contents.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}; give another folder for the report") from error
    probe = folder / part_name("report.json")
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
