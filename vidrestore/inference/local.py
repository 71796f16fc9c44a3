"""The networks in this process."""

from vidrestore.faces.detector import FaceDetector
from vidrestore.inference.allocator import keep_freed_memory
from vidrestore.inference.worker import ModelInfo
from vidrestore.models.visibility import FaceVisibility
from vidrestore.restoration.clips.restorer import ClipRestorer, works_in_clips
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.stages import Inline


def load_models(config: RestoreConfig) -> tuple[InferenceModels, ModelInfo]:
    """Load the networks into this process. Sets torch's threads and the C allocator.

    Raises:
        VidrestoreError: the weights are unknown, missing or corrupt.
    """
    keep_freed_memory()
    restorer, visibility = FaceRestorer(config.restorer), FaceVisibility(config.restorer.device)
    parts = InferenceModels(
        Inline(FaceDetector(config.candidate_detector)),
        Inline(restorer),
        crop_size=restorer.crop_size,
        batch_size=restorer.batch_size,
        encoder=Inline(restorer.encode),
        styled_restorer=Inline(restorer.restore_coded),
        clips=Inline(ClipRestorer(restorer, visibility, config)) if works_in_clips(restorer) else None,
        visibility=Inline(visibility),
    )
    return parts, ModelInfo.of(restorer)
