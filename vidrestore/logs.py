"""Logs for people who look for a cause: on stderr, in a file, in the folder of a job.

Modules log to `logging.getLogger(__name__)`, below `vidrestore`; nothing is shown below a warning unless it is asked
for. Every line is printable, whatever is in it, and shows no secret of an address.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidrestore.errors import OutputError, VidrestoreError
from vidrestore.files import open_regular
from vidrestore.printable import printable, printable_lines
from vidrestore.redaction import redact

LOG_FILE_VARIABLE = "VIDRESTORE_LOG_FILE"
"""Names the log to child processes, such as the workers of a Ray cluster that was started here."""
JOB_LOG = "log.txt"

_ROOT = logging.getLogger("vidrestore")
_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


class LogLines(logging.Formatter):
    """Formats a record as one printable line, and one for each line of its traceback; secrets are hidden."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, whatever another formatter has made of the traceback and left in the record."""
        own = logging.makeLogRecord(record.__dict__)
        own.exc_text = None
        return super().format(own)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """Return one line."""
        return printable(redact(super().formatMessage(record)))

    def formatException(self, ei: object) -> str:  # noqa: N802  logging's name
        """Return several lines."""
        return printable_lines(redact(super().formatException(ei)))  # type: ignore[arg-type]  # logging's own


def show_log(verbosity: int) -> None:
    """Show the log on stderr: from 1 on what is done, from 2 on details too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
    handler.addFilter(lambda record: not _is_shown_elsewhere(record))
    _add(handler)


def open_log(path: Path) -> None:
    """Append the whole log to a file, from now on, in this process and in its children.

    Raises:
        OutputError: it cannot be written, or is no file of its own.
    """
    path = path.absolute()
    _add(_file_handler(path))
    os.environ[LOG_FILE_VARIABLE] = str(path)


def join_log() -> None:
    """Append to the log that the parent process named, if it did; a worker that cannot works without."""
    path = os.environ.get(LOG_FILE_VARIABLE)
    if not path or any(isinstance(one, logging.FileHandler | _OwnFile) for one in _ROOT.handlers):
        return
    try:
        _add(_file_handler(Path(path)))
    except VidrestoreError:
        logging.getLogger(__name__).warning("the log %s cannot be written by this worker", path)


@contextmanager
def log_to(folder: Path) -> Iterator[None]:
    """Append the whole log to `log.txt` in a folder, such as that of a job, while the context lasts.

    Raises:
        OutputError: it cannot be written, or is no file of its own.
    """
    level = _ROOT.level
    handler = _file_handler(folder / JOB_LOG)
    _add(handler)
    try:
        yield
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)
        handler.close()


class _OwnFile(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """A stream handler that closes its file."""

    def close(self) -> None:
        """Close the file."""
        super().close()
        self.stream.close()


def _file_handler(path: Path) -> logging.Handler:
    try:
        handle = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise OutputError(f"the log {path} cannot be written: {error.strerror}") from error
    handler = _OwnFile(open(handle, "a", encoding="utf-8", errors="backslashreplace"))  # noqa: PTH123, SIM115  a handle
    handler.setLevel(logging.DEBUG)
    return handler


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(LogLines())
    if not _ROOT.handlers and isinstance(handler, _OwnFile):
        _keep_warnings_on_stderr()
    _ROOT.addHandler(handler)
    _ROOT.setLevel(min(handler.level, _ROOT.level or logging.CRITICAL))


def _keep_warnings_on_stderr() -> None:
    """Add a handler of warnings: logging's last resort shows them only where there is no other handler at all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.lastResort.formatter if logging.lastResort else None)
    handler.addFilter(lambda record: not _is_shown_elsewhere(record))
    _ROOT.addHandler(handler)


def _is_shown_elsewhere(record: logging.LogRecord) -> bool:
    """Return whether a logger below shows its records on stderr itself, as that of live streams does."""
    name = record.name
    while name not in {"vidrestore", ""}:
        if any(not isinstance(one, _OwnFile) for one in logging.getLogger(name).handlers):
            return True
        name = name.rpartition(".")[0]
    return False
