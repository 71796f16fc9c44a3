"""One video through its medium: exposed, struck by dropouts, woven, coded and played, frame by frame."""

from collections.abc import Iterable, Iterator

import numpy as np

from vidrestore.degradation.medium import imaging
from vidrestore.degradation.medium.clip import MediumParameters, expose
from vidrestore.degradation.medium.codec_stream import VideoCodecRoundTrip
from vidrestore.degradation.medium.dropouts import add_dropouts
from vidrestore.degradation.medium.profiles import DegradationProfile
from vidrestore.degradation.medium.rng import Purpose, rng_for
from vidrestore.stages import run
from vidrestore.types import UInt8


def through_medium(pictures: Iterable[UInt8], profile: DegradationProfile, *, seed: int) -> Iterator[UInt8]:
    """Damage a video in its own small size: uint8 [h, w, 3] RGB frames in, as many out, in order.

    Lazy; holds one frame for the fields, and what the codec holds (see `VideoCodecRoundTrip`).
    """
    medium = profile.medium
    struck = (
        add_dropouts(exposed(picture, medium, seed=seed, index=index), profile.dropouts, seed=seed, index=index)
        for index, picture in enumerate(pictures)
    )
    if medium.interlacing is None:
        return run(VideoCodecRoundTrip(medium.codec), struck)
    woven = _woven(struck)
    if medium.codec.interlaced:  # the player deinterlaces; otherwise who made the file did
        return _deinterlaced(run(VideoCodecRoundTrip(medium.codec), woven), medium.interlacing)
    return run(VideoCodecRoundTrip(medium.codec), _deinterlaced(woven, medium.interlacing))


def exposed(picture: UInt8, medium: MediumParameters, *, seed: int, index: int) -> UInt8:
    """Expose frame `index` of the video through gate, lens, stock and signal; a function of the arguments alone."""
    pictures = imaging.shrink(picture[None], width=picture.shape[1], height=picture.shape[0])
    if medium.gate_weave:
        gate = rng_for(seed, Purpose.GATE, index)
        pictures = imaging.shift(pictures, medium.gate_weave * gate.standard_normal((1, 2)))
    return np.asarray(expose(pictures, medium, rng_for(seed, Purpose.EXPOSURE, index))[0], np.uint8)


def _woven(pictures: Iterable[UInt8]) -> Iterator[UInt8]:
    before: UInt8 | None = None
    for picture in pictures:
        yield picture if before is None else imaging.weave(np.stack([before, picture]))[1]
        before = picture


def _deinterlaced(pictures: Iterable[UInt8], interlacing: str) -> Iterator[UInt8]:
    for picture in pictures:
        yield imaging.deinterlace(picture[None], interlacing)[0]
