"""Destinations from the names of sources, which strangers may have chosen."""

import hashlib
import os
import re
from pathlib import PurePosixPath

from vidrestore import storage
from vidrestore.errors import ConfigError
from vidrestore.files import is_state_folder

_LONGEST = 255
"""Longest file name in bytes."""
_LONGEST_SUFFIX = 16
_DIGITS = 12
_UNDECODABLE = re.compile("[\udc80-\udcff]")


def safe_destination(name: str) -> str:
    """Return a place in the output folder for a name from a listing.

    Slashes without a name between them are dropped; bytes that are not UTF-8 become escapes such as `%E4`; a name that
    is too long is shortened, with some digits of a hash that keep it unique.

    Raises:
        ConfigError: the name leads elsewhere: through `..`, or into what belongs to the job.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    _check_stays(parts, name)
    return "/".join(map(_safe, parts))


def checked_destination(name: object) -> str:
    """Return a place in the output folder, as a manifest names it.

    Raises:
        ConfigError: it is not a name, or leads elsewhere.
    """
    if not isinstance(name, str):
        raise ConfigError(f"the destination is {name!r}, not a name")
    if not is_file_name(name):
        raise ConfigError(f"the destination {name!r} holds letters that no file's name holds")
    if name.startswith("/") or storage.is_remote(name) or "\\" in name:
        raise ConfigError(f"the destination {name!r} leaves the output folder; name a place in it")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    _check_stays(parts, name)
    if any(len(os.fsencode(part)) > _LONGEST for part in parts):
        raise ConfigError(f"the destination {name[:40]}... is longer than the {_LONGEST} bytes that a name may have")
    return "/".join(parts)


def is_file_name(name: str) -> bool:
    """Return whether a text can be the name of a file."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def as_text(name: str) -> str:
    """Return a name as text: bytes that are not UTF-8 become escapes in hexadecimal."""
    try:
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        return name.encode(errors="backslashreplace").decode()


def _check_stays(parts: list[str], name: str) -> None:
    # folded: on disks of macOS and Windows, .VIDRESTORE is the same folder
    if not parts or ".." in parts or any(map(is_state_folder, parts)):
        raise ConfigError(f"the destination {name!r} leaves the output folder; name a place in it")


def _safe(part: str) -> str:
    part = _UNDECODABLE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", part).replace("\0", "%00")
    encoded = part.encode(errors="replace")
    if len(encoded) <= _LONGEST:
        return encoded.decode()
    suffix = PurePosixPath(part).suffix
    end = f"-{hashlib.sha256(encoded).hexdigest()[:_DIGITS]}{suffix if len(suffix) <= _LONGEST_SUFFIX else ''}"
    return encoded[: _LONGEST - len(end.encode())].decode(errors="ignore") + end
