"""What Python itself prints when all else fails: exceptions of threads, warnings, logs that nobody configured."""

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any

from vidrestore.printable import printable, printable_lines


def install_exception_hooks() -> None:
    """Make foreign text harmless in tracebacks, warnings and the logs of libraries, for the rest of this process."""
    sys.excepthook = _tell
    threading.excepthook = _tell_thread
    sys.unraisablehook = _tell_unraisable
    warnings.formatwarning = _warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableLines())


def log_plainly(logger: str) -> None:
    """Make foreign text harmless in what a library's own handlers of a logger print."""
    for handler in logging.getLogger(logger).handlers:
        handler.setFormatter(PrintableLines("%(asctime)s %(levelname)s %(message)s"))


class PrintableLines(logging.Formatter):
    """The message, in one printable line; of an exception each line is printable."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """One line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401  likewise
        """Several lines."""
        return printable_lines(super().formatException(ei))


def _tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if sys.stderr is not None:
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(printable_lines(text))  # backslashreplace is stderr's own way with what it cannot encode


def _tell_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_type is not SystemExit:
        if sys.stderr is not None and told.thread is not None:
            sys.stderr.write(f"Exception in thread {printable(told.thread.name)}:\n")
        _tell(told.exc_type, told.exc_value, told.exc_traceback)


def _tell_unraisable(told: "sys.UnraisableHookArgs") -> None:
    if sys.stderr is not None:
        sys.stderr.write(printable(f"{told.err_msg or 'Exception ignored in'}: {type(told.object).__name__}") + "\n")
    _tell(told.exc_type, told.exc_value, told.exc_traceback)


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line  # the source's line tells users nothing
    return printable(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"
