"""What a job has done: a line of JSON for each thing, written before anything builds on it.

Every line carries a checksum. A line that a crash cut short, or that was damaged since, is as if it had never been
written: what it told of is done again. A journal of a later format is refused.
"""

import fcntl
import json
import os
import socket
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from pydantic import TypeAdapter, ValidationError

from vidrestore.errors import InputError, OutputError
from vidrestore.files import replace_bytes, sync
from vidrestore.runtime.orders import FilmPlan, Joined, PartReport

FORMAT = 1
_HEADER = "vidrestore job journal"


@dataclass(frozen=True, slots=True)
class Planned:
    """A film was looked at and cut."""

    destination: str
    source: str
    mark: str
    """The source's fingerprint."""
    options: str
    """sha256 of everything but the source that the result depends on."""
    plan: FilmPlan

    @property
    def key(self) -> str:
        """What the parts of this film depend on, before it is cut."""
        return f"{self.plan.sha256}:{self.options}"


@dataclass(frozen=True, slots=True)
class PartDone:
    """A segment was restored."""

    destination: str
    key: str
    number: int
    report: PartReport
    seconds: float
    attempts: int
    passthrough: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """A film was joined and lies at its destination."""

    destination: str
    key: str
    joined: Joined
    unrestored_frames: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """An attempt failed."""

    destination: str
    what: str
    """`plan`, `segment N` or `join`."""
    attempt: int
    message: str
    died: bool
    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """Parts turned out to be damaged; they are to be made anew."""

    destination: str
    key: str
    numbers: tuple[int, ...]


Entry: TypeAlias = Planned | PartDone | Finished | Trouble | Dropped
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Planned, PartDone, Finished, Trouble, Dropped)}


class Journal:
    """The journal of one job, open for writing; use as a context manager.

    Args:
        path: of the file, which is made where there is none.

    Raises:
        InputError: it is not a journal, of a later format, or another process writes to it.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("a+")
        except OSError as error:
            raise OutputError(f"the journal {path} cannot be written: {error.strerror}") from error
        try:
            self._take_lock()
            self.entries, self.repaired = self._load()
            self._file = path.open("ab")
        except BaseException:
            self._lock.close()
            raise

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "another process"
            raise InputError(f"{self._path.parent} is in use by {owner}; wait for it, or use another folder") from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock.flush()

    def _load(self) -> tuple[list[Entry], int]:
        """The entries, and how many lines were no good; those are kept beside the journal, which is written anew."""
        if not self._path.exists() or not self._path.stat().st_size:
            replace_bytes(self._path, _header())
            return [], 0
        data = self._path.read_bytes()
        entries, damaged = read_entries(data, self._path)
        if damaged or not data.endswith(b"\n"):
            self._keep_aside(data)
            replace_bytes(self._path, _header() + b"".join(map(_line, entries)))
            sync(self._path)
        return entries, damaged

    def _keep_aside(self, data: bytes) -> None:
        number = 1
        while (kept := self._path.with_suffix(f".damaged-{number}.jsonl")).exists():
            number += 1
        replace_bytes(kept, data)
        sync(kept)

    def write(self, entry: Entry) -> None:
        """Add an entry; it is on the disk when this returns.

        Raises:
            OutputError: it is not.
        """
        try:
            self._file.write(_line(entry))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"the journal {self._path} cannot be written: {error.strerror}; nothing is lost: make room, and run "
                "the same command again"
            ) from error
        self.entries.append(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written has been said
            self._file.close()
        self._lock.close()


def read_journal(path: Path) -> list[Entry]:
    """The entries of a journal that somebody else may be writing.

    Raises:
        InputError: there is none, or it is of a later format.
    """
    try:
        return read_entries(path.read_bytes(), path)[0]
    except OSError as error:
        raise InputError(f"there is no journal at {path}: {error.strerror}") from error


def is_locked(path: Path) -> bool:
    """Whether a process writes to a journal now."""
    try:
        with path.with_suffix(".lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_entries(data: bytes, path: Path) -> tuple[list[Entry], int]:
    """The entries of a journal's bytes, and the number of lines that are no good.

    Raises:
        InputError: it is not a journal, or of a later format.
    """
    lines = [line for line in data.split(b"\n") if line.strip()]
    told = [_decoded(line) for line in lines]
    versions = [row["format"] for row in told if row and row.get("what") == _HEADER]
    if not versions:
        if any(row and row.get("kind") in _KINDS for row in told):
            versions = [FORMAT]  # the header is damaged, the rest is known by its checksums
        else:
            raise InputError(
                f"{path} is not a journal of vidrestore, or nothing of it is left; move it away to begin anew"
            )
    if max(versions) > FORMAT:
        raise InputError(
            f"{path} is of format {max(versions)}, this version knows {FORMAT}: it was written by a later one; use "
            "that, or another output folder"
        )
    entries: list[Entry] = []
    damaged = 0
    for row in told:
        if row is None:
            damaged += 1
        elif row.get("what") != _HEADER:
            entry = _entry(row)
            damaged += entry is None
            entries += [entry] if entry is not None else []
    return entries, damaged


def _header() -> bytes:
    return _sealed({"what": _HEADER, "format": FORMAT})


def _line(entry: Entry) -> bytes:
    kind = type(entry)
    return _sealed({"kind": kind.__name__, "entry": TypeAdapter(kind).dump_python(entry, mode="json")})


def _sealed(values: dict[str, Any]) -> bytes:
    body = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return f'{{"crc":"{zlib.crc32(body.encode()):08x}",{body[1:]}\n'.encode()


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The values of a line, or None where its checksum does not fit."""
    start, end = len(b'{"crc":"'), len(b'{"crc":"00000000"')
    if not line.startswith(b'{"crc":"') or line[end : end + 1] != b",":
        return None
    body = b"{" + line[end + 1 :]
    if line[start : start + 8] != f"{zlib.crc32(body):08x}".encode():
        return None
    try:
        values = json.loads(body)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _entry(row: dict[str, Any]) -> Entry | None:
    kind = _KINDS.get(str(row.get("kind")))
    if kind is None:
        return None
    try:
        entry: Entry = TypeAdapter(kind).validate_python(row.get("entry"))
    except ValidationError:
        return None
    return entry
