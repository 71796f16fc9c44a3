"""All videos, face by face: figures of a face over time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vidrestore.evaluation.metrics.expression import match_expression
from vidrestore.evaluation.metrics.identity import cosine_deviation, cosines, identity_spread
from vidrestore.evaluation.videos.results import TrackFigures
from vidrestore.evaluation.videos.views import View
from vidrestore.types import Float32

_LOST_SECONDS: Final = 2.0
"""A face that was gone for longer does not come back: by default the tracker forgets it after one second."""


@dataclass(slots=True)
class _Samples:
    """Samples of one face in one video, a value for each frame."""

    embeddings: list[Float32] = field(default_factory=list)
    mouths: list[Float32] = field(default_factory=list)
    eyes: list[Float32] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Piece:
    """A face over a stretch of frames in all videos, the truth first."""

    videos: list[_Samples]
    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class TrackRecorder:
    """Follows every face through a shot, in all videos at once; the first video is the truth.

    Holds two kilobytes for each video, face and frame: of the faces that are there or went in the last
    `_LOST_SECONDS`, and of each `piece_frames` frames at most.
    """

    def __init__(self, videos: int, piece_frames: int) -> None:
        self.figures: list[list[TrackFigures]] = [[] for _ in range(videos)]
        """Figures of the tracks of each video."""
        self.tracks: set[int] = set()
        """Ids of the tracks that were seen."""
        self._piece_frames = piece_frames
        self._open: dict[int, _Piece] = {}

    def take(self, views: Sequence[View], index: int, seconds: float) -> None:
        """Note the faces of a frame: its views in all videos, the truth's first."""
        self.tracks.update(views[0].ids)
        for identity in [one for one, piece in self._open.items() if seconds - piece.seconds[-1] > _LOST_SECONDS]:
            self._close(identity)
        likenesses = [_cosines(view, views[0]) for view in views]
        for row, identity in enumerate(views[0].ids):
            piece = self._open.setdefault(identity, _Piece([_Samples() for _ in views]))
            piece.frames.append(index)
            piece.seconds.append(seconds)
            for samples, view, likeness in zip(piece.videos, views, likenesses, strict=True):
                assert view.faces, "the truth's faces are those of every video"  # noqa: S101
                samples.embeddings.append(view.faces.embeddings[row].numpy())
                samples.mouths.append(view.faces.mouths[row])
                samples.eyes.append(view.faces.eyes[row])
                samples.cosines.append(likeness[row])
            if len(piece.frames) >= self._piece_frames:
                self._close(identity)

    def end_shot(self) -> None:
        """End all tracks: no face goes on past the shot."""
        for identity in sorted(self._open):
            self._close(identity)

    def _close(self, identity: int) -> None:
        piece = self._open.pop(identity)
        for figures, samples in zip(self.figures, piece.videos, strict=True):
            figures.append(_judge(identity, piece, samples))


def _judge(identity: int, piece: _Piece, samples: _Samples) -> TrackFigures:
    truth, seconds = piece.videos[0], np.array(piece.seconds)
    likeness = np.array(samples.cosines)
    return TrackFigures(
        track=identity,
        first_frame=piece.frames[0],
        last_frame=piece.frames[-1],
        frames=len(piece.frames),
        identity_cosine=float(likeness.mean()),
        identity_deviation=cosine_deviation(likeness),
        identity_spread=identity_spread(np.stack(samples.embeddings)),
        mouth=match_expression(np.stack(samples.mouths), np.stack(truth.mouths), seconds),
        eyes=match_expression(np.stack(samples.eyes), np.stack(truth.eyes), seconds),
    )


def _cosines(view: View, truth: View) -> list[float]:
    if not (view.faces and truth.faces):
        return []
    found: list[float] = cosines(view.faces.embeddings, truth.faces.embeddings).tolist()
    return found
