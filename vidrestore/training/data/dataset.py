"""A folder of aligned faces as a training set: which faces, which are held out, and the batch of any step.

The batch of a step is a function of seed, step, rank and world alone, so that a run that stopped at a step goes on
exactly there with nothing saved but the step.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.errors import ConfigError, InputError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.faces.landmark_table import TABLE_NAME, read_landmarks
from vidrestore.training.data.face_cache import Cache, FaceCache, FacesOnDisk, LoadedFaces, send
from vidrestore.training.data.image_file import IMAGE_SUFFIXES, image_size
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.data.people_table import PEOPLE_NAME, read_people
from vidrestore.training.data.sampler import DrawingOrder
from vidrestore.types import Float32

if TYPE_CHECKING:
    from vidrestore.training.data.medium_feed import MediumFeed

_MIRRORED: Final = [1, 0, 2, 4, 3]
"""For each landmark of a face, its index in the mirror image: eyes and mouth corners change sides."""
_HEADER_THREADS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class FaceFolder:
    """The faces of a folder, or a part of them; made by `open_face_folder`."""

    folder: Path
    names: tuple[str, ...] = field(repr=False)
    """Paths below the folder, with slashes, sorted."""
    people: tuple[str, ...] = field(repr=False)
    """The person in each picture, by the folder's `people.csv`; the picture's own name where the table lacks it."""
    landmarks: Float32 = field(repr=False)
    """float32 [N, 5, 2], pixels (x, y) of the picture at `size`: left eye, right eye, nose tip, mouth corners."""
    found: NDArray[np.bool_] = field(repr=False)
    """bool [N]; where False the landmarks are the template's, for the folder's table has none."""
    sides: NDArray[np.int64] = field(repr=False)
    """int64 [N], sides of the pictures on disk in pixels."""
    size: int
    """Side in pixels at which the pictures are given."""
    held_out_share: float
    """0..1, the part of the people that is never trained on."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def without_landmarks(self) -> int:
        """Number of faces with the template's landmarks instead of their own."""
        return int(np.count_nonzero(~self.found))

    @property
    def enlarged(self) -> int:
        """Number of pictures that are smaller than `size`: they show less detail than they have pixels."""
        return int(np.count_nonzero(self.sides < self.size))

    @property
    def training(self) -> "FaceFolder":
        """The faces to learn from."""
        return self._part(held_out=False)

    @property
    def held_out(self) -> "FaceFolder":
        """The faces to judge with; files added later move nobody from one part to the other."""
        return self._part(held_out=True)

    def at_most(self, count: int) -> "FaceFolder":
        """Return at most so many of these faces, chosen by a hash of their names, so that they are of all kinds."""
        if len(self) <= count:
            return self
        lots = [_lot(name) for name in self.names]
        return self._chosen(sorted(sorted(range(len(self)), key=lots.__getitem__)[:count]))

    def _part(self, *, held_out: bool) -> "FaceFolder":
        return self._chosen(
            [index for index, person in enumerate(self.people) if (_lot(person) < self.held_out_share) == held_out]
        )

    def _chosen(self, chosen: list[int]) -> "FaceFolder":
        return replace(
            self,
            names=tuple(self.names[index] for index in chosen),
            people=tuple(self.people[index] for index in chosen),
            landmarks=self.landmarks[chosen],
            found=self.found[chosen],
            sides=self.sides[chosen],
        )


