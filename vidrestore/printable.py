"""Foreign text, such as names of files, tags of videos and answers of servers, made harmless for a line of output.

Such text is chosen by whoever made the file. Printed as it is, it can recolour, retitle or clear a terminal (ESC),
forge a second line of a log (newline), show a name in another order than it has (bidirectional controls) or hide a
part of it.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

MOST: Final = 4000
"""Longest message in characters. A path has at most 4096 bytes; a tag may have megabytes."""

_MOST_MARKS = 8
"""Combining marks on one letter. No orthography needs more; stacks of hundreds are drawn over other lines."""
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_JOINERS: Final = frozenset("\u200c\u200d")
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters that are letters, marks and a symbol by category, but drawn as nothing or as a blank."""
_KEYCAPS: Final = frozenset("0123456789#*")


def printable(text: str, *, most: int = MOST) -> str:
    r"""Write what could do harm in a line of output as an escape, such as `\x1b` or `\u202e`; cut what is too long.

    Letters of all scripts, their marks, symbols, emoji and spaces stay as they are, and so does a backslash: doubled,
    it would make every path of Windows and a second call of this function unreadable. A name that really holds `\x1b`
    as four characters therefore looks like one with an escape character; both are harmless.

    Args:
        text: anything, also with surrogates (names of files that are not UTF-8).
        most: limit on the length of the result; of a longer text the middle is left out, and its length is stated.

    Returns:
        One line that any terminal, log and UTF-8 file takes. Applied again, it does not change.
    """
    text = shorten(text, most=most)
    if text.isascii() and text.isprintable():
        return text
    return shorten("".join(_shown(text)), most=most)


def printable_lines(text: str) -> str:
    """Make text harmless as `printable` does, but keep its line feeds, such as those of a traceback."""
    return "\n".join(map(printable, text.split("\n")))


def few(lines: Sequence[str], *, most: int = 20) -> list[str]:
    """Return the first of many lines, and how many more there are: a file can be made to cause thousands."""
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return [*lines[:most], *more]


def shorten(text: str, *, most: int = MOST) -> str:
    """Leave out the middle of a text of more than `most` characters: advice is often at the end."""
    if len(text) <= most:
        return text
    mark = f" [... {len(text) - most} characters ...] "
    kept = max(0, most - len(mark) - len(str(len(mark))))
    tail = kept // 4
    return (text[: kept - tail] + mark + text[len(text) - tail :])[:most]


def _shown(text: str) -> list[str]:
    """Return each character, or its escape.

    Joiners and variation selectors are invisible, but Persian and Indic spelling, emoji and Japanese names need them:
    one is kept directly after something visible that it can belong to. Alone, in a row or between ASCII letters they
    only hide something. All other format characters (Cf) are escaped, also the tags by which three flags are spelt.
    """
    shown = []
    before, marks = "", 0
    for character in text:
        category = unicodedata.category(character)
        if character in _JOINERS or _is_selector(character):
            kept = _belongs(character, before)
            before = "\ufe0f" if kept and _is_selector(character) else ""
        elif category in {"Mn", "Me"}:
            marks += 1
            kept = marks <= _MOST_MARKS and character not in _INVISIBLE
            before = character if kept else ""
        else:
            marks = 0
            kept = (character.isprintable() or category == "Zs") and character not in _INVISIBLE
            before = character if kept and category != "Zs" else ""
        shown.append(character if kept else _escape(character))
    return shown


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _belongs(character: str, before: str) -> bool:
    if not before:
        return False
    if before == "\ufe0f":  # a joiner may follow a selector, as in the heart on fire; a second selector may not
        return character in _JOINERS
    return not before.isascii() or (before in _KEYCAPS and character == "\ufe0f")


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004
