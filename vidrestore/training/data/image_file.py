"""Image files: their size from the first bytes, their pixels, and faces as networks take them.

Large folders are listed quickly, for sizes need no decoding. Imports no torch, for processes that only decode.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.types import UInt8

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""Extensions, in lower case, of the pictures that this module knows."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_HEAD_BYTES: Final = 30
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that are followed by the picture's size: every kind of coding; C4, C8 and CC are something else."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a length."""


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels as stored (EXIF orientation not applied) of a PNG, JPEG or WebP file.

    Raises:
        InputError: the file cannot be read or is none of these.
    """
    try:
        with path.open("rb") as file:
            size = _size(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; make it readable, or take it away") from error
    except (struct.error, IndexError):
        size = None
    if size is None or 0 in size:
        raise InputError(f"{path} is damaged, or no PNG, JPEG or WebP picture; take it away, or convert it")
    return size


def _size(file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(_HEAD_BYTES)
    if head.startswith(_PNG):
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith(_JPEG):
        file.seek(len(_JPEG))
        return _jpeg_size(file)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    while True:
        byte = file.read(1)
        while byte == b"\xff":  # a marker may be preceded by any number of fill bytes
            byte = file.read(1)
        marker = byte[0]
        if marker in _ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _FRAME_HEADERS:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def read_picture(path: Path, flags: int) -> NDArray[Any]:
    """Decode a file as `cv2.imread` does with these flags.

    OpenCV gets the bytes only: it crashes on names that are not UTF-8, and prints the names of unreadable files.

    Raises:
        InputError: it cannot be read or decoded.
    """
    advice = "convert it, or take it away"
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, flags) if data.size else None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; make it readable, or take it away") from error
    except cv2.error as error:
        raise InputError(f"{path} cannot be decoded: {error.err}; {advice}") from error
    if picture is None:
        raise InputError(f"{path} cannot be decoded; {advice}")
    return picture


def read_face(path: Path, size: int) -> UInt8:
    """Decode one picture, uint8 [3, size, size] RGB; shrunk by area, enlarged by cubic interpolation.

    Raises:
        InputError: it cannot be decoded or is not square.
    """
    picture = read_picture(path, cv2.IMREAD_COLOR)
    height, width = picture.shape[:2]
    if height != width:
        raise InputError(f"{path} is {width}x{height}; wanted a square face, cut it out with `vidrestore align`")
    if width != size:
        method = cv2.INTER_AREA if width > size else cv2.INTER_CUBIC
        picture = cv2.resize(picture, (size, size), interpolation=method)
    return np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1), dtype=np.uint8)
