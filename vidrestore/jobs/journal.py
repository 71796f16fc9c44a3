"""The journal of a job: a line of JSON for each event, written before anything depends on it.

Every line carries a checksum. A line that a crash cut short, or that was damaged since, is as if it had never been
written: what it noted is done again. A journal of a later format is refused.

And every line is signed with the user's key: the journal lies with the results, where others may write. A line that is
not signed, or for another job, or with another key, is not believed; but it stays where it is, for it may be the user's
own, written with the key that the next run has, or before the folder was moved.
"""

import fcntl
import io
import json
import os
import re
import socket
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from vidrestore.errors import InputError, OutputError
from vidrestore.files import open_regular, replace_bytes, sync
from vidrestore.jobs.entries import Entry
from vidrestore.jobs.journal_schema import FORMAT, UNSIGNED, from_line_values, is_known_kind, to_line_values
from vidrestore.jobs.signing import Signer

_HEADER = "vidrestore job journal"
_MOST_OWNER_BYTES = 200
_LOCK_ATTEMPTS = 10
MOST_BYTES = 1 << 30
"""Largest journal that is read, in bytes; a job of a million segments needs less."""
_PART_NAME = re.compile(rb"[0-9a-f]{40}\.mp4")


@dataclass(slots=True)
class JournalContent:
    """Content of a journal."""

    entries: list[Entry] = field(default_factory=list)
    damaged: int = 0
    """Number of damaged lines."""
    foreign: int = 0
    """Number of undamaged lines without a valid signature."""
    foreign_parts: set[bytes] = field(default_factory=set)
    """Names of parts in foreign lines: their files are somebody's progress, too."""
    format: int = UNSIGNED
    headed: bool = False
    """Whether there is a header with a valid signature."""
    kept: bytearray = field(default_factory=bytearray)
    """New content of the journal: foreign lines unchanged, believed lines signed."""
    gone: bytearray = field(default_factory=bytearray)
    """Lines that are not kept unchanged: damaged ones, and those that are signed only now."""


