"""A standard stream to which a print cannot fail because of the text, or of a reader that has left."""

import io
import os
import sys
from contextlib import suppress
from typing import IO, Any, Literal, cast

from vidrestore.errors import OutputError


class StandardStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr`, whichever object that is at the time, for a console of rich.

    Characters that the terminal's encoding lacks are written as escapes. A stream that is closed, or whose reader has
    gone, swallows what is written: that nobody reads is no failure of the work. Nothing is raised for stderr, on which
    failures are reported.

    Raises:
        OutputError: the text could not be written to stdout, such as to a disk that is full.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    @property
    def rich_proxied_file(self) -> "StandardStream":
        """The file to which rich writes while a bar of its own takes the place of `sys.stderr`."""
        return self

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a plain attribute
        """Encoding of the stream as it is at present."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(ValueError, AttributeError):  # closed, or no file at all
            return self._stream().isatty()
        return False

    def fileno(self) -> int:
        """Return its descriptor, where it has one."""
        return self._stream().fileno()

    def write(self, text: str) -> int:
        """Write to the stream, escaping what it cannot encode."""
        encoding = self.encoding
        self._attempt(lambda stream: stream.write(text.encode(encoding, "backslashreplace").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._attempt(lambda stream: stream.flush())

    def _stream(self) -> IO[str]:
        stream: Any = getattr(sys, self._name)
        return cast("IO[str]", getattr(stream, "rich_proxied_file", stream))

    def _attempt(self, work: Any) -> None:  # noqa: ANN401  of any result
        stream = self._stream()
        if stream is None or getattr(stream, "closed", False):
            return
        try:
            work(stream)
        except (OSError, ValueError) as error:
            _discard_rest(stream)
            if self._name == "stdout" and not isinstance(error, BrokenPipeError | ValueError):
                raise OutputError(f"standard output could not be written: {error.strerror}") from error


def _discard_rest(stream: IO[str]) -> None:
    """Discard what is buffered: written when Python ends, it would change the exit code to 120."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
