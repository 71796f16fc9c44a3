"""Removes secrets from texts, for every message and log: known ones anywhere, and what looks like one in a URL.

An address is taken apart when it comes in (`remember_url`), and its secrets are replaced literally from then on. Texts
may also hold addresses that nobody announced: of these, too, only what is harmless is left.
"""

import base64
import html
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote

from vidrestore.redaction.urls import EXAMPLE, HIDDEN, hidden, hidden_query, holds_credentials, secrets

__all__ = ["HIDDEN", "hidden", "holds_credentials", "redact", "remember", "remember_url"]

_SHORTEST = 4
"""Shortest secret, in characters, that is replaced wherever it stands; shorter ones would garble every message."""
_UNMISTAKABLE = 8
"""Length in characters from which on a secret is replaced within words, too."""
_ORDINARY = frozenset(
    [
        "admin",
        "audio",
        "auto",
        "camera",
        "channel",
        "demo",
        "error",
        "failed",
        "file",
        "film",
        "from",
        "guest",
        "host",
        "http",
        "https",
        "live",
        "local",
        "localhost",
        "main",
        "name",
        "none",
        "null",
        "open",
        "password",
        "path",
        "port",
        "public",
        "root",
        "rtmp",
        "rtmps",
        "rtsp",
        "rtsps",
        "server",
        "source",
        "stream",
        "streams",
        "test",
        "true",
        "false",
        "user",
        "username",
        "video",
        "view",
        "viewer",
        "with",
        "word",
    ]
)
"""Words of our own messages. As a password they are hidden in URLs, where alone they say anything."""
_TOKEN = re.compile(r"\S+")
_START = re.compile(r"[a-z][a-z0-9+.-]{0,19}\Z", re.IGNORECASE)
_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,19}://)(?P<user>[^/@:\n]{0,60}:[^/@\n]{0,200})@", re.IGNORECASE)
"""User and password of a URL, also with spaces."""
_NAMED = re.compile(
    r"(?P<name>(?:password|passwd|passphrase|pwd|secret|token|api_?key)[\w.-]{0,20}=)(?!\*\*\*)[^\s&;'\"]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\b(?P<name>(?:proxy-)?authorization|(?:set-)?cookie)(?P<colon>\s{0,3}[:=]\s{0,3})[^\r\n'\"]+", re.IGNORECASE
)
_TRAILING = "'\",:;.)]>}"

_MOST_TURNS = 6

_lock = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def remember(*values: str) -> None:
    """Replace these values in every text from now on, also quoted as in URLs, JSON, Python, HTML and Basic."""
    global _pattern  # noqa: PLW0603  one set of secrets a process: that no caller can forget to pass it on is the point
    forms = {form for value in values for form in _forms(value) if _is_worth(form)}
    with _lock:
        if forms <= _known:
            return
        _known.update(forms)
        longest_first = sorted(_known, key=lambda form: (-len(form), form))
        _pattern = re.compile("|".join(map(_literally, longest_first)))


def remember_url(url: str) -> None:
    """Replace the secrets of this URL in every text from now on."""
    remember(*secrets(url))


def redact(text: str) -> str:
    """Replace known secrets, users, passwords, and what is not surely harmless in URLs, by ***.

    It takes time in proportion to the length. Redacting twice is redacting once.
    """
    for _ in range(_MOST_TURNS):  # what one rule hides may leave something that another one hides
        before, text = text, _redacted_once(text)
        if text == before:
            break
    return text


def _redacted_once(text: str) -> str:
    text = _without_known(text)
    text = _USER.sub(lambda url: url[0] if url["user"] == EXAMPLE else f"{url['scheme']}{HIDDEN}@", text)
    text = _TOKEN.sub(_shown_token, text)
    text = _HEADER.sub(rf"\g<name>\g<colon>{HIDDEN}", text)
    return _without_known(_NAMED.sub(rf"\g<name>{HIDDEN}", text))


def _without_known(text: str) -> str:
    pattern, before = _pattern, ""
    while pattern is not None and text != before:  # a secret may hold asterisks; each turn makes the text shorter
        before, text = text, pattern.sub(HIDDEN, text)
    return text


def _shown_token(found: re.Match[str]) -> str:
    token = found[0]
    if "://" not in token and "?" not in token:
        return token
    kept = token.rstrip(_TRAILING)
    trailing = token[len(kept) :]
    before, separator, _ = kept.partition("://")
    if not separator:
        return (hidden_query(kept) if "=" in kept.partition("?")[2] else kept) + trailing
    start = _START.search(before[-20:])
    if start is None:
        return token
    begin = len(before) - len(start[0])
    return kept[:begin] + hidden(kept[begin:]) + trailing


def _forms(value: str) -> Iterator[str]:
    plain = unquote(value)
    for form in {value, plain}:
        yield form
        yield from (json.dumps(form)[1:-1], repr(form)[1:-1], html.escape(form))
        for quoted in (quote(form), quote(form, safe=""), quote_plus(form)):
            yield quoted
            yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
        if ":" in form:
            yield base64.b64encode(form.encode()).decode()


def _is_worth(form: str) -> bool:
    return len(form) >= _SHORTEST and form.lower() not in _ORDINARY and not re.fullmatch(r"[\s*./:_-]*", form)


def _literally(form: str) -> str:
    if len(form) < _UNMISTAKABLE:
        return rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"
    return re.escape(form)
