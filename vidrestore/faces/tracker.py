"""Tracking: identities of faces from frame to frame, and poses without jitter."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import transform
from vidrestore.faces.association import associate, face_boxes, upright_boxes
from vidrestore.faces.boxes import box_iou
from vidrestore.faces.config import TrackerConfig
from vidrestore.faces.motion import MotionFilter, Observation, observe
from vidrestore.faces.presence import Clock, TrackLifecycleRules, nanoseconds, presence_weight, time_since_update
from vidrestore.faces.smoothing import average, smooth
from vidrestore.types import Detection, FaceTrack, Float32, FrameFaces

_MAX_TENTATIVE_MISSES = 3


@dataclass(slots=True)
class _Track:
    id: int
    filter: MotionFilter
    hits: deque[Observation]
    confirmed: bool
    hit_count: int = 1
    missed_detections: int = 0
    strength: int = 0
    """Presence in the latest frame that was returned, 0 to the nanoseconds of a fade (in full)."""

    def found(self, observation: Observation) -> None:
        self.filter.update(observation)
        self.hits.append(observation)
        self.hit_count += 1
        self.missed_detections = 0


class Tracker:
    """A stage from detections to tracks; every frame comes out once, in order, as soon as its window is complete.

    Identities are decided as frames arrive: Kalman filters predict, the Hungarian method assigns. A pose is computed
    when its frame leaves, by smoothing over the observations of its track in the window: the frames at most
    `history_seconds` before and `lookahead_seconds` after, at most `history` and `lookahead` of them, cut at shot
    borders; in a gap it is interpolated. All rules are in seconds, so that videos of all rates are treated alike. At a
    shot change all state is dropped.

    A face fades in from its first frame and out until its last, except where a shot begins or ends. A filled gap that
    is longer than the lookahead less a fade begins before its end is known: there the presence dips for a while.

    Support: given the assignment of detections to faces, the poses that come out for a frame are a function of the
    window alone, bit for bit, wherever the stream began; which faces, and their `presence`, of that and the windows of
    the frames `fade_seconds` before. In all: `history_seconds + fade_seconds` back, `lookahead_seconds` ahead; in
    frames never more than `history` and a frame for each millisecond of the fade, and `lookahead`. The assignment
    itself remembers longer, but its filters forget: a stream that begins that much earlier comes to the same
    assignment unless faces met just at its beginning, and shows the same faces unless one reached `new_track_score`
    only before. Identity numbers count from the start of the stream.

    Memory: `lookahead` frames, `history + lookahead` times, and per face at most as many poses; faces lost for
    `max_lost_seconds` are dropped.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._held: deque[FrameFaces[Detection]] = deque()
        self._tracks: list[_Track] = []
        self._runs: deque[int] = deque()
        self._shot: int | None = None
        self._clock = Clock()
        self._next_ordinal = 0
        self._next_id = 0
        self._shot_start = 0
        self._history = nanoseconds(self._config.history_seconds)
        self._rules = _rules(self._config)
        self.rejected = 0
        """Number of detections ignored because their landmarks span no area."""

    def push(self, item: FrameFaces[Detection], /) -> Iterator[FrameFaces[FaceTrack]]:
        """Take the detections of the next frame, in display pixels; yield the tracks of frames that are due."""
        if item.shot != self._shot:
            yield from self.flush()
            self._shot = item.shot
        self._clock.tick(item.frame.seconds)
        while self._held and self._clock[self._next_ordinal] - self._clock[self._due] > self._rules.lookahead:
            yield self._emit()
        self._held.append(item)
        if item.detector_ran:
            self._associate(item)
        self._next_ordinal += 1
        if len(self._held) > self._config.lookahead:
            yield self._emit()

    def flush(self) -> Iterator[FrameFaces[FaceTrack]]:
        """Yield the tracks of the frames held back, and drop all state except the numbering."""
        while self._held:
            yield self._emit()
        self._tracks.clear()
        self._runs.clear()
        self._clock = Clock(self._next_ordinal)
        self._shot_start = self._next_ordinal

    @property
    def _due(self) -> int:
        """Ordinal of the oldest frame held back."""
        return self._next_ordinal - len(self._held)

    def _associate(self, item: FrameFaces[Detection]) -> None:
        """Give the detections of a frame to the tracks; those that are left begin tracks of their own."""
        config = self._config
        self._runs.append(self._next_ordinal)
        seconds = float(item.frame.seconds)
        observations: list[Observation] = []
        for detection in item.faces:
            try:
                observation = observe(detection, seconds=seconds, ordinal=self._next_ordinal, config=config.motion)
            except RestorationError:
                self.rejected += 1
            else:
                observations.append(observation)
        living = [track for track in self._tracks if self._is_alive(track, seconds)]
        for track in living:
            track.filter.predict(seconds)
            track.missed_detections += 1
        pairs = associate([track.filter for track in living], observations, config=config.association)
        for row, column in pairs:
            living[row].found(observations[column])
            living[row].confirmed |= observations[column].score >= config.new_track_score
        taken = {column for _, column in pairs}
        for index, observation in enumerate(observations):
            if index in taken:
                continue
            # a second detection of a face that another track has begins none
            found_now = [track.hits[-1].pose for track in living if not track.missed_detections]
            boxes = face_boxes([observation.pose])
            if found_now and box_iou(boxes, face_boxes(found_now)).max() > config.duplicate_overlap:
                continue
            motion = MotionFilter(observation, config.motion)
            confirmed = observation.score >= config.new_track_score
            track = _Track(self._next_id, motion, deque([observation]), confirmed)
            self._next_id += 1
            self._tracks.append(track)
            living.append(track)

    def _is_alive(self, track: _Track, seconds: float) -> bool:
        if track.hit_count < self._config.min_hits and track.missed_detections >= _MAX_TENTATIVE_MISSES:
            return False
        return abs(seconds - track.hits[-1].seconds) <= self._config.max_lost_seconds

    def _emit(self) -> FrameFaces[FaceTrack]:
        ordinal = self._due
        item = self._held.popleft()
        seconds = float(item.frame.seconds)
        fresh = ordinal == self._shot_start
        step = self._rules.fade if fresh else self._clock[ordinal] - self._clock[ordinal - 1]
        self._forget(ordinal, seconds)
        for track in self._tracks:
            hits = [hit.ordinal for hit in track.hits if hit.ordinal >= self._clock.first]
            weight = presence_weight(hits, self._runs, ordinal, clock=self._clock, rules=self._rules)
            track.strength = min(track.strength + step, weight if track.confirmed else 0)
        present = [track for track in self._tracks if track.strength]
        faces = [self._snapshot(track, ordinal, seconds) for track in present]
        kept = _distinct(faces, [len(track.hits) for track in present], overlap=self._config.duplicate_overlap)
        return FrameFaces(item.frame, kept, item.shot, item.detector_ran)

    def _forget(self, ordinal: int, seconds: float) -> None:
        """Drop what cannot influence frame `ordinal` or a later one."""
        self._clock.forget(ordinal, span=self._history, frames=self._config.history)
        oldest = self._clock.first
        while self._runs and self._runs[0] < oldest:
            self._runs.popleft()
        for track in self._tracks:
            while len(track.hits) > 1 and track.hits[0].ordinal < oldest:
                track.hits.popleft()
        self._tracks = [
            track for track in self._tracks if track.hits[-1].ordinal >= oldest or self._is_alive(track, seconds)
        ]

    def _snapshot(self, track: _Track, ordinal: int, seconds: float) -> FaceTrack:
        hits, times = [hit.ordinal for hit in track.hits], [hit.seconds for hit in track.hits]
        mean, variance = smooth(track.hits, seconds, ordinal=ordinal, config=self._config.motion)
        return FaceTrack(
            id=track.id,
            to_display=transform(mean),
            size=float(np.exp(mean[0])),
            score=average([hit.score for hit in track.hits], times, seconds),
            covariance=np.diag(variance),
            time_since_update=time_since_update(hits, self._runs, ordinal),
            presence=track.strength / self._rules.fade,
            yaw=average([hit.yaw for hit in track.hits], times, seconds),
        )


def _rules(config: TrackerConfig) -> TrackLifecycleRules:
    lookahead = nanoseconds(config.lookahead_seconds)
    return TrackLifecycleRules(
        min_hits=config.min_hits,
        max_gap=min(nanoseconds(config.max_gap_seconds), lookahead),
        coast=nanoseconds(config.coast_seconds),
        fade=max(1, nanoseconds(config.fade_seconds)),
        lookahead=lookahead,
        lookahead_frames=config.lookahead,
    )


def _distinct(faces: list[FaceTrack], hits: list[int], *, overlap: float) -> tuple[FaceTrack, ...]:
    """Keep, of faces that overlap, the one with more detections; return the kept faces by rising id."""
    kept: list[FaceTrack] = []
    for _, _, face in sorted(
        zip([-count for count in hits], [face.id for face in faces], faces, strict=True), key=lambda entry: entry[:2]
    ):
        boxes = [_box(other) for other in kept]
        if not kept or float(box_iou(_box(face), np.concatenate(boxes)).max()) <= overlap:
            kept.append(face)
    return tuple(sorted(kept, key=lambda face: face.id))


def _box(face: FaceTrack) -> Float32:
    return upright_boxes(face.to_display[None])
