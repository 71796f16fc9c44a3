"""Everything in this process: debugging, small machines, unit tests. The result is the one that Ray gives."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from vidrestore.faces.detector import FaceDetector
from vidrestore.models.visibility import FaceVisibility
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.restoration.pipeline import InferenceModels, RestoreConfig
from vidrestore.runtime.allocator import keep_freed_memory
from vidrestore.runtime.segment import Progress, Segment, SegmentReport, restore_segment
from vidrestore.stages import Inline


class LocalRunner:
    """Runs segments here, one after the other; loads the networks once. Sets torch's threads and the C allocator."""

    name = "local"
    retries = 0

    def __init__(self, config: RestoreConfig) -> None:
        keep_freed_memory()
        self._config = config
        self._restorer = FaceRestorer(config.restorer)
        self.parts = InferenceModels(
            Inline(FaceDetector(config.detector)),
            Inline(self._restorer),
            crop_size=self._restorer.crop_size,
            batch_size=self._restorer.batch_size,
            encoder=Inline(self._restorer.encode),
            styled_restorer=Inline(self._restorer.restore_coded),
            visibility=Inline(FaceVisibility(config.restorer.device)),
        )

    @property
    def model_sha256(self) -> str:
        """Of the weights in use."""
        return self._restorer.model_sha256

    def run(self, segment: Segment, on_progress: Callable[[Progress], None]) -> SegmentReport:
        """Restore one segment."""
        return restore_segment(segment, self.parts, self._config, on_progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing outlives the process."""
