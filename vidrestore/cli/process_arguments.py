"""Hides the secrets of the command line from other users of the host.

`ps` shows the arguments of every process to everybody, and Ray puts those of its driver into a table that everybody on
the cluster can read.
"""

import ctypes
import sys
from pathlib import Path

from vidrestore.live.addresses import hide_argument
from vidrestore.redaction import redact

_STATE, _START, _END = 3, 48, 49
"""Numbers of fields of /proc/self/stat (proc(5)): the first behind the name; where the arguments begin and end."""


def hide_arguments() -> None:
    """Overwrite the arguments that the system shows of this process; `sys.argv` keeps them.

    The arguments are visible for a few milliseconds from the start of the process. Write `${NAME}` in place of a
    secret, and put it into the environment, where no other user sees it at all.
    """
    written = Path("/proc/self/cmdline").read_bytes()
    shown = hidden_arguments(written)
    if shown == written:
        return
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    start, end = (int(fields[number - _STATE]) for number in (_START, _END))
    if not start or end - start != len(written):
        print("warning: the command line cannot be hidden from other users", file=sys.stderr)  # noqa: T201  before all else
        return
    ctypes.memmove(start, shown, len(shown))


def hidden_arguments(written: bytes) -> bytes:
    """Return arguments, each with a zero byte behind it, without secrets; as long as they were."""
    arguments = written.removesuffix(b"\0").split(b"\0")
    shown = [hide_argument(one.decode(errors="surrogateescape")) for one in arguments]
    shown = [redact(one) for one in shown]  # once more: a later one may say what of an earlier one is secret
    joined = b"\0".join(one.encode(errors="surrogateescape") for one in shown)
    return joined[: len(written) - 1].ljust(len(written), b"\0")
