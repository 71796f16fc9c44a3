"""Put a model of your own into the pipeline: `python examples/own_model.py old.mp4 sharper.mp4`."""

import sys

import cv2

import vidrestore


class Sharpen(vidrestore.FaceModel):
    """Unsharp masking in place of a network; crops are uint8 [256, 256, 3] RGB."""

    crop_size = 256

    def __call__(self, crops):  # noqa: ANN001, ANN204, D102
        return [cv2.addWeighted(crop, 1.6, cv2.GaussianBlur(crop, (0, 0), 2), -0.6, 0) for crop in crops]


if __name__ == "__main__":
    report = vidrestore.restore_video(*sys.argv[1:], model=Sharpen())
    print(f"{report.faces_restored} faces sharpened")
