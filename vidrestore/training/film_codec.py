"""Real compression in memory: a clip through an encoder, a container and a decoder, whole and in order."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from vidrestore.errors import ConfigError, RestorationError
from vidrestore.types import UInt8

BLOCK = 16
"""Side of a macroblock in pixels: the blocks' corners fall on multiples of it, and of 8 inside it."""

_ENCODERS = {"h264": "libx264", "mpeg2": "mpeg2video", "mpeg4": "mpeg4"}
_QUALITIES = {"h264": (0, 51), "mpeg2": (2, 31), "mpeg4": (2, 31)}
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_MOST_B_FRAMES = 16
_LONGEST_GROUP = 600
_CONTAINER = "matroska"  # the one that holds all three and is probed fastest; times are indices, so its ms are enough
_RATE = Fraction(25)
_BT601 = 5
"""swscale's number of the matrix of standard-definition film, named in both directions so that they cancel."""
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """One way of coding that a medium may use, and how far its settings go."""

    name: str = "h264"
    """h264, mpeg2 or mpeg4 (Part 2, the codec of DivX and Xvid)."""
    quality: tuple[float, float] = (23, 45)
    """Lowest and highest; h264: the constant rate factor, 0..51; others: the quantiser scale, 2..31. Higher is worse.
    A bit rate would say nothing here: rate control has not settled after the few frames of a clip."""
    presets: tuple[str, ...] = ("veryfast", "medium")
    """x264's efforts to choose from; the other codecs have none."""
    group: tuple[int, int] = (12, 250)
    """Shortest and longest distance of intra frames, in frames."""
    b_frames: tuple[int, int] = (0, 3)
    """Fewest and most B frames in a row."""
    interlaced: bool = False
    """Code a woven picture by fields, where the clip is interlaced at all."""

    def __post_init__(self) -> None:
        if self.name not in _ENCODERS:
            raise ConfigError(f"film codec {self.name!r} is unknown; give one of {', '.join(_ENCODERS)}")
        check_range(f"quality of {self.name}", self.quality, bounds=_QUALITIES[self.name])
        check_range("group", self.group, bounds=(1, _LONGEST_GROUP))
        check_range("b_frames", self.b_frames, bounds=(0, _MOST_B_FRAMES))
        unknown = [preset for preset in self.presets if preset not in _PRESETS]
        if unknown or not self.presets:
            raise ConfigError(f"presets are {self.presets!r}; give one or more of {', '.join(_PRESETS)}")


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
    """(x, y) in pixels, 0..15: where in a macroblock the picture's top left pixel lies; a face in a film is cut out
    of the frame, and the block grid does not start at its corner."""


def check_range(name: str, value: tuple[float, float], *, bounds: tuple[float, float]) -> None:
    """ConfigError unless `value` is (lowest, highest), in this order and within the bounds."""
    least, most = bounds
    if len(value) != 2 or not least <= value[0] <= value[1] <= most:  # noqa: PLR2004  lowest and highest
        raise ConfigError(f"{name} is {value!r}; give the lowest and the highest, both between {least} and {most}")


def draw_codec(config: CodecConfig, generator: np.random.Generator, *, interlaced: bool) -> CodecParameters:
    """Settings for one clip, which is `interlaced` or not."""
    return CodecParameters(
        name=config.name,
        quality=float(generator.uniform(*config.quality)),
        preset=str(generator.choice(config.presets)),
        group=int(generator.integers(*config.group, endpoint=True)),
        b_frames=int(generator.integers(*config.b_frames, endpoint=True)),
        interlaced=config.interlaced and interlaced,
        corner=(int(generator.integers(BLOCK)), int(generator.integers(BLOCK))),
    )


def compress(clip: UInt8, parameters: CodecParameters) -> UInt8:
    """Encode and decode: uint8 [T, H, W, 3] RGB -> the same shape, with 4:2:0 chroma and the codec's losses.

    The sides are filled up to whole macroblocks with mirrored picture, and cut back. Raises ConfigError when this
    build of PyAV lacks the codec, RestorationError when coding fails or loses a frame.
    """
    frames, height, width, _ = clip.shape
    left, top = parameters.corner
    unit = 2 * BLOCK if parameters.interlaced else BLOCK  # each field is coded in whole macroblocks
    right, bottom = -(left + width) % BLOCK, -(top + height) % unit
    padded = np.pad(clip, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="symmetric")
    with _translated(parameters, padded):
        decoded = _decode(_encode(padded, parameters))
    if decoded.shape != padded.shape:
        raise RestorationError(
            f"{parameters.name} gave back frames of shape {decoded.shape} for {padded.shape}; report these settings: "
            f"{parameters}"
        )
    return np.ascontiguousarray(decoded[:frames, top : top + height, left : left + width])


@contextmanager
def _translated(parameters: CodecParameters, clip: UInt8) -> Iterator[None]:
    try:
        yield
    except av.codec.codec.UnknownCodecError as error:
        raise ConfigError(
            f"this build of PyAV has no codec {error} for {parameters.name}; install PyAV's own wheel, or leave "
            f"{parameters.name} out of the film's codecs"
        ) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise RestorationError(f"{parameters} failed on a clip of shape {clip.shape} ({error})") from error


def _encode(clip: UInt8, parameters: CodecParameters) -> io.BytesIO:
    film, reformatter = io.BytesIO(), VideoReformatter()
    with av.open(film, "w", format=_CONTAINER) as container:
        stream = container.add_stream(_ENCODERS[parameters.name], rate=_RATE, options=_options(parameters))
        assert isinstance(stream, av.VideoStream), "all encoders of the table are of video"  # noqa: S101
        codec = stream.codec_context
        codec.height, codec.width = clip.shape[1:3]
        codec.pix_fmt = "yuv420p"
        codec.time_base = 1 / _RATE
        codec.gop_size = parameters.group
        codec.thread_count = 1  # more threads may cut the picture otherwise: the bytes would depend on the machine
        for index, picture in enumerate(clip):
            frame = reformatter.reformat(
                av.VideoFrame.from_ndarray(picture, format="rgb24"),
                format="yuv420p",
                dst_colorspace=_BT601,
                interpolation=_EXACT,
                threads=1,
            )
            frame.pts = index
            frame.time_base = codec.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    film.seek(0)
    return film


def _options(parameters: CodecParameters) -> dict[str, str]:
    options = {"bf": str(parameters.b_frames), "threads": "1"}
    if parameters.name == "h264":
        options |= {"crf": f"{parameters.quality:.2f}", "preset": parameters.preset}
        return options | ({"x264-params": "interlaced=1"} if parameters.interlaced else {})
    # one quantiser for every block: PyAV hands no quality on with the frames, which "qscale" would need
    scale = str(round(parameters.quality))
    options |= {"qmin": scale, "qmax": scale}
    return options | ({"flags": "+ildct+ilme"} if parameters.interlaced else {})


def _decode(film: io.BytesIO) -> UInt8:
    reformatter = VideoReformatter()
    with av.open(film, "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        # demuxing to the end sends the empty packet that flushes the decoder: no frame of a tail is lost
        pictures = [
            reformatter.reformat(
                frame, format="rgb24", src_colorspace=_BT601, interpolation=_EXACT, threads=1
            ).to_ndarray()
            for frame in container.decode(stream)
        ]
    return np.stack(pictures).astype(np.uint8, copy=False)
