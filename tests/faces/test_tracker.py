"""The tracker on faces whose true path is known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.faces.alignment import place, transform
from vidrestore.faces.config import TrackerConfig
from vidrestore.faces.tracker import Tracker
from vidrestore.stages import run
from vidrestore.types import Detection, FaceTrack, Float64, Frame, FrameFaces

Path = Callable[[float], tuple[float, float, float, float] | None]
DetectedVideo = list[FrameFaces[Detection]]
Result = list[FrameFaces[FaceTrack]]

CLOCK = Fraction(1, 90000)


def video(
    paths: Sequence[Path],
    *,
    frames: int = 60,
    noise: float = 0.004,
    every: int = 1,
    ticks: Sequence[int] | None = None,
    cuts: Sequence[int] = (),
    seed: int = 0,
) -> DetectedVideo:
    """Detections of faces that follow `paths` (pose at a time in seconds, or none), with noise in face sizes."""
    generator = np.random.default_rng(seed)
    items = []
    for index in range(frames):
        frame = Frame(index, ticks[index] if ticks else 3000 * index, CLOCK, 0, 640, 360, "rgb24", ())
        detector_ran = index % every == 0
        faces = []
        for path in paths:
            pose = path(float(frame.seconds))
            shake = generator.normal(size=(5, 2))
            if pose is not None and detector_ran:
                landmarks = place(transform(pose)) + noise * np.exp(pose[0]) * shake
                box = np.array([*landmarks.min(axis=0), *landmarks.max(axis=0)], np.float32)
                faces.append(Detection(landmarks.astype(np.float32), box, 0.98))
        items.append(FrameFaces(frame, tuple(faces), sum(index >= cut for cut in cuts), detector_ran))
    return items


def tracked(items: DetectedVideo, **options: float) -> Result:
    return list(run(Tracker(TrackerConfig(**options)), items))  # type: ignore[arg-type]


def still(x: float = 300, y: float = 180, size: float = 120) -> Path:
    return lambda _: (float(np.log(size)), 0.1, x, y)


def moving(x: float, speed: float, *, hidden: tuple[float, float] = (-2, -1)) -> Path:
    return lambda t: None if hidden[0] <= t < hidden[1] else (np.log(100), 0.0, x + speed * t, 180.0)


def landmarks_of(result: Result, identity: int = 0) -> Float64:
    return np.array([place(face.to_display) for item in result for face in item.faces if face.id == identity])


def roughness(landmarks: Float64) -> float:
    return float(np.sqrt((np.diff(landmarks, 2, axis=0) ** 2).mean()))


@pytest.mark.parametrize("lookahead", [0, 1, 5, 12, 100])
@pytest.mark.parametrize("every", [1, 3])
def test_every_frame_comes_out_once_and_in_order(lookahead: int, every: int) -> None:
    items = video([still()], frames=40, every=every, cuts=[17, 18, 31])

    result = tracked(items, lookahead=lookahead)

    assert [item.frame.index for item in result] == list(range(40))
    assert [item.shot for item in result] == [item.shot for item in items]
    assert [item.detector_ran for item in result] == [item.detector_ran for item in items]


def test_frames_are_held_back_no_longer_than_the_lookahead() -> None:
    tracker = Tracker(TrackerConfig(lookahead=5))

    given = [len(list(tracker.push(item))) for item in video([still()], frames=20)]

    assert given == [0] * 5 + [1] * 15
    assert len(list(tracker.flush())) == 5
    assert list(tracker.flush()) == []


def test_a_still_face_shakes_a_quarter_as_much_as_its_detections() -> None:
    items = video([still()])
    raw = np.array([item.faces[0].landmarks for item in items])
    fitted = landmarks_of(tracked(items, lookahead=0, history=0, min_hits=1))

    smooth = landmarks_of(tracked(items))

    assert len(smooth) == 60
    assert roughness(smooth) < roughness(fitted) / 4
    assert roughness(smooth) < roughness(raw) / 8


def test_a_nodding_face_is_followed_without_lag() -> None:
    def nod(seconds: float) -> tuple[float, float, float, float]:
        return (5.0, 0.2 * np.sin(4 * seconds), 300 + 40 * np.sin(5 * seconds), 180 + 30 * np.cos(4 * seconds))

    items = video([nod], frames=90, noise=0.004)
    truth = np.array([place(transform(nod(float(item.frame.seconds)))) for item in items])

    smooth = landmarks_of(tracked(items))
    earlier = np.sqrt(((smooth[1:] - truth[:-1]) ** 2).mean())
    now = np.sqrt(((smooth - truth) ** 2).mean())
    later = np.sqrt(((smooth[:-1] - truth[1:]) ** 2).mean())

    assert now < 0.004 * np.exp(5.0) / 2
    assert now < min(earlier, later) / 3


def test_the_covariance_tells_the_error() -> None:
    truth = (float(np.log(120)), 0.1, 300.0, 180.0)
    errors = []
    for seed in range(40):
        face = tracked(video([still()], frames=30, noise=0.002, seed=seed))[15].faces[0]
        centre = face.to_display[:, :2] @ [0.5, 0.5] + face.to_display[:, 2]
        error = np.array([np.log(face.size) - truth[0], centre[0] - truth[2], centre[1] - truth[3]])
        errors.append(error**2 / np.diag(face.covariance)[[0, 2, 3]])

    assert face.covariance.shape == (4, 4)
    assert 0.1 < np.mean(errors) < 2


@pytest.mark.parametrize("hidden_seconds", [0.0, 0.2, 0.35])
@pytest.mark.parametrize("seed", range(3))
def test_crossing_faces_keep_their_identities(hidden_seconds: float, seed: int) -> None:
    meeting = 1.0
    hidden = (meeting - hidden_seconds / 2, meeting + hidden_seconds / 2)
    left, right = moving(100, 200), moving(500, -200, hidden=hidden)

    # As they meet they cover each other wholly, and one would be taken for a second find of the other.
    result = tracked(video([left, right], frames=60, seed=seed), duplicate_overlap=1.0)

    identities = {face.id for item in result for face in item.faces}
    assert len(identities) == 2
    for identity in identities:
        x = [place(face.to_display)[2, 0] for item in result for face in item.faces if face.id == identity]
        assert len(x) == 60
        assert np.all(np.diff(x) > 0) or np.all(np.diff(x) < 0)


def test_a_gap_within_the_limit_is_filled_where_the_face_was() -> None:
    path = moving(100, 120, hidden=(0.8, 1.19))
    result = tracked(video([path], noise=0.001), max_gap_seconds=0.41)

    assert [len(item.faces) for item in result] == [1] * 60
    for item in result:
        truth = place(transform((np.log(100), 0.0, 100 + 120 * float(item.frame.seconds), 180.0)))
        np.testing.assert_allclose(place(item.faces[0].to_display), truth, atol=0.6)
    assert [item.faces[0].time_since_update for item in result][23:37] == [0, *range(1, 13), 0]


def test_a_longer_gap_stays_empty_but_the_identity_survives() -> None:
    result = tracked(video([moving(100, 60, hidden=(0.8, 1.3))], noise=0.001), max_gap_seconds=0.41)

    assert [len(item.faces) for item in result] == [1] * 24 + [0] * 15 + [1] * 21
    assert {face.id for item in result for face in item.faces} == {0}


def test_a_face_lost_for_longer_than_the_limit_comes_back_as_another() -> None:
    result = tracked(video([moving(100, 0, hidden=(0.8, 2.0))], frames=90), max_lost_seconds=1.0)

    assert {face.id for item in result for face in item.faces} == {0, 1}


def test_a_face_that_is_not_found_again_ends_with_its_last_detection() -> None:
    result = tracked(video([moving(100, 0, hidden=(1.0, 9.0))]))

    assert [len(item.faces) for item in result] == [1] * 30 + [0] * 30


def test_live_faces_coast_a_few_frames() -> None:
    result = tracked(video([moving(100, 60, hidden=(1.0, 9.0))]), lookahead=0, min_hits=1, coast_seconds=0.15)

    assert [len(item.faces) for item in result] == [1] * 34 + [0] * 26
    assert [item.faces[0].time_since_update for item in result[29:34]] == [0, 1, 2, 3, 4]


def test_a_single_false_detection_is_never_shown() -> None:
    flash = moving(500, 0, hidden=(0.0, 1.0))
    items = video([still(x=100), flash], frames=31)

    result = tracked(items)

    assert len(items[30].faces) == 2
    assert {face.id for item in result for face in item.faces} == {0}


def test_a_face_is_shown_from_its_very_first_detection() -> None:
    result = tracked(video([moving(100, 60, hidden=(0.0, 1.0))]))

    assert [len(item.faces) for item in result] == [0] * 30 + [1] * 30


def test_a_face_that_grows_certain_is_shown_from_before() -> None:
    items = video([still()], frames=30)
    for index in range(20):
        faces = tuple(Detection(face.landmarks, face.box, 0.65) for face in items[index].faces)
        items[index] = FrameFaces(items[index].frame, faces)

    assert [len(item.faces) for item in tracked(items, lookahead=12)] == [0] * 8 + [1] * 22


def test_an_unsure_detection_begins_no_track_but_continues_one() -> None:
    items = video([still()], frames=30)
    doubtful = [
        FrameFaces(item.frame, tuple(Detection(face.landmarks, face.box, 0.65) for face in item.faces))
        for item in items
    ]

    assert sum(len(item.faces) for item in tracked(doubtful)) == 0
    assert sum(len(item.faces) for item in tracked(items[:1] + doubtful[1:])) == 30


def test_a_cut_closes_all_tracks_and_bridges_nothing() -> None:
    items = video([still(), still(x=100)], frames=50, cuts=[25])

    whole, second = tracked(items), tracked(items[25:])

    first_ids = {face.id for item in whole[:25] for face in item.faces}
    assert first_ids.isdisjoint(face.id for item in whole[25:] for face in item.faces)
    for item, alone in zip(whole[25:], second, strict=True):
        for face, same in zip(item.faces, alone.faces, strict=True):
            assert np.array_equal(face.to_display, same.to_display)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_shot_shorter_than_the_confirmation_shows_its_faces(frames: int) -> None:
    assert [len(item.faces) for item in tracked(video([still()], frames=frames))] == [1] * frames


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("lookahead", [0, 6, 12])
def test_poses_do_not_depend_on_what_lies_beyond_the_window(lookahead: int, every: int) -> None:
    def sway(seconds: float) -> tuple[float, float, float, float]:
        return (4.8 + 0.1 * np.sin(seconds), 0.1 * np.sin(3 * seconds), 300 + 50 * np.sin(2 * seconds), 180.0)

    items = video([sway], frames=80, every=every)
    start, stop, history = 20, 70, 24

    whole = tracked(items, lookahead=lookahead, history=history)
    part = tracked(items[start:stop], lookahead=lookahead, history=history)

    for index in range(start + history, stop - lookahead):
        (face,), (same,) = whole[index].faces, part[index - start].faces
        assert np.array_equal(face.to_display, same.to_display)
        assert np.array_equal(face.covariance, same.covariance)
        assert (face.score, face.time_since_update, face.size, face.yaw) == (
            same.score,
            same.time_since_update,
            same.size,
            same.yaw,
        )


def test_the_yaw_is_that_of_the_detections_without_their_jitter() -> None:
    def nose_moved(items: DetectedVideo) -> DetectedVideo:
        """The nose a tenth of a face to the right, as of a head that is turned."""
        moved = []
        for item in items:
            faces = tuple(
                replace(face, landmarks=face.landmarks + np.float32(np.eye(5)[2][:, None] * [12, 1.2]))
                for face in item.faces
            )
            moved.append(replace(item, faces=faces))
        return moved

    frontal = [face.yaw for item in tracked(video([still()], noise=0.002)) for face in item.faces]
    turned = [face.yaw for item in tracked(nose_moved(video([still()], noise=0.002))) for face in item.faces]
    assert len(frontal) == len(turned) == 60
    assert abs(np.mean(frontal)) < 1
    assert np.mean(turned) == pytest.approx(41, abs=1)
    assert np.abs(np.diff(turned)).max() < 1


def test_motion_is_followed_in_time_and_not_in_frames() -> None:
    generator = np.random.default_rng(1)
    ticks = np.cumsum(generator.choice([1500, 3000, 9000], size=60)).tolist()
    path = moving(100, 150)

    result = tracked(video([path], ticks=ticks, noise=0.002))

    found = landmarks_of(result)
    truth = np.array([place(transform((np.log(100), 0.0, 100 + 150 * float(i.frame.seconds), 180.0))) for i in result])
    assert np.sqrt(((found - truth) ** 2).mean()) < 0.2


def test_repeated_and_falling_times_do_no_harm() -> None:
    ticks = [3000 * (index - index % 2) for index in range(40)]
    ticks[30] = 0

    result = tracked(video([still()], frames=40, ticks=ticks))

    assert [len(item.faces) for item in result] == [1] * 40
    assert np.isfinite(landmarks_of(result)).all()


def test_a_clock_that_starts_again_begins_new_tracks() -> None:
    ticks = [3000 * (index % 50) for index in range(100)]

    result = tracked(video([still()], frames=100, ticks=ticks))

    assert [len(item.faces) for item in result] == [1] * 100
    assert len({face.id for item in result for face in item.faces}) == 2


@pytest.mark.parametrize("every", [2, 3, 4])
def test_frames_between_detector_runs_are_interpolated(every: int) -> None:
    result = tracked(video([moving(100, 150)], every=every, noise=0.001))

    found = landmarks_of(result)
    truth = np.array([place(transform((np.log(100), 0.0, 100 + 150 * float(i.frame.seconds), 180.0))) for i in result])
    assert len(found) == 60
    np.testing.assert_allclose(found, truth, atol=0.5)


def test_a_head_may_turn_through_every_angle() -> None:
    result = tracked(video([lambda t: (5.0, 3 * t, 300.0, 180.0)], frames=80, noise=0.002))

    assert {face.id for item in result for face in item.faces} == {0}
    for item in result:
        turn = np.arctan2(item.faces[0].to_display[1, 0], item.faces[0].to_display[0, 0])
        assert abs(np.angle(np.exp(1j * (turn - 3 * float(item.frame.seconds))))) < 0.02


def test_two_detections_of_one_face_make_one_track() -> None:
    result = tracked(video([still(), still(x=306, size=126)]))

    assert [len(item.faces) for item in result] == [1] * 60


def test_memory_is_bounded_by_the_window() -> None:
    tracker = Tracker(TrackerConfig(lookahead=4, history=10))
    for item in video([still(x=60), moving(200, 1, hidden=(2.0, 99.0))], frames=300):
        list(tracker.push(item))

        assert len(tracker._held) <= 4
        assert len(tracker._runs) <= 15
        assert len(tracker._clock) <= 15
        assert all(len(track.hits) <= 15 for track in tracker._tracks)
    assert len(tracker._tracks) == 1


def test_degenerate_detections_are_counted() -> None:
    item = video([still()], frames=1)[0]
    point = Detection(np.full((5, 2), 5, np.float32), np.full(4, 5, np.float32), 0.9)
    tracker = Tracker()

    list(run(tracker, [FrameFaces(item.frame, (*item.faces, point))]))

    assert tracker.rejected == 1


@pytest.mark.parametrize(
    "options",
    [
        {"lookahead": -1},
        {"history": 5},
        {"history_seconds": 0.3},
        {"coast_seconds": 2.0},
        {"min_hits": 0},
        {"max_lost_seconds": -1},
        {"fade_seconds": float("nan")},
    ],
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"is .*; use"):
        TrackerConfig(**options)  # type: ignore[arg-type]


def looked_at(
    rate: int, hidden: Callable[[int], bool], *, seconds: float = 4, cuts: Sequence[int] = ()
) -> DetectedVideo:
    """A still face in frames of any rate, searched 12 times a second; `hidden` says in which runs it is missed."""
    items = video([still()], frames=int(seconds * rate), ticks=range(0, 90000 * 9, 90000 // rate), cuts=cuts, noise=0)
    result, last, runs = [], 0, 0
    for index, item in enumerate(items):
        detector_ran = index == 0 or index in cuts or Fraction(index + 1 - last, rate) > Fraction(1, 12)
        faces = item.faces if detector_ran and not hidden(runs) else ()
        last, runs = (index, runs + 1) if detector_ran else (last, runs)
        result.append(FrameFaces(item.frame, faces, item.shot, detector_ran))
    return result


def presences(result: Result) -> Float64:
    return np.array([sum(face.presence for face in item.faces) for item in result])


@pytest.mark.parametrize("rate", [12, 25, 30, 50, 60, 120, 240])
@pytest.mark.parametrize("missed", [1, 2, 3])
def test_missed_detections_leave_the_face_on_every_frame(rate: int, missed: int) -> None:
    result = tracked(looked_at(rate, lambda look: 20 <= look < 20 + missed))

    assert (presences(result) == 1).all()


@pytest.mark.parametrize("rate", [12, 25, 30, 50, 60, 120, 240])
def test_a_face_is_shown_from_its_first_detection_despite_a_miss(rate: int) -> None:
    items = looked_at(rate, lambda look: look < 20 or look == 21)

    result = tracked(items)

    first = next(index for index, item in enumerate(items) if item.faces)
    assert [len(item.faces) for item in result] == [0] * first + [1] * (len(items) - first)


@pytest.mark.parametrize("rate", [12, 25, 30, 50, 60, 120, 240])
def test_a_long_absence_is_as_long_at_every_rate(rate: int) -> None:
    items = looked_at(rate, lambda look: 20 <= look < 30)
    found = [index for index, item in enumerate(items) if item.faces]

    result = tracked(items)

    assert (presences(result) == 0).sum() == np.diff(found).max() - 1


def test_the_window_of_a_usual_video_is_half_a_second_ahead_and_one_back() -> None:
    tracker = Tracker()
    held = []
    for item in looked_at(25, lambda _: False):
        list(tracker.push(item))
        held.append(len(tracker._held))

    assert max(held) == 13  # the frame that comes too late for the window of 12 tells that it is complete
    assert len(tracker._clock) == 24 + 1 + 13


def test_frames_of_any_rate_are_held_within_the_bound() -> None:
    tracker = Tracker()
    for item in looked_at(1000, lambda _: False, seconds=1):
        list(tracker.push(item))

        assert len(tracker._held) <= 128
        assert len(tracker._clock) <= 256 + 128 + 1


@pytest.mark.parametrize("rate", [25, 30, 60, 120, 240])
def test_a_face_fades_in_after_its_birth_and_out_before_its_death(rate: int) -> None:
    shown = presences(tracked(looked_at(rate, lambda look: not 15 <= look < 35)))

    assert shown.max() == 1
    assert shown[0] == shown[-1] == 0
    assert 0 < np.abs(np.diff(shown)).max() <= 0.25
    assert 0.1 < ((shown > 0) & (shown < 1)).sum() / rate / 2 < 0.2


def test_a_face_is_shown_in_full_where_a_shot_begins_and_ends() -> None:
    shown = presences(tracked(looked_at(25, lambda _: False, cuts=[30, 31, 60])))

    assert (shown == 1).all()


@pytest.mark.parametrize("every", [1, 3])
def test_a_live_face_fades_in_at_once_and_out_while_it_coasts(every: int) -> None:
    items = video([moving(100, 0, hidden=(1.0, 2.0))], frames=90, every=every)

    shown = presences(tracked(items, lookahead=0, min_hits=1, coast_seconds=0.35))

    assert shown[0] == 1
    assert shown[29] == 1
    assert shown[45] == 0
    assert shown[-1] == 1
    assert 0 < np.abs(np.diff(shown)).max() <= 0.25


@pytest.mark.parametrize("seed", range(8))
def test_presence_never_jumps_whatever_is_missed(seed: int) -> None:
    generator = np.random.default_rng(seed)
    missed = generator.random(200) < generator.choice([0.2, 0.5, 0.7])
    missed[:5] = False  # what goes just after a shot began was shown in full

    shown = presences(tracked(looked_at(25, lambda look: bool(missed[look]), seconds=8), min_hits=1))

    assert np.abs(np.diff(shown)).max() <= 0.25


@pytest.mark.parametrize("lookahead", [0, 6, 128])
def test_presence_does_not_depend_on_what_lies_beyond_the_window_and_a_fade(lookahead: int) -> None:
    missed = np.random.default_rng(3).random(200) < 0.5
    items = looked_at(30, lambda look: bool(missed[look]), seconds=6)
    options = {"lookahead": lookahead, "coast_seconds": 0.2, "max_lost_seconds": 9, "min_hits": 1}
    whole = presences(tracked(items, **options))
    start, stop = 40, 150
    lead_in, lead_out = 29 + 6, min(15, lookahead)

    part = presences(tracked(items[start:stop], **options))

    assert len(np.unique(whole)) > 3
    assert np.array_equal(whole[start + lead_in : stop - lead_out], part[lead_in : len(part) - lead_out])
