"""Copies of remote files on this host's disk, shared by the processes of one user and bounded together."""

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vidrestore.errors import InputError
from vidrestore.files import open_regular

_COPY = re.compile(r"(?P<copy>[0-9a-f]{32})(?:\.part)?")
"""Name of a copy, or of one that is not complete yet; nothing else in the folder is ever removed."""


@contextmanager
def shared_copy(name: str, download: Callable[[BinaryIO], None], *, most_bytes: int) -> Iterator[Path]:
    """Give a local copy, which is made where there is none, and kept for later users.

    Args:
        name: name of the copy, 32 hexadecimal digits.
        download: writes it to an open file.
        most_bytes: limit on all copies together; those that nobody uses are removed, the oldest first.

    Raises:
        InputError: the folder for copies belongs to somebody else.
    """
    folder = _folder()
    copy = folder / name
    with os.fdopen(open_regular(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT), "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not copy.exists():  # from one lock to another somebody else may come between
            fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not copy.exists():
                _make_room(folder, most_bytes)
                _fill(copy, download)
            fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(copy)
        yield copy


def _folder() -> Path:
    """Return this user's own folder; a link or another user's in its place would have files removed or read."""
    folder = Path(tempfile.gettempdir()) / f"vidrestore-spool-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise InputError(
            f"{folder} is a link or belongs to somebody else; remove it, or set TMPDIR to a folder of your own"
        )
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        folder.chmod(stat.S_IRWXU)  # ours, as earlier versions or a strange umask made it
    return folder


def _fill(copy: Path, download: Callable[[BinaryIO], None]) -> None:
    part = copy.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a process that was killed
        with part.open("xb") as target:
            download(target)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)


def _make_room(folder: Path, most_bytes: int) -> None:
    copies = []
    for path in folder.iterdir():
        found = path.lstat()
        if _COPY.fullmatch(path.name) and stat.S_ISREG(found.st_mode):
            copies.append((found.st_mtime, found.st_size, path))
    held = sum(size for _, size, _ in copies)
    for _, size, path in sorted(copies):
        if held <= most_bytes:
            return
        with (
            os.fdopen(open_regular(folder / f"{path.stem}.lock", os.O_RDWR | os.O_CREAT), "r+b") as lock,
            suppress(BlockingIOError),
        ):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            held -= size
