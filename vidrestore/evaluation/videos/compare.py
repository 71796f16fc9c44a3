"""The comparison: videos pass in step; the truth's faces are found, and every video is measured there.

Memory holds the frames of the truth that the tracker holds back, two frames of each video and three of the truth; of
earlier frames, only numbers stay.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from vidrestore.errors import ConfigError
from vidrestore.evaluation.images.metric_models import MetricModels, load_judges
from vidrestore.evaluation.videos.aligned_reader import AlignedReader, losses
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.meter import VideoMeter
from vidrestore.evaluation.videos.reference_faces import Scene, scenes
from vidrestore.evaluation.videos.reference_steps import Step, SwayRecorder, step_from
from vidrestore.evaluation.videos.results import Role, VideoComparison, VideoFigures, summarise
from vidrestore.evaluation.videos.tracks import TrackRecorder
from vidrestore.evaluation.videos.views import Viewer
from vidrestore.media.reader import VideoReader
from vidrestore.models.devices import choose_device
from vidrestore.report import installed_versions
from vidrestore.types import Frame

OnProgress = Callable[[int, int | None], None]
"""Called with the frames compared, and their total number where the reference's container states it."""


def compare_videos(
    reference: Path | str,
    tests: Sequence[Path | str],
    *,
    degraded: Path | str | None = None,
    config: ComparisonConfig | None = None,
    judges: MetricModels | None = None,
    on_progress: OnProgress | None = None,
) -> VideoComparison:
    """Compare videos with what they should be.

    Args:
        reference: the truth. Its faces are found and followed, and looked at in the same places in every video.
        tests: one or more videos of the same frames, such as restored ones.
        degraded: the video that they were restored from, for a row of its own; what its whole picture does, gate weave
            and lamp flicker, is then taken out of warp error, jitter and flicker of every video but the reference.
        config: the defaults measure every face that would be restored in full.
        judges: other networks than the package's.
        on_progress: called after every frame.

    Raises:
        ConfigError: no test was given, or a video twice; or the device is not there.
        InputError: a video cannot be read, or differs in size, number of frames or timestamps.
        ModelError: weights cannot be had or do not fit.
    """
    config = config or ComparisonConfig()
    truth, rows = Path(reference), _rows(tests, degraded)
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(truth))
        others = [AlignedReader(path, stack.enter_context(VideoReader(path)), reader.info) for path, _ in rows]
        judges = judges or load_judges(choose_device(config.device))
        run = _Run(["reference", *(role for _, role in rows)], Viewer(judges, config.crop_size), config)
        for scene in scenes(reader, judges.detect, config):
            run.take(scene, [scene.frame, *(video.beside(scene.frame) for video in others)])
            if on_progress:
                on_progress(run.counts["frames"], reader.info.frames)
        for video in others:
            video.end()
        run.tracks.end_shot()
        return VideoComparison(
            reference=str(truth),
            width=reader.info.width,
            height=reader.info.height,
            frames=run.counts["frames"],
            frames_without_faces=run.counts["frames_without_faces"],
            shots=run.counts["shots"],
            tracks=len(run.tracks.tracks),
            faces=run.counts["faces"],
            faces_too_small=run.counts["faces_too_small"],
            min_face=config.min_face,
            crop_size=config.crop_size,
            input_sway=run.sway.figures() if degraded is not None else None,
            videos=tuple(run.videos([(truth, "reference"), *rows])),
            notes=(
                *losses(truth, reader.statistics),
                *(note for video in others for note in losses(video.path, video.statistics)),
            ),
            versions=installed_versions(),
        )


class _Run:
    """All videos at one frame, and what is kept of those before: the truth, the input if there is one, the tests."""

    def __init__(self, roles: Sequence[Role], viewer: Viewer, config: ComparisonConfig) -> None:
        self.tracks = TrackRecorder(len(roles), config.piece_frames)
        self.counts: Counter[str] = Counter()
        self._viewer = viewer
        self._has_input = "input" in roles
        self._meters = [VideoMeter(config.crop_size, of_truth=role == "reference") for role in roles]
        self.sway = SwayRecorder()
        self._before: Step | None = None
        self._shot: int | None = None
        self._start: Frame | None = None

    def take(self, scene: Scene, frames: Sequence[Frame]) -> None:
        """Measure a frame: the scene of the truth, and its frame in all videos."""
        if scene.shot != self._shot:
            self.tracks.end_shot()
            self._before, self._shot = None, scene.shot
            self.counts["shots"] += 1
        self._start = self._start or scene.frame
        seconds = float(scene.frame.seconds - self._start.seconds)
        views = [self._viewer.view(frame, scene) for frame in frames]
        step = step_from(self._before, scene, views[0], views[1] if self._has_input else None)
        for meter, view in zip(self._meters, views, strict=True):
            meter.take(step, view, seconds)
        self.tracks.take(views, scene.frame.index, seconds)
        if self._has_input:
            self.sway.take(step)
        self._before = step
        self.counts["frames"] += 1
        self.counts["frames_without_faces"] += not views[0].ids
        self.counts["faces"] += len(views[0].ids)
        self.counts["faces_too_small"] += scene.too_small

    def videos(self, rows: Sequence[tuple[Path, Role]]) -> Iterator[VideoFigures]:
        """Return the figures of each video."""
        names = _names([path for path, _ in rows])
        measured = zip(names, rows, self._meters, self.tracks.figures, strict=True)
        for name, (path, role), meter, tracks in measured:
            summary = summarise(meter.figures, tracks)
            yield VideoFigures(name, str(path), role, summary, tuple(tracks), tuple(meter.figures))


def _rows(tests: Sequence[Path | str], degraded: Path | str | None) -> list[tuple[Path, Role]]:
    """Return the videos other than the reference, in the order of their rows."""
    rows: list[tuple[Path, Role]] = [(Path(degraded), "input")] if degraded is not None else []
    rows += [(Path(path), "test") for path in tests]
    if not tests:
        raise ConfigError("no video to test was named; give one or more")
    twice = [path for path, count in Counter(path for path, _ in rows).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]} is given twice; name each video once")
    return rows


def _names(paths: Sequence[Path]) -> list[str]:
    """Return file names, or whole paths where they repeat."""
    counts = Counter(path.name for path in paths)
    return [path.name if counts[path.name] == 1 else str(path) for path in paths]
