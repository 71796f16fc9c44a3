"""Signatures on the lines of a journal: others may write to the folder or the bucket that it is in.

The key is the user's own and never leaves the driver. It is made at the first use, in the user's state folder; drivers
on several hosts share one through the environment, or a copy of the file.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_path

from vidrestore import storage
from vidrestore.errors import ConfigError, OutputError
from vidrestore.files import open_regular, part_name

KEY_VARIABLE = "VIDRESTORE_JOURNAL_KEY"
_SHORTEST = 16
_MOST_BYTES = 4096
_DIGITS = 32
"""Length of a signature in hexadecimal digits: 128 bits."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs lines of one job's journal, and checks whether a line is of this job and this user.

    A line of another job is not believed: its results are elsewhere, perhaps under the same names.
    """

    job: str
    """Address of the job's output folder, links followed."""
    key: bytes = field(repr=False)

    def sign(self, body: bytes) -> bytes:
        """Return the signature of a line, in hexadecimal."""
        signed = b"vidrestore job journal 2\n" + os.fsencode(self.job) + b"\n" + body
        return hmac.new(self.key, signed, hashlib.sha256).hexdigest()[:_DIGITS].encode()

    def accepts(self, body: bytes, signature: bytes) -> bool:
        """Return whether a signature is of this job and this key."""
        return hmac.compare_digest(self.sign(body), signature)


def signer(out: str, video: str | None = None) -> Signer:
    """Return the signer of the job of an output folder, or of one video in it, with the user's key.

    Raises:
        ConfigError: the key is too short, or others may read it.
    """
    job = out if storage.is_remote(out) else os.path.realpath(out)
    return Signer(job if video is None else storage.join(job, video), _key())


def _key() -> bytes:
    given = os.environ.get(KEY_VARIABLE)
    if given is not None:
        return _checked(given.encode(errors="surrogateescape"), f"the environment's {KEY_VARIABLE}")
    path = user_state_path("vidrestore") / "journal.key"
    try:
        if not os.path.lexists(path):
            _make(path)
        return _read(path)
    except (OSError, OutputError) as error:
        _log.warning(
            "no key can be kept in %s (%s): the next run will not believe this journal; give XDG_STATE_HOME, or %s",
            path.parent,
            error,
            KEY_VARIABLE,
        )
        return secrets.token_hex(32).encode()


def _make(path: Path) -> None:
    """Make the key, unless another process was faster.

    It never has a second name, not even briefly: a reader would take it for a file that somebody planted.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(open_regular(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT), "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.lexists(path):
            return
        part = path.with_name(part_name(path.name))
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123  a handle
                file.write(f"{secrets.token_hex(32)}\n")
            part.replace(path)
        finally:
            with suppress(OSError):  # it was renamed
                part.unlink()


def _read(path: Path) -> bytes:
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigError(
                f"the key {path} belongs to somebody else or may be read by others; chmod 600 it if it is yours and "
                "nobody has seen it, else remove it"
            )
        return _checked(file.read(_MOST_BYTES), f"the key {path}")


def _checked(key: bytes, what: str) -> bytes:
    key = key.strip()
    if len(key) < _SHORTEST:
        raise ConfigError(f"{what} holds {len(key)} letters; give {_SHORTEST} or more that nobody guesses")
    return key
