"""Messages over a pipe: a few values as JSON, and bytes."""

import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">II")


def send(pipe: BinaryIO, values: dict[str, Any], data: bytes = b"") -> None:
    """Write one message.

    Raises:
        OSError: nobody reads any more.
    """
    head = json.dumps(values).encode()
    pipe.write(_LENGTHS.pack(len(head), len(data)) + head + data)
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None at the end."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head, data = _LENGTHS.unpack(lengths)
    values: dict[str, Any] = json.loads(pipe.read(head))
    return values, pipe.read(data)
