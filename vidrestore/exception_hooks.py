"""Output of Python itself when all else fails: exceptions of threads, warnings, logs that nobody configured."""

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
    sys.excepthook = _print
    threading.excepthook = _print_thread
    sys.unraisablehook = _print_unraisable
    warnings.formatwarning = _warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableLines())


def log_plainly(logger: str) -> None:
    """Make foreign text harmless in what a library's own handlers of a logger print."""
    for handler in logging.getLogger(logger).handlers:
        handler.setFormatter(PrintableLines("%(asctime)s %(levelname)s %(message)s"))


class PrintableLines(logging.Formatter):
    """Formats a record as one printable line, and its exception as several."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """Return one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401  as above
        """Return several lines."""
        return printable_lines(super().formatException(ei))


def _print(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if sys.stderr is not None:
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(printable_lines(text))  # backslashreplace is stderr's own way with what it cannot encode


def _print_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit:
        if sys.stderr is not None and failure.thread is not None:
            sys.stderr.write(f"Exception in thread {printable(failure.thread.name)}:\n")
        _print(failure.exc_type, failure.exc_value, failure.exc_traceback)


def _print_unraisable(failure: "sys.UnraisableHookArgs") -> None:
    if sys.stderr is not None:
        sys.stderr.write(
            printable(f"{failure.err_msg or 'Exception ignored in'}: {type(failure.object).__name__}") + "\n"
        )
    _print(failure.exc_type, failure.exc_value, failure.exc_traceback)


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line  # the source's line tells users nothing
    return printable(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"
