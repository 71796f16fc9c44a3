"""The encoding of the result: the user's options, checked and translated for an encoder."""

import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.codec import Codec

from vidrestore.errors import ConfigError
from vidrestore.media.coded_format import choose_pixel_format, coded_colour, format_notes, suggestion
from vidrestore.media.config import EncodeConfig
from vidrestore.media.pixel_formats import chroma_size, is_rgb
from vidrestore.media.probe import VideoInfo
from vidrestore.types import Colour

X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
_SVT_PRESETS = dict(zip(X26X_PRESETS, (12, 11, 10, 9, 8, 6, 5, 4, 2, 0), strict=True))
_VPX_SPEEDS = dict(zip(X26X_PRESETS, (5, 5, 5, 4, 3, 2, 1, 1, 0, 0), strict=True))
_HIGHEST_CRF = {"libx264": 51, "libx265": 51, "libsvtav1": 63, "libvpx-vp9": 63}
_LIMITED_ONLY = frozenset({"prores_ks", "prores", "prores_aw", "dnxhd"})
"""Encoders whose streams cannot say that they are full range."""
_QUARTER = 2
"""Width of the chroma planes of yuv410p and yuv411p, for luma planes of 8 x 8."""
_ONE_SLICE = (352, 288)
"""Size up to which ffv1 allows one slice per frame, and of a few pixels it allows no more."""
_USUAL_PIXELS = 4096 * 2304
"""Frame size up to which encoders look ahead as far as they like."""
_X264_LOOKAHEAD = dict(zip(X26X_PRESETS, (0, 0, 10, 20, 30, 40, 50, 60, 60, 60), strict=True))
_X265_LOOKAHEAD = dict(zip(X26X_PRESETS, (5, 10, 15, 15, 15, 20, 25, 40, 40, 60), strict=True))
_VP9_LOOKAHEAD = 25
"""Frames that VP9's encoder looks ahead by default."""
_LEAST_LOOKAHEAD = 12
"""Frames of look-ahead: more than those that refer to each other in any preset."""
_MOST_THREADS = 64
"""Threads for frames of the usual size: each thread of x264 and x265 holds a frame."""


@dataclass(frozen=True, slots=True)
class EncodingPlan:
    """The parameters that the encoder is opened with."""

    codec: str
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    colour: Colour
    threads: int
    interlaced: str | None
    """"tff" or "bff" when the frames are encoded as interlaced ones."""
    notes: tuple[str, ...]
    """Properties that the result does not keep, one sentence each."""


def plan_encoding(info: VideoInfo, config: EncodeConfig) -> EncodingPlan:
    """Check `config` against the encoder and the source.

    Raises ConfigError when a value is unknown or out of range, OutputError when the encoder cannot hold the frames.
    """
    config = _checked(config)
    pixel_format = choose_pixel_format(info, config.codec, asked=config.pixel_format)
    colour = coded_colour(info, pixel_format, limited_only=config.codec in _LIMITED_ONLY)
    interlaced = (info.field_order or "tff") if info.interlaced else None
    notes = [*format_notes(info.pixel_format, pixel_format), *_loss_notes(info, config.codec)]
    options = _options(info, config, interlaced)
    threads = config.threads or _threads(info)
    return EncodingPlan(config.codec, pixel_format, options, colour, threads, interlaced, tuple(notes))


