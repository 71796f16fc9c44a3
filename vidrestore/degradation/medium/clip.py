"""Damage of a medium, drawn once for a clip and lasting through it; a still image gets it through a short clip."""

from dataclasses import dataclass
from typing import Annotated, Final

import cv2
import numpy as np
from pydantic import Field

from vidrestore.config import OptionError, Options
from vidrestore.degradation.medium import imaging
from vidrestore.degradation.medium.codec import CodecConfig, CodecParameters, check_range, compress, draw_codec
from vidrestore.degradation.medium.motion import Motion, between_fields, draw_motion, moved, shift_between
from vidrestore.errors import ConfigError, RestorationError
from vidrestore.types import Float32, Float64, UInt8

MEDIA: Final = ("vhs", "film16", "webcam", "lowbitrate", "broadcast")
INTERLACINGS: Final = ("weave", "double", "blend")
ENLARGEMENTS: Final = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
SMALLEST_SIDE = 16
"""Smallest side of a clip in pixels, also after shrinking; the codecs work in blocks of 16."""

_BOUNDS: dict[str, tuple[float, float]] = {
    "scale": (1, 32),
    "blur_sigma": (0, 10),
    "blur_aspect": (1, 8),
    "blur_angle": (-180, 180),
    "flicker": (0, 0.5),
    "gate_weave": (0, 4),
    "grain_strength": (0, 0.5),
    "grain_size": (0, 8),
    "grain_colour": (0, 1),
    "read_noise": (0, 0.5),
    "shot_noise": (0, 0.5),
    "noise_streak": (0, 16),
    "chroma_blur": (0, 16),
}


@dataclass(frozen=True, slots=True)
class MediumConfig(Options):
    """Ranges of each damage: pairs are (lowest, highest), drawn evenly; pixels are those of the shrunk picture."""

    scale: tuple[float, float] = (1, 4)
    """How many times smaller the face is in the video."""
    blur_sigma: tuple[float, float] = (0.2, 1)
    """Sigma of the lens's blur in pixels, across the direction of `blur_angle`."""
    blur_aspect: tuple[float, float] = (1, 1.5)
    """Sigma along that direction over sigma across it."""
    blur_angle: tuple[float, float] = (-90, 90)
    """Degrees; 0 is along the line."""
    flicker: tuple[float, float] = (0, 0.01)
    """Deviation of the brightness from frame to frame, as a share of it."""
    gate_weave: tuple[float, float] = (0, 0)
    """Deviation of the picture's place from frame to frame, in pixels."""
    grain_strength: tuple[float, float] = (0, 0.03)
    """Deviation at mid-grey, as a share of full range (see `imaging.add_grain`)."""
    grain_size: tuple[float, float] = (0.4, 0.8)
    """Sigma of a grain, in pixels."""
    grain_colour: tuple[float, float] = (0, 0.5)
    """Share of the grain's variance that each colour has for itself."""
    read_noise: tuple[float, float] = (0, 0.02)
    """Deviation at black, as a share of full range."""
    shot_noise: tuple[float, float] = (0, 0.03)
    """Deviation that light adds at white, as a share of full range."""
    noise_streak: tuple[float, float] = (0, 0)
    """Sigma of the noise along the line, in pixels."""
    chroma_blur: tuple[float, float] = (0, 0)
    """Sigma of the smear of colour along the line, in pixels."""
    interlace_probability: Annotated[float, Field(ge=0, le=1, description="Fraction of clips recorded as fields.")] = (
        0.0
    )
    interlacings: tuple[str, ...] = INTERLACINGS
    """Ways to show interlaced clips, one of them at random: "weave" (both fields at once: combs), "double" (one field,
    each line twice: stairs) or "blend" (lines averaged with their neighbours: ghosts)."""
    enlargements: tuple[str, ...] = ("bilinear", "bicubic")
    """Ways back to the full size, one of them at random."""
    codecs: tuple[CodecConfig, ...] = (CodecConfig(),)
    """Ways of coding, one of them at random."""
    mix: tuple[str, ...] = ()
    """Names of presets: one of them is drawn for each clip, and the fields above do not matter."""

    def check_together(self) -> None:
        """Check that pairs are within their ranges and that names are known."""
        for name, bounds in _BOUNDS.items():
            check_range(name, getattr(self, name), bounds=bounds)
        _check_names("interlacings", self.interlacings, known=INTERLACINGS)
        _check_names("enlargements", self.enlargements, known=tuple(ENLARGEMENTS))
        if self.mix:
            _check_names("mix", self.mix, known=MEDIA)
        if not self.codecs:
            self.refuse("codecs", "use one codec or more")