class Journal:
    """The journal of one job, open for writing; use as a context manager.

    Args:
        path: path of the file, which is created where there is none.
        signer: signer of this job.
        trust_unsigned: whether lines without a signature are believed: of a journal that an earlier version wrote. They
            are signed then.

    Raises:
        InputError: it is not a journal, of a later format, too large, or another process writes to it.
        OutputError: it cannot be written, or it is a link or the like.
    """

    def __init__(self, path: Path, signer: Signer, *, trust_unsigned: bool = False) -> None:
        self._path = path
        self._signer = signer
        self._trust_unsigned = trust_unsigned
        self.kept_aside: Path | None = None
        """File with the lines that were removed from the journal, if there were any."""
        self._lock = self._locked()
        try:
            content = self._load()
            self.entries, self.repaired, self.foreign = content.entries, content.damaged, content.foreign
            self.foreign_parts = {name.decode() for name in content.foreign_parts}
            self._file = os.fdopen(open_regular(path, os.O_WRONLY | os.O_APPEND), "ab")
        except OSError as error:
            self._lock.close()
            raise OutputError(f"the journal {path} cannot be read or written: {error.strerror}") from error
        except BaseException:
            self._lock.close()
            raise

    def _locked(self) -> io.FileIO:
        """Lock the journal. A job that ends may remove its folder, with the lock that another process waits for."""
        path = self._path.with_suffix(".lock")
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = os.fdopen(open_regular(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and attempt + 1 < _LOCK_ATTEMPTS:
                    continue  # removed since it was made
                raise OutputError(f"the journal {self._path} cannot be written: {error.strerror}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_there = os.path.lexists(path) and os.path.samestat(os.fstat(lock.fileno()), path.lstat())
            except BlockingIOError:
                content = (lock.read(_MOST_OWNER_BYTES) or b"").decode(errors="replace")
                lock.close()
                owner = " ".join(content.split()) or "another process"
                raise InputError(f"{path.parent} is in use by {owner}; wait for it, or use another folder") from None
            if is_there:
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                return lock
            lock.close()
        raise OutputError(f"the journal {self._path} cannot be written: its folder is removed again and again")

    def _load(self) -> JournalContent:
        """Read the journal; damaged lines move to a file next to it, and the journal is rewritten."""
        try:
            data = _read(self._path)
        except FileNotFoundError:
            data = b""
        if not data:
            replace_bytes(self._path, _header(self._signer))
            return JournalContent()
        found = read_entries(data, self._path, self._signer, trust_unsigned=self._trust_unsigned)
        is_current = found.headed and found.format == FORMAT
        if found.gone or not is_current or not data.endswith(b"\n"):
            if found.gone:
                self.kept_aside = self._keep_aside(bytes(found.gone))
            replace_bytes(self._path, (b"" if is_current else _header(self._signer)) + found.kept)
            sync(self._path)
        return found

    def _keep_aside(self, data: bytes) -> Path:
        number = 1
        while os.path.lexists(kept := self._path.with_suffix(f".damaged-{number}.jsonl")):
            number += 1
        replace_bytes(kept, data)
        sync(kept)
        return kept

    def write(self, entry: Entry) -> None:
        """Add an entry; it is on the disk when this returns.

        Raises:
            OutputError: the entry cannot be written.
        """
        try:
            self._file.write(_line(entry, self._signer))
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
    """Read a journal that somebody else may be writing, and may have signed: to be shown, never acted on.

    Raises:
        InputError: there is no journal, or it is of a later format, or too large.
    """
    try:
        return read_entries(_read(path), path, None).entries
    except OSError as error:
        raise InputError(f"there is no journal at {path}: {error.strerror}") from error
    except OutputError as error:
        raise InputError(error.message) from error


def is_locked(path: Path) -> bool:
    """Return whether a process writes to a journal now."""
    try:
        with os.fdopen(open_regular(path.with_suffix(".lock"), os.O_RDONLY), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, OutputError):
        return False
    return False


def read_entries(
    data: bytes, path: Path | str, signer: Signer | None, *, trust_unsigned: bool = False
) -> JournalContent:
    """Read a journal from its bytes.

    Args:
        data: the bytes.
        path: path of the journal, for messages.
        signer: signer whose lines are believed; None: all lines are, for display.
        trust_unsigned: whether lines without a signature are believed, too.

    Raises:
        InputError: it is not a journal, or its header, if it is believed, is of a later format.
    """
    found = JournalContent()
    known = False
    for line in _lines(data):
        row = _decoded(line)
        if row is None:
            found.damaged += 1
            found.gone += line + b"\n"
            continue
        header = row.get("what") == _HEADER
        known = known or header or is_known_kind(str(row.get("kind")))
        believed = signer is None or _signed_by(line, signer)
        unsigned = not believed and trust_unsigned and not _is_signed(line)
        if header:
            _take_header(found, line, row.get("format"), believed=believed, unsigned=unsigned)
        elif believed or unsigned:
            _take_entry(found, line, from_line_values(row), signer if unsigned else None)
        else:
            found.foreign += 1
            found.foreign_parts.update(_PART_NAME.findall(line))
            found.kept += line + b"\n"
    if not known:
        raise InputError(f"{path} is not a vidrestore journal or is empty; move it away to start over")
    if found.format > FORMAT:
        raise LaterFormatError(
            f"{path} is of format {found.format}, this version knows {FORMAT}: it was written by a later one; use that,"
            " or another output folder"
        )
    return found


class LaterFormatError(InputError):
    """A journal of this user that a later version wrote."""


def check_size(size: int, path: Path | str) -> None:
    """Refuse a journal that is larger than any job needs.

    Raises:
        InputError: the journal is too large.
    """
    if size > MOST_BYTES:
        raise InputError(
            f"the journal {path} has more than the {MOST_BYTES} bytes that a job of a million segments needs: somebody "
            "else may have filled it; move it away to start over, or remove the lines that are not yours"
        )


def with_foreign_lines(data: bytes, other: bytes, signer: Signer, *, trust_unsigned: bool = False) -> bytes:
    """Return a journal's bytes, and those lines of another copy of it that are not believed and that it lacks."""

    def is_foreign(line: bytes) -> bool:
        unsigned = trust_unsigned and not _is_signed(line)
        return _decoded(line) is not None and not unsigned and not _signed_by(line, signer)

    more = [line for line in _lines(other) if is_foreign(line)]
    if not more:
        return data
    held = Counter(_lines(data))
    added = []
    for line in more:
        held[line] -= 1
        added += [line + b"\n"] if held[line] < 0 else []
    return data + (b"" if data.endswith(b"\n") or not data else b"\n") + b"".join(added)


def _read(path: Path) -> bytes:
    """Return the bytes of a journal; refuse a link, and a journal larger than any job needs."""
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    check_size(len(data), path)
    return data


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield lines one by one: a list of a million short lines takes many times the memory of the text."""
    return (line.rstrip(b"\n") for line in io.BytesIO(data) if line.strip())


def _take_header(found: JournalContent, line: bytes, version: object, *, believed: bool, unsigned: bool) -> None:
    version = version if isinstance(version, int) else UNSIGNED
    if believed:
        found.format = max(found.format, version)
        found.headed = True
    elif unsigned and version <= FORMAT:
        found.gone += line + b"\n"  # one that is signed takes its place
        return
    else:
        found.foreign += version > FORMAT  # of others' journals that this version knows, the lines count
    found.kept += line + b"\n"


def _take_entry(found: JournalContent, line: bytes, entry: Entry | None, signer: Signer | None) -> None:
    """Add the entry of a believed line; with a signer the line is signed now."""
    if entry is None:
        found.damaged += 1
        found.gone += line + b"\n"
        return
    found.entries.append(entry)
    found.kept += line + b"\n" if signer is None else _line(entry, signer)
    found.gone += b"" if signer is None else line + b"\n"


def _header(signer: Signer) -> bytes:
    return _sealed({"what": _HEADER, "format": FORMAT}, signer)


def _line(entry: Entry, signer: Signer | None) -> bytes:
    return _sealed(to_line_values(entry), signer)


def _sealed(values: dict[str, Any], signer: Signer | None = None) -> bytes:
    """Return a line with its checksum and its signature, each of the rest of the line."""
    try:
        body = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # something is not UTF-8; as escapes it is not for people, but whole
        body = json.dumps(values, separators=(",", ":")).encode()
    if signer is not None:
        body = b'{"mac":"' + signer.sign(body) + b'",' + body[1:]
    return f'{{"crc":"{zlib.crc32(body):08x}",'.encode() + body[1:] + b"\n"


def _decoded(line: bytes) -> dict[str, Any] | None:
    """Return the values of a line, or None where its checksum does not fit."""
    start, end = len(b'{"crc":"'), len(b'{"crc":"00000000"')
    body = _body(line)
    if body is None or line[start : start + 8] != f"{zlib.crc32(body):08x}".encode() or line[:end][-1:] != b'"':
        return None
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _body(line: bytes) -> bytes | None:
    """Return the part of a line that its checksum covers."""
    end = len(b'{"crc":"00000000"')
    if not line.startswith(b'{"crc":"') or line[end : end + 1] != b",":
        return None
    return b"{" + line[end + 1 :]


_MAC = b'{"mac":"'


def _is_signed(line: bytes) -> bool:
    """Return whether a line has a signature, of whatever key."""
    return (_body(line) or b"").startswith(_MAC)


def _signed_by(line: bytes, signer: Signer) -> bool:
    body, digits = _body(line) or b"", len(signer.sign(b""))
    signature, rest = body[len(_MAC) : len(_MAC) + digits], body[len(_MAC) + digits :]
    return body.startswith(_MAC) and rest.startswith(b'",') and signer.accepts(b"{" + rest[2:], signature)
