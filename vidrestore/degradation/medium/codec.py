"""Real compression in memory: a clip through an encoder, a container and a decoder, whole and in order."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from vidrestore.config import OptionError, Options
from vidrestore.errors import ConfigError, RestorationError
from vidrestore.types import UInt8

BLOCK = 16
"""Side of a macroblock in pixels: the blocks' corners fall on multiples of it, and of 8 inside it."""

_ENCODERS = {"h264": "libx264", "mpeg2": "mpeg2video", "mpeg4": "mpeg4"}
_DECODERS = {"h264": "h264", "mpeg2": "mpeg2video", "mpeg4": "mpeg4"}
_QUALITIES = {"h264": (0, 51), "mpeg2": (2, 31), "mpeg4": (2, 31)}
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_MOST_B_FRAMES = 16
_LONGEST_GROUP = 600
_BITS_PER_PIXEL = (0.001, 12)
_CONTAINER = "matroska"  # the one that holds all three and is probed fastest; times are indices, so its ms are enough
_RATE = Fraction(25)
_BT601 = 5
"""swscale's number of the matrix of standard-definition video, named in both directions so that they cancel."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class CodecConfig(Options):
    """One way of coding that a medium may use, and how far its settings go."""

    name: str = "h264"
    """Name of the codec: h264, mpeg2 or mpeg4 (Part 2, the codec of DivX and Xvid)."""
    quality: tuple[float, float] = (23, 45)
    """Lowest and highest; h264: the constant rate factor, 0..51; others: the quantiser scale, 2..31. Higher is worse.
    For the few frames of a clip, in which the control of a bit rate does not settle."""
    presets: tuple[str, ...] = ("veryfast", "medium")
    """Presets of x264 to choose from; the other codecs have none."""
    group: tuple[int, int] = (12, 250)
    """Shortest and longest distance of intra frames, in frames."""
    b_frames: tuple[int, int] = (0, 3)
    """Fewest and most B frames in a row."""
    interlaced: bool = False
    """Code a woven picture by fields, where the clip is interlaced at all."""
    bits_per_pixel: tuple[float, float] | None = None
    """Fewest and most bits for a pixel of a frame, by a rate held over a buffer of one second; `quality` then does not
    matter. For whole videos, whose coders had so many bits and not more; None: constant quality."""

    def check_together(self) -> None:
        """Check that ranges are within what the codec takes."""
        if self.name not in _ENCODERS:
            self.refuse("name", f"use one of {', '.join(_ENCODERS)}")
        if self.bits_per_pixel is None:
            check_range("quality", self.quality, bounds=_QUALITIES[self.name])
        else:
            check_range("bits_per_pixel", self.bits_per_pixel, bounds=_BITS_PER_PIXEL)
        check_range("group", self.group, bounds=(1, _LONGEST_GROUP))
        check_range("b_frames", self.b_frames, bounds=(0, _MOST_B_FRAMES))
        unknown = [preset for preset in self.presets if preset not in _PRESETS]
        if unknown or not self.presets:
            self.refuse("presets", f"use one or more of {', '.join(_PRESETS)}")


@dataclass(frozen=True, slots=True)
class CodecParameters:
    """The settings of one clip."""

    name: str
    quality: float
    preset: str
    group: int
    b_frames: int
    interlaced: bool
    corner: tuple[int, int]
    """(x, y) in pixels, 0..15: where in a macroblock the picture's top left pixel lies; a face in a video is cut out
    of the frame, and the block grid does not start at its corner."""
    bits_per_pixel: float | None = None
    """None: constant quality."""


def check_range(name: str, value: tuple[float, float], *, bounds: tuple[float, float]) -> None:
    """Raise ConfigError unless `value` is (lowest, highest), in this order and within the bounds."""
    least, most = bounds
    if len(value) != 2 or not least <= value[0] <= value[1] <= most:  # noqa: PLR2004  lowest and highest
        raise OptionError(name, f" is {value!r}; use a pair [lowest, highest] within {least} to {most}")


def draw_codec(config: CodecConfig, generator: np.random.Generator, *, interlaced: bool) -> CodecParameters:
    """Draw the settings for one clip, which is `interlaced` or not."""
    return CodecParameters(
        name=config.name,
        quality=float(generator.uniform(*config.quality)),
        preset=str(generator.choice(config.presets)),
        group=int(generator.integers(*config.group, endpoint=True)),
        b_frames=int(generator.integers(*config.b_frames, endpoint=True)),
        interlaced=config.interlaced and interlaced,
        corner=(int(generator.integers(BLOCK)), int(generator.integers(BLOCK))),
        bits_per_pixel=None if config.bits_per_pixel is None else float(generator.uniform(*config.bits_per_pixel)),
    )


def compress(clip: UInt8, parameters: CodecParameters) -> UInt8:
    """Encode and decode uint8 [T, H, W, 3] RGB; the result has the same shape, 4:2:0 chroma and the codec's losses.

    The sides are filled up to whole macroblocks with mirrored picture, and cut back. Raises ConfigError when this
    build of PyAV lacks the codec, RestorationError when coding fails or loses a frame.
    """
    frames, height, width, _ = clip.shape
    left, top = parameters.corner
    padded = np.pad(clip, ((0, 0), *whole_blocks(parameters, width=width, height=height)), mode="symmetric")
    with translated(parameters, padded.shape):
        decoded = _decode(_encode(padded, parameters))
    if decoded.shape != padded.shape:
        raise RestorationError(
            f"{parameters.name} gave back frames of shape {decoded.shape} for {padded.shape}; report these settings: "
            f"{parameters}"
        )
    return np.ascontiguousarray(decoded[:frames, top : top + height, left : left + width])


def whole_blocks(parameters: CodecParameters, *, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Return the pixels to add before and after rows, columns and colours, so that a frame is whole macroblocks."""
    left, top = parameters.corner
    unit = 2 * BLOCK if parameters.interlaced else BLOCK  # each field is coded in whole macroblocks
    return (top, -(top + height) % unit), (left, -(left + width) % BLOCK), (0, 0)


