"""The frames in which a restored video is worst, as an image: figures show that something is wrong, images what."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from vidrestore.evaluation.images.grid import Grid, write_grid
from vidrestore.evaluation.videos.aligned_reader import AlignedReader
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.reference_faces import Scene, scenes
from vidrestore.evaluation.videos.results import FrameFigures, VideoFigures
from vidrestore.faces.detector import FaceDetector
from vidrestore.media.reader import VideoReader
from vidrestore.restoration.face.cropper import FaceCropper
from vidrestore.types import Frame, FrameFaces, UInt8

_RANKED = {"warp_error": -1, "jitter_percent": -1, "identity_cosine": 1, "temporal_feature_distance": -1}
"""Figures by which frames are ranked: 1 where more is better, -1 where less is."""


def worst_frames(video: VideoFigures, *, count: int = 10) -> list[int]:
    """Return positions in `video.frames`, rising, of the frames that rank worst in all figures; all if there are fewer.

    The ranks in warp error, landmark jitter, identity and feature flicker are added, and so count alike.
    """
    # A frame's rank in a figure is its place from best to worst; the sums over the figures are compared.
    ranks: dict[int, int] = {}
    for name, sign in _RANKED.items():
        measured = [
            (index, value) for index, one in enumerate(video.frames) if (value := _figure(one, name)) is not None
        ]
        for rank, (index, _) in enumerate(sorted(measured, key=lambda pair: (-sign * pair[1], pair[0]))):
            ranks[index] = ranks.get(index, 0) + rank
    return sorted(sorted(ranks, key=lambda index: (-ranks[index], index))[:count])


def draw_frames(path: Path, truth: Path, videos: Mapping[str, Path], positions: Sequence[int]) -> None:
    """Write the largest face of some frames as it is in the truth and in every video, a row for each frame, as PNG.

    Raises:
        InputError: a video cannot be read, or its frames are others than the truth's.
        OutputError: the image cannot be written.
    """
    rows = [tuple(crops) for position, crops in _faces(truth, videos) if position in set(positions)]
    if rows:
        write_grid(Grid(truth.stem, ("truth", *videos), tuple(rows)), path)


def _faces(truth: Path, videos: Mapping[str, Path]) -> Iterator[tuple[int, list[UInt8]]]:
    config, align = ComparisonConfig(), FaceCropper(ComparisonConfig().crop_size)
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(truth))
        others = [
            AlignedReader(video, stack.enter_context(VideoReader(video)), reader.info) for video in videos.values()
        ]
        for position, scene in enumerate(scenes(reader, FaceDetector(), config)):
            frames = [scene.frame, *(other.beside(scene.frame) for other in others)]
            if scene.tracks:
                yield position, [crop for frame in frames for crop in _largest(align, frame, scene)]


def _largest(align: FaceCropper, frame: Frame, scene: Scene) -> list[UInt8]:
    track = max(scene.tracks, key=lambda one: one.size)
    return [face.crop for face in align(FrameFaces(frame, (track,), scene.shot)).faces]


def _figure(frame: FrameFigures, name: str) -> float | None:
    value: float | None = getattr(frame, name)
    return value
