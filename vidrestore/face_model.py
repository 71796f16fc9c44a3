"""What a face restoration network is to the pipeline: the base class of models that are not GFP-GAN."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from vidrestore.types import UInt8


class FaceModel(ABC):
    """A model of your own: subclass it and pass an instance as `model`.

    ```python
    class Sharpen(vidrestore.FaceModel):
        crop_size = 256

        def __call__(self, crops):
            return [cv2.addWeighted(crop, 1.6, cv2.GaussianBlur(crop, (0, 0), 2), -0.6, 0) for crop in crops]
    ```
    """

    crop_size: int = 512
    """Side, in pixels, of the aligned square crops that it takes and returns."""
    batch_size: int = 8
    """Crops per call, at most."""
    version: str = "1"
    """Change it with the model's results: finished segments count for a video only with the same version."""

    @property
    def name(self) -> str:
        """What it is called in reports and in the journal of a job."""
        return f"{type(self).__module__}.{type(self).__qualname__} {self.version}"

    @abstractmethod
    def __call__(self, crops: Sequence[UInt8]) -> Sequence[UInt8]:
        """Restore aligned faces.

        Args:
            crops: one or more uint8 [crop_size, crop_size, 3] RGB arrays, gamma-coded, the face upright as in FFHQ.

        Returns:
            As many arrays of the same shape and type, in the same order.
        """
