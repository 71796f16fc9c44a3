"""Access to files by address: local paths, stores and web servers (`s3://`, `gs://`, `https://` ...) through fsspec.

Credentials come from the environment, as each store's own library reads them; an address that holds one is refused, and
so is every scheme that is not allowed by name: fsspec knows many more, some of which run code or open other addresses.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from vidrestore.download_cache import shared_copy
from vidrestore.errors import ConfigError, InputError, OutputError, StorageError, VidrestoreError
from vidrestore.files import folder_inside, new_file, open_regular, part_name, sync
from vidrestore.redaction import holds_credentials, redact

SCHEMES = frozenset({"s3", "gs", "gcs", "az", "abfs", "abfss", "http", "https", "file"})
"""Schemes of addresses that are opened."""
_WEB = frozenset({"http", "https"})
"""Schemes whose files go by their whole address; in a store, a file is bucket and key."""
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_CHAIN = re.compile(r"[a-z][a-z0-9+.-]*::", re.IGNORECASE)
_IPV6 = re.compile(r"://\[[0-9a-f:.]+\]", re.IGNORECASE)
_BLOCK = 1 << 20
_ENDS = 1 << 16
_MARKS = frozenset(
    {"etag", "md5", "md5hash", "content_md5", "crc32c", "generation", "versionid", "version_id"}
    | {"mtime", "modified", "last_modified", "lastmodified", "updated"}
)
"""Keys under which stores report a value that changes when a file does."""
CACHE_GIB = 50.0


def is_remote(address: str) -> bool:
    """Return whether an address is more than a path."""
    return _SCHEME.match(address) is not None


def normalize(address: str) -> str:
    """Return an absolute path for a local address, `file://` included; any other address as it is.

    Raises:
        ConfigError: it holds a user, a password or a token, its scheme is not allowed, it names no host or bucket, or
            it is a chain of addresses.
    """
    if holds_credentials(address):
        raise ConfigError(
            f"the address {redact(address)} holds credentials, which would end in journals and reports; "
            "give them in the environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)"
        )
    if found := _SCHEME.match(address):
        scheme = _allowed(address)
        if scheme == "file":
            return os.path.abspath(address[found.end() :])  # noqa: PTH100  links stay
        if "::" in _IPV6.sub("://", address):
            raise ConfigError(_chain(address))
        if not address[found.end() :].partition("/")[0]:
            named = "host" if scheme in _WEB else "bucket"
            raise ConfigError(f"the address {redact(address)} names no {named}; write {scheme}://{named.upper()}/NAME")
        return address.rstrip("/")
    if _CHAIN.match(address) and "://" in address and not os.path.lexists(address):
        raise ConfigError(_chain(address))
    return os.path.abspath(address)  # noqa: PTH100  links stay


def _allowed(address: str) -> str:
    """Return the scheme of a remote address, in lower case.

    Raises:
        ConfigError: it is not allowed.
    """
    scheme = address.partition("://")[0].lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in sorted(SCHEMES))
        raise ConfigError(f"{redact(address)} cannot be opened: {scheme}:// is not allowed; use a path, or {known}")
    return scheme


def _chain(address: str) -> str:
    return f"{redact(address)} is a chain of addresses (::), none of which is followed; name the file itself"


def join(folder: str, name: str) -> str:
    """Return the address of a name, which may hold slashes, in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def fingerprint(address: str) -> str:
    """Return what changes when a file does, without reading it: size and time of change, or the store's version.

    Raises:
        InputError: there is no such file.
        StorageError: its store cannot be reached.
    """
    if not is_remote(address):
        found = local_status(address)
        return f"{found.st_size} bytes, {found.st_mtime_ns} ns"
    details = info(address)
    known = [f"{key} {details[key]}" for key in sorted(details) if key.lower() in _MARKS and details[key]]
    return ", ".join([f"{details.get('size')} bytes", *(known or [_ends(address, int(details.get("size") or 0))])])


def local_status(path: str) -> os.stat_result:
    """Return the system's status of a file, through links.

    Raises:
        InputError: there is none, or its name is impossible.
    """
    try:
        return Path(path).stat()
    except (OSError, ValueError) as error:  # a ValueError tells of a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}; check the name") from error


def info(address: str) -> dict[str, Any]:
    """Return a store's information on a file.

    Raises:
        InputError: there is no such file.
        StorageError: its store cannot be reached.
    """
    files, path = _filesystem(address)
    with _reading(address):
        files.invalidate_cache()
        details: dict[str, Any] = files.info(path)
    return details


