"""Conversion of frames for an encoder: planes, pixel format, range and colour tags."""

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import Interpolation, VideoReformatter

from vidrestore.media.encoding import EncodingPlan
from vidrestore.media.pixel_formats import EIGHT_BITS, bit_depth, fill, is_rgb, plane_shapes
from vidrestore.media.probe import FULL_RANGE, LIMITED_RANGE, VideoInfo
from vidrestore.types import Colour, Frame

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_FIELD_ORDERS = {"tff": 2, "bff": 3}


class CodedPictures:
    """Converts frames of `info` to the encoder's frames as a plan wants them."""

    def __init__(self, info: VideoInfo, plan: EncodingPlan) -> None:
        self._info = info
        self._plan = plan
        self._reformatter = VideoReformatter()

    def make(self, frame: Frame) -> av.VideoFrame:
        """Convert a frame, with its time and its tags; the encoder chooses the picture type."""
        picture = av.VideoFrame(frame.width, frame.height, frame.pixel_format)
        fill(picture, frame.planes)
        _tag(picture, frame.colour)
        plan = self._plan
        if (plan.pixel_format, plan.colour.full_range) != (frame.pixel_format, self._info.colour.full_range):
            picture = self._convert(picture, frame)
            _tag(picture, frame.colour if plan.colour == self._info.colour else plan.colour)
        picture.pts = frame.pts
        picture.time_base = frame.time_base
        picture.duration = frame.duration
        picture.pict_type = 0
        return picture

    def _convert(self, picture: av.VideoFrame, frame: Frame) -> av.VideoFrame:
        plan = self._plan
        if frame.pixel_format.startswith("gray") and not plan.pixel_format.startswith("gray"):
            return _grey(frame, plan)
        to_luma = is_rgb(frame.pixel_format) and not is_rgb(plan.pixel_format)
        own_range = FULL_RANGE if frame.colour.full_range else LIMITED_RANGE
        matrix = 5 if plan.colour.matrix == 6 else plan.colour.matrix  # noqa: PLR2004  swscale's number
        return self._reformatter.reformat(
            picture,
            format=plan.pixel_format,
            interpolation=_EXACT,
            dst_colorspace=matrix if to_luma else None,
            src_color_range=own_range,
            dst_color_range=FULL_RANGE if plan.colour.full_range else LIMITED_RANGE,
            threads=1,
        )


def configure_encoder(codec: av.VideoCodecContext, info: VideoInfo, plan: EncodingPlan) -> None:
    """Set everything but the options of an encoder that is not open yet."""
    codec.time_base = info.time_base
    codec.width, codec.height, codec.pix_fmt = info.width, info.height, plan.pixel_format
    codec.sample_aspect_ratio = info.sample_aspect_ratio
    codec.thread_count = plan.threads
    codec.flags |= Flags.global_header | Flags.frame_duration
    _tag(codec, plan.colour)
    if plan.interlaced:
        codec.field_order = _FIELD_ORDERS[plan.interlaced]


def _grey(frame: Frame, plan: EncodingPlan) -> av.VideoFrame:
    """Return a grey frame with colour planes that say grey: swscale takes all grey for full range."""
    picture = av.VideoFrame(frame.width, frame.height, plan.pixel_format)
    grey, depth = bit_depth(frame.pixel_format), bit_depth(plan.pixel_format)
    black = 16 << (grey - 8)
    luma = frame.planes[0].astype(np.float64)
    if frame.colour.full_range and not plan.colour.full_range:
        luma = black + luma * (219 << (grey - 8)) / ((1 << grey) - 1)
    scale = ((1 << depth) - 1) / ((1 << grey) - 1) if plan.colour.full_range else 2.0 ** (depth - grey)
    neutral = [np.full(shape, 1 << (depth - 1)) for shape in plane_shapes(plan.pixel_format, frame.width, frame.height)]
    planes = [np.round(luma * scale), *neutral[1:]]
    deep = depth > EIGHT_BITS
    fill(picture, tuple(plane.astype(np.uint16) if deep else plane.astype(np.uint8) for plane in planes))
    return picture


def _tag(target: av.VideoFrame | av.VideoCodecContext, colour: Colour) -> None:
    target.colorspace = colour.matrix
    target.color_primaries = colour.primaries
    target.color_trc = colour.transfer
    target.color_range = FULL_RANGE if colour.full_range else LIMITED_RANGE
