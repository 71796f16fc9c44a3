"""Files wherever they are: paths as they are, everything else (`s3://`, `gs://`, `https://` ...) through fsspec.

Credentials come from the environment, as each store's own library reads them; an address that holds one is refused.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vidrestore.errors import ConfigError, InputError, OutputError, StorageError, VidrestoreError
from vidrestore.files import sync
from vidrestore.redaction import redact

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_BLOCK = 1 << 20
_ENDS = 1 << 16
_MARKS = frozenset(
    {"etag", "md5", "md5hash", "content_md5", "crc32c", "generation", "versionid", "version_id"}
    | {"mtime", "modified", "last_modified", "lastmodified", "updated"}
)
"""What stores call that which changes when a file does."""
SPOOL_GIB = 50.0


def is_remote(address: str) -> bool:
    """Whether an address is not simply a path."""
    return _SCHEME.match(address) is not None


def clean(address: str) -> str:
    """An absolute path for a local address, `file://` included; any other address as it is.

    Raises:
        ConfigError: it holds a user, a password or a token.
    """
    if redact(address) != address:
        raise ConfigError(
            f"the address {redact(address)} holds credentials, which would end in journals and reports; "
            "give them in the environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)"
        )
    if address.lower().startswith("file://"):
        address = address[len("file://") :]
    return address.rstrip("/") if is_remote(address) else os.path.abspath(address)  # noqa: PTH100  links stay


def beside(folder: str, name: str) -> str:
    """The address of a name, which may hold slashes, in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def fingerprint(address: str) -> str:
    """What changes when a file does, without reading it: size and time of change, or what its store says.

    Raises:
        InputError: there is no such file.
        StorageError: its store cannot be reached.
    """
    if not is_remote(address):
        try:
            found = Path(address).stat()
        except OSError as error:
            raise InputError(f"{address} cannot be read: {error.strerror}; check the name") from error
        return f"{found.st_size} bytes, {found.st_mtime_ns} ns"
    told = info(address)
    known = [f"{key} {told[key]}" for key in sorted(told) if key.lower() in _MARKS and told[key]]
    return ", ".join([f"{told.get('size')} bytes", *(known or [_ends(address, int(told.get("size") or 0))])])


def info(address: str) -> dict[str, Any]:
    """What a store says of a file.

    Raises:
        InputError: there is no such file.
        StorageError: its store cannot be reached.
    """
    files, path = _filesystem(address)
    with _reading(address):
        files.invalidate_cache()
        told: dict[str, Any] = files.info(path)
    return told


def listing(pattern: str) -> list[tuple[str, int]]:
    """Addresses and sizes of the files in a remote folder, however deep, or of those that match a pattern.

    Raises:
        InputError: there is no such place.
        StorageError: the store cannot be reached.
    """
    files, path = _filesystem(pattern)
    scheme = pattern.partition("://")[0]
    with _reading(pattern):
        found = files.glob(path, detail=True) if any(mark in path for mark in "*?[") else files.find(path, detail=True)
    full = [(name if "://" in name else f"{scheme}://{name}", told) for name, told in found.items()]
    return sorted((name, int(told.get("size") or 0)) for name, told in full if told.get("type") != "directory")


def exists(address: str) -> bool:
    """Whether a file is there."""
    if not is_remote(address):
        return Path(address).exists()
    files, path = _filesystem(address)
    with _reading(address):
        files.invalidate_cache()
        return bool(files.exists(path))


