"""vidrestore: faces in videos, restored without flicker.

    import vidrestore

    report = vidrestore.restore_video("old.mp4", "new.mp4", strength=0.6)

The names below are the public interface. They are imported when they are first used: `import vidrestore` itself loads
neither PyTorch nor Ray nor PyAV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidrestore.api import LiveStream as LiveStream
    from vidrestore.api import Restorer as Restorer
    from vidrestore.api import degrade_video as degrade_video
    from vidrestore.api import open_video as open_video
    from vidrestore.api import restore_image as restore_image
    from vidrestore.api import restore_video as restore_video
    from vidrestore.api import restore_videos as restore_videos
    from vidrestore.api import to_rgb as to_rgb
    from vidrestore.degradation.report import DegradeReport as DegradeReport
    from vidrestore.degradation.video import DegradeConfig as DegradeConfig
    from vidrestore.errors import ConfigError as ConfigError
    from vidrestore.errors import InputError as InputError
    from vidrestore.errors import Interrupted as Interrupted
    from vidrestore.errors import ModelError as ModelError
    from vidrestore.errors import OutputError as OutputError
    from vidrestore.errors import RestorationError as RestorationError
    from vidrestore.errors import StorageError as StorageError
    from vidrestore.errors import TrainingError as TrainingError
    from vidrestore.errors import VidrestoreError as VidrestoreError
    from vidrestore.errors import WorkerError as WorkerError
    from vidrestore.evaluation.videos.compare import compare_videos as compare_videos
    from vidrestore.evaluation.videos.config import ComparisonConfig as ComparisonConfig
    from vidrestore.evaluation.videos.results import VideoComparison as VideoComparison
    from vidrestore.face_model import FaceModel as FaceModel
    from vidrestore.jobs.config import BatchConfig as BatchConfig
    from vidrestore.jobs.config import JobConfig as JobConfig
    from vidrestore.jobs.report import JobReport as JobReport
    from vidrestore.live.config import StreamConfig as StreamConfig
    from vidrestore.report import RestoreReport as RestoreReport
    from vidrestore.restoration.config import RestoreConfig as RestoreConfig
    from vidrestore.types import Frame as Frame

__version__ = "0.1.0"

_HOMES = {
    "api": "LiveStream Restorer degrade_video open_video restore_image restore_video restore_videos to_rgb",
    "degradation.report": "DegradeReport",
    "degradation.video": "DegradeConfig",
    "errors": "ConfigError InputError Interrupted ModelError OutputError RestorationError StorageError TrainingError "
    "VidrestoreError WorkerError",
    "evaluation.videos.compare": "compare_videos",
    "evaluation.videos.config": "ComparisonConfig",
    "evaluation.videos.results": "VideoComparison",
    "face_model": "FaceModel",
    "jobs.config": "BatchConfig JobConfig",
    "jobs.report": "JobReport",
    "live.config": "StreamConfig",
    "report": "RestoreReport",
    "restoration.config": "RestoreConfig",
    "types": "Frame",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(["__version__", *_HOME_OF])  # noqa: PLE0605  the table says it once


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