def open_face_folder(folder: Path, *, size: int, held_out_share: float = 0.05) -> FaceFolder:
    """List a folder of aligned faces (JPEG, PNG, WebP, at any depth) with the landmarks that its table knows.

    Where a table `people.csv` lies next to the pictures, all pictures of a person are on one side of the split. Only
    headers are read. Pictures of another size are resized when they are drawn; lines of the table whose picture
    is gone are passed over; hidden files and folders (leading dot) do not count.

    Raises:
        ConfigError: `size` or `held_out_share` is out of range.
        InputError: no folder, no pictures, a picture that is not square, is smaller than half of `size` or cannot be
            read, or a damaged table of landmarks or people.
    """
    if size < 1:
        raise ConfigError(f"size is {size}; wanted the side of a face in pixels, such as 256")
    if not 0 <= held_out_share < 1:
        raise ConfigError(f"held_out_share is {held_out_share}; wanted 0 up to, not including, 1")
    names = sorted(_image_names(folder))
    if not names:
        raise InputError(
            f"{folder} holds no pictures (jpg, png, webp); make faces with `vidrestore align SRC {folder}`"
        )
    sides = _sides(folder, names, size=size)
    landmarks, found = _landmarks(folder, names, sides, size=size)
    known = read_people(folder / PEOPLE_NAME) if (folder / PEOPLE_NAME).exists() else {}
    people = tuple(known.get(PurePosixPath(name).stem, name) for name in names)
    return FaceFolder(folder, tuple(names), people, landmarks, found, sides, size, held_out_share)


@dataclass(frozen=True, slots=True, eq=False)
class FaceBatch:
    """The faces of one step and rank."""

    images: Tensor = field(repr=False)
    """uint8 [B, 3, size, size] RGB, on the device."""
    landmarks: Tensor = field(repr=False)
    """float32 [B, 5, 2], pixels of these images (x, y), on the device."""
    names: tuple[str, ...]
    """Names of the files, in order."""
    twins: Tensor | None = field(default=None, repr=False)
    """uint8 [K, 3, size, size] RGB, on the device: the first K faces with video damage; None without it."""