@contextmanager
def translated(parameters: CodecParameters, shape: tuple[int, ...]) -> Iterator[None]:
    """Translate the codec's errors: ConfigError when PyAV lacks it, RestorationError when it fails on that shape."""
    try:
        yield
    except av.codec.codec.UnknownCodecError as error:
        raise ConfigError(
            f"this build of PyAV has no codec {error} for {parameters.name}; install PyAV's own wheel, or leave "
            f"{parameters.name} out of the medium's codecs"
        ) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise RestorationError(f"{parameters} failed on a clip of shape {shape} ({error})") from error


def _encode(clip: UInt8, parameters: CodecParameters) -> io.BytesIO:
    video, reformatter = io.BytesIO(), VideoReformatter()
    height, width = clip.shape[1:3]
    with av.open(video, "w", format=_CONTAINER) as container:
        options = _options(parameters, pixels=width * height)
        stream = container.add_stream(_ENCODERS[parameters.name], rate=_RATE, options=options)
        assert isinstance(stream, av.VideoStream), "all encoders of the table are of video"  # noqa: S101
        _configure(stream.codec_context, parameters, width=width, height=height)
        for index, picture in enumerate(clip):
            container.mux(stream.encode(to_coded(picture, reformatter, index=index)))
        container.mux(stream.encode(None))
    video.seek(0)
    return video


def open_encoder(parameters: CodecParameters, *, width: int, height: int) -> av.VideoCodecContext:
    """Open an encoder for frames of whole macroblocks, without a container: its packets go to `open_decoder`'s."""
    codec = av.CodecContext.create(_ENCODERS[parameters.name], "w")
    assert isinstance(codec, av.VideoCodecContext), "all encoders of the table are of video"  # noqa: S101
    codec.framerate = _RATE
    codec.options = _options(parameters, pixels=width * height)
    _configure(codec, parameters, width=width, height=height)
    return codec


def open_decoder(parameters: CodecParameters) -> av.VideoCodecContext:
    """Open a decoder for what `open_encoder` makes."""
    codec = av.CodecContext.create(_DECODERS[parameters.name], "r")
    assert isinstance(codec, av.VideoCodecContext), "all decoders of the table are of video"  # noqa: S101
    codec.thread_count = 1
    return codec


def _configure(codec: av.VideoCodecContext, parameters: CodecParameters, *, width: int, height: int) -> None:
    codec.height, codec.width = height, width
    codec.pix_fmt = "yuv420p"
    codec.time_base = 1 / _RATE
    codec.gop_size = parameters.group
    codec.thread_count = 1  # more threads may cut the picture otherwise: the bytes would depend on the host


def _options(parameters: CodecParameters, *, pixels: int) -> dict[str, str]:
    options = {"bf": str(parameters.b_frames), "threads": "1"}
    if parameters.bits_per_pixel is not None:
        rate = str(max(1, round(parameters.bits_per_pixel * pixels * _RATE)))
        options |= {"b": rate, "maxrate": rate, "bufsize": rate}
    if parameters.name == "h264":
        # with its macroblock tree, x264 of PyAV's wheel codes small pictures otherwise from call to call
        options |= {"preset": parameters.preset, "mbtree": "0"}
        if parameters.bits_per_pixel is None:
            options |= {"crf": f"{parameters.quality:.2f}"}
        return options | ({"x264-params": "interlaced=1"} if parameters.interlaced else {})
    if parameters.bits_per_pixel is None:
        # one quantiser for every block: PyAV hands no quality on with the frames, which "qscale" would need
        scale = str(round(parameters.quality))
        options |= {"qmin": scale, "qmax": scale}
    return options | ({"flags": "+ildct+ilme"} if parameters.interlaced else {})


def _decode(video: io.BytesIO) -> UInt8:
    reformatter = VideoReformatter()
    with av.open(video, "r", format=_CONTAINER) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        # demuxing to the end sends the empty packet that flushes the decoder: no frame of a tail is lost
        pictures = [to_shown(frame, reformatter) for frame in container.decode(stream)]
    return np.stack(pictures).astype(np.uint8, copy=False)


def to_coded(picture: UInt8, reformatter: VideoReformatter, *, index: int) -> av.VideoFrame:
    """Convert uint8 [h, w, 3] RGB to the frame that an encoder takes; its time is its index."""
    frame = reformatter.reformat(
        av.VideoFrame.from_ndarray(picture, format="rgb24"),
        format="yuv420p",
        dst_colorspace=_BT601,
        interpolation=_EXACT,
        threads=1,
    )
    frame.pts = index
    frame.time_base = 1 / _RATE
    return frame


def to_shown(frame: av.VideoFrame, reformatter: VideoReformatter) -> UInt8:
    """Convert a decoded frame to uint8 [h, w, 3] RGB."""
    shown = reformatter.reformat(frame, format="rgb24", src_colorspace=_BT601, interpolation=_EXACT, threads=1)
    return np.asarray(shown.to_ndarray(), np.uint8)
