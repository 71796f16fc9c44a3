"""Secrets out of texts: the user and password of a URL, tokens and keys in its query. For every message and log."""

import re

HIDDEN = "***"

_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<name>[?&;](?:[\w.-]*(?:token|secret|passw(?:or)?d|passwd|pwd|signature|credential|api_?key)[\w.-]*"
    r"|key|auth|pass|sig|sas|user|username|login)=)[^&;#\s'\"]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The same text with what stands before the @ of URLs, and with secrets in their queries, replaced by ***.

    A user name goes with its password: a camera's stream key is often written there alone.
    """
    return _QUERY.sub(rf"\g<name>{HIDDEN}", _CREDENTIALS.sub(rf"\g<scheme>{HIDDEN}@", text))