@contextmanager
def fetched(address: str, mark: str, *, spool_gib: float = SPOOL_GIB) -> Iterator[Path]:
    """A local file with what is at an address: the file itself, or a copy that processes of this machine share.

    Args:
        address: of the file.
        mark: its fingerprint; a file that changed is fetched anew.
        spool_gib: size that all copies may have together; those that nobody uses give way, the oldest first.

    Raises:
        InputError: it is not there.
        StorageError: its store cannot be reached.
    """
    if not is_remote(address):
        yield Path(address)
        return
    folder = Path(tempfile.gettempdir()) / f"vidrestore-spool-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder} belongs to somebody else; set TMPDIR to a folder of your own")
    copy = folder / hashlib.sha256(f"{address} {mark}".encode()).hexdigest()[:32]
    with (folder / f"{copy.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not copy.exists():  # from one lock to another somebody else may come between
            fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not copy.exists():
                _make_room(folder, spool_gib)
                _download(address, copy)
            fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(copy)
        yield copy


def publish(local: Path, address: str) -> None:
    """Move a finished file to its address, where it appears whole or not at all.

    Raises:
        OutputError: it cannot be written there.
        StorageError: its store cannot be reached.
    """
    if is_remote(address):
        files, path = _filesystem(address)
        try:
            files.put_file(str(local), path)
        except (FileNotFoundError, PermissionError) as error:
            raise OutputError(f"{redact(address)} could not be written: {_first_line(error)}") from error
        except Exception as error:  # stores raise what their libraries do
            raise StorageError(f"{redact(address)} could not be written: {_first_line(error)}") from error
        local.unlink()
        return
    try:
        target = Path(address)
        sync(local)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            local.replace(target)
        except OSError:  # another disk
            aside = target.with_name(f".{target.name}.{os.getpid()}.part")
            try:
                shutil.copyfile(local, aside)
                sync(aside)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
            local.unlink()
        sync(target.parent)
    except OSError as error:
        raise OutputError(f"{address} could not be written: {_first_line(error)}") from error


def publish_text(text: str, address: str) -> None:
    """Write a text to its address.

    Raises:
        OutputError: it cannot be written there.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", delete=False) as file:
        file.write(text)
    try:
        publish(Path(file.name), address)
    finally:
        Path(file.name).unlink(missing_ok=True)


def remove(address: str) -> None:
    """Remove a file or a folder with all in it, if it is there and can be removed; what cannot be costs only room."""
    with suppress(Exception):  # stores raise what their libraries do
        if is_remote(address):
            files, path_there = _filesystem(address)
            files.rm(path_there, recursive=True)
        elif Path(address).is_dir():
            shutil.rmtree(address, ignore_errors=True)
        else:
            Path(address).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Of a local file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filesystem(address: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415  slow to import, and local files do not need it

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        scheme = address.partition("://")[0]
        advice = f"install what fsspec wants for {scheme}:// ({_first_line(error)})"
        raise ConfigError(f"{redact(address)} cannot be opened; {advice}") from error
    return files, path


@contextmanager
def _reading(address: str) -> Iterator[None]:
    """What is not there is the user's matter; everything else may pass."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{redact(address)} cannot be read: {_first_line(error)}; check the name") from error
    except VidrestoreError:
        raise
    except Exception as error:  # stores raise what their libraries do
        raise StorageError(f"{redact(address)} cannot be read: {_first_line(error)}") from error


def _ends(address: str, size: int) -> str:
    """A hash of a file's beginning and end, for stores that tell nothing of when it changed."""
    files, path = _filesystem(address)
    with _reading(address):
        ends = files.cat_file(path, 0, min(_ENDS, size)) + files.cat_file(path, max(0, size - _ENDS), size)
    return f"ends {hashlib.sha256(ends).hexdigest()[:16]}"


def _download(address: str, copy: Path) -> None:
    files, path = _filesystem(address)
    part = copy.with_name(f"{copy.name}.part")
    try:
        with _reading(address):
            size = files.info(path).get("size")
            with files.open(path, "rb") as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
            if size is not None and part.stat().st_size != size:
                raise StorageError(f"{redact(address)} was cut short: {part.stat().st_size} of {size} bytes came")
            part.replace(copy)
    finally:
        part.unlink(missing_ok=True)


def _make_room(folder: Path, gib: float) -> None:
    copies = sorted(
        (path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir() if path.suffix != ".lock"
    )
    held = sum(size for _, size, _ in copies)
    for _, size, path in copies:
        if held <= gib * 2**30:
            return
        with path.with_name(f"{path.stem}.lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            held -= size


def _first_line(error: BaseException) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return redact(f"{type(error).__name__}: {text}" if text else type(error).__name__)
