"""Reading of an image file's pixels."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError


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