def listing(pattern: str) -> list[tuple[str, int]]:
    """List addresses and sizes of the files in a remote folder, at any depth, or of those that match a pattern.

    Raises:
        InputError: there is no such place.
        StorageError: the store cannot be reached.
    """
    files, path = _filesystem(pattern)
    scheme = _allowed(pattern)
    with _reading(pattern):
        found = files.glob(path, detail=True) if any(mark in path for mark in "*?[") else files.find(path, detail=True)
    full = [(name if scheme in _WEB else f"{scheme}://{name}", entry) for name, entry in found.items()]
    return sorted((name, int(entry.get("size") or 0)) for name, entry in full if entry.get("type") != "directory")


def exists(address: str) -> bool:
    """Return whether a file is there."""
    if not is_remote(address):
        return os.path.exists(address)  # noqa: PTH110  Path.exists() raises where a name is too long
    files, path = _filesystem(address)
    with _reading(address):
        files.invalidate_cache()
        return bool(files.exists(path))


def is_folder(address: str) -> bool:
    """Return whether a local folder is there; stores have none whose name a file could take."""
    return not is_remote(address) and os.path.isdir(address)  # noqa: PTH112  as exists()


def beginning(address: str, most: int) -> bytes:
    """Return the first bytes of a file, all of them where it has no more.

    Raises:
        InputError: there is no such file, or it is not a regular file.
        StorageError: its store cannot be reached.
    """
    if is_remote(address):
        files, path = _filesystem(address)
        with _reading(address), files.open(path, "rb") as remote:
            data: bytes = remote.read(most)
        return data
    try:
        with open(open_regular(Path(address), os.O_RDONLY), "rb") as file:  # noqa: PTH123  a handle
            return file.read(most)
    except (OSError, OutputError) as error:
        raise InputError(f"{address} cannot be read: {_first_line(error)}") from error


@contextmanager
def local_copy(address: str, mark: str, *, cache_gib: float = CACHE_GIB) -> Iterator[Path]:
    """Give a local file with the contents of an address: the file itself, or a copy that processes of this host share.

    Args:
        address: address of the file.
        mark: fingerprint of the file; one that has changed is copied again.
        cache_gib: limit on the size of all copies together; those that nobody uses are removed, the oldest first.

    Raises:
        InputError: it is not there.
        StorageError: its store cannot be reached.
    """
    if not is_remote(address):
        yield Path(address)
        return
    name = hashlib.sha256(f"{address} {mark}".encode(errors="surrogateescape")).hexdigest()[:32]
    most = int(cache_gib * 2**30)

    def download(target: BinaryIO) -> None:
        _download(address, target, most=most)

    with shared_copy(name, download, most_bytes=most) as copy:
        try:
            yield copy
        except VidrestoreError as error:  # the name of the copy tells nobody which file it is
            shown = redact(address)
            error.message = error.message.replace(str(copy), shown).replace(copy.name, shown)
            error.args = (error.message,)
            raise


def commit(local: Path, address: str) -> None:
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
            with folder_inside(target.parent, (), make=False) as folder:
                _copy_into(local, folder, target.name)
            local.unlink()
        sync(target.parent)
    except OSError as error:
        raise OutputError(f"{address} could not be written: {_first_line(error)}") from error


def commit_inside(local: Path, root: str, name: str) -> None:
    """Move a finished file to a name in a folder; no link, whenever it is planted, leads out of the folder.

    Args:
        local: the finished file.
        root: address of the folder.
        name: name in the folder, with slashes.

    Raises:
        OutputError: it cannot be written there, or a link leads out of the folder.
        StorageError: its store cannot be reached.
    """
    if is_remote(root):
        commit(local, join(root, name))
        return
    path = Path(join(root, name))
    below = _folders_inside(root, name)
    try:
        sync(local)
        # by handles from here on: what is renamed or linked meanwhile changes nothing
        with folder_inside(Path(root), below, make=True) as folder:
            try:
                os.replace(local, path.name, dst_dir_fd=folder)
            except OSError:  # another disk
                _copy_into(local, folder, path.name)
                local.unlink()
            os.fsync(folder)
    except OSError as error:
        raise OutputError(f"{path} could not be written: {_first_line(error)}") from error