@dataclass(frozen=True, slots=True)
class MediumParameters:
    """The damage of one clip: the same in all its frames; units are those of `MediumConfig`."""

    scale: float
    blur_sigma: float
    blur_aspect: float
    blur_angle: float
    flicker: float
    gate_weave: float
    grain_strength: float
    grain_size: float
    grain_colour: float
    read_noise: float
    shot_noise: float
    noise_streak: float
    chroma_blur: float
    interlacing: str | None
    """None: progressive; otherwise one of INTERLACINGS."""
    enlargement: str
    codec: CodecParameters


def _check_names(field: str, names: tuple[str, ...], *, known: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise OptionError(field, f" is {names!r}; use one or more of {', '.join(known)}")


_PRESETS: Final = {
    # A tape carries 3 MHz of luma and 0.4 MHz of colour: sigmas of 0.6 and 4.5 pixels at 13.5 MHz, more after a copy.
    # Its noise has the same band, so that it is dashes. Digitised to DVD (by fields) or straight to a file. Not here:
    # dropouts, head switching, line jitter.
    "vhs": MediumConfig(
        scale=(1.5, 4),
        blur_sigma=(0.25, 0.4),
        blur_aspect=(2, 3),
        blur_angle=(0, 0),
        flicker=(0, 0.005),
        grain_strength=(0, 0),
        read_noise=(0.02, 0.05),
        shot_noise=(0, 0.02),
        noise_streak=(0.6, 1.2),
        chroma_blur=(3.5, 6),
        interlace_probability=0.9,
        codecs=(
            CodecConfig("mpeg2", quality=(4, 14), group=(12, 15), b_frames=(2, 2), interlaced=True),
            CodecConfig("h264", quality=(23, 36)),
            CodecConfig("mpeg4", quality=(4, 16), b_frames=(0, 2)),
        ),
    ),
    # A narrow negative, much enlarged: coarse grain, the more so in fast stock, a gate that lets the picture wander and
    # a lamp or shutter that pulses. Scanned well, coded for a DVD or the web. Not here: dust, scratches, faded dyes.
    "film16": MediumConfig(
        scale=(1, 3),
        blur_sigma=(0.4, 1),
        blur_aspect=(1, 1.3),
        flicker=(0.005, 0.03),
        gate_weave=(0.05, 0.4),
        grain_strength=(0.02, 0.07),
        grain_size=(0.5, 1.1),
        grain_colour=(0, 0.5),
        read_noise=(0, 0.01),
        shot_noise=(0, 0.01),
        codecs=(
            CodecConfig("h264", quality=(20, 34), presets=("medium", "slow")),
            CodecConfig("mpeg2", quality=(4, 10), group=(12, 15), b_frames=(2, 2)),
        ),
    ),
    # A tiny sensor in room light, a fixed plastic lens, exposure that hunts, and a coder that may neither search nor
    # look ahead: no B frames, few intra frames. Not here: the camera's
    # own denoising and sharpening.
    "webcam": MediumConfig(
        scale=(1.2, 4),
        blur_sigma=(0.4, 1.1),
        flicker=(0, 0.02),
        grain_strength=(0, 0),
        read_noise=(0.01, 0.04),
        shot_noise=(0.02, 0.06),
        chroma_blur=(0, 0.8),
        codecs=(
            CodecConfig(
                "h264",
                quality=(24, 38),
                presets=("ultrafast", "superfast", "veryfast"),
                group=(50, 300),
                b_frames=(0, 0),
            ),
        ),
    ),
    # A clean picture starved by its coder: early streaming, messengers, DivX. Blocks, smears, and detail that comes
    # with the intra frames and goes again.
    "lowbitrate": MediumConfig(
        scale=(1.2, 4),
        grain_strength=(0, 0.015),
        read_noise=(0, 0.01),
        shot_noise=(0, 0.015),
        codecs=(
            CodecConfig("h264", quality=(30, 42), presets=("veryfast", "medium", "slow")),
            CodecConfig("mpeg4", quality=(6, 24), b_frames=(0, 2)),
        ),
    ),
    # Standard-definition television: fields, MPEG-2 with a group of about half a second and two B frames, rather
    # little noise. The fields are a whole frame apart here, twice the real distance, as a clip has no times between.
    "broadcast": MediumConfig(
        scale=(1.2, 3.5),
        blur_sigma=(0.3, 0.7),
        grain_strength=(0, 0.02),
        chroma_blur=(0, 1),
        interlace_probability=1,
        codecs=(CodecConfig("mpeg2", quality=(5, 22), group=(12, 15), b_frames=(2, 2), interlaced=True),),
    ),
    "mixed": MediumConfig(mix=MEDIA),
}


def medium_preset(name: str) -> MediumConfig:
    """Return the damage of a medium by its name, one of MEDIA, or "mixed" for any; ConfigError for another name."""
    if name not in _PRESETS:
        raise ConfigError(f"medium preset {name!r} is unknown; give one of {', '.join(_PRESETS)}")
    return _PRESETS[name]


def draw(config: MediumConfig, generator: np.random.Generator) -> MediumParameters:
    """Draw the damage of one clip, at random within `config`."""
    if config.mix:
        return draw(medium_preset(config.mix[int(generator.integers(len(config.mix)))]), generator)
    drawn = {name: float(generator.uniform(*getattr(config, name))) for name in _BOUNDS}
    interlaced = bool(generator.random() < config.interlace_probability)
    codec = config.codecs[int(generator.integers(len(config.codecs)))]
    return MediumParameters(
        **drawn,
        interlacing=str(generator.choice(config.interlacings)) if interlaced else None,
        enlargement=str(generator.choice(config.enlargements)),
        codec=draw_codec(codec, generator, interlaced=interlaced),
    )


def degrade_clip(clip: UInt8, parameters: MediumParameters, generator: np.random.Generator) -> UInt8:
    """Damage consecutive frames, uint8 [T, H, W, 3] RGB, as a video of that medium would show them; same shape.

    Every frame stays at its place in time. Places within the picture stay too, up to the gate weave and to half the
    motion between two frames where fields are woven. Bound: three times the clip while it works.
    Raises RestorationError when the clip is of another kind or coding fails.
    """
    _check_pictures(clip, "clip", "[T, H, W, 3]")
    small = _damaged(clip, parameters, generator)
    return np.stack([_enlarged(picture, parameters, clip.shape[1:3], lag=np.zeros(2)) for picture in small])


def still_to_clip(
    image: UInt8, frames: int, generator: np.random.Generator, *, target: int = -1
) -> tuple[UInt8, Motion]:
    """Turn an image, uint8 [H, W, 3] RGB, into uint8 [frames, H, W, 3], a slow sway and zoom, and return its motion.

    Frame `target` (counted from the end when negative) is exactly the still; the others are up to a few pixels away,
    by parts of pixels, so that a codec's predicted frames carry the residue that they carry in a video.
    """
    _check_pictures(image, "image", "[H, W, 3]")
    motion = draw_motion(image, frames, generator, target=target)
    return moved(image, motion), motion


def degrade_still(image: UInt8, config: MediumConfig, generator: np.random.Generator, *, frames: int = 5) -> UInt8:
    """Damage an image, uint8 [H, W, 3] RGB, as one frame of a video of `frames` frames; same shape, same place.

    The twin is any frame but the first, so that it is a predicted one (P or B) as nearly all frames of a video are.
    Raises RestorationError when the image is of another kind or coding fails, ConfigError when `frames` is below 1.
    """
    _check_pictures(image, "image", "[H, W, 3]")
    parameters = draw(config, generator)
    target = int(generator.integers(1, frames)) if frames > 1 else 0
    motion = draw_motion(image, frames, generator, target=target)
    if parameters.interlacing in {"weave", "blend"}:
        motion = between_fields(motion)
    twin = _damaged(moved(image, motion), parameters, generator, held=target)[target]
    return _enlarged(twin, parameters, image.shape[:2], lag=_lag(image, twin, parameters, motion))


def _lag(image: UInt8, twin: UInt8, parameters: MediumParameters, motion: Motion) -> Float64:
    """Measure how far skipped blocks keep the twin behind the motion: float64 [2], (x, y) in the video's pixels.

    An aligner goes by what it sees, and would take the whole lag out; no more than the motion can explain is taken.
    """
    # The measured shift, less that of doubled lines, is cut to the farthest that the motion takes the still.
    height, width = twin.shape[:2]
    still = imaging.shrink(image[None], width=width, height=height)[0]
    lag = shift_between(still, twin) - (0, rise(parameters))
    distances = np.hypot(*(motion.shifts - motion.shifts[motion.target]).T)
    most = float(distances.max()) * width / image.shape[1]
    return np.asarray(lag * min(1.0, most / max(float(np.hypot(*lag)), 1e-9)), np.float64)


def _check_pictures(pictures: object, name: str, wanted: str) -> None:
    if not isinstance(pictures, np.ndarray):
        raise RestorationError(f"the {name} is a {type(pictures).__name__}, not an array uint8 {wanted} RGB")
    shape = pictures.shape
    if pictures.dtype != np.uint8 or len(shape) != wanted.count(",") + 1 or shape[-1] != 3:  # noqa: PLR2004  RGB
        raise RestorationError(
            f"the {name} is {pictures.dtype} {list(shape)}, but video damage works on uint8 {wanted} RGB; convert it"
        )
    if not pictures.size or min(shape[-3:-1]) < SMALLEST_SIDE:
        raise RestorationError(
            f"the {name} is {list(shape)}; give one frame or more, with sides of {SMALLEST_SIDE} pixels or more"
        )


def _damaged(
    clip: UInt8, parameters: MediumParameters, generator: np.random.Generator, *, held: int | None = None
) -> UInt8:
    """Damage and code a clip at its small size, uint8 [T, h, w, 3]; the gate holds the frame `held` in its place."""
    height, width = (max(SMALLEST_SIDE, min(side, round(side / parameters.scale))) for side in clip.shape[1:3])
    pictures = imaging.shrink(clip, width=width, height=height)
    if parameters.gate_weave:
        shifts = parameters.gate_weave * generator.standard_normal((len(clip), 2))
        pictures = imaging.shift(pictures, shifts if held is None else shifts - shifts[held])
    codes = expose(pictures, parameters, generator)
    if parameters.interlacing is None:
        return compress(codes, parameters.codec)
    woven = imaging.weave(codes)
    if parameters.codec.interlaced:  # the player deinterlaces; otherwise who made the file did
        return imaging.deinterlace(compress(woven, parameters.codec), parameters.interlacing)
    return compress(imaging.deinterlace(woven, parameters.interlacing), parameters.codec)


def expose(pictures: Float32, parameters: MediumParameters, generator: np.random.Generator) -> UInt8:
    """Apply lens, lamp, stock, sensor and signal, in the order of the light's path: float32 [T, h, w, 3] to uint8."""
    pictures = imaging.blur(
        pictures, sigma=parameters.blur_sigma, aspect=parameters.blur_aspect, angle=parameters.blur_angle
    )
    pictures = imaging.flicker(pictures, generator, strength=parameters.flicker)
    pictures = imaging.add_grain(
        pictures,
        generator,
        strength=parameters.grain_strength,
        size=parameters.grain_size,
        colour=parameters.grain_colour,
    )
    pictures = imaging.add_noise(
        pictures,
        generator,
        read=parameters.read_noise,
        shot=parameters.shot_noise,
        streak=parameters.noise_streak,
    )
    pictures = imaging.soften_chroma(pictures, sigma=parameters.chroma_blur)
    return np.asarray(np.clip(pictures * 255 + 0.5, 0, 255), np.uint8)


def rise(parameters: MediumParameters) -> float:
    """Return the lines to move up by: a doubled line lies half a line too low, and training would learn that shift."""
    return 0.5 if parameters.interlacing == "double" else 0.0


def _enlarged(picture: UInt8, parameters: MediumParameters, shape: tuple[int, ...], *, lag: Float64) -> UInt8:
    height, width = shape
    offset = (float(lag[0]), float(lag[1]) + rise(parameters))
    interpolation = ENLARGEMENTS[parameters.enlargement]
    return imaging.enlarge(picture, width=width, height=height, interpolation=interpolation, offset=offset)