class FaceBatches:
    """Batches of a set of faces, for any step in any order; each epoch shows every face once, over all ranks.

    The faces of all ranks at a step are one slice of the shuffled epochs laid end to end; how many ranks share that
    slice changes neither its faces nor which of them are mirrored.

    Args:
        faces: the set, usually `open_face_folder(...).training`.
        batch: faces of a step and rank.
        seed: determines the order and the mirroring.
        device: device of the batches.
        rank: index of this process's share of each step, 0 to world - 1.
        world: processes that share each step.
        flip: whether faces are mirrored at random, half of them, landmarks included.
        cache: where the pictures are kept: all on the `device`, all in `memory`, or on `disk` (decoded by threads a few
            steps ahead). Batches are the same.
        medium_mix: draws the first faces of each batch a second time, with video damage, in processes of its own.

    Raises:
        ConfigError: batch, rank, world or cache is impossible.
        InputError: the set is empty, or a picture cannot be decoded (with cache "disk", when it is drawn).
    """

    def __init__(
        self,
        faces: FaceFolder,
        *,
        batch: int,
        seed: int,
        device: torch.device | str,
        rank: int = 0,
        world: int = 1,
        flip: bool = True,
        cache: Cache = "device",
        medium_mix: MediumMixConfig | None = None,
    ) -> None:
        if not len(faces):
            raise InputError(f"no faces of {faces.folder} were left to draw from; add faces, or change held_out_share")
        self._faces = faces
        self._device = torch.device(device)
        self._order = DrawingOrder(len(faces), batch=batch, seed=seed, rank=rank, world=world, flip=flip)
        self._cache = self._open(cache)
        self.medium_mix = medium_mix
        """The source of video damage, if there is any."""
        self._feed = self._open_feed(medium_mix, rank=rank, seed=seed) if medium_mix is not None else None

    @property
    def faces(self) -> FaceFolder:
        """The set of faces that batches are drawn from."""
        return self._faces

    @property
    def batch(self) -> int:
        """Faces of a step and rank."""
        return self._order.batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and processes that work ahead; batches already given stay valid."""
        self._cache.close()
        if self._feed is not None:
            self._feed.close()

    def batch_at(self, step: int, *, twins: bool = True) -> FaceBatch:
        """Return the faces of a step, counted from 0; always the same for the same step.

        Without `twins` the processes of video damage are not used.

        Raises:
            InputError: a picture on disk cannot be decoded.
            RestorationError: a codec failed.
            WorkerError: a process that draws video damage died.
        """
        assert step >= 0, f"steps count from 0, got {step}"  # noqa: S101  a caller's bug
        indices = self._order.indices_at(step)
        mirrored = self._order.mirrored_at(step)
        images = self._cache.pictures(step)
        if mirrored.any():
            mask = send(torch.from_numpy(mirrored), self._device)
            images = torch.where(mask[:, None, None, None], images.flip(-1), images)
        points = self._faces.landmarks[indices]
        flipped = points[:, _MIRRORED]
        flipped[..., 0] = self._faces.size - 1 - flipped[..., 0]
        points = np.where(mirrored[:, None, None], flipped, points)
        names = tuple(self._faces.names[index] for index in indices)
        shown = None
        if twins and self._feed is not None:
            shown = send(torch.from_numpy(self._feed.twins(step)), self._device)
        return FaceBatch(images, send(torch.from_numpy(points), self._device), names, shown)

    def _paths(self) -> list[Path]:
        return [self._faces.folder / name for name in self._faces.names]

    def _open_feed(self, medium_mix: MediumMixConfig, *, rank: int, seed: int) -> "MediumFeed":
        from vidrestore.training.data.medium_feed import MediumFeed  # noqa: PLC0415  PyAV is needed for video damage only

        order = self._order
        return MediumFeed(
            self._paths(),
            medium_mix,
            size=self._faces.size,
            batch=order.batch,
            indices_at=order.indices_at,
            mirrored_at=order.mirrored_at,
            seed=seed,
            rank=rank,
        )

    def _open(self, cache: Cache) -> FaceCache:
        paths = self._paths()
        size, device = self._faces.size, self._device
        if cache == "disk":
            return FacesOnDisk(paths, size=size, indices_at=self._order.indices_at, device=device)
        if cache in {"device", "memory"}:
            return LoadedFaces(
                paths, size=size, indices_at=self._order.indices_at, device=device, on_device=cache == "device"
            )
        raise ConfigError(f"cache is {cache!r}; use 'device', 'memory' or 'disk'")


def _lot(name: str) -> float:
    """Hash a name to 0..1, uniformly; without folder and extension, so that a set may be moved and converted."""
    digest = hashlib.blake2b(PurePosixPath(name).stem.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _image_names(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder; wanted one of aligned faces, made with `vidrestore align SRC {folder}`"
        )
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _sides(folder: Path, names: list[str], *, size: int) -> NDArray[np.int64]:
    with ThreadPoolExecutor(_HEADER_THREADS) as pool:
        sizes = list(pool.map(lambda name: image_size(folder / name), names))
    wrong = [
        f"{name} is {width}x{height}"
        for name, (width, height) in zip(names, sizes, strict=True)
        if width != height or 2 * width < size
    ]
    if wrong:
        raise InputError(
            f"{len(wrong)} of the {len(names)} pictures in {folder} are not square or smaller than half of {size} px, "
            f"such as {', '.join(wrong[:3])}; cut faces out with `vidrestore align`, or take these away"
        )
    return np.array([width for width, _ in sizes], dtype=np.int64)


def _landmarks(
    folder: Path, names: list[str], sides: NDArray[np.int64], *, size: int
) -> tuple[Float32, NDArray[np.bool_]]:
    table = read_landmarks(folder / TABLE_NAME) if (folder / TABLE_NAME).exists() else {}
    landmarks = np.tile((TEMPLATE * size - 0.5).astype(np.float32), (len(names), 1, 1))
    found = np.array([name in table for name in names])
    for index in np.flatnonzero(found):
        landmarks[index] = (table[names[index]].points + 0.5) * (size / sides[index]) - 0.5
    return landmarks, found