def _threads(info: VideoInfo) -> int:
    """Return 0, so that the encoder decides, unless that many frames of this size would fill the memory."""
    pixels = info.width * info.height
    most = max(2, _MOST_THREADS * _USUAL_PIXELS // pixels)
    return most if pixels > _USUAL_PIXELS and (os.cpu_count() or 1) * 3 // 2 > most else 0


def _look_ahead(info: VideoInfo, frames: int) -> int | None:
    """Return the frames that an encoder which wants this many may look ahead; None: as many as it wants.

    For frames beyond the usual size, the limit is the memory of as many of the usual size.
    """
    pixels = info.width * info.height
    if pixels <= _USUAL_PIXELS or frames <= _LEAST_LOOKAHEAD:
        return None
    return max(_LEAST_LOOKAHEAD, frames * _USUAL_PIXELS // pixels)


def _checked(config: EncodeConfig) -> EncodeConfig:
    if config.lossless:
        if config.codec not in {EncodeConfig().codec, "ffv1"}:
            raise ConfigError(f"lossless is stored with ffv1, but codec is {config.codec!r}; leave one of the two out")
        config = replace(config, codec="ffv1")
    _check_codec(config.codec)
    highest = _HIGHEST_CRF.get(config.codec)
    if highest is not None and not 0 <= config.crf <= highest:
        raise ConfigError(f"crf is {config.crf}, but {config.codec} takes 0 (best) to {highest}")
    if config.threads < 0:
        raise ConfigError(f"threads is {config.threads}; give 0 (the encoder decides) or more")
    _check_preset(config)
    return config


def _check_codec(name: str) -> None:
    try:
        kind = Codec(name, "w").type
    except ValueError as error:
        encoders = [codec for codec in sorted(av.codecs_available) if _encodes_video(codec)]
        raise ConfigError(f"codec {name!r} is unknown{suggestion(name, encoders)}") from error
    if kind != "video":
        raise ConfigError(f"codec {name!r} encodes {kind}, not video; use libx264, for instance")


def _encodes_video(name: str) -> bool:
    try:
        return bool(Codec(name, "w").type == "video")
    except ValueError:
        return False


def _check_preset(config: EncodeConfig) -> None:
    takes_numbers = config.codec == "libsvtav1" and re.fullmatch(r"\d|1[0-3]", config.preset)
    takes_names = config.codec in _HIGHEST_CRF
    if takes_names and config.preset not in X26X_PRESETS and not takes_numbers:
        raise ConfigError(
            f"preset {config.preset!r} is unknown to {config.codec}{suggestion(config.preset, X26X_PRESETS)}"
        )


def _loss_notes(info: VideoInfo, codec: str) -> list[str]:
    notes = []
    if info.colour.full_range and codec in _LIMITED_ONLY and not is_rgb(info.pixel_format):
        notes.append(f"full range becomes limited range: {codec} cannot say full range")
    if (info.mastering_display or info.content_light) and codec not in {"libx264", "libx265", "libsvtav1"}:
        notes.append(f"{codec} does not carry the HDR10 mastering display and content light metadata")
    if info.interlaced and codec not in {"libx264", "prores_ks", "ffv1"}:
        notes.append(f"{codec} encodes the interlaced frames as progressive ones; libx264 encodes them as fields")
    return notes


def _options(info: VideoInfo, config: EncodeConfig, interlaced: str | None) -> tuple[tuple[str, str], ...]:
    own = _CODEC_OPTIONS.get(config.codec)
    options = own(info, config, interlaced) if own else {}
    for option in config.options:
        key, equals, value = option.partition("=")
        if not (key and equals):
            raise ConfigError(f"encoder option {option!r} is not of the form key=value")
        joined = key in options and key.endswith("-params")
        options[key] = f"{options[key]}:{value}" if joined else value
    return tuple(options.items())


def _x264(info: VideoInfo, config: EncodeConfig, interlaced: str | None) -> dict[str, str]:
    params = [f"{interlaced}=1"] if interlaced else []
    if info.mastering_display:
        params.append(f"mastering-display={_mastering(info, 50_000, 10_000)}")
    if info.content_light:
        params.append(f"cll={_light(info)}")
    options = {"preset": config.preset, "crf": str(config.crf)}
    if ahead := _look_ahead(info, _X264_LOOKAHEAD[config.preset]):
        options["rc-lookahead"] = str(ahead)
    return options | ({"x264-params": ":".join(params)} if params else {})


def _x265(info: VideoInfo, config: EncodeConfig, _: str | None) -> dict[str, str]:
    # info=0: else x265 names its threads and the processor in the header, which all parts of a video share
    params = ["log-level=error", "info=0"]
    if config.threads:
        params.append(f"pools={config.threads}")
    if ahead := _look_ahead(info, _X265_LOOKAHEAD[config.preset]):
        params.append(f"rc-lookahead={ahead}")
    if info.mastering_display:
        params.append(f"master-display={_mastering(info, 50_000, 10_000)}")
    if info.content_light:
        params.append(f"max-cll={_light(info)}")
    return {"preset": config.preset, "crf": str(config.crf), "x265-params": ":".join(params)}


def _svt(info: VideoInfo, config: EncodeConfig, _: str | None) -> dict[str, str]:
    preset = str(_SVT_PRESETS.get(config.preset, config.preset))
    params = []
    if info.mastering_display:
        params.append(f"mastering-display={_mastering(info, 1, 1)}")
    if info.content_light:
        params.append(f"content-light={_light(info)}")
    options = {"preset": preset, "crf": str(round(config.crf))}
    return options | ({"svtav1-params": ":".join(params)} if params else {})


def _vp9(info: VideoInfo, config: EncodeConfig, _: str | None) -> dict[str, str]:
    speed = str(_VPX_SPEEDS.get(config.preset, 2))
    options = {"crf": str(round(config.crf)), "b": "0", "deadline": "good", "cpu-used": speed, "row-mt": "1"}
    ahead = _look_ahead(info, _VP9_LOOKAHEAD)
    return options | ({"lag-in-frames": str(ahead)} if ahead else {})


def _ffv1(info: VideoInfo, _: EncodeConfig, __: str | None) -> dict[str, str]:
    if chroma_size(info.pixel_format)[0] == _QUARTER:
        # FFmpeg's slices lose the last chroma column where a slice's width is no multiple of four
        return {"level": "1", "g": "1"}
    # version 3 with a checksum a slice, every frame a keyframe: what archives keep
    options = {"level": "3", "g": "1", "slicecrc": "1"}
    small = info.width <= _ONE_SLICE[0] and info.height <= _ONE_SLICE[1]
    return options | ({"slices": "1"} if small else {})


def _prores(_: VideoInfo, __: EncodeConfig, interlaced: str | None) -> dict[str, str]:
    return {"flags": "+ildct"} if interlaced else {}


_CODEC_OPTIONS = {
    "libx264": _x264,
    "libx265": _x265,
    "libsvtav1": _svt,
    "libvpx-vp9": _vp9,
    "ffv1": _ffv1,
    "prores_ks": _prores,
}


def _mastering(info: VideoInfo, chroma_scale: int, light_scale: int) -> str:
    """Format the mastering display as encoders write it: green, blue, red, white point, luminance."""
    display = info.mastering_display
    assert display is not None, "asked for only where there is one"  # noqa: S101
    red, green, blue = display.primaries
    luminance = (display.maximum_luminance, display.minimum_luminance)

    def pair(values: tuple[Fraction, Fraction], scale: int) -> str:
        numbers = [str(round(value * scale)) if scale > 1 else f"{float(value):.6g}" for value in values]
        return f"({','.join(numbers)})"

    points = (("G", green), ("B", blue), ("R", red), ("WP", display.white_point))
    return "".join(f"{name}{pair(point, chroma_scale)}" for name, point in points) + f"L{pair(luminance, light_scale)}"


def _light(info: VideoInfo) -> str:
    light = info.content_light
    assert light is not None, "asked for only where there is one"  # noqa: S101
    return f"{light.maximum},{light.maximum_frame_average}"
