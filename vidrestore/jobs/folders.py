"""Files in folders and of patterns, in trees that others may write to: no link leads out, and every walk ends."""

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_PATTERN = frozenset("*?[")
_DEEP = "**"


@dataclass(slots=True)
class FoundFiles:
    """Result of a walk."""

    paths: list[str] = field(default_factory=list)
    """Paths in order; each file once, even if it has several names or links."""
    left_out: list[str] = field(default_factory=list)
    """Entries that are not regular files, and why: one line each."""


def is_pattern(text: str) -> bool:
    """Return whether a text contains wildcards."""
    return bool(_PATTERN & set(text))


def fixed_folder(pattern: str) -> str:
    """Return the folder before the first part of a pattern that is not fixed."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:first]) or "/"


def find_files(
    root: str, pattern: str = _DEEP, *, but: str | None = None, is_wanted: Callable[[str], bool]
) -> FoundFiles:
    """Find the files in a folder that match a pattern; hidden ones only where the pattern names the dot, as in a shell.

    Links to folders are not followed. Of links to files, those that stay in the folder are, and count as the file.

    Args:
        root: the folder, through links or not.
        pattern: relative to it; `**` is any number of folders.
        but: a folder to skip.
        is_wanted: whether to report a name that leads to no file, or to one that was found already.
    """
    found = FoundFiles()
    candidates: list[tuple[bool, str, tuple[int, int]]] = []
    home = os.path.realpath(root)
    for entry in _walk(root, _compiled(pattern), but, found):
        try:
            status = entry.stat()
            reason = _no_file(entry, status, home)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        if reason is None:
            candidates.append((entry.is_symlink(), entry.path, (status.st_dev, status.st_ino)))
        elif is_wanted(entry.name):
            found.left_out.append(f"{entry.path} {reason}")
    taken: dict[tuple[int, int], str] = {}
    for _, path, identity in sorted(candidates):  # files before links to them
        first = taken.setdefault(identity, path)
        if first is path:
            found.paths.append(path)
        elif is_wanted(path):
            found.left_out.append(f"{path} is the same file as {first}")
    found.paths.sort()
    return found


def _no_file(entry: "os.DirEntry[str]", status: os.stat_result, home: str) -> str | None:
    """Return why an entry that is not a folder is not a regular file in it either; None if it is one."""
    if stat.S_ISDIR(status.st_mode):
        return "is a link to a folder"
    if not stat.S_ISREG(status.st_mode):
        return "is a pipe, a socket or a device"
    if entry.is_symlink() and os.path.commonpath([home, os.path.realpath(entry.path)]) != home:
        return "is a link that leads out of the folder"
    return None


@dataclass(frozen=True, slots=True)
class _Part:
    """Part of a pattern between two slashes."""

    text: str
    names: re.Pattern[str] = field(repr=False)

    @property
    def deep(self) -> bool:
        return self.text == _DEEP

    def matches(self, name: str) -> bool:
        hidden = name.startswith(".") and not self.text.startswith(".")
        return not hidden and self.names.match(name) is not None


def _compiled(pattern: str) -> list[_Part]:
    return [_Part(part, re.compile(fnmatch.translate(part))) for part in pattern.split("/") if part]


def _walk(root: str, parts: list[_Part], but: str | None, found: FoundFiles) -> "Iterator[os.DirEntry[str]]":
    """Yield what matches and is no folder; a folder is read once, for all places in the pattern that lead into it."""
    waiting = [(root, _with_skipped({0}, parts))]
    while waiting:
        folder, places = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                here = list(entries)
        except OSError as error:
            found.left_out.append(f"{folder} cannot be read: {error.strerror}")
            continue
        for entry in here:
            following = _with_skipped(_after(entry.name, places, parts), parts)
            if not entry.is_dir(follow_symlinks=False):
                if len(parts) in following:
                    yield entry
            elif following - {len(parts)} and entry.path != but:
                waiting.append((entry.path, following))


def _after(name: str, places: set[int], parts: list[_Part]) -> set[int]:
    """Return the places in the pattern that follow a name."""
    inside = {place for place in places if place < len(parts) and parts[place].matches(name)}
    return {place if parts[place].deep else place + 1 for place in inside}


def _with_skipped(places: set[int], parts: list[_Part]) -> set[int]:
    """Return the places, and those behind a `**`, which may stand for no folder."""
    reached = set(places)
    for place, part in enumerate(parts):
        if part.deep and place in reached:
            reached.add(place + 1)
    return reached
