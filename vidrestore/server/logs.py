"""The log of streams, line by line: for people, or as JSON for programs."""

import json
import logging
import os
import stat
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from vidrestore.printable import printable, shorten
from vidrestore.redaction import redact

Style = Literal["text", "json"]

LOG = logging.getLogger("vidrestore.streams")


def start_logging(style: Style, *, quiet: bool = False) -> None:
    """Send the log to stderr; with `quiet` only warnings. Secrets in URLs are hidden in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else Lines())
    LOG.handlers[:] = [handler]
    LOG.propagate = bool(logging.getLogger("vidrestore").handlers)  # to a log file, if there is one
    LOG.setLevel(logging.WARNING if quiet else logging.INFO)


def show_secret(line: str) -> bool:
    """Write a line with a secret to stderr, where only the person who runs this reads it.

    It does not go into a log of JSON, which is collected and kept, nor into a file that others on this host may read.

    Returns:
        Whether it was written.
    """
    collected = any(isinstance(handler.formatter, JsonLines) for handler in LOG.handlers)
    if collected or _others_may_read(sys.stderr):
        return False
    print(printable(line), file=sys.stderr, flush=True)  # noqa: T201  the log would hide the secret
    return True


def _others_may_read(stream: TextIO) -> bool:
    """Return whether a stream is a file that others than its owner may read."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # no file at all
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))


class Lines(logging.Formatter):
    """Formats a record as time, stream and message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        stream = getattr(record, "stream", None)
        return printable(redact(f"{at} {f'[{stream}] ' if stream else ''}{record.getMessage().strip()}"))


class JsonLines(logging.Formatter):
    """Formats a record as a JSON object in one line: time, level, stream, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stream": getattr(record, "stream", None),
            "message": shorten(redact(record.getMessage())),
        }
        return json.dumps(values)  # in ASCII: nothing in it can act on a terminal, or end the line for any reader