def leads_out(root: str, name: str) -> bool:
    """Return whether the folder of a name in a local folder lies elsewhere, because of a link."""
    try:
        _folders_inside(root, name)
    except OutputError:
        return True
    return False


def _folders_inside(root: str, name: str) -> tuple[str, ...]:
    """Return the folders between a folder and a name in it; links to other places in it are followed."""
    home, real = os.path.realpath(root), os.path.realpath(Path(join(root, name)).parent)
    if os.path.commonpath([home, real]) != home:
        raise OutputError(f"{join(root, name)} leads out of the output folder through a link; remove the link")
    return PurePosixPath(real).relative_to(home).parts


def _copy_into(local: Path, folder: int, name: str) -> None:
    part = part_name(name)
    try:
        with local.open("rb") as source, open(new_file(part, folder=folder), "wb") as target:  # noqa: PTH123  a handle
            shutil.copyfileobj(source, target, _BLOCK)
            target.flush()
            os.fsync(target.fileno())
            os.fchmod(target.fileno(), local.stat().st_mode & 0o777)
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(OSError):  # it was renamed
            os.unlink(part, dir_fd=folder)


def commit_text(text: str, address: str) -> None:
    """Write a text to its address.

    Raises:
        OutputError: it cannot be written there.
    """
    commit_bytes(text.encode(), address)


def commit_bytes(data: bytes, address: str) -> None:
    """Write bytes to their address, as `commit_text` does."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(data)
    try:
        commit(Path(file.name), address)
    finally:
        Path(file.name).unlink(missing_ok=True)


def remove_file(address: str) -> None:
    """Remove a file, if it is there and can be removed; never a folder. What cannot be removed costs only room."""
    with suppress(Exception):  # stores raise what their libraries do
        if is_remote(address):
            files, path_there = _filesystem(address)
            files.rm_file(path_there)
        else:
            Path(address).unlink(missing_ok=True)


def remove_job_folder(address: str) -> None:
    """Remove a folder that a job has of its own, with all in it; if a link is in its place, nothing."""
    with suppress(Exception):  # stores raise what their libraries do
        if is_remote(address):
            files, path_there = _filesystem(address)
            for name in files.find(path_there):  # `rm` would take marks such as [1] in the address for a pattern
                files.rm_file(name)
        else:
            shutil.rmtree(address, ignore_errors=True)  # refuses a link, and follows none inside


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a local file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filesystem(address: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415  slow to import, and local files do not need it

    scheme = _allowed(address)
    try:
        files = fsspec.filesystem(scheme)
    except Exception as error:  # as many kinds as there are libraries of stores
        advice = f"install what fsspec wants for {scheme}:// ({_first_line(error)})"
        raise ConfigError(f"{redact(address)} cannot be opened; {advice}") from error
    # never the whole address of a store: fsspec takes `::` and `://` in a key for other addresses
    return files, address if scheme in _WEB else address.partition("://")[2]


@contextmanager
def _reading(address: str) -> Iterator[None]:
    """Translate errors of reading: a missing file is the user's matter; everything else may pass."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{redact(address)} cannot be read: {_first_line(error)}; check the name") from error
    except VidrestoreError:
        raise
    except Exception as error:  # stores raise what their libraries do
        raise StorageError(f"{redact(address)} cannot be read: {_first_line(error)}") from error


def _ends(address: str, size: int) -> str:
    """Hash a file's beginning and end, for stores that report nothing of when it changed."""
    files, path = _filesystem(address)
    with _reading(address):
        ends = files.cat_file(path, 0, min(_ENDS, size)) + files.cat_file(path, max(0, size - _ENDS), size)
    return f"ends {hashlib.sha256(ends).hexdigest()[:16]}"


def _download(address: str, target: BinaryIO, *, most: int) -> None:
    files, path = _filesystem(address)
    with _reading(address):
        announced = files.info(path).get("size")
        limit = most if announced is None else int(announced)
        come = 0
        with files.open(path, "rb") as source:
            while block := source.read(_BLOCK):
                come += len(block)
                if come > limit:
                    raise StorageError(f"{redact(address)} is longer than the {limit} bytes announced or allowed")
                target.write(block)
        if announced is not None and come != announced:
            raise StorageError(f"{redact(address)} was cut short: {come} of {announced} bytes came")


def _first_line(error: BaseException) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return redact(f"{type(error).__name__}: {text}" if text else type(error).__name__)
