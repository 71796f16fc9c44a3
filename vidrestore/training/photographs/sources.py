"""The photographs of a folder or a pattern, and their pixels as a viewer sees them."""

import glob
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.training.data.image_file import image_size, read_picture
from vidrestore.types import UInt8

PHOTOGRAPH_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Extensions, in lower case, of photographs."""

_MOST_PIXELS: Final = 16384 * 16384
"""Largest photograph: a file of one colour fills it with a megabyte. OpenCV's own limit is four times higher."""
_WITH_ALPHA: Final = frozenset({".png", ".webp", ".tif", ".tiff"})
_CHANNELS_WITH_ALPHA: Final = 4


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture file that may hold faces."""

    path: Path
    name: PurePosixPath
    """Path below the searched folder."""
    size_bytes: int
    modified_ns: int
    """Time of the last change, nanoseconds since 1970."""


def find_photographs(source: str, *, apart_from: Path) -> tuple[Path, list[Photograph]]:
    """List the photographs of a folder (at any depth), of a pattern (`*`, `?`, `[]`, `**`), or one by itself.

    Returns:
        the folder that names are relative to, and the photographs sorted by name. Hidden files and folders (leading
        dot) are passed over, and so is the folder `apart_from` where it lies inside the searched one.

    Raises:
        InputError: there is nothing, or nothing that has a photograph's extension.
    """
    root, names = _search(source)
    root, own = root.resolve(), apart_from.resolve()
    nested = root in own.parents
    found = [
        _photograph(root, name)
        for name in names
        if name.suffix.lower() in PHOTOGRAPH_SUFFIXES and not (nested and own in (root / name).parents)
    ]
    if not found:
        known = ", ".join(sorted(PHOTOGRAPH_SUFFIXES))
        raise InputError(f"{source} holds no photographs; wanted a folder, a file or a quoted pattern of {known}")
    return root, sorted(found, key=lambda photograph: photograph.name)


def read_photograph(path: Path) -> UInt8:
    """Decode a picture, uint8 [h, w, 3] RGB, upright as its EXIF says; 16 bits become 8, transparent becomes white.

    Raises:
        InputError: it cannot be decoded, or is larger than any photograph.
    """
    size = (0, 0)
    with suppress(InputError):  # OpenCV knows more kinds of pictures, whatever their names say
        size = image_size(path)
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(f"{path} claims {size[0]}x{size[1]} pixels; make it smaller, or take it away")
    picture = read_picture(path, cv2.IMREAD_UNCHANGED) if path.suffix.lower() in _WITH_ALPHA else None
    if picture is not None and picture.ndim == 3 and picture.shape[2] == _CHANNELS_WITH_ALPHA:  # noqa: PLR2004
        picture = _over_white(np.asarray(picture))
    else:
        picture = read_picture(path, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def _over_white(picture: NDArray[Any]) -> UInt8:
    whole = float(np.iinfo(picture.dtype).max) if picture.dtype.kind == "u" else 1.0
    levels = picture.astype(np.float32) / whole
    opaque = levels[..., 3:]
    mixed: UInt8 = np.rint((levels[..., :3] * opaque + 1 - opaque).clip(0, 1) * 255).astype(np.uint8)
    return mixed


def _search(source: str) -> tuple[Path, list[Path]]:
    """Return the searched folder, and the files in it, relative to it."""
    place = Path(source)
    if place.is_dir():
        return place, _visible_files(place, place.rglob("*"))
    if place.is_file():
        return place.parent, [Path(place.name)]
    if not glob.has_magic(source):
        raise InputError(f"{source} does not exist; wanted a folder, a photograph or a quoted pattern")
    root = Path(*takewhile(lambda part: not glob.has_magic(part), place.parts))
    matches = glob.iglob(source, recursive=True)  # noqa: PTH207  Path.glob refuses absolute patterns
    return root, _visible_files(root, map(Path, matches))


def _visible_files(root: Path, paths: Iterable[Path]) -> list[Path]:
    names = (path.relative_to(root) for path in paths if path.is_file())
    return [name for name in names if not any(part.startswith(".") for part in name.parts)]


def _photograph(root: Path, name: Path) -> Photograph:
    facts = (root / name).stat()
    return Photograph(root / name, PurePosixPath(name.as_posix()), facts.st_size, facts.st_mtime_ns)
