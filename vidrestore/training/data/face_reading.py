"""Reading of a face from its file; imports no torch, for processes that only decode."""

from pathlib import Path

import cv2
import numpy as np

from vidrestore.errors import InputError
from vidrestore.training.data.image_file import read_picture
from vidrestore.types import UInt8


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
