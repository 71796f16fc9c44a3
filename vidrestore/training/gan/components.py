"""Eyes and mouth: where they lie in an aligned face, and crops of them for the facial component loss.

The facial component loss of GFP-GAN (Wang et al. 2021, section 3.5) judges eyes and mouth by discriminators of their
own. Positions are crop pixels (x, y) with pixel centres at integers, so that the whole picture spans -0.5 to
size - 0.5.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

EYE_HALF = 0.38
"""Half the side of an eye's box as a share of the face's scale: holds the eye and its brow."""
EYE_RISE = 0.08
"""Shift of an eye's box up towards the brow, as a share of the face's scale."""
MOUTH_HALF = 0.5
"""Half the side of the mouth's box as a share of the face's scale; an open mouth included."""
MOUTH_MARGIN = 1.15
"""The mouth's box is at least this wide in units of the distance between the corners: a broad smile fits."""
SMALLEST_HALF = 1 / 32
"""No box is less than this share of the picture's side from centre to edge, however the landmarks lie."""
IRIS_SIGMA = 0.08
"""Width of the weight of an iris, as a share of the face's scale: an iris has a radius of about 0.09."""
LIP_SIGMA = 0.14
"""Height of the mouth's weight as a share of the face's scale; across, it is half the distance of the corners."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Squares around the components; float32 [B, 4] each: left, top, right, bottom in crop pixels, inside the picture.

    Left and right are as a viewer sees them.
    """

    left_eye: Tensor
    right_eye: Tensor
    mouth: Tensor


def eye_side(size: int) -> int:
    """Return the side of an eye's crop for faces of `size` pixels: 80 at 512."""
    return round(size * 80 / 512)


def mouth_side(size: int) -> int:
    """Return the side of the mouth's crop for faces of `size` pixels: 120 at 512."""
    return round(size * 120 / 512)


def component_boxes(landmarks_B52: Tensor, size: int) -> Boxes:
    """Compute the boxes of the components of aligned faces, without gradient.

    Their sizes follow the larger of the distances from eye to eye and from eyes to mouth, since turning the head
    shortens one of them. A box that would leave the picture is moved into it.

    Args:
        landmarks_B52: float [B, 5, 2], crop pixels: left eye, right eye, nose tip, left and right mouth corner.
        size: Side of the faces in pixels.
    """
    points = landmarks_B52.detach().float()
    left_eye, right_eye = points[:, 0], points[:, 1]
    left_corner, right_corner = points[:, 3], points[:, 4]
    mouth = (left_corner + right_corner) / 2
    scale_B = _scale(points)
    rise_B2 = torch.stack((torch.zeros_like(scale_B), EYE_RISE * scale_B), dim=1)
    mouth_width_B = (right_corner - left_corner).norm(dim=1)
    mouth_half_B = torch.maximum(MOUTH_HALF * scale_B, MOUTH_MARGIN / 2 * mouth_width_B)
    return Boxes(
        left_eye=_squares(left_eye - rise_B2, EYE_HALF * scale_B, size),
        right_eye=_squares(right_eye - rise_B2, EYE_HALF * scale_B, size),
        mouth=_squares(mouth, mouth_half_B, size),
    )


def colour_places(landmarks_B52: Tensor, size: int) -> Tensor:
    """Weight irises, lips and teeth, whose colours people notice: float32 [B, 1, size, size] in 0..1.

    Soft spots, since the landmarks of an eye are those of its middle, and gaze moves the iris by a part of its width.

    Args:
        landmarks_B52: float [B, 5, 2], crop pixels, as `component_boxes` has them.
        size: Side of the faces in pixels.
    """
    points = landmarks_B52.detach().float()
    eyes, corners = points[:, :2], points[:, 3:]
    scale_B = _scale(points)
    lip_width_B = (corners[:, 1] - corners[:, 0]).norm(dim=1) / 2
    centres = torch.cat((eyes, corners.mean(dim=1, keepdim=True)), dim=1)
    widths = torch.stack((IRIS_SIGMA * scale_B, IRIS_SIGMA * scale_B, lip_width_B.clamp(min=1)), dim=1)
    heights = torch.stack((IRIS_SIGMA * scale_B, IRIS_SIGMA * scale_B, LIP_SIGMA * scale_B), dim=1)
    row = torch.arange(size, device=points.device, dtype=torch.float32)
    x_B31W = ((row - centres[:, :, :1]) / widths[:, :, None])[:, :, None].square()
    y_B3H1 = ((row - centres[:, :, 1:]) / heights[:, :, None])[:, :, :, None].square()
    return torch.exp(-(x_B31W + y_B3H1) / 2).amax(dim=1, keepdim=True)


def crop_components(images_BCHW: Tensor, boxes_B4: Tensor, side: int) -> Tensor:
    """Crop one box of each image, resampled bilinearly: float32 [B, C, side, side]; gradients reach the images.

    In float32 whatever autocast is on: bf16 coordinates would be off by pixels. The box of the whole picture, -0.5
    to size - 0.5, gives the picture back at its own size. What lies outside the picture is zero.

    Args:
        images_BCHW: Float images.
        boxes_B4: float [B, 4]: left, top, right, bottom in pixels of the images, see `Boxes`.
        side: Side of the crops; boxes much larger than this would alias.
    """
    batch, channels, height, width = images_BCHW.shape
    left, top, right, bottom = boxes_B4.to(images_BCHW.device, torch.float32).unbind(dim=1)
    zero = torch.zeros_like(left)
    with torch.autocast(images_BCHW.device.type, enabled=False):
        rows = [
            torch.stack(((right - left) / width, zero, (left + right + 1) / width - 1), dim=1),
            torch.stack((zero, (bottom - top) / height, (top + bottom + 1) / height - 1), dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), [batch, channels, side, side], align_corners=False)
        return F.grid_sample(images_BCHW.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _scale(points_B52: Tensor) -> Tensor:
    """Return the larger of the distances eye to eye and eyes to mouth, [B] pixels; a turned head shortens one."""
    eyes, mouth = points_B52[:, :2].mean(dim=1), points_B52[:, 3:].mean(dim=1)
    return torch.maximum((points_B52[:, 1] - points_B52[:, 0]).norm(dim=1), (mouth - eyes).norm(dim=1))


def _squares(centres_B2: Tensor, half_B: Tensor, size: int) -> Tensor:
    """Return squares [B, 4] of half the side `half_B`, moved (and at last shrunk) into the picture."""
    half_B1 = half_B.clamp(SMALLEST_HALF * size, size / 2)[:, None]
    lowest, highest = half_B1 - 0.5, size - 0.5 - half_B1
    centres = torch.minimum(torch.maximum(centres_B2, lowest), highest)
    return torch.cat((centres - half_B1, centres + half_B1), dim=1)
